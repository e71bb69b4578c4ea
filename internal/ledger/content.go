package ledger

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"hash"
	"time"

	"cardinal/internal/journal"
)

// ChunkSize is the size of the pieces content is stored in, in bytes; looseChunk that of loose content, which is written
// while single cards wait for their commit: a piece holds the head for some milliseconds, on a disk that is busy too.
const (
	ChunkSize  = 1 << 20
	looseChunk = ChunkSize / 4
)

const (
	insertChunk = `INSERT INTO ledger_chunk (hash, at, data) VALUES ($1, $2, $3)
		ON CONFLICT (hash) DO UPDATE SET at = excluded.at WHERE ledger_chunk.at < excluded.at - 3600000000`
	insertPart    = `INSERT INTO ledger_content_part (hash, part, chunk) VALUES ($1, $2, $3) ON CONFLICT (hash, part) DO NOTHING`
	insertContent = `INSERT INTO ledger_content (hash, size) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING`
	selectSize    = `SELECT size FROM ledger_content WHERE hash = $1`
	countParts    = `SELECT count(*) FROM ledger_content_part p JOIN ledger_chunk c ON c.hash = p.chunk WHERE p.hash = $1`
	selectChunk   = `SELECT c.data FROM ledger_content_part p JOIN ledger_chunk c ON c.hash = p.chunk WHERE p.hash = $1 AND p.part = $2`
)

// PutContent stores data under its SHA-256 with the transaction. What is stored already is not stored again. Large data
// belongs in NewContent, which does not hold the head.
func (tx *Tx) PutContent(data []byte) (journal.Hash, error) {
	h := journal.Hash(sha256.Sum256(data))
	if tx.group == nil {
		return h, ErrReadOnly
	}
	tx.putContent(h, data)
	tx.Defer(deleteLoose, h)
	return h, nil
}

func (tx *Tx) putContent(h journal.Hash, data []byte) {
	for part := 0; part*ChunkSize < len(data); part++ {
		chunk := data[part*ChunkSize : min(len(data), (part+1)*ChunkSize)]
		name := h
		if len(chunk) < len(data) {
			name = sha256.Sum256(chunk)
		}
		tx.Defer(insertChunk, name, tx.now, chunk)
		tx.Defer(insertPart, h, part, name)
	}
	tx.Defer(insertContent, h, len(data))
}

// Content reads all of a content; journal.ErrNoContent if it is not stored, *DamagedContent if it is not what was.
func (tx *Tx) Content(h journal.Hash) ([]byte, error) {
	var size int64
	if err := tx.QueryRow(selectSize, h).Scan(&size); errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("reading content %s: %w", h, journal.ErrNoContent)
	} else if err != nil {
		return nil, fmt.Errorf("reading content %s: %w", h, err)
	}
	var data []byte
	for part := 0; int64(len(data)) < size; part++ {
		var chunk []byte
		if err := tx.QueryRow(selectChunk, h, part).Scan(&chunk); err != nil {
			return nil, fmt.Errorf("reading content %s part %d: %w", h, part, err)
		}
		if len(chunk) == 0 {
			return nil, &DamagedContent{Hash: h}
		}
		data = append(data, chunk...)
	}
	if sha256.Sum256(data) != h {
		return nil, &DamagedContent{Hash: h}
	}
	return data, nil
}

// ContentWriter stores content of any size in pieces, each in a commit of its own. Until Close nothing can be read.
type ContentWriter struct {
	l      *Ledger
	ctx    context.Context
	whole  hash.Hash
	size   int64
	piece  int // of a chunk
	chunk  []byte
	chunks []journal.Hash
	loose  bool // DropContent may take it away
	err    error
}

// NewContent begins a content. Pieces of one that is never closed stay until Sweep.
func (l *Ledger) NewContent(ctx context.Context) (*ContentWriter, error) {
	if l.options.ReadOnly {
		return nil, ErrReadOnly
	}
	return &ContentWriter{l: l, ctx: ctx, whole: sha256.New(), piece: ChunkSize}, nil
}

// Write adds bytes.
func (w *ContentWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && w.err == nil {
		k := min(len(p), w.piece-len(w.chunk))
		w.chunk = append(w.chunk, p[:k]...)
		w.whole.Write(p[:k])
		p = p[k:]
		if len(w.chunk) == w.piece {
			w.store()
		}
	}
	if w.err != nil {
		return n - len(p), w.err
	}
	w.size += int64(n)
	return n, nil
}

func (w *ContentWriter) store() {
	name := journal.Hash(sha256.Sum256(w.chunk))
	w.err = w.l.options.Faults.around("content", func() error { return w.l.putChunk(w.ctx, name, w.chunk) })
	w.chunks = append(w.chunks, name)
	w.chunk = w.chunk[:0]
}

// putChunk stores a chunk durably: without the head's lock where the engine can, else with a commit shared with others.
func (l *Ledger) putChunk(ctx context.Context, name journal.Hash, chunk []byte) error {
	if l.engine.aside() {
		return l.putAside(ctx, name, chunk)
	}
	_, err := l.Write(ctx, func(tx *Tx) error {
		_, err := tx.Exec(insertChunk, name, tx.now, chunk)
		return err
	})
	return err
}

// putAside stores a chunk on a connection of its own, and again when that breaks: storing it twice is storing it once.
func (l *Ledger) putAside(ctx context.Context, name journal.Hash, chunk []byte) error {
	var err error
	for range maxAttempts {
		var c *conn
		if c, err = newConn(ctx, l.write); err != nil {
			return err
		}
		if err = l.engine.assertDurable(ctx, c); err == nil {
			_, err = c.ExecContext(ctx, insertChunk, name[:], l.options.Now().UnixMicro(), chunk)
		}
		if err == nil {
			c.close()
			return nil
		}
		meaning := l.engine.fault(c, err)
		c.discard()
		if meaning != faultConnection {
			break
		}
	}
	return err
}

// Close makes the content durable and readable under the hash it returns.
func (w *ContentWriter) Close() (journal.Hash, error) {
	if len(w.chunk) > 0 && w.err == nil {
		w.store()
	}
	h := journal.Hash(w.whole.Sum(nil))
	if w.err != nil {
		return h, fmt.Errorf("storing content: %w", w.err)
	}
	_, err := w.l.Write(w.ctx, func(tx *Tx) error {
		if !w.loose {
			tx.Defer(deleteLoose, h)
		} else if err := tx.loosen(h); err != nil {
			return err
		}
		for part, name := range w.chunks {
			tx.Defer(insertPart, h, part, name)
		}
		tx.Defer(insertContent, h, w.size)
		var found int
		if err := tx.QueryRow(countParts, h).Scan(&found); err != nil {
			return err
		}
		if found != len(w.chunks) {
			return errSwept
		}
		return nil
	})
	if err != nil {
		return h, fmt.Errorf("storing content %s: %w", h, err)
	}
	return h, nil
}

// errSwept: Sweep took chunks of a content that was still being written.
var errSwept = errors.New("parts of it were swept away as abandoned")

// Sweep removes chunks that belong to no content and were stored longer ago than age, which must be longer than any
// load takes, and says how many there were.
func (l *Ledger) Sweep(ctx context.Context, age time.Duration) (int64, error) {
	var swept int64
	_, err := l.Write(ctx, func(tx *Tx) (err error) {
		swept, err = tx.Exec(`DELETE FROM ledger_chunk WHERE at <= $1 AND NOT EXISTS
			(SELECT 1 FROM ledger_content_part p WHERE p.chunk = ledger_chunk.hash)`, tx.now.Add(-age))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("sweeping contents: %w", err)
	}
	return swept, nil
}
