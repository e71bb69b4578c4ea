package ledger

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"cardinal/internal/journal"
	"cardinal/internal/ledger/dump"
)

// Dump writes every table of one consistent snapshot in the form of package dump, while writes go on. Either engine can
// restore it, and the same rows give the same bytes on both.
func (l *Ledger) Dump(ctx context.Context, w io.Writer) error {
	buffered := bufio.NewWriterSize(w, 1<<16)
	d := dump.NewWriter(buffered)
	_, err := l.walk(ctx, d, func(string) bool { return true })
	if err == nil {
		err = d.Close()
	}
	if err == nil {
		err = buffered.Flush()
	}
	if err != nil {
		return fmt.Errorf("dumping the ledger: %w", err)
	}
	return nil
}

// Digest is the SHA-256 of the rooms' rows (not of the journal, which has its chain, nor of contents, which are named by
// their hash) together with the head it was true at. It is the same on both engines, and takes as long as reading them.
func (l *Ledger) Digest(ctx context.Context) (journal.Hash, journal.Head, error) {
	d := dump.NewWriter(io.Discard)
	head, err := l.walk(ctx, d, func(table string) bool { return !strings.HasPrefix(table, "ledger_") })
	if err != nil {
		return journal.Hash{}, head, fmt.Errorf("digesting the ledger: %w", err)
	}
	return d.Sum(), head, nil
}

// walk writes the rooms' versions and the tables wanted, from one snapshot.
func (l *Ledger) walk(ctx context.Context, d *dump.Writer, want func(table string) bool) (journal.Head, error) {
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
		d.Room(room, have[room])
	}
	tables, err := l.engine.tables(ctx, c)
	if err != nil {
		return head, err
	}
	for i := range tables {
		if !want(tables[i].Name) || tables[i].Name == "ledger_room" {
			continue
		}
		if err := walkTable(ctx, c, d, &tables[i]); err != nil {
			return head, fmt.Errorf("reading %s: %w", tables[i].Name, err)
		}
	}
	return head, nil
}

func walkTable(ctx context.Context, c *conn, d *dump.Writer, t *dump.Table) error {
	d.Table(t)
	rows, err := c.QueryContext(ctx, selectAll(t))
	if err != nil {
		return err
	}
	defer rows.Close()
	values := make([]any, len(t.Columns))
	into := make([]any, len(t.Columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := d.Row(values); err != nil {
			return err
		}
	}
	return rows.Err()
}

// selectAll reads a whole table in an order both engines agree on: that of the primary key, or else of all columns.
func selectAll(t *dump.Table) string {
	var names, order []string
	for _, c := range t.Columns {
		names = append(names, c.Name)
	}
	byKey := slices.Clone(t.Columns)
	slices.SortStableFunc(byKey, func(a, b dump.Column) int { return a.Key - b.Key })
	for _, c := range byKey {
		if c.Key > 0 {
			order = append(order, c.Name)
		}
	}
	if len(order) == 0 {
		for _, c := range t.Columns {
			order = append(order, c.Name+" NULLS FIRST")
		}
	}
	return "SELECT " + strings.Join(names, ", ") + " FROM " + t.Name + " ORDER BY " + strings.Join(order, ", ")
}

// insertInto is the statement that puts a row back.
func insertInto(t *dump.Table) string {
	var names, places []string
	for i, c := range t.Columns {
		names = append(names, c.Name)
		places = append(places, fmt.Sprintf("$%d", i+1))
	}
	return "INSERT INTO " + t.Name + " (" + strings.Join(names, ", ") + ") VALUES (" + strings.Join(places, ", ") + ")"
}

// describeTables builds tables from rows of (table, column, kind, place in the primary key), sorted by table.
func describeTables(rows *sql.Rows, kinds map[string]string) ([]dump.Table, error) {
	defer rows.Close()
	var out []dump.Table
	for rows.Next() {
		var name string
		var c dump.Column
		if err := rows.Scan(&name, &c.Name, &c.Kind, &c.Key); err != nil {
			return nil, err
		}
		kind, ok := kinds[c.Kind]
		if !ok {
			return nil, fmt.Errorf("column %s of %s is of type %s, none of BIGINT, TEXT, BYTEA", c.Name, name, c.Kind)
		}
		c.Kind = kind
		if len(out) == 0 || out[len(out)-1].Name != name {
			out = append(out, dump.Table{Name: name})
		}
		last := &out[len(out)-1]
		last.Columns = append(last.Columns, c)
	}
	return out, rows.Err()
}
