package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"cardinal/internal/journal"
)

// applyError is a change that cannot be applied: trying again would not help.
type applyError struct{ err error }

func (e *applyError) Error() string { return e.err.Error() }
func (e *applyError) Unwrap() error { return e.err }

// catchUp applies what the feed has until f stands at upTo or beyond.
func (r *Replica) catchUp(ctx context.Context, f *file, upTo journal.Position) error {
	for f.position < upTo {
		if err := ctx.Err(); err != nil {
			return err
		}
		changes, err := r.options.Feed.Read(ctx, f.position, r.options.BatchMax)
		if errors.Is(err, journal.ErrGap) {
			return fmt.Errorf("reading after position %d: %w", f.position, err)
		}
		if err != nil {
			return &feedError{fmt.Errorf("reading after position %d: %w", f.position, err)}
		}
		if err := f.verify(changes); err != nil {
			return err
		}
		if err := r.applyAll(ctx, f, changes); err != nil {
			return err
		}
	}
	return nil
}

// verify checks that changes are what follows the file's position: contiguous, chained, in whole transactions, and the
// same as those already applied of a transaction begun.
func (f *file) verify(changes []journal.Change) error {
	if len(changes) == 0 {
		return fmt.Errorf("nothing after position %d, though the head stands beyond: %w", f.position, journal.ErrGap)
	}
	v := journal.Verifier{Position: f.position, Link: f.link, Time: f.time}
	for i := range changes {
		c := &changes[i]
		if c.Position != v.Position+1 {
			return fmt.Errorf("position %d where %d should stand: %w", c.Position, v.Position+1, journal.ErrGap)
		}
		if err := v.Next(c); err != nil {
			return err
		}
		if c.Position == f.applied && c.Link != f.appliedLink {
			return fmt.Errorf("position %d: %w", c.Position, journal.ErrDiverged)
		}
	}
	if !changes[len(changes)-1].Last {
		return fmt.Errorf("the transaction at position %d has no end: %w", v.Position, journal.ErrGap)
	}
	return nil
}

// heavy is how many octets of bodies take long to apply: a single change has some hundred, those of a mass order thousands.
const heavy = 16 << 10

// takesLong tells whether changes are work of many milliseconds.
func takesLong(changes []journal.Change) bool {
	octets := 0
	for i := range changes {
		octets += len(changes[i].Body)
	}
	return octets >= heavy
}

// applyAll applies verified changes in as many durable batches as they need.
func (r *Replica) applyAll(ctx context.Context, f *file, changes []journal.Change) error {
	if takesLong(changes) {
		defer r.options.Beside.Begin()()
	}
	for f.position < changes[len(changes)-1].Position {
		if err := ctx.Err(); err != nil {
			return err
		}
		todo := changes[f.applied+1-changes[0].Position:]
		if err := r.build(ctx, f, todo[0]); err != nil {
			return err
		}
		reached, err := r.applyBatch(ctx, f, todo)
		var bad *applyError
		if whole := wholeTransactions(todo[:reached]); errors.As(err, &bad) && len(whole) > 0 {
			// What stands before the bad change is good: keep it, and stop at exactly that change the next time round.
			_, err = r.applyBatch(ctx, f, whole)
		}
		if err != nil {
			return err
		}
		r.applied(f)
	}
	return nil
}

// wholeTransactions cuts what follows the last end of a transaction.
func wholeTransactions(changes []journal.Change) []journal.Change {
	for len(changes) > 0 && !changes[len(changes)-1].Last {
		changes = changes[:len(changes)-1]
	}
	return changes
}

// applied publishes a batch, unless it went to a file nobody is served from yet.
func (r *Replica) applied(f *file) {
	if f == r.next {
		return
	}
	r.options.hook("committed")
	// Once caught up, a copy that is a few changes behind is one that follows, not one that loads.
	r.publish(f, f.time, !r.started || f.applied != f.position)
}

// batchTime is after how long of applying what is done is committed and shown, at the end of a transaction, while somebody
// may be waiting for it: one who made a single change while many are made waits for the batch in hand and for what is before
// him, and not for all that was read with his.
const batchTime = 25 * time.Millisecond

// batchOctets is how much the bodies of a batch may hold, to bound the pages that are changed and kept in memory until it is
// written, also of a copy that catches up: an entry added has about as many octets as its pages, but 48 octets suspend a card
// and change four pages of 4 KiB, when few of its neighbours are changed with it.
const batchOctets = 512 << 10

