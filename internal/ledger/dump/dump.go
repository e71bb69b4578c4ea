// Package dump is a ledger as one stream of bytes, which either engine can write and either can read: it owns the
// format, and knows no database.
//
// A dump is a line, then records: a length as a varint and that many bytes, the first of which says what they are. First
// come the rooms with their versions, then table by table its columns and its rows. A value is a byte for its type and
// then an integer in zigzag form, or bytes behind their length. The last record is the SHA-256 of everything in front of
// it, so a dump cut short or changed is noticed; only a signature could show who made it. The same rows give the same
// bytes.
package dump

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"cardinal/internal/journal"
)

// ErrDamaged: this is no dump, or not a whole and unchanged one.
var ErrDamaged = errors.New("the dump is damaged")

// MaxRecord is the longest record in bytes: a chunk of content and room for its columns, or a large row.
const MaxRecord = 64 << 20

const (
	magic = "cardinal ledger dump 1\n"

	recordRoom  = 'R' // name, version
	recordTable = 'T' // name, columns: name and kind
	recordRow   = 'r' // values of the table named last
	recordEnd   = 'E' // SHA-256

	valueNull  = 0
	valueInt   = 1
	valueText  = 2
	valueBytes = 3
)

// Table is a table's name and columns.
type Table struct {
	Name    string
	Columns []Column
}

// Column is one column. Kind is BIGINT, TEXT or BYTEA. Key is its place in the primary key, from 1, or 0; it is not
// part of a dump.
type Column struct {
	Name, Kind string
	Key        int
}

// Writer writes a dump. It keeps the first error and does nothing after it.
type Writer struct {
	w    io.Writer
	sum  hash.Hash
	body []byte
	err  error
}

// NewWriter begins a dump on w, which should be buffered.
func NewWriter(w io.Writer) *Writer {
	d := &Writer{w: w, sum: sha256.New()}
	d.put([]byte(magic))
	return d
}

func (d *Writer) put(b []byte) {
	if d.err == nil {
		_, d.err = d.w.Write(b)
	}
	d.sum.Write(b)
}

func (d *Writer) record(body []byte) {
	if len(body) > MaxRecord && d.err == nil {
		d.err = fmt.Errorf("a record of %d bytes is above the limit", len(body))
	}
	var length [binary.MaxVarintLen64]byte
	d.put(length[:binary.PutUvarint(length[:], uint64(len(body)))])
	d.put(body)
}

// Room writes a room's version. Rooms come before tables.
func (d *Writer) Room(name string, version int) {
	e := journal.NewEncoder([]byte{recordRoom})
	e.AppendString(name)
	e.AppendUint(uint64(version))
	d.record(e.Bytes())
}

// Table begins a table; its rows follow.
func (d *Writer) Table(t *Table) {
	e := journal.NewEncoder([]byte{recordTable})
	e.AppendString(t.Name)
	e.AppendUint(uint64(len(t.Columns)))
	for _, c := range t.Columns {
		e.AppendString(c.Name)
		e.AppendString(c.Kind)
	}
	d.record(e.Bytes())
}

// Row writes a row: nil, int64, string and []byte, in the order of the columns. It returns the first error so far.
func (d *Writer) Row(values []any) error {
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
	return d.err
}

// Sum is the SHA-256 of what was written so far.
func (d *Writer) Sum() journal.Hash { return journal.Hash(d.sum.Sum(nil)) }

// Close ends the dump with its checksum and returns the first error. It does not close the stream.
func (d *Writer) Close() error {
	sum := d.Sum()
	d.record(append([]byte{recordEnd}, sum[:]...))
	return d.err
}
