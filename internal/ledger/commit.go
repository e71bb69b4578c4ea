package ledger

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// fault says what an error means for the group it happened in.
type fault int

const (
	faultNone       fault = iota
	faultStatement        // a statement or function failed: run the group again, carefully
	faultConnection       // nothing is known about any statement: run the group again on another connection
	faultFull             // the disk is full
	faultFinal            // nobody in the group can be helped
	faultUnsure           // as faultFinal, and during COMMIT the outcome is unknown
)

// errRunAgain: a function failed after it had written.
var errRunAgain = errors.New("a neighbour in the shared commit failed")

// finalError is one that running the group again would not mend.
type finalError struct{ error }

// Unwrap gives the cause.
func (e finalError) Unwrap() error { return e.error }

func final(err error) error { return finalError{err} }

// faultOf classifies what both engines share.
func faultOf(err error) fault {
	var end finalError
	switch {
	case err == nil:
		return faultNone
	case errors.As(err, &end), errors.Is(err, ErrClock), errors.Is(err, ErrOutcomeUnknown):
		return faultFinal
	case errors.Is(err, errNotCommitted):
		return faultConnection
	}
	return faultStatement
}

// commit writes what is left (deferred statements, changes, the head) and commits. With nothing to commit it gives the
// lock back. When the outcome is unknown it asks.
func (g *group) commit() error {
	if !g.wrote {
		g.rollback()
		return nil
	}
	rand.Read(g.head.mark[:])
	faults := g.l.options.Faults
	if faults.Before != nil {
		if err := faults.Before("commit"); err != nil {
			return final(err)
		}
	}
	err := g.l.engine.commit(g.ctx, g)
	if err == nil && faults.After != nil {
		if afterErr := faults.After("commit"); afterErr != nil {
			err = unknownError{afterErr}
		}
	}
	var unknown unknownError
	if !errors.As(err, &unknown) {
		return err
	}
	g.l.options.Logger.Warn("ledger connection lost during a commit", "error", err)
	g.l.dropWriter()
	if askErr := g.l.resolve(g); askErr != nil {
		return fmt.Errorf("%w: %w", askErr, unknown.error)
	}
	return nil
}

// unknownError: COMMIT was sent and not answered.
type unknownError struct{ error }

// Unwrap gives the cause.
func (e unknownError) Unwrap() error { return e.error }

// errNotCommitted is the answer when the database was asked and the commit is not there.
var errNotCommitted = errors.New("the connection broke and the write was not committed")

// resolve finds out on a new connection whether g was committed. Taking the head's lock waits for an old session that
// still lives; the heartbeat it commits makes what it saw durable and buries what it did not see. Nil: g is committed;
// errNotCommitted: it is not and never will be, and may be run again.
func (l *Ledger) resolve(g *group) error {
	ctx, cancel := context.WithTimeout(context.Background(), resolveFor)
	defer cancel()
	known, committed := false, false
	for {
		now, err := l.lockAgain(ctx, g)
		if err == nil && !known {
			committed, err = now.holds(g)
			known = err == nil
		}
		if err == nil {
			err = l.engine.commit(ctx, now)
		}
		switch {
		case err == nil && committed:
			return nil
		case err == nil:
			return errNotCommitted
		case errors.Is(err, ErrOutcomeUnknown):
			now.rollback()
			return err
		}
		l.options.Logger.Warn("asking for the outcome of a commit", "error", err)
		l.dropWriter()
		select {
		case <-ctx.Done():
			return errors.Join(ErrOutcomeUnknown, err)
		case <-time.After(retryAfter):
		}
	}
}

// lockAgain takes the head on a new connection, for a commit that only moves its time and mark.
func (l *Ledger) lockAgain(ctx context.Context, g *group) (*group, error) {
	if err := l.connectWriter(ctx); err != nil {
		return nil, err
	}
	now := &group{l: l, ctx: ctx, conn: l.writer}
	var err error
	if now.locked, _, err = l.engine.begin(ctx, now.conn); err != nil {
		return nil, err
	}
	now.head = now.locked
	if now.head.Time.Before(g.now) {
		now.head.Time = g.now
	}
	rand.Read(now.head.mark[:])
	return now, nil
}

// holds looks for g's mark, and where that was overwritten for its last change.
func (now *group) holds(g *group) (bool, error) {
	switch {
	case now.locked.mark == g.head.mark:
		return true, nil
	case now.locked.mark == g.locked.mark: // nobody has committed since
		return false, nil
	case len(g.changes) == 0:
		return false, fmt.Errorf("another process has committed since: %w", ErrOutcomeUnknown)
	}
	var link []byte
	err := now.conn.queryRow(now.ctx, `SELECT link FROM ledger_journal WHERE position = $1`, int64(g.head.Position)).Scan(&link)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return string(link) == string(g.head.Link[:]), err
}
