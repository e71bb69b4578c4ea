package replica

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"cardinal/internal/journal"
)

// How long Follow waits after trouble with the feed or the disk, doubling from the first to the second.
const (
	firstPause  = 50 * time.Millisecond
	longestWait = 2 * time.Second
)

// Follow keeps the copy up to date until ctx or the replica ends, and returns nil then. It returns an error only when
// going on would be wrong: journal.ErrDiverged, journal.ErrGap, *journal.BrokenLink, ErrUnknownKind, or what an Applier
// refused. Trouble with the feed or the disk is logged and tried again, while the copy ages. One Follow runs at a time.
func (r *Replica) Follow(ctx context.Context) error {
	if !r.following.TryLock() {
		return errors.New("following: this replica is followed already")
	}
	defer r.following.Unlock()
	if r.stop.Err() != nil {
		return ErrClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.stop, cancel)()
	pause := firstPause
	rebuilt := false
	for {
		err := r.step(ctx)
		var damage *Damage
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			pause = firstPause
			continue
		case errors.As(err, &damage) && !rebuilt:
			rebuilt = true
			err = r.startOver(err)
		case final(err) || r.options.Impatient:
			r.options.Logger.Error("following the journal ended", "position", r.State().Position, "why", err)
			r.change(func(m *moment) { m.stopped = err })
			return err
		}
		if errors.Is(err, journal.ErrRefused) {
			r.refused(err)
		}
		if err != nil {
			r.options.Logger.Warn("following the journal is held up", "position", r.State().Position, "why", err, "pause", pause)
			sleep(ctx, pause)
			pause = min(2*pause, longestWait)
		}
	}
}

