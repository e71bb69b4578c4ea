package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"time"

	"cardinal/internal/journal"
)

// feed is the journal of a ledger.
type feed struct {
	l    *Ledger
	near bool
}

// Feed is the ledger's journal, as the database has it. It ends with the ledger.
func (l *Ledger) Feed() journal.Feed { return feed{l: l} }

// NearFeed is the same for a follower in the process that writes: what this process committed a moment ago it gives from
// memory.
func (l *Ledger) NearFeed() journal.Feed { return feed{l, true} }

func (f feed) Head(ctx context.Context) (journal.Head, error) {
	if head, ok := f.l.tail.newest(); ok && f.near {
		return head, nil
	}
	return f.l.Head(ctx)
}

func (f feed) Wait(ctx context.Context, after journal.Position) error {
	start, err := f.Head(ctx)
	if err != nil || start.Position > after {
		return err
	}
	tick := time.NewTicker(poll)
	defer tick.Stop()
	read := f.Head
	for {
		woken := f.l.wake.next()
		head, err := read(ctx)
		if err != nil || head.Position > after || head.Time.After(start.Time) {
			return err
		}
		select {
		case <-woken:
			read = f.Head
		case <-tick.C:
			read = f.l.Head // another process may have committed
		case <-ctx.Done():
			return ctx.Err()
		case <-f.l.done:
			return ErrClosed
		}
	}
}

func (f feed) Read(ctx context.Context, after journal.Position, limit int) (out []journal.Change, err error) {
	limit = max(limit, 1)
	if f.near {
		if out = f.l.tail.read(after, limit); out != nil {
			return out, ctx.Err()
		}
	}
	size, ask := 0, limit
	for {
		var got []journal.Change
		var whole bool
		err := f.l.single(ctx, func(c *conn) error {
			rows, err := c.query(ctx, selectChanges, int64(after), int64(ask))
			if err != nil {
				return err
			}
			defer rows.Close()
			got, whole, err = scanChanges(rows, after, &size, limit-len(out))
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("reading the journal after %d: %w", after, err)
		}
		out = append(out, got...)
		if whole || len(got) == 0 {
			if len(out) > 0 {
				f.l.tail.sawChange(out[len(out)-1].Position)
			}
			return out, nil
		}
		after, ask = got[len(got)-1].Position, 64
	}
}

// scanChanges reads rows up to the end of a transaction at or beyond the limits; whole says that the last one read ends one.
func scanChanges(rows *sql.Rows, after journal.Position, size *int, limit int) (out []journal.Change, whole bool, err error) {
	for rows.Next() {
		c, err := scanChange(rows)
		if err != nil {
			return nil, false, err
		}
		if after++; c.Position != after {
			return nil, false, fmt.Errorf("position %d follows %d: %w", c.Position, after-1, journal.ErrGap)
		}
		out = append(out, c)
		*size += len(c.Body)
		whole = c.Last
		if whole && (len(out) >= limit || *size >= maxRead) {
			break
		}
	}
	return out, whole, rows.Err()
}

func scanChange(rows *sql.Rows) (journal.Change, error) {
	var r changeRow
	if err := rows.Scan(r.into()...); err != nil {
		return journal.Change{}, fmt.Errorf("reading a change: %w", err)
	}
	return r.change(), nil
}

func (f feed) Content(ctx context.Context, h journal.Hash) (io.ReadCloser, error) {
	r, err := f.l.openContent(ctx, h)
	if err != nil {
		return nil, err // not a nil *contentReader in an interface
	}
	return r, nil
}
