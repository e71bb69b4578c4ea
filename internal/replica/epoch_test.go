package replica_test

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"cardinal/internal/journal"
	"cardinal/internal/replica"
)

func mark(b *bench, name string) journal.Position {
	return b.feed.Append(journal.KindStatusChanged, 1, []byte(name))
}

// marks are the names marked in a replica, with the positions they say.
func marks(t *testing.T, r *replica.Replica) map[string]journal.Position {
	t.Helper()
	got := map[string]journal.Position{}
	err := r.View("tape", func(b *bbolt.Bucket, _ replica.State) error {
		m := b.Bucket([]byte("marks"))
		if m == nil {
			return nil
		}
		return m.ForEach(func(k, v []byte) error {
			got[string(k)] = journal.Position(binary.BigEndian.Uint64(v))
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestRestoreKeepsWhatTheDroppedTailRevoked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	tape := b.options.Appliers[0].(*tape)
	mark(b, "early")
	keep := b.feed.Append(journal.KindEntryAdded, 1, []byte("x"))
	mark(b, "lost")
	r := b.open()
	end := b.follow(r)
	b.wait(r, 3)
	b.feed.Restore(keep)
	p := b.feed.Append(journal.KindEntryAdded, 1, []byte("after"))
	deadline := time.Now().Add(patience)
	for s := r.State(); (s.Epoch != 2 || s.Reseeding || s.Loading) && time.Now().Before(deadline); s = r.State() {
		time.Sleep(time.Millisecond)
	}
	b.wait(r, p)
	s := r.State()
	if s.Epoch != 2 || s.Position != p || s.ReseedRevoked != 1 || !s.Quarantine || s.Reseeding {
		t.Errorf("after the restore the copy says %+v", s)
	}
	if got := marks(t, r); got["early"] != 1 || got["lost"] != 3 || len(got) != 2 {
		t.Errorf("marks %v", got)
	}
	var kept []string
	if err := r.Kept(func(applier string, c journal.Change) error {
		kept = append(kept, applier+" "+string(c.Body))
		return nil
	}); err != nil || len(kept) != 1 || kept[0] != "tape lost" {
		t.Errorf("kept %q, %v", kept, err)
	}
	if tape.resets != 1 {
		t.Errorf("reset %d times", tape.resets)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
	keptSurvives(b, r)
}

// keptSurvives restarts, changes the layout, damages the file and restores once more: what was kept stays.
func keptSurvives(b *bench, r *replica.Replica) {
	t := b.t
	t.Helper()
	r.Close()
	other := newTape()
	other.layout = 2
	b.options.Appliers = []replica.Applier{other}
	r = b.open()
	if s := r.State(); s.Position != 0 || s.ReseedRevoked != 1 {
		t.Errorf("after a change of layout the copy says %+v", s)
	}
	b.catchUp(r)
	if got := marks(t, r); got["lost"] != 3 || got["early"] != 1 {
		t.Errorf("marks after a change of layout: %v", got)
	}
	r.Close()
	patch(t, b.options.Path, flipProgress)
	r = b.open()
	if s := r.State(); s.Position != 0 || s.ReseedRevoked != 1 {
		t.Errorf("after damage the copy says %+v", s)
	}
	b.catchUp(r)
	b.feed.Restore(1)
	end := b.follow(r)
	deadline := time.Now().Add(patience)
	for r.State().Epoch != 3 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if got := marks(t, r); got["lost"] != 2 || r.State().ReseedRevoked != 1 {
		t.Errorf("marks after a second restore: %v, %+v", got, r.State())
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

func TestReleaseAfterARestoreWinsOverWhatWasKept(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	mark(b, "a")
	mark(b, "lost")
	r := b.open()
	b.catchUp(r)
	b.feed.Restore(1)
	p := mark(b, "lost") // a later change about the same item
	b.catchUpTo(r, 2, p)
	if got := marks(t, r); got["lost"] != p {
		t.Errorf("marks %v: the kept change came after position %d", got, p)
	}
}

// catchUpTo follows until an epoch and position are reached.
func (b *bench) catchUpTo(r *replica.Replica, epoch journal.Epoch, p journal.Position) {
	b.t.Helper()
	end := b.follow(r)
	deadline := time.Now().Add(patience)
	for s := r.State(); (s.Epoch != epoch || s.Position != p || s.Reseeding) && time.Now().Before(deadline); s = r.State() {
		time.Sleep(time.Millisecond)
	}
	b.wait(r, p)
	if err := end(); err != nil {
		b.t.Errorf("following: %v", err)
	}
}

func TestRestoreThatLostNothingGoesOnInTheSameFile(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	tape := b.options.Appliers[0].(*tape)
	history(b.feed, rand.New(rand.NewPCG(1, 1)), 4)
	r := b.open()
	b.catchUp(r)
	head, _ := b.feed.Head(t.Context())
	b.feed.Restore(head.Position)
	b.catchUp(r)
	if s := r.State(); s.Epoch != 2 || s.ReseedRevoked != 0 || tape.resets != 0 {
		t.Errorf("the copy says %+v after %d resets", s, tape.resets)
	}
	if got, want := b.digest(r), b.straight(); got != want {
		t.Errorf("digest %s, straight %s", got, want)
	}
}

func TestWaitForWaitsWhileAnotherEpochIsBuilt(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for range 5 {
		b.feed.Append(journal.KindEntryAdded, 1, []byte("x"))
	}
	r := b.open()
	b.catchUp(r)
	b.feed.Restore(1)
	stuck := make(chan struct{})
	b.feed.SetFault(func(op string) error {
		if op == "read" && r.State().Reseeding {
			select {
			case <-stuck:
			default:
				return errors.New("not yet")
			}
		}
		return nil
	})
	end := b.follow(r)
	deadline := time.Now().Add(patience)
	for !r.State().Reseeding && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	done := make(chan struct{})
	go func() { b.wait(r, 2); close(done) }()
	select {
	case <-done:
		t.Error("position 2 of the new epoch is promised by a copy of the old one")
	case <-time.After(30 * time.Millisecond):
	}
	close(stuck)
	<-done
	if s := r.State(); s.Epoch != 2 || s.Position != 2 {
		t.Errorf("the copy says %+v", s)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

func TestOldLedgerStopsTheCopyOfANewerEpoch(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.feed.Append(journal.KindEntryAdded, 1, []byte("x"))
	old := journal.NewMemory()
	old.Append(journal.KindEntryAdded, 1, []byte("x"))
	b.feed.Restore(1)
	r := b.open()
	b.catchUp(r)
	r.Close()
	b.options.Feed = old
	b.stops(b.open(), journal.ErrDiverged)
}
