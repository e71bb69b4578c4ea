package ledgertest

import (
	"bytes"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

func arguments(t *testing.T, e Engine) {
	l := create(t, ledger.Options{URL: e.URL(t)})
	write(t, l, func(tx *ledger.Tx) error {
		// Neither in order of appearance nor once each.
		if _, err := tx.Exec(`INSERT INTO suite_item (data, name, id) VALUES ($3, $2, $1)`, 7, "seven", []byte("777")); err != nil {
			return err
		}
		tx.Defer(`INSERT INTO suite_item (name, id) SELECT CAST($2 AS TEXT), CAST($1 AS BIGINT) WHERE CAST($1 AS BIGINT) > 0`, 8, "eight")
		return nil
	})
	var id int
	var name string
	var data []byte
	err := l.Read(t.Context(), func(tx *ledger.Tx) error {
		return tx.QueryRow(`SELECT id, name, data FROM suite_item WHERE (name = $2 OR name = $2) AND id = $1 AND id <= $1`, 7, "seven").
			Scan(&id, &name, &data)
	})
	if err != nil || id != 7 || name != "seven" || string(data) != "777" {
		t.Errorf("row %d %q %q: %v", id, name, data, err)
	}
	if n := count(t, l, `SELECT count(*) FROM suite_item WHERE name = $1 AND id = $2`, "eight", 8); n != 1 {
		t.Errorf("%d rows for the deferred statement", n)
	}
}

type (
	namedText  string
	namedBytes []byte
	namedArray [4]byte
)

func valueTypes(t *testing.T, e Engine) {
	l := create(t, ledger.Options{URL: e.URL(t)})
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
	hash := journal.Hash{1, 2, 3}
	number := int64(-9)
	for i, test := range []struct {
		column string
		in     any
		want   any
	}{
		{"n", int64(1) << 62, int64(1) << 62},
		{"n", journal.Position(12), int64(12)},
		{"n", uint32(3), int64(3)},
		{"n", true, int64(1)},
		{"n", false, int64(0)},
		{"n", at, at.UnixMicro()},
		{"n", time.Time{}, nil},
		{"n", &number, number},
		{"n", (*int64)(nil), nil},
		{"s", "täxt", "täxt"},
		{"s", "", ""},
		{"s", namedText("x"), "x"},
		{"s", nil, nil},
		{"b", []byte{0, 255}, []byte{0, 255}},
		{"b", []byte{}, []byte{}},
		{"b", []byte(nil), nil},
		{"b", hash, hash[:]},
		{"b", namedBytes{5}, []byte{5}},
		{"b", namedArray{1, 2, 3, 4}, []byte{1, 2, 3, 4}},
	} {
		write(t, l, func(tx *ledger.Tx) error {
			_, err := tx.Exec(`INSERT INTO suite_value (id, `+test.column+`) VALUES ($1, $2)`, i, test.in)
			return err
		})
		var got any
		var null bool
		err := l.Read(t.Context(), func(tx *ledger.Tx) error {
			return tx.QueryRow(`SELECT `+test.column+`, `+test.column+` IS NULL FROM suite_value WHERE id = $1`, i).Scan(&got, &null)
		})
		var same bool
		switch want := test.want.(type) {
		case []byte:
			b, _ := got.([]byte)
			same = !null && bytes.Equal(b, want)
		case nil:
			same = null
		default:
			same = got == want
		}
		if err != nil || !same {
			t.Errorf("%s: put %#v, got %#v (%v)", test.column, test.in, got, err)
		}
	}
}

func textOrder(t *testing.T, e Engine) {
	l := create(t, ledger.Options{URL: e.URL(t)})
	for i, name := range []string{"b", "B", "a", "_", "é", "Z"} {
		write(t, l, item(i, name))
	}
	var got []string
	err := l.Read(t.Context(), func(tx *ledger.Tx) error {
		rows, err := tx.Query(`SELECT name FROM suite_item ORDER BY name`)
		for err == nil && rows.Next() {
			var name string
			err = rows.Scan(&name)
			got = append(got, name)
		}
		return err
	})
	if err != nil || strings.Join(got, "") != "BZ_abé" {
		t.Errorf("order %q: %v", got, err)
	}
}

func createTwice(t *testing.T, e Engine) {
	url := e.URL(t)
	create(t, ledger.Options{URL: url})
	if _, err := ledger.Create(t.Context(), ledger.Options{URL: url, Rooms: Rooms()}); !errors.Is(err, ledger.ErrExists) {
		t.Errorf("creating again: %v", err)
	}
}

func openMissing(t *testing.T, e Engine) {
	url := e.URL(t)
	for range 2 {
		if _, err := ledger.Open(t.Context(), ledger.Options{URL: url, Rooms: Rooms()}); !errors.Is(err, ledger.ErrMissing) {
			t.Fatalf("opening a ledger that does not exist: %v", err)
		}
		if _, err := ledger.Migrate(t.Context(), ledger.Options{URL: url, Rooms: Rooms()}); !errors.Is(err, ledger.ErrMissing) {
			t.Fatalf("migrating a ledger that does not exist: %v", err)
		}
	}
	create(t, ledger.Options{URL: url})
}

func foreignWords(t *testing.T, e Engine) {
	for _, script := range []string{
		"CREATE TABLE x (id BIGINT PRIMARY KEY, item BIGINT REFERENCES suite_item(id));",
		"CREATE TABLE x (id INTEGER PRIMARY KEY);",
		"CREATE TABLE x (id BIGINT PRIMARY KEY, on_it BOOLEAN);",
	} {
		rooms := []ledger.Room{{Name: "x", Migrations: []string{script}}}
		if l, err := ledger.Create(t.Context(), ledger.Options{URL: e.URL(t), Rooms: rooms}); err == nil {
			l.Close()
			t.Errorf("accepted %s", script)
		}
	}
}

func schemaVersions(t *testing.T, e Engine) {
	url := e.URL(t)
	l := create(t, ledger.Options{URL: url})
	write(t, l, item(1, "one"))
	newer := Rooms()
	newer[0].Migrations = append(newer[0].Migrations, `ALTER TABLE suite_item ADD COLUMN extra TEXT;`,
		`CREATE INDEX suite_item_name ON suite_item (name); UPDATE suite_item SET extra = 'x';`)
	o := ledger.Options{URL: url, Rooms: newer}
	var schema *ledger.SchemaError
	if _, err := ledger.Open(t.Context(), o); !errors.As(err, &schema) || schema.Room != "suite" || schema.Have != 1 || schema.Want != 3 ||
		!strings.Contains(err.Error(), "`cardinal migrate --dir D`") {
		t.Fatalf("opening an older schema: %v", err)
	}
	if ran, err := ledger.Migrate(t.Context(), o); err != nil || strings.Join(ran, ",") != "suite 2,suite 3" {
		t.Fatalf("migrating ran %v: %v", ran, err)
	}
	if ran, err := ledger.Migrate(t.Context(), o); err != nil || len(ran) != 0 {
		t.Errorf("migrating again ran %v: %v", ran, err)
	}
	m, err := ledger.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if n := count(t, m, `SELECT count(*) FROM suite_item WHERE extra = 'x'`); n != 1 {
		t.Errorf("%d rows migrated", n)
	}
	if _, err := ledger.Open(t.Context(), ledger.Options{URL: url, Rooms: Rooms()}); !errors.As(err, &schema) || schema.Have != 3 {
		t.Errorf("opening a newer schema: %v", err)
	}
	if _, err := ledger.Migrate(t.Context(), ledger.Options{URL: url, Rooms: Rooms()}); !errors.As(err, &schema) {
		t.Errorf("migrating a newer schema: %v", err)
	}
}

func snapshotRead(t *testing.T, e Engine) {
	l := create(t, ledger.Options{URL: e.URL(t)})
	write(t, l, item(1, "one"))
	err := l.Read(t.Context(), func(tx *ledger.Tx) error {
		var before, after int
		if err := tx.QueryRow(`SELECT count(*) FROM suite_item`).Scan(&before); err != nil {
			return err
		}
		write(t, l, item(2, "two"))
		if err := tx.QueryRow(`SELECT count(*) FROM suite_item`).Scan(&after); err != nil {
			return err
		}
		if before != 1 || after != 1 || tx.Head().Position != 1 {
			t.Errorf("snapshot moved from %d to %d rows, head %d", before, after, tx.Head().Position)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func readRefuses(t *testing.T, e Engine) {
	l := create(t, ledger.Options{URL: e.URL(t)})
	for name, fn := range map[string]func(tx *ledger.Tx) error{
		"Exec":       func(tx *ledger.Tx) error { _, err := tx.Exec(insertItem, 1, "x", nil); return err },
		"Defer":      func(tx *ledger.Tx) error { tx.Defer(insertItem, 1, "x", nil); return nil },
		"Append":     func(tx *ledger.Tx) error { tx.Append(journal.KindEntryAdded, 1, nil); return nil },
		"PutContent": func(tx *ledger.Tx) error { _, err := tx.PutContent([]byte("x")); return err },
	} {
		if err := l.Read(t.Context(), fn); !errors.Is(err, ledger.ErrReadOnly) {
			t.Errorf("%s in Read: %v", name, err)
		}
	}
	err := l.Read(t.Context(), func(tx *ledger.Tx) error {
		var id int
		return tx.QueryRow(`INSERT INTO suite_item (id, name) VALUES (1, 'x') RETURNING id`).Scan(&id)
	})
	if err == nil {
		t.Errorf("a query wrote in Read")
	}
	if n := count(t, l, `SELECT count(*) FROM suite_item`); n != 0 {
		t.Errorf("%d rows written by readers", n)
	}
	if err := l.Read(t.Context(), func(tx *ledger.Tx) error {
		return tx.QueryRow(`SELECT id FROM suite_item WHERE id = 5`).Scan(new(int))
	}); !errors.Is(err, sql.ErrNoRows) {
		t.Errorf("missing row: %v", err)
	}
}
