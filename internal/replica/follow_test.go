package replica_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"cardinal/internal/journal"
	"cardinal/internal/replica"
)

func TestFollowAppliesWhatIsWrittenAndWaitForSeesIt(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.open()
	if s := r.State(); s.Position != 0 || !s.Loading || s.Age < time.Hour {
		t.Errorf("a copy that has seen nothing says %+v", s)
	}
	end := b.follow(r)
	p := b.feed.Append(journal.KindEntryAdded, 1, []byte("a"), []byte("b"))
	b.wait(r, p)
	err := r.View("tape", func(bucket *bbolt.Bucket, s replica.State) error {
		if got := bucket.Get(key(2)); string(got[1:]) != "b" || s.Position != 2 {
			t.Errorf("read %q at position %d", got, s.Position)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	b.feed.Beat()
	deadline := time.Now().Add(patience)
	for r.State().Loading && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if s := r.State(); s.Loading || s.Age > patience || s.Epoch != 1 {
		t.Errorf("caught up, it says %+v", s)
	}
	if err := end(); err != nil {
		t.Errorf("following: %v", err)
	}
}

func TestCommittedComesBeforeWaitForReturns(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	tape := b.options.Appliers[0].(*tape)
	r := b.open()
	end := b.follow(r)
	for range 20 {
		p := b.feed.Append(journal.KindEntryAdded, 1, []byte("x"))
		b.wait(r, p)
		tape.mu.Lock()
		if n := len(tape.committed); n == 0 || tape.committed[n-1].Position < p {
			t.Errorf("position %d is shown before Committed", p)
		}
		tape.mu.Unlock()
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

// history appends random transactions, some with changes that are applied in slices.
func history(feed *journal.Memory, random *rand.Rand, transactions int) {
	for range transactions {
		var records []journal.Record
		for range 1 + random.IntN(4) {
			body := make([]byte, random.IntN(40))
			for i := range body {
				body[i] = byte(random.Uint32())
			}
			switch random.IntN(5) {
			case 0:
				records = append(records, journal.Record{Kind: journal.KindEntriesModified, Version: 1,
					Body: []byte{byte(random.IntN(12))}})
			case 1:
				records = append(records, journal.Record{Kind: journal.KindStatusChanged, Version: 1,
					Body: append([]byte("mark"), body...)})
			default:
				records = append(records, journal.Record{Kind: journal.KindEntryAdded, Version: 1, Body: body})
			}
		}
		feed.Commit(records...)
	}
}

func TestRestartAtEveryPositionGivesTheSameCopy(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.options.BatchMax = 2
	random := rand.New(rand.NewPCG(1, 2))
	for range 12 {
		history(b.feed, random, 1)
		r := b.open()
		b.catchUp(r)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := b.digest(b.open()), b.straight(); got != want {
		t.Errorf("digest %s, straight %s", got, want)
	}
}

// copyFile copies what a killed process would leave. A file grows by 16 MiB at a time, nearly all of it empty here.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	source, err := os.Open(from)
	if err != nil {
		t.Error(err)
		return
	}
	defer source.Close()
	data, err1 := io.ReadAll(io.LimitReader(source, 2<<20))
	info, err2 := source.Stat()
	err3 := os.WriteFile(to, data, 0o600)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Error(err)
		return
	}
	if err := os.Truncate(to, info.Size()); err != nil {
		t.Error(err)
	}
}

func TestKilledBetweenAnyTwoWritesGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	b := newBench(t)
	b.options.BatchMax = 1
	history(b.feed, rand.New(rand.NewPCG(3, 4)), 8)
	want := b.straight()
	dir := t.TempDir()
	var copies []string
	b.options.SetHook(func(point string) {
		to := filepath.Join(dir, point+"-"+string(rune('a'+len(copies)/26))+string(rune('a'+len(copies)%26)))
		copyFile(t, b.options.Path, to)
		copies = append(copies, to)
	})
	r := b.open()
	b.catchUp(r)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if len(copies) < 30 {
		t.Errorf("only %d copies were taken", len(copies))
	}
	for _, path := range copies {
		again := &bench{t: t, feed: b.feed, options: replica.Options{Path: path, Feed: b.feed,
			Appliers: []replica.Applier{newTape()}}}
		r := again.open()
		again.catchUp(r)
		if got := again.digest(r); got != want {
			t.Errorf("killed at %s: digest %s, want %s", filepath.Base(path), got, want)
		}
		_ = os.Remove(path)
	}
}

// stops follows and expects it to end by itself with an error.
func (b *bench) stops(r *replica.Replica, want error) error {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	err := r.Follow(ctx)
	if !errors.Is(err, want) {
		b.t.Fatalf("following ended with %v, want %v", err, want)
	}
	if waited := r.WaitFor(ctx, 1<<40); !errors.Is(waited, want) {
		b.t.Errorf("waiting ended with %v", waited)
	}
	return err
}

func TestOtherHistoryOfTheSameEpochStops(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	history(b.feed, rand.New(rand.NewPCG(5, 6)), 6)
	head, _ := b.feed.Head(t.Context())
	r := b.open()
	b.catchUp(r)
	b.feed.Cut(head.Position - 2)
	err := b.stops(r, journal.ErrDiverged)
	if !strings.Contains(err.Error(), "behind") {
		t.Errorf("error does not say that the ledger is behind: %v", err)
	}
	r.Close()
	for range 4 { // the ledger overtakes the copy, with other changes
		b.feed.Append(journal.KindEntryAdded, 1, []byte("other"))
		r := b.open()
		b.stops(r, journal.ErrDiverged)
		r.Close()
	}
}

func TestBrokenChainStopsAndNamesThePosition(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for range 5 {
		b.feed.Append(journal.KindEntryAdded, 1, []byte("x"))
	}
	b.feed.Tamper(4, func(c *journal.Change) { c.Body[0] ^= 1 })
	r := b.open()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := r.Follow(ctx)
	var broken *journal.BrokenLink
	if !errors.As(err, &broken) || broken.Position != 4 {
		t.Errorf("following ended with %v", err)
	}
}

// gapped hides one position.
type gapped struct {
	*journal.Memory
	hide journal.Position
}

func (g gapped) Read(ctx context.Context, after journal.Position, limit int) ([]journal.Change, error) {
	changes, err := g.Memory.Read(ctx, after, limit)
	var out []journal.Change
	for _, c := range changes {
		if c.Position != g.hide {
			out = append(out, c)
		}
	}
	return out, err
}

func TestGapStops(t *testing.T) {
	t.Parallel()
	for _, hide := range []journal.Position{1, 3, 5} {
		b := newBench(t)
		for range 5 {
			b.feed.Append(journal.KindEntryAdded, 1, []byte("x"))
		}
		b.options.Feed = gapped{b.feed, hide}
		b.stops(b.open(), journal.ErrGap)
	}
}

func TestUnknownChangesStopAndAskForAnUpgrade(t *testing.T) {
	t.Parallel()
	for _, unknown := range []journal.Record{{Kind: 999, Version: 1}, {Kind: journal.KindEntryAdded, Version: 2}} {
		b := newBench(t)
		b.feed.Append(journal.KindEntryAdded, 1, []byte("x"))
		b.feed.Commit(journal.Record{Kind: journal.KindEntryAdded, Version: 1}, unknown)
		r := b.open()
		err := b.stops(r, replica.ErrUnknownKind)
		if !strings.Contains(err.Error(), "upgrade") {
			t.Errorf("error does not say what to do: %v", err)
		}
		if p := r.State().Position; p != 1 {
			t.Errorf("stopped at position %d instead of 1", p)
		}
	}
}

func TestRefusedChangeStopsInFrontOfItsTransaction(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	history(b.feed, rand.New(rand.NewPCG(7, 8)), 5)
	head, _ := b.feed.Head(t.Context())
	b.feed.Commit(journal.Record{Kind: journal.KindEntryAdded, Version: 1}, journal.Record{Kind: journal.KindSecretsChanged, Version: 1})
	r := b.open()
	b.stops(r, errRefused)
	if s := r.State(); s.Position != head.Position {
		t.Errorf("stopped at %d, the good ones end at %d", s.Position, head.Position)
	}
}

func TestFeedTroubleOnlyDelays(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	b := newBench(t)
	history(b.feed, rand.New(rand.NewPCG(9, 10)), 10)
	random := rand.New(rand.NewPCG(11, 12))
	b.feed.SetFault(func(string) error {
		if random.IntN(3) == 0 {
			return errors.New("connection lost")
		}
		return nil
	})
	b.options.BatchMax = 3
	r := b.open()
	end := b.follow(r)
	b.wait(r, 10)
	b.feed.SetFault(nil)
	head, _ := b.feed.Head(t.Context())
	b.wait(r, head.Position)
	if err := end(); err != nil {
		t.Error(err)
	}
	if got, want := b.digest(r), b.straight(); got != want {
		t.Errorf("digest %s, straight %s", got, want)
	}
}

func TestBatchOfLongChangesEndsEarly(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	tape := b.options.Appliers[0].(*tape)
	const most = 10 // changes of 60,000 octets that make more than 512 KiB, with the first above it
	for range 4 * most {
		b.feed.Append(journal.KindEntryAdded, 1, make([]byte, 60_000))
	}
	b.catchUp(b.open())
	tape.mu.Lock()
	defer tape.mu.Unlock()
	before := journal.Position(0)
	for _, s := range tape.committed {
		if s.Position > before+most {
			t.Errorf("a batch goes from %d to %d", before, s.Position)
		}
		before = s.Position
	}
	if before != 4*most {
		t.Errorf("the last batch ends at %d", before)
	}
}
