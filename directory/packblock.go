package directory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"

	"cardinal/internal/journal"
)

// A block is a version octet, the CRC-32C of what follows, the length of the
// content as a varint, and the content compressed (lz.go):
//
//	names      how many, and each attribute description
//	path       how many entries stand above the first, and of each, from the
//	           head of the suffix down, its number within the load
//	entries    how many, and each: UUID; how many RDNs, from the root, its name
//	           shares with the entry before; how many more it has, and each as
//	           its length and RDN; how many attributes, and each: its name's
//	           number, the length of the values, how many they are, the values
//
// So a block can be read without those before it, and values be passed over.
// Version 1 had no path and no lengths and was compressed with DEFLATE.
const (
	blockVersion = 2
	blockHead    = 1 + 4
	blockTarget  = 160 << 10 // octets of content at which a block is ended
	maxBlockRaw  = 256 << 20
)

// LoadNames numbers the attribute descriptions of a load. Any number of
// goroutines may use it.
type LoadNames struct {
	mu      sync.RWMutex
	numbers map[string]uint64
	names   []string
}

func (n *LoadNames) number(name string) uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	i, ok := n.numbers[name]
	if !ok {
		if n.numbers == nil {
			n.numbers = map[string]uint64{}
		}
		i = uint64(len(n.names))
		n.numbers[name] = i
		n.names = append(n.names, name)
	}
	return i
}

func (n *LoadNames) name(i uint64) string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.names[i]
}

// EntryPacker brings entries into the form BlockWriter takes. Packers of one
// load share its names; each is for one goroutine.
type EntryPacker struct {
	names *LoadNames
	known map[string]*packedName
	last  *packedName
	room  []byte
}

// packedName is an attribute description of the load, and the one packed behind
// it last.
type packedName struct {
	text   string
	number uint64
	next   *packedName
}

// NewEntryPacker makes a packer.
func NewEntryPacker(names *LoadNames) *EntryPacker {
	return &EntryPacker{names: names, known: map[string]*packedName{}}
}

// Append appends an entry. A zero UUID is given by BlockWriter.
func (p *EntryPacker) Append(b []byte, u UUID, e *Entry) []byte {
	b = append(b, u[:]...)
	b = binary.AppendUvarint(b, uint64(len(e.DN)))
	for i := len(e.DN) - 1; i >= 0; i-- {
		w := writer{journal.NewEncoder(p.room[:0])}
		w.rdn(e.DN[i])
		p.room = w.Bytes()
		b = append(binary.AppendUvarint(b, uint64(len(p.room))), p.room...)
	}
	b = binary.AppendUvarint(b, uint64(len(e.Attributes)))
	for i := range e.Attributes {
		b = p.attribute(b, &e.Attributes[i])
	}
	return b
}

// PackedName gives the name of a packed entry.
func PackedName(packed []byte) (DN, error) {
	d := journal.NewDecoder(packed)
	d.Fixed(16)
	dn := make(DN, d.Count(1))
	for i := range dn {
		rdn, err := ParseRawRDN(d.Bytes())
		if err != nil {
			return nil, err
		}
		dn[len(dn)-1-i] = rdn
	}
	return dn, d.Err()
}

func (p *EntryPacker) number(description string) uint64 {
	if p.last != nil && p.last.next != nil && p.last.next.text == description {
		p.last = p.last.next
		return p.last.number
	}
	n, ok := p.known[description]
	if !ok {
		n = &packedName{text: description, number: p.names.number(description)}
		p.known[description] = n
	}
	if p.last != nil {
		p.last.next = n
	}
	p.last = n
	return n.number
}

func (p *EntryPacker) attribute(b []byte, a *Attribute) []byte {
	n := p.number(a.Type)
	values := binary.AppendUvarint(p.room[:0], uint64(len(a.Values)))
	for _, v := range a.Values {
		values = append(binary.AppendUvarint(values, uint64(len(v))), v...)
	}
	p.room = values
	b = binary.AppendUvarint(b, n)
	b = binary.AppendUvarint(b, uint64(len(values)))
	return append(b, values...)
}

// Block is a full block that is not compressed yet.
type Block struct {
	Entries uint64
	content []byte
}

// BlockSealer compresses blocks. It is for one goroutine.
type BlockSealer struct{ lz lzWriter }

// Seal gives a block the form in which it is stored.
func (s *BlockSealer) Seal(b *Block) []byte {
	out := make([]byte, blockHead, blockHead+len(b.content)/2)
	out = binary.AppendUvarint(out, uint64(len(b.content)))
	out = s.lz.append(out, b.content)
	out[0] = blockVersion
	binary.BigEndian.PutUint32(out[1:], crc32.Checksum(out[blockHead:], crc32.MakeTable(crc32.Castagnoli)))
	return out
}

