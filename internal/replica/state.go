package replica

import (
	"context"
	"errors"
	"time"

	"cardinal/internal/journal"
)

// State is what a copy knows about itself: complete up to Position as of Time.
type State struct {
	Epoch    journal.Epoch
	Position journal.Position // of the last whole transaction applied
	Link     journal.Hash
	// Time: everything committed before it is in this copy. It comes from committed heartbeats of the ledger.
	Time time.Time
	// Age is how long ago Time was, counted on the monotonic clock of this host from the moment the heartbeat was first
	// seen; so a stuck ledger ages although it can still be read.
	Age time.Duration
	// Refused says why nothing here may be vouched for, though it was complete a moment ago: following ended for good, the
	// feed refuses this copy (journal.ErrRefused), or there is a reason of the host's (Options.Doubt). Age is beyond every limit then. Nil otherwise.
	Refused error
	// Loading: not caught up since the start, or half way through a change applied in slices.
	Loading bool
	// Quarantine: the ledger was restored and what was lost is not accepted yet. Nothing may be called good.
	Quarantine bool
	// Reseeding: the ledger began a new epoch without changes that this copy holds; a new file is being built, the old
	// one answers meanwhile and ages.
	Reseeding bool
	// ReseedRevoked counts the changes kept from histories that a restore dropped.
	ReseedRevoked int
}

// ErrClosed: the replica is closed.
var ErrClosed = errors.New("replica closed")

// moment is a State with what its age is counted from. It is replaced as a whole.
type moment struct {
	state   State     // Age unset
	asOf    time.Time // this host's clock when state.Time was true
	stopped error     // why following ended for good
	refused error     // by the feed, for now
}

// forever is the age of a copy that must not be answered from: beyond every limit anyone may set.
const forever = 100 * 366 * 24 * time.Hour

// clock ties the ledger's time to this host's monotonic clock.
type clock struct {
	time time.Time // the newest head time seen
	here time.Time // this host's clock just before it was read first
	seen bool      // a head was read since the start
}

// saw notes a head that was asked for at a moment of this host's clock. The first head after a start may be a stuck one,
// so it is believed to be as old as this host's wall clock says; later ones prove themselves by moving.
func (c *clock) saw(head time.Time, asked time.Time) {
	switch {
	case !c.seen:
		c.time, c.here, c.seen = head, asked.Add(-max(0, asked.Sub(head))), true
	case head.After(c.time):
		c.time, c.here = head, asked
	}
}

// asOf is when, on this host's clock, it was t at the ledger.
func (c *clock) asOf(t time.Time) time.Time { return c.here.Add(t.Sub(c.time)) }

// State is the newest committed state. It costs a few atomic reads.
func (r *Replica) State() State {
	return r.stateAt(r.moment.Load())
}

func (r *Replica) stateAt(m *moment) State {
	s := m.state
	s.Age = max(0, r.options.Now().Sub(m.asOf))
	switch {
	case m.stopped != nil && !errors.Is(m.stopped, ErrClosed):
		s.Refused = m.stopped
	case m.refused != nil:
		s.Refused = m.refused
	default:
		s.Refused = r.options.Doubt()
	}
	if s.Refused != nil {
		s.Age = forever
	}
	return s
}

// Generation rises with each durable batch, just before Committed is called: a Snapshot with this generation shows that
// batch.
func (r *Replica) Generation() uint64 { return r.generation.Load() }

// WaitFor returns nil once everything up to p is applied and seen by every applier's Committed; to be durable here as
// well can take Options.SyncAfter longer. It ends with the context's error, ErrClosed, or what stopped Follow.
func (r *Replica) WaitFor(ctx context.Context, p journal.Position) error {
	if done, err := r.moment.Load().answers(p); done {
		return err
	}
	w := &waiter{position: p, woken: make(chan struct{})}
	if done, err := r.enlist(w); done {
		return err
	}
	select {
	case <-ctx.Done():
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.waiting, w)
		return ctx.Err()
	case <-w.woken:
		return w.err
	}
}

// waiter is one WaitFor.
type waiter struct {
	position journal.Position
	woken    chan struct{}
	err      error // set before woken is closed
}

// enlist adds a waiter unless it has nothing to wait for by now.
func (r *Replica) enlist(w *waiter) (done bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if done, err := r.moment.Load().answers(w.position); done {
		return true, err
	}
	r.waiting[w] = struct{}{}
	return false, nil
}

// answers says whether a moment ends the wait for a position, and with what.
func (m *moment) answers(p journal.Position) (done bool, err error) {
	if m.state.Position >= p && !m.state.Reseeding {
		return true, nil
	}
	return m.stopped != nil, m.stopped
}

// change replaces the moment and wakes who waited for it. Only the following goroutine, Open and Close call it.
func (r *Replica) change(edit func(m *moment)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := *r.moment.Load()
	edit(&m)
	r.moment.Store(&m)
	for w := range r.waiting {
		done, err := m.answers(w.position)
		if !done {
			continue
		}
		delete(r.waiting, w)
		w.err = err
		close(w.woken)
	}
}
