package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"cardinal/internal/journal"
)

// readers keeps connections for reading together with their prepared statements.
type readers struct {
	mu     sync.Mutex
	idle   []*conn
	closed bool
}

func (r *readers) take() *conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.idle)
	if n == 0 {
		return nil
	}
	c := r.idle[n-1]
	r.idle = r.idle[:n-1]
	return c
}

func (l *Ledger) reader(ctx context.Context) (*conn, error) {
	select {
	case <-l.done:
		return nil, ErrClosed
	default:
	}
	if c := l.readers.take(); c != nil {
		return c, nil
	}
	return newConn(ctx, l.read)
}

// release takes a connection back after its transaction; one that cannot end it is closed.
func (l *Ledger) release(c *conn) {
	if _, err := c.exec(context.Background(), "ROLLBACK"); err != nil {
		c.discard()
		return
	}
	l.keep(c)
}

// keep takes back a connection that is not in a transaction.
func (l *Ledger) keep(c *conn) {
	l.readers.mu.Lock()
	defer l.readers.mu.Unlock()
	if len(l.readers.idle) < idleReaders && !l.readers.closed {
		l.readers.idle = append(l.readers.idle, c)
		return
	}
	c.close()
}

// single runs one read outside a transaction; a connection the server has closed meanwhile is replaced.
func (l *Ledger) single(ctx context.Context, read func(c *conn) error) error {
	var err error
	for range maxAttempts {
		var c *conn
		if c, err = l.reader(ctx); err != nil {
			return err
		}
		if err = read(c); err == nil || errors.Is(err, sql.ErrNoRows) {
			l.keep(c)
			return err
		}
		atFault := l.drop(c, err)
		if ended := ctx.Err(); ended != nil { // a driver tells of its connection, not of the caller who gave up
			return errors.Join(ended, err)
		}
		if !atFault {
			return err
		}
	}
	return unreachable(ctx, err)
}

// drop closes a connection after an error. True if the connection was at fault: then the kept ones are dropped too, as
// what ended one has mostly ended all.
func (l *Ledger) drop(c *conn, cause error) bool {
	meaning := l.engine.fault(c, cause)
	c.discard()
	if meaning != faultConnection {
		return false
	}
	for kept := l.readers.take(); kept != nil; kept = l.readers.take() {
		kept.discard()
	}
	return true
}

func (l *Ledger) closeReaders() {
	l.readers.mu.Lock()
	defer l.readers.mu.Unlock()
	for _, c := range l.readers.idle {
		c.close()
	}
	l.readers.idle, l.readers.closed = nil, true
}

// snapshot opens a read transaction; the caller releases its connection.
func (l *Ledger) snapshot(ctx context.Context) (*conn, journal.Head, error) {
	var err error
	for range maxAttempts { // a kept connection may have been closed by the server meanwhile
		var c *conn
		if c, err = l.reader(ctx); err != nil {
			break
		}
		var h head
		if h, err = l.beginRead(ctx, c); err == nil {
			return c, h.Head, nil
		}
		if !l.drop(c, err) {
			break
		}
		err = unreachable(ctx, err)
	}
	return nil, journal.Head{}, fmt.Errorf("opening a snapshot: %w", err)
}

// beginRead opens the transaction and pins its snapshot by reading the head.
func (l *Ledger) beginRead(ctx context.Context, c *conn) (head, error) {
	if err := l.engine.beginRead(ctx, c); err != nil {
		return head{}, err
	}
	return scanHead(c.queryRow(ctx, selectHead))
}

// Read runs fn on one consistent snapshot of what is committed. Exec, Defer, Append and PutContent are refused with
// ErrReadOnly. ErrUnreachable: without a database there is nothing to read.
func (l *Ledger) Read(ctx context.Context, fn func(tx *Tx) error) error {
	c, head, err := l.snapshot(ctx)
	if err != nil {
		return err
	}
	tx := &Tx{ctx: ctx, run: ctx, conn: c, head: head, now: head.Time}
	defer func() { // also when fn panics
		tx.closeRows()
		l.release(c)
	}()
	if err = tx.end(fn(tx)); err != nil && l.engine.fault(c, err) == faultConnection {
		return unreachable(ctx, err)
	}
	return err
}

// Head reads the committed head.
func (l *Ledger) Head(ctx context.Context) (journal.Head, error) {
	var h head
	err := l.single(ctx, func(c *conn) (err error) {
		h, err = scanHead(c.queryRow(ctx, selectHead))
		return err
	})
	if err != nil {
		return journal.Head{}, fmt.Errorf("reading the head: %w", err)
	}
	l.tail.saw(h)
	return h.Head, nil
}
