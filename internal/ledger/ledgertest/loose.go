package ledgertest

import (
	"bytes"
	"errors"
	"testing"

	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// looseContents: what is loose goes when it is dropped, with the chunks nobody else has; what anybody else stored stays.
func looseContents(t *testing.T, e Engine) {
	l := create(t, ledger.Options{URL: e.URL(t)})
	drop := func(h journal.Hash) (dropped bool) {
		t.Helper()
		write(t, l, func(tx *ledger.Tx) (err error) {
			dropped, err = tx.DropContent(h)
			return err
		})
		return dropped
	}
	there := func(h journal.Hash) bool {
		t.Helper()
		err := l.Read(t.Context(), func(tx *ledger.Tx) error { _, err := tx.Content(h); return err })
		if err != nil && !errors.Is(err, journal.ErrNoContent) {
			t.Fatal(err)
		}
		return err == nil
	}
	large := bytes.Repeat([]byte("list"), ledger.ChunkSize/2) // two chunks, both the same
	w, err := l.NewLooseContent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(large); err != nil {
		t.Fatal(err)
	}
	streamed, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	var loose, shares, both, firm journal.Hash
	write(t, l, func(tx *ledger.Tx) error {
		loose, _ = tx.PutLoose([]byte("loose"))
		shares, _ = tx.PutContent(large[:ledger.ChunkSize])
		both, _ = tx.PutLoose([]byte("both"))
		_, err := tx.PutContent([]byte("both"))
		return err
	})
	write(t, l, func(tx *ledger.Tx) error {
		firm, _ = tx.PutContent([]byte("firm"))
		_, err := tx.PutLoose([]byte("firm"))
		return err
	})
	if !drop(loose) || there(loose) || drop(loose) {
		t.Error("what was loose is not gone, or went twice")
	}
	if !drop(streamed) || there(streamed) || !there(shares) {
		t.Error("what was loose and streamed is not gone, or took a neighbour's chunk with it")
	}
	if drop(both) || !there(both) || drop(firm) || !there(firm) {
		t.Error("what somebody else stored too is gone")
	}
	if n := count(t, l, `SELECT count(*) FROM ledger_chunk`); n != 3 {
		t.Errorf("%d chunks are left of three contents", n)
	}
	if err := l.VerifyContents(t.Context()); err != nil {
		t.Error(err)
	}
}
