package directory

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"

	"cardinal/internal/journal"
)

var errBlockSize = errors.New("not a DEFLATE stream of a block's size")

// LoadEntry is one entry of a load.
type LoadEntry struct {
	UUID  UUID
	Entry *Entry
}

// ParseLoadBlock reads a block and gives each entry the defaults it lacks.
func ParseLoadBlock(data []byte, defaults []Attribute) ([]LoadEntry, error) {
	version, rest, err := checkBlock(data)
	switch {
	case err != nil:
		return nil, err
	case version == 1:
		return parseBlock1(rest, defaults)
	}
	b, err := OpenBlock(data)
	if err != nil {
		return nil, err
	}
	return parseBlock(b, defaults)
}

// A block of version 1 is a DEFLATE stream of: a table of attribute
// descriptions, the number of entries, and the entries. An entry's name is
// given as the number of RDNs, from the root, that it shares with the entry
// before, and the rest, leaf first.
func parseBlock1(data []byte, defaults []Attribute) ([]LoadEntry, error) {
	in := flate.NewReader(bytes.NewReader(data))
	var raw bytes.Buffer
	raw.Grow(min(4*len(data), blockTarget+32<<10))
	if n, err := raw.ReadFrom(io.LimitReader(in, maxBlockRaw+1)); err != nil || n > maxBlockRaw {
		return nil, fmt.Errorf("parsing load block: %d bytes decompressed: %w", n, errors.Join(err, errBlockSize))
	}
	r := blockReader{reader: reader{journal.NewDecoder(raw.Bytes())}}
	for range r.Count(1) {
		r.table = append(r.table, r.String())
	}
	n := r.Count(20)
	out := make([]LoadEntry, 0, n)
	var last DN
	for range n {
		e := r.entry(last)
		if r.Err() != nil {
			break
		}
		last = e.Entry.DN
		e.Entry.complete(defaults)
		out = append(out, e)
	}
	return out, r.done("load block")
}

// BlockUpgrade reads the blocks of a load from its first on, whatever their
// version, in the form of the newest.
type BlockUpgrade struct {
	packer *EntryPacker
	writer *BlockWriter
	block  *Block
}

// NewBlockUpgrade begins before the first block.
func NewBlockUpgrade() *BlockUpgrade {
	names := &LoadNames{}
	u := &BlockUpgrade{packer: NewEntryPacker(names)}
	u.writer = NewBlockWriter(names, func(b *Block) error { u.block = b; return nil })
	u.writer.target = maxBlockRaw
	return u
}

// Open reads the next block.
func (u *BlockUpgrade) Open(data []byte) (*BlockReader, error) {
	entries, err := ParseLoadBlock(data, nil)
	if err != nil {
		return nil, err
	}
	for i := range entries {
		if err := u.writer.Add(u.packer.Append(nil, entries[i].UUID, entries[i].Entry)); err != nil {
			return nil, err
		}
	}
	u.block = &Block{content: []byte{0, 0, 0}}
	if err := u.writer.Close(); err != nil {
		return nil, err
	}
	return openContent(u.block.content)
}

type blockReader struct {
	reader
	table []string
}

func (r *blockReader) entry(last DN) LoadEntry {
	x := LoadEntry{UUID: r.uuid(), Entry: &Entry{}}
	shared := int(r.UintMax(uint64(len(last))))
	own := r.dn()
	if r.Err() != nil || shared+len(own) > maxRDNs {
		r.Fail("name of an entry")
		return x
	}
	x.Entry.DN = append(own[:len(own):len(own)], last[len(last)-shared:]...)
	n := r.Count(2)
	x.Entry.Attributes = make([]Attribute, 0, n+5)
	for range n {
		i := r.Uint()
		if i >= uint64(len(r.table)) {
			r.Fail("attribute that is not in the table")
			return x
		}
		a := Attribute{Type: r.table[i]}
		values := r.Count(1)
		a.Values = make([][]byte, 0, values)
		for range values {
			a.Values = append(a.Values, r.Bytes())
		}
		x.Entry.Attributes = append(x.Entry.Attributes, a)
	}
	return x
}

// complete adds the defaults the entry lacks.
func (e *Entry) complete(defaults []Attribute) {
	for _, d := range defaults {
		if e.Attribute(d.Type) == nil {
			e.Attributes = append(e.Attributes, d)
		}
	}
}
