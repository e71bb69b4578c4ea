package ledger_test

import (
	"bytes"
	"errors"
	"testing"

	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/internal/ledger/dump"
	"cardinal/internal/ledger/ledgertest"
)

func TestDamagedDumpIsRefused(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	fresh := func() ledger.Options {
		return ledger.Options{URL: ledgertest.SQLite().URL(t), Rooms: ledgertest.Rooms()}
	}
	l, err := ledger.Create(t.Context(), fresh())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Write(t.Context(), func(tx *ledger.Tx) error {
		for i := range 3 {
			tx.Defer(`INSERT INTO suite_item (id, name) VALUES ($1, 'item')`, i)
			tx.Append(journal.KindEntryAdded, 1, []byte("item"))
		}
		_, err := tx.PutContent([]byte("content"))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := l.Dump(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	whole := b.Bytes()
	try := func(what string, b []byte) {
		t.Helper()
		r, err := ledger.Restore(t.Context(), fresh(), bytes.NewReader(b))
		if err == nil {
			r.Close()
			t.Errorf("%s: restored", what)
		}
	}
	for n := 0; n < len(whole); n += 1 + len(whole)/40 {
		try("cut short", whole[:n])
		flipped := bytes.Clone(whole)
		flipped[n] ^= 0x10
		try("one bit changed", flipped)
	}
	try("something behind", append(bytes.Clone(whole), 'x'))
	if _, err := ledger.Restore(t.Context(), fresh(), bytes.NewReader(nil)); !errors.Is(err, dump.ErrDamaged) {
		t.Errorf("an empty dump: %v", err)
	}
	var schema *ledger.SchemaError
	if _, err := ledger.Restore(t.Context(), ledger.Options{URL: fresh().URL}, bytes.NewReader(whole)); !errors.As(err, &schema) {
		t.Errorf("a dump of a room unknown here: %v", err)
	}
}
