package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"cardinal/internal/journal"
)

// Tx is one transaction, for one goroutine, until its function returns. After a statement has failed the transaction
// cannot be saved: what the function did is undone even if it returns nil.
type Tx struct {
	ctx     context.Context // the caller's
	run     context.Context // what statements run under
	conn    *conn
	group   *group // nil when reading
	head    journal.Head
	now     time.Time
	changes []journal.Change // not numbered yet
	rows    []*sql.Rows
	failed  error // the first failed statement or refused change
	wrote   bool  // something must be undone if the function fails
	queued  int   // own statements still in group.pending
	flushed bool  // own deferred statements were run
	newHead func(*journal.Head)
}

// Context is the caller's. Statements fail once it has ended.
func (tx *Tx) Context() context.Context { return tx.ctx }

// Time of the commit: UTC, microseconds, not before any earlier commit. In a Read the time the snapshot is complete as of.
func (tx *Tx) Time() time.Time { return tx.now }

// Head is the journal's head as this transaction found it.
func (tx *Tx) Head() journal.Head { return tx.head }

// ready flushes what was deferred and prepares the arguments of the next statement.
func (tx *Tx) ready(args []any) ([]any, error) {
	err := tx.ctx.Err()
	if err == nil && tx.failed != nil {
		err = tx.failed
	}
	if err == nil && tx.group != nil {
		tx.flushed = tx.flushed || tx.queued > 0
		tx.queued = 0
		if err = tx.group.flush(); err != nil {
			tx.failed = err
		}
	}
	if err != nil {
		return nil, err
	}
	return values(args)
}

// note keeps the first error of a statement.
func (tx *Tx) note(err error) {
	if err != nil && tx.failed == nil && !errors.Is(err, sql.ErrNoRows) {
		tx.failed = err
	}
}

// Exec runs a statement and returns how many rows it changed.
func (tx *Tx) Exec(query string, args ...any) (int64, error) {
	if tx.group == nil {
		return 0, ErrReadOnly
	}
	args, err := tx.ready(args)
	if err != nil {
		return 0, err
	}
	tx.wrote = true
	n, err := tx.conn.exec(tx.run, query, args...)
	tx.note(err)
	return n, err
}

// Query runs a statement that returns rows. They must be closed before the next statement: PostgreSQL sends one answer
// at a time. What is still open when the function ends is closed then.
func (tx *Tx) Query(query string, args ...any) (*sql.Rows, error) {
	args, err := tx.ready(args)
	if err != nil {
		return nil, err
	}
	tx.wrote = tx.wrote || !isSelect(query)
	rows, err := tx.conn.query(tx.run, query, args...)
	tx.note(err)
	if err == nil {
		tx.rows = append(tx.rows, rows)
	}
	return rows, err
}

// QueryRow runs a statement that returns at most one row; Scan must be called.
func (tx *Tx) QueryRow(query string, args ...any) *sql.Row {
	args, err := tx.ready(args)
	if err != nil {
		return refusedRow(tx.conn, err)
	}
	tx.wrote = tx.wrote || !isSelect(query)
	row := tx.conn.queryRow(tx.run, query, args...)
	tx.note(row.Err())
	return row
}

// isSelect reports a statement that surely writes nothing. To take another for a write costs a commit, no more.
func isSelect(query string) bool {
	query = strings.TrimLeft(query, " \t\r\n")
	return len(query) >= 6 && strings.EqualFold(query[:6], "SELECT")
}

// Defer runs a statement whose result nobody needs: before the next statement that has one, or before the commit. On
// PostgreSQL all that wait travel together. An error is Write's.
func (tx *Tx) Defer(query string, args ...any) {
	if tx.group == nil {
		tx.note(ErrReadOnly)
		return
	}
	args, err := values(args)
	if err != nil {
		tx.note(err)
		return
	}
	tx.queued++
	tx.group.pending = append(tx.group.pending, statement{query, args})
}

// Append adds a change to the journal. It gets its position at the commit. The ledger keeps body; the caller must not
// change it any more. A body above journal.MaxBody makes Write return ErrTooLarge.
func (tx *Tx) Append(kind journal.Kind, version uint8, body []byte) {
	switch {
	case tx.group == nil:
		tx.note(ErrReadOnly)
	case len(body) > journal.MaxBody:
		tx.note(fmt.Errorf("appending %s of %d bytes: %w", kind, len(body), ErrTooLarge))
	default:
		tx.changes = append(tx.changes, journal.Change{Kind: kind, Version: version, Body: body})
	}
}

// Erase removes body and salt of an earlier change for good: what it said is gone, the chain still verifies. Followers
// that have applied it keep what they have; those that come later are shown an erased change.
func (tx *Tx) Erase(p journal.Position) error {
	n, err := tx.Exec(eraseChange, p)
	if err != nil {
		return fmt.Errorf("erasing the change at %d: %w", p, err)
	}
	if n != 1 {
		return fmt.Errorf("erasing the change at %d: %w", p, sql.ErrNoRows)
	}
	tx.group.erased = true
	return nil
}

// end closes what the function left open and gives its error: its own, or that of a statement it overlooked.
func (tx *Tx) end(err error) error {
	tx.closeRows()
	if err == nil {
		return tx.failed
	}
	return err
}

func (tx *Tx) closeRows() {
	for _, rows := range tx.rows {
		rows.Close()
		tx.note(rows.Err())
	}
	tx.rows = nil
}

// refusedRow is a row whose Scan gives an error without asking the database.
func refusedRow(c *conn, err error) *sql.Row {
	return c.Conn.QueryRowContext(refused{context.Background(), err}, "SELECT 1")
}

// refused is a context that has ended with any error.
type refused struct {
	context.Context
	err error
}

// Done is closed.
func (refused) Done() <-chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return ch
}

// Err is the reason.
func (r refused) Err() error { return r.err }
