package directory

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"cardinal/internal/journal"
)

// BlockReader reads the entries of a block one by one without copying them.
// For one goroutine.
type BlockReader struct {
	Names []string // the attribute descriptions of the block, by number
	Path  []uint64 // the entries above the first, by their number in the load
	Left  int      // entries not read yet
	in    reader
}

// RawEntry is an entry within a block; everything in it is part of the block's
// memory and good for as long as that is held.
type RawEntry struct {
	UUID   []byte
	Shared int      // RDNs from the root that its name shares with the entry before
	Own    [][]byte // the others, from the root down; see ParseRawRDN
	Count  int      // attributes
	in     *reader
	names  int
}

// errBlockVersion: a block of a version this program does not know.
var errBlockVersion = errors.New("parsing load block: not a block of a known version")

// checkBlock verifies a block's checksum and gives its version and what follows.
func checkBlock(data []byte) (version byte, rest []byte, err error) {
	if len(data) < blockHead {
		return 0, nil, errBlockVersion
	}
	if crc32.Checksum(data[blockHead:], crc32.MakeTable(crc32.Castagnoli)) != binary.BigEndian.Uint32(data[1:]) {
		return 0, nil, errors.New("parsing load block: wrong checksum")
	}
	return data[0], data[blockHead:], nil
}

// OpenBlock expands a block. One of version 1 it cannot read: see BlockUpgrade.
func OpenBlock(data []byte) (*BlockReader, error) {
	version, rest, err := checkBlock(data)
	if err != nil {
		return nil, err
	}
	if version != blockVersion {
		return nil, errBlockVersion
	}
	size, n := binary.Uvarint(rest)
	if n <= 0 || size > maxBlockRaw {
		return nil, fmt.Errorf("parsing load block: %w", errLZ)
	}
	content, err := lzRead(rest[n:], int(size))
	if err != nil {
		return nil, fmt.Errorf("parsing load block: %w", err)
	}
	return openContent(content)
}

func openContent(content []byte) (*BlockReader, error) {
	b := &BlockReader{in: reader{journal.NewDecoder(content)}}
	for range b.in.Count(1) {
		b.Names = append(b.Names, b.in.String())
	}
	for range b.in.Count(1) {
		b.Path = append(b.Path, b.in.Uint())
	}
	b.Left = b.in.Count(20)
	if err := b.in.Err(); err != nil {
		return nil, fmt.Errorf("parsing load block: %w", err)
	}
	return b, nil
}

// Next reads the next entry's name; false after the last or an error. All its
// attributes must be taken before Next is called again.
func (b *BlockReader) Next(e *RawEntry) bool {
	if b.Left == 0 || b.in.Err() != nil {
		return false
	}
	b.Left--
	e.in, e.names = &b.in, len(b.Names)
	e.UUID = b.in.Fixed(16)
	e.Shared = int(b.in.UintMax(maxRDNs))
	n := b.in.Count(1)
	if n > maxRDNs {
		b.in.Fail("number of RDNs")
	}
	e.Own = e.Own[:0]
	for range n {
		e.Own = append(e.Own, b.in.Bytes())
	}
	e.Count = b.in.Count(2)
	return b.in.Err() == nil
}

// Attribute gives the next attribute: the number of its name, and its values
// behind their number (see RawValues).
func (e *RawEntry) Attribute() (name int, values []byte) {
	n := e.in.Uint()
	if n >= uint64(e.names) {
		e.in.Fail("attribute that is not in the table")
		return 0, nil
	}
	return int(n), e.in.Bytes()
}

// Err is what was wrong with the block, once Next said false.
func (b *BlockReader) Err() error {
	if b.Left > 0 && b.in.Err() == nil {
		return nil
	}
	return b.in.done("load block")
}

// RawValues runs over the values RawEntry.Attribute gave.
type RawValues struct {
	Left int
	in   journal.Decoder
}

// NewRawValues begins with the first.
func NewRawValues(raw []byte) RawValues {
	v := RawValues{in: *journal.NewDecoder(raw)}
	v.Left = v.in.Count(1)
	return v
}

// Next gives the next value; false after the last.
func (v *RawValues) Next() ([]byte, bool) {
	if v.Left == 0 {
		return nil, false
	}
	v.Left--
	value := v.in.Bytes()
	return value, v.in.Err() == nil
}

// ParseRawRDN reads an RDN as RawEntry has it. Its values are part of raw.
func ParseRawRDN(raw []byte) (RDN, error) {
	r := reader{journal.NewDecoder(raw)}
	rdn := r.rdn()
	return rdn, r.done("RDN")
}

// parseBlock reads all of a block into entries of their own.
func parseBlock(b *BlockReader, defaults []Attribute) ([]LoadEntry, error) {
	out := make([]LoadEntry, 0, b.Left)
	var raw RawEntry
	var last DN
	for b.Next(&raw) {
		x, err := raw.entry(b, last)
		if err != nil {
			return nil, err
		}
		x.Entry.complete(defaults)
		last = x.Entry.DN
		out = append(out, x)
	}
	return out, b.Err()
}

func (e *RawEntry) entry(b *BlockReader, last DN) (LoadEntry, error) {
	x := LoadEntry{UUID: UUID(e.UUID), Entry: &Entry{}}
	if e.Shared > len(last) || e.Shared+len(e.Own) > maxRDNs {
		b.in.Fail("name of an entry")
		return x, b.in.done("load block")
	}
	dn := make(DN, 0, len(e.Own)+e.Shared)
	for i := len(e.Own) - 1; i >= 0; i-- {
		rdn, err := ParseRawRDN(e.Own[i])
		if err != nil {
			return x, err
		}
		dn = append(dn, rdn)
	}
	x.Entry.DN = append(dn, last[len(last)-e.Shared:]...)
	x.Entry.Attributes = make([]Attribute, 0, e.Count+5)
	for range e.Count {
		name, raw := e.Attribute()
		if raw == nil {
			return x, b.in.done("load block")
		}
		values := NewRawValues(raw)
		a := Attribute{Type: b.Names[name], Values: make([][]byte, 0, values.Left)}
		for v, ok := values.Next(); ok; v, ok = values.Next() {
			a.Values = append(a.Values, v)
		}
		if err := values.in.End(); err != nil {
			return x, fmt.Errorf("parsing load block: %w", err)
		}
		x.Entry.Attributes = append(x.Entry.Attributes, a)
	}
	return x, nil
}
