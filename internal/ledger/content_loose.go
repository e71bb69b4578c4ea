package ledger

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"

	"cardinal/internal/journal"
)

// Loose content may be dropped once something newer has taken its place: a list that is replaced each hour would fill
// any disk. What anybody stores in the usual way is never loose, whoever stored the same bytes before.
const (
	looseTable = `
CREATE TABLE ledger_loose (
  hash BYTEA PRIMARY KEY
);
`
	insertLoose   = `INSERT INTO ledger_loose (hash) VALUES ($1) ON CONFLICT (hash) DO NOTHING`
	deleteLoose   = `DELETE FROM ledger_loose WHERE hash = $1`
	selectLoose   = `SELECT hash FROM ledger_loose WHERE hash = $1`
	deleteContent = `DELETE FROM ledger_content WHERE hash = $1`
	deleteParts   = `DELETE FROM ledger_content_part WHERE hash = $1`
	deleteChunks  = `DELETE FROM ledger_chunk WHERE hash IN (SELECT chunk FROM ledger_content_part WHERE hash = $1)
		AND NOT EXISTS (SELECT 1 FROM ledger_content_part p WHERE p.chunk = ledger_chunk.hash AND p.hash <> $1)`
)

// PutLoose is PutContent for what DropContent may take away again.
func (tx *Tx) PutLoose(data []byte) (journal.Hash, error) {
	h := journal.Hash(sha256.Sum256(data))
	if tx.group == nil {
		return h, ErrReadOnly
	}
	if err := tx.loosen(h); err != nil {
		return h, err
	}
	tx.putContent(h, data)
	return h, nil
}

// loosen notes that a content about to be stored may be dropped, unless it is stored already.
func (tx *Tx) loosen(h journal.Hash) error {
	var size int64
	err := tx.QueryRow(selectSize, h).Scan(&size)
	if errors.Is(err, sql.ErrNoRows) {
		tx.Defer(insertLoose, h)
		return nil
	}
	return err
}

// NewLooseContent is NewContent for what DropContent may take away again.
func (l *Ledger) NewLooseContent(ctx context.Context) (*ContentWriter, error) {
	w, err := l.NewContent(ctx)
	if err == nil {
		w.loose, w.piece = true, looseChunk
	}
	return w, err
}

// DropContent removes a loose content with the transaction and reports whether it was there and loose. Nobody may refer
// to it any more.
func (tx *Tx) DropContent(h journal.Hash) (bool, error) {
	var found []byte
	err := tx.QueryRow(selectLoose, h).Scan(&found)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("dropping content %s: %w", h, err)
	}
	for _, statement := range []string{deleteChunks, deleteParts, deleteContent, deleteLoose} {
		tx.Defer(statement, h)
	}
	return true, nil
}

// LooseContents are the hashes of all contents DropContent would take.
func (tx *Tx) LooseContents() ([]journal.Hash, error) {
	rows, err := tx.Query(`SELECT hash FROM ledger_loose`)
	if err != nil {
		return nil, fmt.Errorf("listing loose contents: %w", err)
	}
	defer rows.Close()
	var out []journal.Hash
	for rows.Next() {
		var raw []byte
		if err := rows.Scan(&raw); err != nil {
			return nil, fmt.Errorf("listing loose contents: %w", err)
		}
		out = append(out, journal.Hash(raw))
	}
	return out, rows.Err()
}
