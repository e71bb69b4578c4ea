package directory

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"cardinal/internal/journal"
)

var errBlockSize = errors.New("not a DEFLATE stream of a block's size")

// LoadEntry is one entry of a load.
type LoadEntry struct {
	UUID  UUID
	Entry *Entry
}

// A block is a version byte, the CRC-32C of what follows, and a DEFLATE stream
// of: a table of attribute descriptions, the number of entries, and the
// entries. An entry's name is given as the number of RDNs, from the root, that
// it shares with the entry before, and the rest.
const (
	blockVersion = 1
	blockHead    = 1 + 4
	blockTarget  = 160 << 10 // raw bytes at which a block is ended; some 50 KiB compressed
	maxBlockRaw  = 256 << 20
)

// BlockWriter cuts entries into blocks. Entries must be given in the order of
// their keys.
type BlockWriter struct {
	emit     func(first DN, entries uint64, data []byte) error
	defaults []Attribute
	body     []byte
	names    map[string]uint64
	table    []string
	first    DN
	last     DN
	count    uint64
	deflate  *flate.Writer
	out      bytes.Buffer
}

// NewBlockWriter calls emit for each full block with the name of its first
// entry; data is valid during the call only.
func NewBlockWriter(defaults []Attribute, emit func(first DN, entries uint64, data []byte) error) *BlockWriter {
	return &BlockWriter{emit: emit, defaults: defaults, names: map[string]uint64{}}
}

// Add appends an entry. Attributes equal to the defaults are left out.
func (w *BlockWriter) Add(u UUID, e *Entry) error {
	if w.count == 0 {
		w.first = e.DN
	}
	enc := writer{journal.NewEncoder(w.body)}
	enc.AppendFixed(u[:])
	shared := sharedRDNs(w.last, e.DN)
	enc.AppendUint(uint64(shared))
	enc.dn(e.DN[:len(e.DN)-shared])
	n := 0
	for i := range e.Attributes {
		if !w.isDefault(&e.Attributes[i]) {
			n++
		}
	}
	enc.AppendUint(uint64(n))
	for i := range e.Attributes {
		a := &e.Attributes[i]
		if w.isDefault(a) {
			continue
		}
		enc.AppendUint(w.name(a.Type))
		enc.AppendUint(uint64(len(a.Values)))
		for _, v := range a.Values {
			enc.AppendBytes(v)
		}
	}
	w.body, w.last = enc.Bytes(), e.DN
	w.count++
	if len(w.body) >= blockTarget {
		return w.flush()
	}
	return nil
}

func (w *BlockWriter) isDefault(a *Attribute) bool {
	for i := range w.defaults {
		d := &w.defaults[i]
		if d.Type == a.Type && len(a.Values) == 1 && len(d.Values) == 1 && bytes.Equal(a.Values[0], d.Values[0]) {
			return true
		}
	}
	return false
}

func (w *BlockWriter) name(s string) uint64 {
	n, ok := w.names[s]
	if !ok {
		n = uint64(len(w.table))
		w.names[s] = n
		w.table = append(w.table, s)
	}
	return n
}

func sharedRDNs(a, b DN) int {
	n := 0
	for n < len(a) && n < len(b) {
		x, y := a[len(a)-1-n], b[len(b)-1-n]
		if len(x) != len(y) {
			return n
		}
		for i := range x {
			if x[i].Type != y[i].Type || !bytes.Equal(x[i].Value, y[i].Value) {
				return n
			}
		}
		n++
	}
	return n
}

// Close emits the last block, if there is one.
func (w *BlockWriter) Close() error {
	if w.count == 0 {
		return nil
	}
	return w.flush()
}

func (w *BlockWriter) flush() error {
	head := journal.NewEncoder(nil)
	head.AppendUint(uint64(len(w.table)))
	for _, s := range w.table {
		head.AppendString(s)
	}
	head.AppendUint(w.count)
	w.out.Reset()
	w.out.Write(make([]byte, blockHead))
	if w.deflate == nil {
		w.deflate, _ = flate.NewWriter(&w.out, flate.BestSpeed)
	} else {
		w.deflate.Reset(&w.out)
	}
	_, err1 := w.deflate.Write(head.Bytes())
	_, err2 := w.deflate.Write(w.body)
	if err := errors.Join(err1, err2, w.deflate.Close()); err != nil {
		return fmt.Errorf("compressing a block: %w", err)
	}
	data := w.out.Bytes()
	data[0] = blockVersion
	binary.BigEndian.PutUint32(data[1:], crc32.Checksum(data[blockHead:], crc32.MakeTable(crc32.Castagnoli)))
	first, count := w.first, w.count
	clear(w.names)
	w.table, w.body, w.count, w.first, w.last = w.table[:0], w.body[:0], 0, nil, nil
	return w.emit(first, count, data)
}

// ParseLoadBlock reads a block and gives each entry the defaults it lacks.
func ParseLoadBlock(data []byte, defaults []Attribute) ([]LoadEntry, error) {
	if len(data) < blockHead || data[0] != blockVersion {
		return nil, errors.New("parsing load block: not a block of a known version")
	}
	if crc32.Checksum(data[blockHead:], crc32.MakeTable(crc32.Castagnoli)) != binary.BigEndian.Uint32(data[1:]) {
		return nil, errors.New("parsing load block: wrong checksum")
	}
	in := flate.NewReader(bytes.NewReader(data[blockHead:]))
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
