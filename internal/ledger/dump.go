package ledger

import (
	"bufio"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"strings"

	"cardinal/internal/journal"
)

// A dump is a line, then records: a length as a varint and that many bytes, the first of which says what it is. Values
// are a byte for their type and then an integer in zigzag form, or bytes behind their length. The last record is the
// SHA-256 of everything in front of it, so that a dump cut short is noticed.
const (
	dumpMagic = "cardinal ledger dump 1\n"

	recordRoom  = 'R' // name, version
	recordTable = 'T' // name, columns: name and kind
	recordRow   = 'r' // values of the table named last
	recordEnd   = 'E' // SHA-256

	valueNull  = 0
	valueInt   = 1
	valueText  = 2
	valueBytes = 3
)

// table is a table of the database.
type table struct {
	name    string
	columns []column // in the order of their names' first creation
}

// column is one column; kind is BIGINT, TEXT or BYTEA; key is its place in the primary key, from 1, or 0.
type column struct {
	name, kind string
	key        int
}

// own reports a table of this package.
func (t *table) own() bool { return strings.HasPrefix(t.name, "ledger_") }

// selectAll reads the whole table in an order both engines agree on: that of the primary key, or else of all columns.
func (t *table) selectAll() string {
	var names, order []string
	byKey := slices.Clone(t.columns)
	slices.SortStableFunc(byKey, func(a, b column) int { return a.key - b.key })
	for _, c := range byKey {
		if c.key > 0 {
			order = append(order, c.name)
		}
	}
	for _, c := range t.columns {
		names = append(names, c.name)
		if byKey[len(byKey)-1].key == 0 {
			order = append(order, c.name+" NULLS FIRST")
		}
	}
	return "SELECT " + strings.Join(names, ", ") + " FROM " + t.name + " ORDER BY " + strings.Join(order, ", ")
}

// insert is the statement that puts a row back.
func (t *table) insert() string {
	var names, places []string
	for i, c := range t.columns {
		names = append(names, c.name)
		places = append(places, fmt.Sprintf("$%d", i+1))
	}
	return "INSERT INTO " + t.name + " (" + strings.Join(names, ", ") + ") VALUES (" + strings.Join(places, ", ") + ")"
}

// Dump writes every table of one consistent snapshot in a form either engine can restore, while writes go on. The bytes
// are the same for the same rows on both engines.
func (l *Ledger) Dump(ctx context.Context, w io.Writer) error {
	buffered := bufio.NewWriterSize(w, 1<<16)
	d := &dumper{w: buffered, sum: sha256.New()}
	d.put([]byte(dumpMagic))
	if _, err := l.walk(ctx, d, func(*table) bool { return true }); err != nil {
		return fmt.Errorf("dumping the ledger: %w", err)
	}
	d.record(append([]byte{recordEnd}, d.sum.Sum(nil)...))
	if d.err == nil {
		d.err = buffered.Flush()
	}
	if d.err != nil {
		return fmt.Errorf("dumping the ledger: %w", d.err)
	}
	return nil
}

// Digest is the SHA-256 of the rooms' rows (not of the journal, which has its chain, nor of contents, which are named by
// their hash) together with the head it was true at. It is the same on both engines, and takes as long as reading them.
func (l *Ledger) Digest(ctx context.Context) (journal.Hash, journal.Head, error) {
	d := &dumper{w: io.Discard, sum: sha256.New()}
	head, err := l.walk(ctx, d, func(t *table) bool { return !t.own() })
	if err != nil {
		return journal.Hash{}, head, fmt.Errorf("digesting the ledger: %w", err)
	}
	return journal.Hash(d.sum.Sum(nil)), head, nil
}

// walk gives a dumper the rooms' versions and the rows of the tables wanted, from one snapshot.
func (l *Ledger) walk(ctx context.Context, d *dumper, want func(*table) bool) (journal.Head, error) {
	c, head, err := l.snapshot(ctx)
	if err != nil {
		return head, err
	}
	defer l.release(c)
	have, err := versions(ctx, c)
	if err != nil {
		return head, err
	}
	for _, room := range slices.Sorted(maps.Keys(have)) {
		d.room(room, have[room])
	}
	tables, err := l.engine.tables(ctx, c)
	if err != nil {
		return head, err
	}
	for i := range tables {
		if !want(&tables[i]) || tables[i].name == "ledger_room" {
			continue
		}
		if err := d.table(ctx, c, &tables[i]); err != nil {
			return head, fmt.Errorf("reading %s: %w", tables[i].name, err)
		}
	}
	return head, d.err
}

// dumper writes records and keeps their hash and the first error.
type dumper struct {
	w    io.Writer
	sum  hash.Hash
	body []byte
	err  error
}

func (d *dumper) put(b []byte) {
	if d.err == nil {
		_, d.err = d.w.Write(b)
	}
	d.sum.Write(b)
}

func (d *dumper) record(body []byte) {
	var length [binary.MaxVarintLen64]byte
	d.put(length[:binary.PutUvarint(length[:], uint64(len(body)))])
	d.put(body)
}

func (d *dumper) room(name string, version int) {
	e := journal.NewEncoder([]byte{recordRoom})
	e.AppendString(name)
	e.AppendUint(uint64(version))
	d.record(e.Bytes())
}

// table writes a table and its rows.
func (d *dumper) table(ctx context.Context, c *conn, t *table) error {
	e := journal.NewEncoder([]byte{recordTable})
	e.AppendString(t.name)
	e.AppendUint(uint64(len(t.columns)))
	for _, column := range t.columns {
		e.AppendString(column.name)
		e.AppendString(column.kind)
	}
	d.record(e.Bytes())
	rows, err := c.QueryContext(ctx, t.selectAll())
	if err != nil {
		return err
	}
	defer rows.Close()
	values := make([]any, len(t.columns))
	into := make([]any, len(t.columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() && d.err == nil {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := d.row(values); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (d *dumper) row(values []any) error {
	d.body = append(d.body[:0], recordRow)
	for _, v := range values {
		switch v := v.(type) {
		case nil:
			d.body = append(d.body, valueNull)
		case int64:
			d.body = binary.AppendVarint(append(d.body, valueInt), v)
		case string:
			d.body = binary.AppendUvarint(append(d.body, valueText), uint64(len(v)))
			d.body = append(d.body, v...)
		case []byte:
			d.body = binary.AppendUvarint(append(d.body, valueBytes), uint64(len(v)))
			d.body = append(d.body, v...)
		default:
			return fmt.Errorf("a value of type %T is none of BIGINT, TEXT, BYTEA", v)
		}
	}
	d.record(d.body)
	return nil
}

// describeTables builds tables from rows of (table, column, kind, place in the primary key), sorted by table.
func describeTables(rows *sql.Rows, kinds map[string]string) ([]table, error) {
	defer rows.Close()
	var out []table
	for rows.Next() {
		var name string
		var c column
		if err := rows.Scan(&name, &c.name, &c.kind, &c.key); err != nil {
			return nil, err
		}
		kind, ok := kinds[c.kind]
		if !ok {
			return nil, fmt.Errorf("column %s of %s is of type %s, none of BIGINT, TEXT, BYTEA", c.name, name, c.kind)
		}
		c.kind = kind
		if len(out) == 0 || out[len(out)-1].name != name {
			out = append(out, table{name: name})
		}
		last := &out[len(out)-1]
		last.columns = append(last.columns, c)
	}
	return out, rows.Err()
}