// applyBatch applies changes in one transaction and commits it durably. When a change fails, reached says how many of
// them went well before it; nothing is committed then.
func (r *Replica) applyBatch(ctx context.Context, f *file, changes []journal.Change) (reached int, err error) {
	p := f.progress
	p.done = slices.Clone(p.done)
	began, patient, octets := time.Now(), !r.started || f == r.next, 0
	err = guarded("writing a batch", func() error {
		return f.db.Update(func(tx *bbolt.Tx) error {
			w := r.newWriter(ctx, tx, f)
			for reached < len(changes) {
				c := changes[reached]
				if reached > 0 && w.builds(&p, c) {
					break
				}
				more, err := w.change(&p, c)
				if err != nil {
					return fmt.Errorf("applying %s at position %d: %w", c.Kind, c.Position, err)
				}
				if p.slicing = more; more {
					break
				}
				p.finished(c)
				reached++
				octets += len(c.Body)
				if c.Last && (octets > batchOctets || !patient && time.Since(began) > batchTime) {
					break
				}
			}
			r.options.hook("applied")
			return writeProgress(tx, &p)
		})
	})
	if err != nil {
		return reached, err
	}
	f.progress = p
	return reached, nil
}

// finished notes that every applier has had c.
func (p *progress) finished(c journal.Change) {
	p.applied, p.appliedLink, p.done = c.Position, c.Link, nil
	if c.Last {
		p.position, p.link, p.time = c.Position, c.Link, c.Time
	}
}

// writer applies changes within one transaction.
type writer struct {
	r       *Replica
	ctx     context.Context
	tx      *bbolt.Tx
	rebuild bool // into the file for a new epoch
	buckets []*bbolt.Bucket
}

func (r *Replica) newWriter(ctx context.Context, tx *bbolt.Tx, f *file) *writer {
	w := &writer{r: r, ctx: ctx, tx: tx, rebuild: f == r.next}
	for _, a := range r.options.Appliers {
		w.buckets = append(w.buckets, tx.Bucket([]byte(a.Name())))
	}
	return w
}

// change gives c to every applier that has not had it. More: one of them wants to be called again.
func (w *writer) change(p *progress, c journal.Change) (more bool, err error) {
	if !c.Kind.Known() {
		return false, &applyError{UnknownVersion(c)}
	}
	if c.Erased && c.Kind.Class() != journal.ClassPublic { // withheld from this copy: it answers without
		return false, nil
	}
	for i, a := range w.r.options.Appliers {
		if slices.Contains(p.done, a.Name()) {
			continue
		}
		switch err := a.Apply(w.batch(i, p, c), c); {
		case errors.Is(err, ErrMore):
			more = true
		case err != nil:
			return false, classify(a.Name(), err)
		default:
			p.done = append(p.done, a.Name())
		}
	}
	if !more && c.Kind == journal.KindEpochBegan {
		err = w.epoch(p, c)
	}
	return more, err
}

func (w *writer) batch(applier int, p *progress, c journal.Change) *Batch {
	return &Batch{ctx: w.ctx, feed: w.r.options.Feed, bucket: w.buckets[applier], time: c.Time, since: p.position}
}

// classify tells trouble with the feed, which may pass, from a change that cannot be applied.
func classify(applier string, err error) error {
	var feed *feedError
	if errors.As(err, &feed) || errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w", applier, err)
	}
	return &applyError{fmt.Errorf("%s: %w", applier, err)}
}

// publish shows a committed batch, or that the copy is complete as of a later time: first new snapshots see it, then
// the appliers forget what is old, then State and WaitFor tell.
func (r *Replica) publish(f *file, asOf time.Time, loading bool) {
	f.written()
	s := r.moment.Load().state
	s.Epoch, s.Position, s.Link = f.epoch, f.position, f.link
	s.Time, s.Loading, s.Quarantine, s.ReseedRevoked = asOf, loading, f.quarantine, int(f.kept)
	s.Age = max(0, r.options.Now().Sub(r.clock.asOf(asOf)))
	r.turn()
	for _, a := range r.options.Appliers {
		a.Committed(s)
	}
	r.options.hook("invalidated")
	r.show(s)
}

// show replaces the state and wakes who waits.
func (r *Replica) show(s State) {
	asOf := r.clock.asOf(s.Time)
	s.Age = 0
	r.change(func(m *moment) { m.state, m.asOf = s, asOf })
}
