package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"hash"
	"io"

	"cardinal/internal/journal"
)

// DamagedContent: what is stored under a hash does not have that hash.
type DamagedContent struct{ Hash journal.Hash }

// Error names the content.
func (e *DamagedContent) Error() string { return fmt.Sprintf("content %s is damaged", e.Hash) }

// contentReader reads a content chunk by chunk, and ends with *DamagedContent instead of io.EOF when the bytes it gave
// do not have the content's hash.
type contentReader struct {
	l     *Ledger
	ctx   context.Context
	h     journal.Hash
	left  int64
	part  int
	rest  bytes.Reader
	whole hash.Hash
}

func (l *Ledger) openContent(ctx context.Context, h journal.Hash) (*contentReader, error) {
	r := &contentReader{l: l, ctx: ctx, h: h, whole: sha256.New()}
	err := l.single(ctx, func(c *conn) error { return c.queryRow(ctx, selectSize, h[:]).Scan(&r.left) })
	if errors.Is(err, sql.ErrNoRows) {
		err = journal.ErrNoContent
	}
	if err != nil {
		return nil, fmt.Errorf("opening content %s: %w", h, err)
	}
	return r, nil
}

// Read implements io.Reader.
func (r *contentReader) Read(p []byte) (int, error) {
	if r.rest.Len() == 0 {
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	return r.rest.Read(p)
}

func (r *contentReader) next() error {
	if r.left == 0 {
		if journal.Hash(r.whole.Sum(nil)) != r.h {
			return &DamagedContent{Hash: r.h}
		}
		return io.EOF
	}
	var data []byte
	err := r.l.single(r.ctx, func(c *conn) error {
		return c.queryRow(r.ctx, selectChunk, r.h[:], int64(r.part)).Scan(&data)
	})
	if errors.Is(err, sql.ErrNoRows) || (err == nil && (len(data) == 0 || int64(len(data)) > r.left)) {
		return &DamagedContent{Hash: r.h}
	}
	if err != nil {
		return fmt.Errorf("reading content %s part %d: %w", r.h, r.part, err)
	}
	r.left -= int64(len(data))
	r.part++
	r.whole.Write(data)
	r.rest.Reset(data)
	return nil
}

// Close implements io.Closer.
func (r *contentReader) Close() error { return nil }

// VerifyContents reads every content and compares it with its hash; the first that differs is a *DamagedContent.
func (l *Ledger) VerifyContents(ctx context.Context) error {
	var after []byte
	for {
		var h journal.Hash
		err := l.single(ctx, func(c *conn) error {
			var name []byte
			err := c.queryRow(ctx, `SELECT hash FROM ledger_content WHERE hash > $1 ORDER BY hash LIMIT 1`, append([]byte{}, after...)).Scan(&name)
			copy(h[:], name)
			return err
		})
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("listing contents: %w", err)
		}
		r, err := l.openContent(ctx, h)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if err != nil {
			return fmt.Errorf("verifying contents: %w", err)
		}
		after = h[:]
	}
}
