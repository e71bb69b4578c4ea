package ledger

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"cardinal/internal/journal"
)

// request is one Write on its way through the committer.
type request struct {
	ctx    context.Context
	fn     func(tx *Tx) error
	begins bool         // it joins no commit that others began
	state  atomic.Int32 // stateQueued, then stateTaken or stateLeft
	done   chan struct{}

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

// Error is the value and where fn raised it.
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
// fails or a connection breaks, must have no effects outside tx and must not call Write, which would wait for itself. Its error takes back fn's own writes only and is
// returned as it is; its panic is raised in the caller. When ctx ends before fn was begun, nothing happens; afterwards
// statements fail with the context's error, but a commit that was begun is awaited.
//
// Other errors: ErrReadOnly, ErrClosed, ErrTooLarge, ErrClock, ErrFull, ErrUnreachable, ErrOutcomeUnknown, or the database's.
func (l *Ledger) Write(ctx context.Context, fn func(tx *Tx) error) (journal.Position, error) {
	return l.put(&request{ctx: ctx, fn: fn, done: make(chan struct{})})
}

// WriteBlock is Write for a part of mass work, which may take most of 50 ms. It
// begins a commit of its own, so that those before it in the queue are answered
// without it; who comes while it runs shares its commit. Whoever writes block
// after block, each when the one before has returned, lets everybody in between:
// nobody waits longer than for the block in hand.
func (l *Ledger) WriteBlock(ctx context.Context, fn func(tx *Tx) error) (journal.Position, error) {
	defer l.options.Beside.Begin()()
	return l.put(&request{ctx: ctx, fn: fn, begins: true, done: make(chan struct{})})
}

func (l *Ledger) put(r *request) (journal.Position, error) {
	ctx := r.ctx
	if l.options.ReadOnly {
		return 0, ErrReadOnly
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if !l.queue.put(r) {
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

// call runs fn and turns its panic into an error that Write raises again.
func (r *request) call(tx *Tx) (err error) {
	r.panicked = nil
	defer func() {
		if v := recover(); v != nil {
			r.panicked = &panicked{v, debug.Stack()}
			err = r.panicked
		}
	}()
	return r.fn(tx)
}

func (r *request) finish(p journal.Position, err error) {
	r.position, r.err = p, err
	close(r.done)
}

// Heartbeat moves the head's time, durably.
func (l *Ledger) Heartbeat(ctx context.Context) error {
	_, err := l.Write(ctx, func(tx *Tx) error {
		tx.wrote = true
		return nil
	})
	return err
}

// Beat moves the head's time each second until ctx ends, so that copies know how old they are. A heartbeat that fails
// is logged and the next one tried.
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