// final says whether an error ends following for good.
func final(err error) bool {
	var link *journal.BrokenLink
	var apply *applyError
	var damage *Damage
	return errors.Is(err, journal.ErrDiverged) || errors.Is(err, journal.ErrGap) ||
		errors.As(err, &link) || errors.As(err, &apply) || errors.As(err, &damage)
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// step reads the head, catches up with it, and waits until there is more.
func (r *Replica) step(ctx context.Context) error {
	if why := r.file.distrust.Load(); why != nil {
		return why
	}
	head, asked, err := r.head(ctx)
	if err != nil {
		return &feedError{fmt.Errorf("reading the head: %w", err)}
	}
	r.clock.saw(head.Time, asked)
	r.refused(nil)
	f, err := r.reconcile(ctx, head)
	if err != nil {
		return err
	}
	f.quarantine = head.Quarantine
	if err := r.catchUp(ctx, f, head.Position); err != nil {
		return r.judge(ctx, f, err)
	}
	if f.position == head.Position && f.link != head.Link {
		return fmt.Errorf("position %d: the head carries another link: %w", f.position, journal.ErrDiverged)
	}
	f.epoch = max(f.epoch, head.Epoch)
	if f == r.next {
		if err := r.swap(); err != nil {
			return err
		}
	}
	if !r.started { // what was to be fetched is there, as far as it can be had, before the copy says that it can be asked
		for more := true; more; {
			var err error
			if more, err = r.settle(ctx, f); err != nil {
				return err
			}
		}
		r.started = true
	}
	r.complete(f, head)
	if more, err := r.settle(ctx, f); more || err != nil { // what is new in the journal comes before the rest
		return err
	}
	if err := r.options.Feed.Wait(ctx, f.position); err != nil {
		return &feedError{fmt.Errorf("waiting for a change: %w", err)}
	}
	return nil
}

// head reads the head, and says when on this host's clock it was true at the latest.
func (r *Replica) head(ctx context.Context) (journal.Head, time.Time, error) {
	now := r.options.Now()
	if dated, ok := r.options.Feed.(journal.Dated); ok {
		head, since, err := dated.HeadSince(ctx)
		return head, r.options.Now().Add(-max(0, since)), err
	}
	head, err := r.options.Feed.Head(ctx)
	return head, now, err
}

// refused shows that the feed refuses this copy, or that it does not any more.
func (r *Replica) refused(why error) {
	if m := r.moment.Load(); (m.refused == nil) != (why == nil) {
		r.change(func(m *moment) { m.refused = why })
	}
}

// complete shows that everything committed before the head's time is here.
func (r *Replica) complete(f *file, head journal.Head) {
	s := r.moment.Load().state
	asOf := head.Time
	if f.time.After(asOf) {
		asOf = f.time // changes after the head was read were applied as well
	}
	switch changed := s.Position != f.position || s.Quarantine != f.quarantine || s.Epoch != f.epoch || s.Loading || s.Reseeding; {
	case changed:
		r.publish(f, asOf, false)
	case asOf.After(s.Time):
		s.Time = asOf
		r.show(s)
	}
}

// reconcile holds the head against the file and returns the file to go on with: the one served, or a new one when the
// ledger lives in a new epoch without what the file holds.
func (r *Replica) reconcile(ctx context.Context, head journal.Head) (*file, error) {
	f := r.file
	if r.next != nil {
		f = r.next
	}
	switch {
	case head.Epoch < f.epoch:
		return nil, fmt.Errorf("the ledger is in epoch %d, this copy in %d: %w", head.Epoch, f.epoch, journal.ErrDiverged)
	case f.applied == 0:
		return f, nil
	case head.Epoch == f.epoch && head.Position < f.applied:
		return nil, fmt.Errorf("the ledger stands at position %d, behind this copy at %d: %w",
			head.Position, f.applied, journal.ErrDiverged)
	case head.Epoch == f.epoch:
		return f, nil
	case head.Position >= f.applied:
		same, err := r.sameHistory(ctx, f)
		if err != nil {
			return nil, err
		}
		if same {
			return f, nil
		}
	}
	return r.reseed(head)
}

// sameHistory asks the feed for the change this file ends with and compares the links.
func (r *Replica) sameHistory(ctx context.Context, f *file) (bool, error) {
	changes, err := r.options.Feed.Read(ctx, f.applied-1, 1)
	if errors.Is(err, journal.ErrGap) {
		return false, fmt.Errorf("reading position %d: %w", f.applied, err)
	}
	if err != nil {
		return false, &feedError{fmt.Errorf("reading position %d: %w", f.applied, err)}
	}
	return len(changes) > 0 && changes[0].Position == f.applied && changes[0].Link == f.appliedLink, nil
}

// judge finds out what a broken chain means: the epoch was raised while reading (try again), this copy followed another
// history (ErrDiverged), or the journal itself is damaged (as found).
func (r *Replica) judge(ctx context.Context, f *file, found error) error {
	var broken *journal.BrokenLink
	if !errors.As(found, &broken) && !errors.Is(found, journal.ErrDiverged) && !errors.Is(found, journal.ErrGap) {
		return found
	}
	head, err := r.options.Feed.Head(ctx)
	if err != nil {
		return &feedError{fmt.Errorf("reading the head: %w", err)}
	}
	if head.Epoch > f.epoch {
		if _, err := r.reconcile(ctx, head); err != nil || f != r.file || r.next != nil {
			return err
		}
	}
	if broken == nil || f.applied == 0 {
		return found
	}
	same, err := r.sameHistory(ctx, f)
	if err == nil && !same {
		return fmt.Errorf("position %d: %w", f.applied, errors.Join(journal.ErrDiverged, found))
	}
	return errors.Join(err, found)
}

// settle lets each applier take one step with what it left for the moment the copy is complete, and reports whether one
// has more to do at once. Its failure delays nothing else.
func (r *Replica) settle(ctx context.Context, f *file) (more bool, err error) {
	for i, a := range r.options.Appliers {
		s, ok := a.(Settler)
		if !ok {
			continue
		}
		again, err := r.settleOnce(ctx, f, i, s)
		if err != nil {
			r.putOff(a.Name(), err)
		} else {
			delete(r.unsettled, a.Name())
		}
		more = more || again
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
	}
	return more, nil
}

// putOff logs why settling failed, once as long as the reason is the same.
func (r *Replica) putOff(room string, why error) {
	if text := why.Error(); r.unsettled[room] != text {
		r.unsettled[room] = text
		r.options.Logger.Warn("settling is put off", "room", room, "why", why)
	}
}

func (r *Replica) settleOnce(ctx context.Context, f *file, applier int, settler Settler) (again bool, err error) {
	name := r.options.Appliers[applier].Name()
	err = r.View(name, func(b *bbolt.Bucket, _ State) error {
		again = settler.Unsettled(b)
		return nil
	})
	if err != nil || !again {
		return false, err
	}
	defer r.options.Beside.Begin()()
	err = guarded("writing", func() error {
		return f.db.Update(func(tx *bbolt.Tx) error {
			b := &Batch{ctx: ctx, feed: r.options.Feed, bucket: tx.Bucket([]byte(name)), time: f.time}
			err := settler.Settle(b)
			if again = errors.Is(err, ErrMore); again {
				return nil
			}
			return err
		})
	})
	if err != nil {
		return false, err
	}
	// A copy that had caught up still has: what it fetches now is no reason to refuse what it knows.
	s := r.moment.Load().state
	r.publish(f, s.Time, s.Loading)
	return again, nil
}
