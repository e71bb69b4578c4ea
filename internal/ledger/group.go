package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cardinal/internal/journal"
)

// group is the writes that share one commit, in the order they run.
type group struct {
	l       *Ledger
	ctx     context.Context
	conn    *conn
	locked  head // as it was read under the lock
	head    head // as the members so far leave it
	now     time.Time
	pending []statement
	changes []journal.Change
	wrote   bool // there is something to commit
	erased  bool // an earlier change may have lost its body
	members []member
}

// member is a request that was run: its own answer once the group is committed.
type member struct {
	*request
	position journal.Position
	err      error
}

// commitLoop is the one goroutine that writes.
func (l *Ledger) commitLoop() {
	defer close(l.stopped)
	defer l.turns.close()
	var sizes crowd
	for l.queue.wait(l.done) {
		if sizes.several(l.queue.waited) {
			l.queue.gather(2*sizes.most(), l.turns)
		}
		sizes.note(l.commitGroup())
	}
	answerAll(l.queue.close(), ErrClosed)
	if l.writer != nil {
		l.writer.close()
	}
}

// commitGroup takes the requests that wait, and those that come while these are run, and answers all of them. It returns
// how many there were.
func (l *Ledger) commitGroup() int {
	first := l.next(false, false)
	if first == nil {
		return 0
	}
	ctx, cancel := l.engine.limit()
	defer cancel()
	taken, careful := []*request{first}, false
	var err error
	for attempt := 0; attempt < maxAttempts; attempt++ {
		var g *group
		if g, err = l.begin(ctx); err == nil {
			taken, err = g.run(taken, careful)
		}
		if err == nil {
			err = g.commit()
		}
		if err == nil {
			g.answer()
			return len(taken)
		}
		meaning := l.engine.fault(l.writer, err)
		l.abandon(g, meaning)
		switch {
		case meaning == faultStatement && !careful:
			careful = true
			attempt-- // happens once
		case meaning == faultConnection:
			l.options.Logger.Warn("ledger connection lost", "error", err)
			time.Sleep(retryAfter)
		case meaning == faultFull:
			answerAll(taken, fmt.Errorf("%w: %w", ErrFull, err))
			return len(taken)
		default:
			answerAll(taken, err)
			return len(taken)
		}
	}
	answerAll(taken, unreachable(ctx, err))
	return len(taken)
}

func answerAll(requests []*request, err error) {
	for _, r := range requests {
		r.panicked = nil // its function did not decide this
		r.finish(0, err)
	}
}

// answer tells every member how it went.
func (g *group) answer() {
	if g.wrote {
		g.l.tail.committed(g)
	}
	g.l.wake.all()
	for _, m := range g.members {
		m.finish(m.position, m.err)
	}
}

// abandon gives the lock back after an error.
func (l *Ledger) abandon(g *group, cause fault) {
	if l.writer == nil || (g != nil && g.conn != l.writer) { // the connection is gone already
		return
	}
	if g == nil || cause == faultConnection {
		l.dropWriter()
		return
	}
	g.rollback()
}

func (l *Ledger) dropWriter() {
	if l.writer != nil {
		l.writer.discard()
		l.writer = nil
	}
}

func (g *group) rollback() {
	if err := g.l.engine.rollback(g.ctx, g.conn); err != nil {
		g.l.dropWriter()
	}
}

// connectWriter makes sure of a connection whose commits are durable.
func (l *Ledger) connectWriter(ctx context.Context) error {
	if l.writer != nil {
		return nil
	}
	c, err := newConn(ctx, l.write)
	if err != nil {
		return err
	}
	if err := l.engine.assertDurable(ctx, c); err != nil {
		c.discard()
		return err
	}
	l.writer = c
	return nil
}

