package replica_test

import (
	"sync"
	"testing"
	"time"

	"cardinal/internal/journal"
	"cardinal/internal/replica"
)

// hand is a clock moved by hand.
type hand struct {
	mu sync.Mutex
	t  time.Time
}

func (h *hand) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.t
}

func (h *hand) add(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.t = h.t.Add(d)
}

// aged waits until a condition on the state holds.
func aged(t *testing.T, r *replica.Replica, what string, holds func(replica.State) bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !holds(r.State()) {
		if time.Now().After(deadline) {
			t.Fatalf("never %s: %+v", what, r.State())
		}
		time.Sleep(time.Millisecond)
	}
}

func TestAgeGrowsFromTheHeartbeatThatWasSeen(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	start := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	ledger, here := &hand{t: start}, &hand{t: start.Add(3 * time.Hour)} // the node's wall clock is wrong
	b.feed.SetNow(ledger.now)
	b.options.Now = here.now
	r := b.open()
	end := b.follow(r)
	p := b.feed.Append(journal.KindEntryAdded, 1, []byte("x"))
	b.wait(r, p)
	// The first head could be a stuck one: it counts as old as the wall clock says.
	aged(t, r, "three hours old", func(s replica.State) bool { return !s.Loading && s.Age == 3*time.Hour })
	// The next proves that the ledger's clock moves.
	ledger.add(time.Second)
	here.add(time.Second)
	aged(t, r, "fresh", func(s replica.State) bool {
		ledger.add(time.Microsecond) // a beat between reading the head and waiting is seen with the next
		b.feed.Beat()
		return s.Age == 0
	})
	aged(t, r, "at rest", func(replica.State) bool {
		ledger.add(time.Microsecond)
		b.feed.Beat()
		time.Sleep(time.Millisecond)
		return r.State().Time.Equal(ledger.now())
	})
	// A ledger that can be read but does not move ages.
	here.add(90 * time.Second)
	b.feed.Beat() // at the same time: no heartbeat
	if s := r.State(); s.Age != 90*time.Second || !s.Time.Equal(ledger.now()) {
		t.Errorf("a stuck ledger gives %+v", s)
	}
	// Its clock comes back.
	ledger.add(2 * time.Minute)
	aged(t, r, "fresh again", func(s replica.State) bool {
		ledger.add(time.Microsecond)
		b.feed.Beat()
		return s.Age == 0
	})
	if err := end(); err != nil {
		t.Error(err)
	}
}

func TestCopyThatIsBehindIsAsOldAsWhatItHas(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	tape := b.options.Appliers[0].(*tape)
	start := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	ledger := &hand{t: start}
	b.feed.SetNow(ledger.now)
	b.options.Now = ledger.now
	b.options.BatchMax = 1
	for range 3 {
		b.feed.Append(journal.KindEntryAdded, 1, []byte("x"))
		ledger.add(time.Hour)
	}
	b.feed.Beat()
	r := b.open()
	b.catchUp(r)
	tape.mu.Lock()
	defer tape.mu.Unlock()
	for i, s := range tape.committed[:3] {
		want := time.Duration(3-i) * time.Hour
		if s.Age != want || !s.Loading && i < 2 {
			t.Errorf("after change %d of 3, one an hour, the copy says %v old (loading %t)", i+1, s.Age, s.Loading)
		}
	}
	if s := r.State(); s.Age != 0 || !s.Time.Equal(start.Add(3*time.Hour)) {
		t.Errorf("caught up it says %+v", s)
	}
}

func TestSnapshotNeverPromisesMoreThanItHolds(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.open()
	end := b.follow(r)
	for range 200 {
		p := b.feed.Append(journal.KindEntryAdded, 1, []byte("x"))
		before := r.State()
		s, err := r.Begin("tape")
		if err != nil {
			t.Fatal(err)
		}
		if s.State().Position < before.Position || s.State().Time.Before(before.Time) {
			t.Errorf("snapshot %+v after state %+v", s.State(), before)
		}
		if s.State().Position < p && s.Bucket().Get(key(p)) != nil {
			t.Errorf("snapshot of %d holds %d", s.State().Position, p)
		}
		s.Release()
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}