// BlockWriter cuts packed entries into blocks. Entries must be given in the
// order of their keys, beginning with the head of the suffix. For one
// goroutine.
type BlockWriter struct {
	emit    func(b *Block) error
	names   *LoadNames
	body    []byte
	local   map[uint64]uint64 // names of the load as they are numbered in the block
	table   []uint64
	count   uint64 // entries in the block
	total   uint64 // entries given
	suffix  int    // RDNs of the first entry's name
	path    []uint64
	start   []uint64 // the path above the block's first entry
	last    []byte   // the RDNs of the last name
	target  int
	freshID func() UUID
}

// NewBlockWriter calls emit with each full block.
func NewBlockWriter(names *LoadNames, emit func(b *Block) error) *BlockWriter {
	return &BlockWriter{emit: emit, names: names, local: map[uint64]uint64{}, freshID: orderedUUIDs(), target: blockTarget}
}

// Empty reports whether the next entry begins a block.
func (w *BlockWriter) Empty() bool { return w.count == 0 }

// Add appends a packed entry.
func (w *BlockWriter) Add(packed []byte) error {
	d := journal.NewDecoder(packed)
	uuid := UUID(d.Fixed(16))
	if uuid == (UUID{}) {
		uuid = w.freshID()
	}
	rdns := d.Count(1)
	name := d.Rest()
	for range rdns {
		d.Bytes()
	}
	name = name[:len(name)-len(d.Rest())]
	if err := w.place(rdns); err != nil {
		return err
	}
	w.body = append(w.body, uuid[:]...)
	w.name(name, rdns)
	n := d.Count(1)
	w.body = binary.AppendUvarint(w.body, uint64(n))
	for range n {
		w.body = binary.AppendUvarint(w.body, w.number(d.Uint()))
		values := d.Bytes()
		w.body = append(binary.AppendUvarint(w.body, uint64(len(values))), values...)
	}
	if err := d.End(); err != nil {
		return fmt.Errorf("packing an entry: %w", err)
	}
	w.count++
	w.total++
	if len(w.body) >= w.target {
		return w.flush()
	}
	return nil
}

// place notes where in the tree the entry stands.
func (w *BlockWriter) place(rdns int) error {
	if w.total == 0 {
		w.suffix = rdns
	}
	depth := rdns - w.suffix
	if depth < 0 || depth > len(w.path) || depth == 0 && w.total > 0 {
		return errParent
	}
	w.path = w.path[:depth]
	if w.count == 0 {
		w.start = append(w.start[:0], w.path...)
	}
	w.path = append(w.path, w.total)
	return nil
}

// name appends what a name does not share with the one before.
func (w *BlockWriter) name(name []byte, rdns int) {
	shared, at := 0, 0
	for w.count > 0 && shared < rdns {
		n, k := binary.Uvarint(name[at:])
		end := at + k + int(n)
		if end > len(w.last) || !bytes.Equal(w.last[at:end], name[at:end]) {
			break
		}
		shared, at = shared+1, end
	}
	w.body = binary.AppendUvarint(w.body, uint64(shared))
	w.body = binary.AppendUvarint(w.body, uint64(rdns-shared))
	w.body = append(w.body, name[at:]...)
	w.last = append(w.last[:0], name...)
}

var errParent = errors.New("packing an entry: its parent does not stand before it")

func (w *BlockWriter) number(n uint64) uint64 {
	l, ok := w.local[n]
	if !ok {
		l = uint64(len(w.table))
		w.local[n] = l
		w.table = append(w.table, n)
	}
	return l
}

// Close emits the last block, if there is one.
func (w *BlockWriter) Close() error {
	if w.count == 0 {
		return nil
	}
	return w.flush()
}

func (w *BlockWriter) flush() error {
	e := journal.NewEncoder(make([]byte, 0, len(w.body)+2<<10))
	e.AppendUint(uint64(len(w.table)))
	for _, n := range w.table {
		e.AppendString(w.names.name(n))
	}
	e.AppendUint(uint64(len(w.start)))
	for _, n := range w.start {
		e.AppendUint(n)
	}
	e.AppendUint(w.count)
	e.AppendFixed(w.body)
	b := &Block{Entries: w.count, content: e.Bytes()}
	clear(w.local)
	w.table, w.body, w.count = w.table[:0], w.body[:0], 0
	return w.emit(b)
}
