package directory

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"cardinal/internal/journal"
)

// BlockIndex is a block of which only the names were read: entries are decoded
// one by one when they are asked for. It is never changed, so any number of
// goroutines may use it.
type BlockIndex struct {
	names    []RawAttribute // types alone
	content  []byte
	entries  []indexed
	rdns     [][]byte // of all names, each from the root down
	defaults []Attribute
	raw      []RawAttribute // the defaults
}

// indexed says where an entry is.
type indexed struct {
	uuid       uint32 // in content
	count      uint32 // of attributes
	from, end  uint32 // of the attributes in content
	name, leaf uint32 // first and last RDN of the name in rdns
}

// IndexBlock reads the names of a block of any version. defaults are attributes
// each entry has that it lacks.
func IndexBlock(data []byte, defaults []Attribute) (*BlockIndex, error) {
	version, _, err := checkBlock(data)
	if err != nil {
		return nil, err
	}
	open := OpenBlock
	if version == 1 {
		open = openBlock1
	}
	r, err := open(data)
	if err != nil {
		return nil, err
	}
	return newBlockIndex(r, defaults)
}

func newBlockIndex(r *BlockReader, defaults []Attribute) (*BlockIndex, error) {
	x := &BlockIndex{defaults: defaults, content: r.in.Rest()}
	for i := range defaults {
		x.raw = append(x.raw, NewRawAttribute(&defaults[i]))
	}
	for _, name := range r.Names {
		x.names = append(x.names, RawAttribute{Type: []byte(name)})
	}
	return x, x.read(r)
}

var errBlockTooLarge = errors.New("parsing load block: more than can be indexed")

func (x *BlockIndex) read(r *BlockReader) error {
	if len(x.content) > math.MaxUint32 {
		return errBlockTooLarge
	}
	var e RawEntry
	var last [2]int // of the name before, in rdns
	for at := 0; r.Next(&e); at = len(x.content) - len(r.in.Rest()) {
		depth := e.Shared + len(e.Own)
		if e.Shared > last[1]-last[0] || depth > maxRDNs || depth == 0 {
			r.in.Fail("name of an entry")
			break
		}
		for _, own := range e.Own {
			rdn := reader{journal.NewDecoder(own)}
			rdn.skipRDN()
			if err := rdn.done("RDN"); err != nil {
				return err
			}
		}
		i := indexed{uuid: uint32(at), count: uint32(e.Count), name: uint32(len(x.rdns))}
		x.rdns = append(append(x.rdns, x.rdns[last[0]:last[0]+e.Shared]...), e.Own...)
		last = [2]int{int(i.name), len(x.rdns)}
		i.leaf = uint32(last[1] - 1)
		i.from = uint32(len(x.content) - len(r.in.Rest()))
		for range e.Count {
			e.Attribute()
		}
		i.end = uint32(len(x.content) - len(r.in.Rest()))
		x.entries = append(x.entries, i)
	}
	return r.Err()
}

// openBlock1 reads a block of version 1 in the form of the newest.
func openBlock1(data []byte) (*BlockReader, error) {
	entries, err := ParseLoadBlock(data, nil)
	if err != nil {
		return nil, err
	}
	var block *Block
	names := &LoadNames{}
	w := NewBlockWriter(names, func(b *Block) error { block = b; return nil })
	w.target, w.total, w.path = maxBlockRaw, 1, make([]uint64, maxRDNs) // what stands above the first is in no block of this version
	packer := NewEntryPacker(names)
	for i := range entries {
		if err := w.Add(packer.Append(nil, entries[i].UUID, entries[i].Entry)); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if block == nil {
		block = &Block{content: []byte{0, 0, 0}}
	}
	return openContent(block.content)
}

// Len is how many entries there are.
func (x *BlockIndex) Len() int { return len(x.entries) }

// UUID of the i-th entry.
func (x *BlockIndex) UUID(i int) UUID {
	return UUID(x.content[x.entries[i].uuid:][:16])
}

// RDNs of the i-th entry's name, from the root down; see ParseRawRDN.
func (x *BlockIndex) RDNs(i int) [][]byte {
	e := &x.entries[i]
	return x.rdns[e.name : e.leaf+1]
}

// Entry decodes the i-th entry. Its values are part of the block's memory.
func (x *BlockIndex) Entry(i int) (LoadEntry, error) {
	out := LoadEntry{UUID: x.UUID(i), Entry: &Entry{}}
	rdns := x.RDNs(i)
	out.Entry.DN = make(DN, 0, len(rdns))
	for n := len(rdns) - 1; n >= 0; n-- {
		rdn, err := ParseRawRDN(rdns[n])
		if err != nil {
			return out, err
		}
		out.Entry.DN = append(out.Entry.DN, rdn)
	}
	e := &x.entries[i]
	d := journal.NewDecoder(x.content[e.from:e.end])
	out.Entry.Attributes = make([]Attribute, 0, int(e.count)+len(x.defaults))
	for range e.count {
		a := Attribute{Type: string(x.names[d.Uint()].Type)} // read has seen that there is such a name
		values := NewRawValues(d.Bytes())
		a.Values = make([][]byte, 0, values.Left)
		for v, ok := values.Next(); ok; v, ok = values.Next() {
			a.Values = append(a.Values, v)
		}
		if err := values.in.End(); err != nil {
			return out, fmt.Errorf("parsing load block: %w", err)
		}
		out.Entry.Attributes = append(out.Entry.Attributes, a)
	}
	out.Entry.complete(x.defaults)
	return out, nil
}

// Raw gives the i-th entry as the body of an EntryAdded would have it. into's
// memory is used again.
func (x *BlockIndex) Raw(i int, into *RawAdded) error {
	rdns := x.RDNs(i)
	into.UUID, into.Leaf, into.Large = x.UUID(i), rdns[len(rdns)-1], false
	into.Name = binary.AppendUvarint(into.Name[:0:0], uint64(len(rdns)))
	for n := len(rdns) - 1; n >= 0; n-- {
		into.Name = append(into.Name, rdns[n]...)
	}
	e := &x.entries[i]
	d := journal.NewDecoder(x.content[e.from:e.end])
	into.Attributes = into.Attributes[:0]
	for range e.count {
		a := RawAttribute{Type: x.names[d.Uint()].Type}
		r := reader{journal.NewDecoder(d.Bytes())}
		var large bool
		a.Values, a.Count, large = r.rawValues()
		if err := r.done("load block"); err != nil {
			return err
		}
		into.Large = into.Large || large
		into.Attributes = append(into.Attributes, a)
	}
	into.complete(x.raw)
	return nil
}

// complete is Entry.complete.
func (x *RawAdded) complete(defaults []RawAttribute) {
	for _, d := range defaults {
		if x.Attribute(d.Type) == nil {
			x.Attributes = append(x.Attributes, d)
		}
	}
}
