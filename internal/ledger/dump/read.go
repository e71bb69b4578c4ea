package dump

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"cardinal/internal/journal"
)

// Reader reads a dump. All its errors wrap ErrDamaged. It allocates no more than the stream really holds.
type Reader struct {
	in      *bufio.Reader
	sum     hash.Hash
	records int
	rooms   map[string]int
	held    []byte // the record behind the rooms
	columns int    // of the table under way
}

// NewReader reads the first line and the rooms.
func NewReader(in io.Reader) (*Reader, error) {
	r := &Reader{in: bufio.NewReaderSize(in, 1<<16), sum: sha256.New(), rooms: map[string]int{}}
	line := make([]byte, len(magic))
	if _, err := io.ReadFull(r.in, line); err != nil || string(line) != magic {
		return nil, fmt.Errorf("%w: it does not begin as one", ErrDamaged)
	}
	r.sum.Write(line)
	for {
		body, err := r.read()
		if err != nil {
			return nil, err
		}
		if body[0] != recordRoom {
			r.held = body
			return r, nil
		}
		d := journal.NewDecoder(body[1:])
		name, version := d.String(), d.UintMax(1<<16)
		if err := d.End(); err != nil {
			return nil, r.damaged(err)
		}
		r.rooms[name] = int(version)
	}
}

// Rooms are the rooms' versions.
func (r *Reader) Rooms() map[string]int { return r.rooms }

// Record is a table when Table is set, otherwise a row of the table read last. The caller may keep both.
type Record struct {
	Table  *Table
	Values []any // nil, int64, string, []byte
}

// Next is the next record; io.EOF after the last, when the checksum fits and nothing follows.
func (r *Reader) Next() (Record, error) {
	body := r.held
	r.held = nil
	if body == nil {
		var err error
		if body, err = r.read(); err != nil {
			return Record{}, err
		}
	}
	d := journal.NewDecoder(body[1:])
	var out Record
	switch body[0] {
	case recordEnd:
		if _, err := r.in.ReadByte(); !errors.Is(err, io.EOF) {
			return out, fmt.Errorf("%w: something follows its end", ErrDamaged)
		}
		return out, io.EOF
	case recordTable:
		out.Table = readTable(d)
		r.columns = len(out.Table.Columns)
	case recordRow:
		out.Values = r.readRow(d)
	default:
		d.Fail("a record where none may stand")
	}
	if err := d.End(); err != nil {
		return Record{}, r.damaged(err)
	}
	return out, nil
}

func (r *Reader) damaged(err error) error {
	return fmt.Errorf("%w: record %d: %w", ErrDamaged, r.records, err)
}

func readTable(d *journal.Decoder) *Table {
	t := &Table{Name: d.String()}
	for range d.Count(2) {
		t.Columns = append(t.Columns, Column{Name: d.String(), Kind: d.String()})
	}
	return t
}

func (r *Reader) readRow(d *journal.Decoder) []any {
	if r.columns == 0 {
		d.Fail("a row before its table")
		return nil
	}
	values := make([]any, r.columns)
	for i := range values {
		values[i] = readValue(d)
	}
	return values
}

// readValue reads one value, as a copy.
func readValue(d *journal.Decoder) any {
	kind := d.Fixed(1)
	if kind == nil {
		return nil
	}
	switch kind[0] {
	case valueNull:
		return nil
	case valueInt:
		zigzag := d.Uint()
		return int64(zigzag>>1) ^ -int64(zigzag&1)
	case valueText:
		return d.String()
	case valueBytes:
		return append([]byte{}, d.Bytes()...)
	}
	d.Fail("unknown type of value")
	return nil
}

// read reads one record, never more than there is. The record that ends the dump is compared with the hash so far.
func (r *Reader) read() ([]byte, error) {
	length, err := binary.ReadUvarint(r.in)
	if err != nil || length == 0 || length > MaxRecord {
		return nil, fmt.Errorf("%w: cut off after record %d", ErrDamaged, r.records)
	}
	var body bytes.Buffer
	if _, err := io.CopyN(&body, r.in, int64(length)); err != nil {
		return nil, fmt.Errorf("%w: cut off after record %d", ErrDamaged, r.records)
	}
	r.records++
	b := body.Bytes()
	if b[0] == recordEnd {
		if !bytes.Equal(b[1:], r.sum.Sum(nil)) {
			return nil, fmt.Errorf("%w: its checksum differs", ErrDamaged)
		}
		return b, nil
	}
	r.sum.Write(binary.AppendUvarint(nil, length))
	r.sum.Write(b)
	return b, nil
}
