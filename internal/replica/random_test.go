package replica_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"cardinal/internal/journal"
	"cardinal/internal/replica"
)

// Whatever happens to ledger, feed and process, the copy ends as the journal says, plus every mark it ever had.
func TestRandomHistoriesEndAsTheJournalSays(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	for seed := range uint64(5) {
		randomHistory(t, rand.New(rand.NewPCG(seed, 99)))
	}
}

func randomHistory(t *testing.T, random *rand.Rand) {
	b := newBench(t)
	b.options.BatchMax = 1 + random.IntN(8)
	var faulty atomic.Bool
	dice := rand.New(rand.NewPCG(random.Uint64(), 1))
	b.feed.SetFault(func(string) error {
		if faulty.Load() && dice.IntN(4) == 0 {
			return errors.New("connection lost")
		}
		return nil
	})
	seen := map[string]bool{}
	r := b.open()
	for range 10 {
		head := headOf(b.feed)
		switch random.IntN(6) {
		case 0:
			_ = r.Close()
			r = b.open()
		case 1:
			if head.Position > 0 && r.State().Position == head.Position {
				b.feed.Restore(cutPoint(t, b.feed, journal.Position(random.IntN(int(head.Position)))))
			}
		default:
			history(b.feed, random, 1+random.IntN(6))
		}
		faulty.Store(random.IntN(2) == 0)
		head = headOf(b.feed)
		b.catchUpTo(r, head.Epoch, head.Position)
		for name := range marks(t, r) {
			seen[name] = true
		}
	}
	now := marks(t, r)
	for name := range seen {
		if now[name] == 0 {
			t.Errorf("mark %q was lost", name)
		}
	}
	b.feed.SetFault(nil)
	sameButMarks(b, r)
}

// headOf reads the head in spite of faults.
func headOf(feed *journal.Memory) journal.Head {
	for {
		if head, err := feed.Head(context.Background()); err == nil {
			return head
		}
	}
}

// cutPoint is the end of a transaction at or before a position.
func cutPoint(t *testing.T, feed *journal.Memory, p journal.Position) journal.Position {
	for {
		changes, err := feed.Read(t.Context(), 0, 1<<20)
		if err != nil {
			continue
		}
		for p > 0 && !changes[p-1].Last {
			p--
		}
		return p
	}
}

// sameButMarks compares the copy with one that never met trouble.
func sameButMarks(b *bench, r *replica.Replica) {
	t := b.t
	t.Helper()
	if err := r.Check(); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	fresh := &bench{t: t, feed: b.feed, options: replica.Options{Feed: b.feed, Appliers: []replica.Applier{newTape()},
		Path: filepath.Join(t.TempDir(), "fresh.db")}}
	other := fresh.open()
	fresh.catchUp(other)
	if err := other.Close(); err != nil {
		t.Error(err)
	}
	left, right := openFile(t, b.options.Path), openFile(t, fresh.options.Path)
	for d, err := range replica.Compare(left, right, "tape") {
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(d.Key, "marks/") {
			t.Errorf("%s: %x here, %x in a fresh copy", d.Key, d.A, d.B)
		}
	}
}