// begin opens the group's transaction, locks the head and settles its time.
func (l *Ledger) begin(ctx context.Context) (*group, error) {
	if err := l.connectWriter(ctx); err != nil {
		return nil, fmt.Errorf("connecting to the ledger: %w", err)
	}
	g := &group{l: l, ctx: ctx, conn: l.writer}
	before := l.options.Now()
	var clock time.Time
	err := l.options.Faults.around("begin", func() (err error) {
		g.locked, clock, err = l.engine.begin(ctx, g.conn)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("locking the head: %w", err)
	}
	if clock.IsZero() {
		clock = l.options.Now()
	} else if err := l.compareClocks(before, clock); err != nil {
		return nil, err
	}
	g.now = clock.UTC().Truncate(time.Microsecond)
	if g.now.Before(g.locked.Time) {
		g.now = g.locked.Time
	}
	g.head = g.locked
	g.head.Time = g.now
	return g, nil
}

// compareClocks refuses when the database's clock, read between before and now, lies outside by more than MaxSkew.
func (l *Ledger) compareClocks(before, clock time.Time) error {
	skew := max(before.Sub(clock), clock.Sub(l.options.Now()))
	if l.options.MaxSkew >= 0 && skew > l.options.MaxSkew {
		return fmt.Errorf("by %v: %w", skew.Round(time.Millisecond), ErrClock)
	}
	return nil
}

// run runs what was taken and what arrives meanwhile. It returns all it took; an error means that the transaction is
// lost and all of it must be run again.
func (g *group) run(taken []*request, careful bool) ([]*request, error) {
	began := time.Now()
	for i := 0; ; i++ {
		if i == len(taken) {
			r := g.l.next(i >= maxGroup || time.Since(began) > maxHold, true)
			if r == nil {
				return taken, nil
			}
			taken = append(taken, r)
		}
		join := g.join
		if careful {
			join = g.joinCarefully
		}
		if err := join(taken[i]); err != nil {
			return taken, err
		}
	}
}

// next is a request that waits already, or nil.
func (l *Ledger) next(enough, underWay bool) *request {
	for !enough {
		r := l.queue.take(underWay)
		if r == nil || r.state.CompareAndSwap(stateQueued, stateTaken) {
			return r
		}
	}
	return nil
}

// call runs one request's function. The error is the function's, or that of a statement it overlooked.
func (g *group) call(r *request) (*Tx, error) {
	tx := &Tx{ctx: r.ctx, run: g.ctx, conn: g.conn, group: g, head: g.head.Head, now: g.now}
	began := time.Now()
	err := tx.end(r.call(tx))
	if took := time.Since(began); took > maxHold {
		g.l.options.Logger.Warn("ledger transaction held the head", "took", took)
	}
	return tx, err
}

// join runs one request on the fast path. A refusal that left no trace is an answer; one that did loses the
// transaction, and the group is run again carefully.
func (g *group) join(r *request) error {
	tx, err := g.call(r)
	if err == nil {
		g.accept(r, tx)
		return nil
	}
	if tx.wrote || tx.failed != nil || tx.flushed {
		if tx.failed != nil {
			return tx.failed
		}
		return errRunAgain
	}
	g.pending = g.pending[:len(g.pending)-tx.queued]
	g.members = append(g.members, member{r, 0, err})
	return nil
}

// joinCarefully runs one request between savepoints, with all it deferred, so that its failure is its own.
func (g *group) joinCarefully(r *request) error {
	if _, err := g.conn.exec(g.ctx, "SAVEPOINT member"); err != nil {
		return final(err)
	}
	tx, err := g.call(r)
	if err == nil {
		err = g.flush()
	}
	if cause := errors.Join(tx.failed, err); g.l.engine.fault(g.conn, cause) == faultConnection {
		return cause
	}
	if err != nil {
		g.pending = nil
		if _, undoErr := g.conn.exec(g.ctx, "ROLLBACK TO SAVEPOINT member"); undoErr != nil {
			return final(fmt.Errorf("taking back a write: %w", errors.Join(err, undoErr)))
		}
		g.members = append(g.members, member{r, 0, err})
	} else {
		g.accept(r, tx)
	}
	if _, err := g.conn.exec(g.ctx, "RELEASE SAVEPOINT member"); err != nil {
		return final(err)
	}
	return nil
}

// accept numbers and links a member's changes behind those before it.
func (g *group) accept(r *request, tx *Tx) {
	if n := len(tx.changes); n > 0 {
		tx.changes[n-1].Last = true
	}
	for _, c := range tx.changes {
		c.Position, c.Time = g.head.Position+1, g.now
		c.Seal(g.head.Link)
		g.head.Position, g.head.Link = c.Position, c.Link
		g.changes = append(g.changes, c)
	}
	if tx.newHead != nil {
		tx.newHead(&g.head.Head)
	}
	g.wrote = g.wrote || tx.wrote || tx.flushed || tx.queued > 0 || len(tx.changes) > 0
	g.members = append(g.members, member{r, g.head.Position, nil})
}

// flush runs the deferred statements.
func (g *group) flush() error {
	if len(g.pending) == 0 {
		return nil
	}
	statements := g.pending
	g.pending = nil
	return g.l.options.Faults.around("flush", func() error { return g.l.engine.flush(g.ctx, g.conn, statements) })
}
