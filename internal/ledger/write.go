package ledger

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"cardinal/internal/journal"
)

const (
	// maxGroup is how many writes share a commit at most.
	maxGroup = 256
	// maxHold is how long a group takes new writes in; nobody should hold the head longer.
	maxHold = 50 * time.Millisecond
	// groupLimit ends the statements of a group that hangs.
	groupLimit = 30 * time.Second
)

// request is one Write on its way through the committer.
type request struct {
	ctx   context.Context
	fn    func(tx *Tx) error
	state atomic.Int32 // stateQueued, then stateTaken or stateLeft
	done  chan struct{}

	position journal.Position
	err      error
	panicked *panicked
}

const (
	stateQueued = iota
	stateTaken
	stateLeft
)

// panicked carries a panic of fn to the goroutine that called Write.
type panicked struct {
	value any
	stack []byte
}

// Error is what Write panics with: the value and where fn raised it.
func (p *panicked) Error() string {
	return fmt.Sprintf("%v\n\nraised in a ledger transaction:\n%s", p.value, p.stack)
}

// Unwrap gives the value fn panicked with, if it was an error.
func (p *panicked) Unwrap() error {
	err, _ := p.value.(error)
	return err
}

// Write runs fn in a transaction and commits it. When it returns nil the writes are durable, and the position is that
// of the last change appended, or of the head if there was none.
//
// fn runs alone: every write of every process waits for the head row, which is locked first on both engines, so fn
// sees all earlier writes and must be done in under 50 ms. It may be run again when a neighbour in the shared commit
// fails, and must have no effects outside tx. Its error takes back fn's own writes only and is returned as it is; its
// panic is raised in the caller. When ctx ends before fn was begun, nothing happens; afterwards the answer is awaited.
func (l *Ledger) Write(ctx context.Context, fn func(tx *Tx) error) (journal.Position, error) {
	if l.options.ReadOnly {
		return 0, ErrReadOnly
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	r := &request{ctx: ctx, fn: fn, done: make(chan struct{})}
	select {
	case l.requests <- r:
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-l.done:
		return 0, ErrClosed
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		if r.state.CompareAndSwap(stateQueued, stateLeft) {
			return 0, ctx.Err()
		}
		<-r.done
	}
	if r.panicked != nil {
		panic(r.panicked)
	}
	return r.position, r.err
}

// Heartbeat moves the head's time, durably.
func (l *Ledger) Heartbeat(ctx context.Context) error {
	_, err := l.Write(ctx, func(tx *Tx) error {
		tx.wrote = true
		return nil
	})
	return err
}

// Beat moves the head's time each second until ctx ends. A heartbeat that fails is logged and the next one tried.
func (l *Ledger) Beat(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if err := l.Heartbeat(ctx); err != nil && ctx.Err() == nil {
			l.options.Logger.Error("ledger heartbeat", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// commitLoop is the one goroutine that writes.
func (l *Ledger) commitLoop() {
	defer close(l.stopped)
	for {
		select {
		case r := <-l.requests:
			l.commitGroup(r)
		case <-l.done:
			return
		}
	}
}

// group is the writes that share one commit.
type group struct {
	l       *Ledger
	ctx     context.Context
	conn    *conn
	head    journal.Head // as locked
	now     time.Time
	pending []statement
	changes []journal.Change
	wrote   bool
	members []*member
}

// member is a request in a group.
type member struct {
	*request
	changes int // how many of the group's changes, counted from the first, are its own and its predecessors'
}

func (g *group) flush() error {
	if len(g.pending) == 0 {
		return nil
	}
	statements := g.pending
	g.pending = nil
	return g.l.options.Faults.around("flush", func() error { return g.l.engine.flush(g.ctx, g.conn, statements) })
}

func (l *Ledger) commitGroup(first *request) {
	ctx, cancel := context.WithTimeout(context.Background(), groupLimit)
	defer cancel()
	g := &group{l: l, ctx: ctx}
	if err := g.begin(); err != nil {
		first.finish(0, fmt.Errorf("beginning a write: %w", err))
		return
	}
	defer g.conn.close()
	if err := g.run(first, false); err != nil {
		first.finish(0, err)
		g.rollback()
		return
	}
	g.answer(g.commit())
}

func (r *request) finish(p journal.Position, err error) {
	r.position, r.err = p, err
	close(r.done)
}

func (g *group) begin() error {
	c, err := g.l.writer(g.ctx)
	if err != nil {
		return err
	}
	var clock time.Time
	before := g.l.options.Now()
	g.head, clock, err = g.l.engine.begin(g.ctx, c)
	if err != nil {
		c.discard()
		return err
	}
	if clock.IsZero() {
		clock = g.l.options.Now()
	} else if err := g.l.compareClocks(before, clock); err != nil {
		c.discard()
		return err
	}
	g.conn, g.now = c, clock.UTC().Truncate(time.Microsecond)
	if g.now.Before(g.head.Time) {
		g.now = g.head.Time
	}
	return nil
}

// compareClocks refuses when the database's clock, read between before and now, lies outside by more than MaxSkew.
func (l *Ledger) compareClocks(before, clock time.Time) error {
	skew := max(before.Sub(clock), clock.Sub(l.options.Now()))
	if l.options.MaxSkew >= 0 && skew > l.options.MaxSkew {
		return fmt.Errorf("by %v: %w", skew.Round(time.Millisecond), ErrClock)
	}
	return nil
}

// run runs one request's function in the group.
func (g *group) run(r *request, again bool) error {
	if !again && !r.state.CompareAndSwap(stateQueued, stateTaken) {
		return context.Canceled
	}
	tx := &Tx{ctx: r.ctx, run: g.ctx, conn: g.conn, group: g, head: g.head, now: g.now}
	began := time.Now()
	err := tx.end(r.call(tx))
	if took := time.Since(began); took > maxHold {
		g.l.options.Logger.Warn("ledger transaction held the head", "took", took)
	}
	if err != nil {
		return err
	}
	g.wrote = g.wrote || tx.wrote || tx.deferred > 0
	if n := len(tx.changes); n > 0 {
		tx.changes[n-1].Last = true
		g.changes = append(g.changes, tx.changes...)
	}
	g.members = append(g.members, &member{r, len(g.changes)})
	return nil
}

func (r *request) call(tx *Tx) (err error) {
	defer func() {
		if v := recover(); v != nil {
			r.panicked = &panicked{v, debug.Stack()}
			err = r.panicked
		}
	}()
	return r.fn(tx)
}

func (g *group) rollback() {
	if _, err := g.conn.ExecContext(context.Background(), "ROLLBACK"); err != nil {
		g.conn.discard()
	}
}

// commit numbers and links the changes, writes them and the head, and commits.
func (g *group) commit() error {
	if err := g.flush(); err != nil {
		g.rollback()
		return err
	}
	head := g.head
	head.Time = g.now
	for i := range g.changes {
		c := &g.changes[i]
		head.Position++
		c.Position, c.Time = head.Position, g.now
		c.Seal(head.Link)
		head.Link = c.Link
	}
	faults := g.l.options.Faults
	if err := faults.around("append", func() error {
		if err := g.l.engine.append(g.ctx, g.conn, g.changes); err != nil {
			return err
		}
		_, err := g.conn.exec(g.ctx, updateHead, headArgs(head)...)
		return err
	}); err != nil {
		g.rollback()
		return err
	}
	err := faults.around("commit", func() error {
		_, err := g.conn.ExecContext(g.ctx, "COMMIT")
		return err
	})
	if err != nil {
		g.rollback()
		return err
	}
	g.l.wake.all()
	return nil
}

// answer tells every member how it went.
func (g *group) answer(err error) {
	for _, m := range g.members {
		if err != nil {
			m.finish(0, err)
			continue
		}
		m.finish(g.head.Position+journal.Position(m.changes), nil)
	}
}
