package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"cardinal/directory"
	"cardinal/internal/sorter"
)

// buildWorker works on one block after another. It keeps its buffers.
type buildWorker struct {
	build                  *build
	children, uuids, index *sorter.Sorter
	repeated               map[string]bool // by description, as far as asked

	block   *directory.BlockReader
	entries []rawEntry
	head    [][]byte // the whole name of the load's first entry
	fields  []rawField
	names   []blockName
	local   map[string]int32 // tokens of the block by name's number and raw values
	raw     [][]byte         // what stands under each
	tokens  []*token
	members [][]uint32 // of each token, then of each default: entries that have it
	touched []*posting
	key     []byte

	records []byte
	ends    []int
	apart   []outlinedValue
	path    []uint32
}

// rawEntry is an entry of a block, taken apart.
type rawEntry struct {
	uuid   []byte
	rdns   int
	rdn    []byte
	fields int // behind the last of its fields
}

// rawField is one attribute: its name's number in the block and the values, or
// the number of a token.
type rawField struct {
	name   int32
	token  int32 // -1: none
	values []byte
}

// blockName is an attribute description of the block.
type blockName struct {
	text     string
	repeated bool
	code     uint16
	typ      *directory.AttributeType
	indexed  bool
	index    uint16 // number its values are indexed under
	standing int    // number of the default it takes the place of, or -1
}

type outlinedValue struct{ key, value []byte }

func newBuildWorker(g *build, of int) *buildWorker {
	memory := g.tree.options.SpillMemory
	if memory <= 0 {
		memory = defaultSpill
	}
	part := func(share int) *sorter.Sorter { return sorter.New(g.tree.options.SpillDir, memory/of*share/100) }
	return &buildWorker{build: g, children: part(25), uuids: part(15), index: part(60),
		repeated: map[string]bool{}, local: map[string]int32{}}
}

// defaultSpill is how much memory a load sorts in.
const defaultSpill = 96 << 20

// sort orders what is in memory, beside the other workers.
func (w *buildWorker) sort() {
	for _, s := range []*sorter.Sorter{w.index, w.children, w.uuids} {
		s.Sort()
	}
}

var errCrowded = errors.New("all attribute numbers are taken")

// work does one block.
func (w *buildWorker) work(reader *directory.LoadReader, j job, named, written *turns) error {
	data, err := reader.Fetch(j.block)
	if err != nil {
		return err
	}
	old := len(data) > 0 && data[0] == 1
	if !old {
		if w.block, err = directory.OpenBlock(data); err != nil {
			return err
		}
		if err := w.scan(j); err != nil {
			return err
		}
	}
	err = named.take(j.block, func() error {
		if old {
			if w.block, err = w.build.upgrade.Open(data); err != nil {
				return err
			}
			if err := w.scan(j); err != nil {
				return err
			}
		}
		return w.name()
	})
	if err != nil {
		return err
	}
	if err := w.encode(j); err != nil {
		return err
	}
	return written.take(j.block, func() error { return w.write(j) })
}

// scan takes the block apart and finds what its entries have in common.
func (w *buildWorker) scan(j job) error {
	w.entries, w.fields, w.names, w.raw = w.entries[:0], w.fields[:0], w.names[:0], w.raw[:0]
	clear(w.local)
	for _, text := range w.block.Names {
		w.names = append(w.names, blockName{text: text, repeated: w.isRepeated(text), standing: -1})
	}
	var e directory.RawEntry
	last := 0
	for w.block.Next(&e) {
		if e.Shared > last {
			return errDamaged
		}
		last = e.Shared + len(e.Own)
		for range e.Count {
			name, values := e.Attribute()
			f := rawField{int32(name), -1, values}
			if values != nil && w.names[name].repeated {
				f.token = w.token(name, values)
			}
			w.fields = append(w.fields, f)
		}
		if len(e.Own) == 0 {
			return errDamaged
		}
		if j.block == 0 && len(w.entries) == 0 {
			w.head = slices.Clone(e.Own)
		}
		w.entries = append(w.entries, rawEntry{e.UUID, last, e.Own[len(e.Own)-1], len(w.fields)})
	}
	if err := w.block.Err(); err != nil {
		return err
	}
	if uint64(len(w.entries)) != j.entries {
		return fmt.Errorf("%d entries, not %d", len(w.entries), j.entries)
	}
	return nil
}

func (w *buildWorker) isRepeated(description string) bool {
	r, ok := w.repeated[description]
	if !ok {
		d, known := w.build.tree.schema.Describe(description)
		r = known && w.build.tree.repeated[d.Type]
		w.repeated[description] = r
	}
	return r
}

func (w *buildWorker) token(name int, values []byte) int32 {
	w.key = append(binary.BigEndian.AppendUint16(w.key[:0], uint16(name)), values...)
	n, ok := w.local[string(w.key)]
	if !ok {
		n = int32(len(w.raw))
		w.local[string(w.key)] = n
		w.raw = append(w.raw, w.key[:0:0])
		w.raw[n] = append(w.raw[n], w.key...)
	}
	return n
}

// name gives numbers to the block's attributes, and its tokens. It is called
// in turns.
func (w *buildWorker) name() error {
	g := w.build
	for i := range w.names {
		n := &w.names[i]
		n.code = g.code(n.text)
		n.typ = g.catalog.now.names[n.code].description.Type
		if n.indexed = g.tree.indexed[n.typ]; n.indexed {
			n.index = g.indexCode(n.typ)
		}
		for k := range g.defaults {
			if g.defaults[k].name == n.text {
				n.standing = k
			}
		}
	}
	w.tokens = w.tokens[:0]
	for _, raw := range w.raw {
		w.tokens = append(w.tokens, g.tokens.of(w.names[binary.BigEndian.Uint16(raw)].code, raw[2:]))
	}
	if g.crowded {
		return errCrowded
	}
	return nil
}

// encode makes the records and sorts aside what finds the entries.
func (w *buildWorker) encode(j job) error {
	w.records, w.ends, w.apart = w.records[:0], w.ends[:0], w.apart[:0]
	n := len(w.tokens) + len(w.build.defaults)
	for len(w.members) < n {
		w.members = append(w.members, nil)
	}
	for i := range n {
		w.members[i] = w.members[i][:0]
	}
	w.path = w.path[:0]
	for _, above := range w.block.Path {
		w.path = append(w.path, w.build.first+uint32(above))
	}
	from := 0
	for i := range w.entries {
		x := &w.entries[i]
		id := j.first + uint32(i)
		if err := w.entry(id, x, w.fields[from:x.fields]); err != nil {
			return fmt.Errorf("entry %d: %w", id, err)
		}
		w.ends = append(w.ends, len(w.records))
		from = x.fields
	}
	return nil
}

func (w *buildWorker) entry(id uint32, x *rawEntry, fields []rawField) error {
	depth := x.rdns - len(w.build.suffix)
	if depth < 0 || depth > len(w.path) || depth == 0 && id != w.build.first {
		return errDamaged
	}
	parent := uint32(0)
	if depth > 0 {
		parent = w.path[depth-1]
	}
	w.path = append(w.path[:depth], id)
	if err := w.begin(id, parent, x, fields); err != nil {
		return err
	}
	if err := w.uuids.Add(x.uuid, appendID(w.key[:0], id)); err != nil {
		return err
	}
	stood := uint64(0)
	for i := range fields {
		f := &fields[i]
		if k := w.names[f.name].standing; k >= 0 {
			stood |= 1 << k
		}
		if f.token >= 0 && w.tokens[f.token] != nil {
			w.records = append(w.records, w.tokens[f.token].encoded...)
			w.members[f.token] = append(w.members[f.token], id)
			continue
		}
		if err := w.field(id, f); err != nil {
			return err
		}
	}
	for k := range w.build.defaults {
		if stood&(1<<k) == 0 {
			w.records = append(w.records, w.build.defaults[k].token.encoded...)
			n := len(w.tokens) + k
			w.members[n] = append(w.members[n], id)
		}
	}
	return nil
}

// write puts records and sets where they belong. It is called in turns.
func (w *buildWorker) write(j job) error {
	from := 0
	for i, end := range w.ends {
		if err := w.build.entries.Put(appendID(w.key[:0], j.first+uint32(i)), w.records[from:end]); err != nil {
			return err
		}
		from = end
	}
	for _, v := range w.apart {
		if err := w.build.values.Put(v.key, v.value); err != nil {
			return err
		}
	}
	for n, t := range w.tokens {
		w.post(t, w.members[n])
	}
	for k, d := range w.build.defaults {
		w.post(d.token, w.members[len(w.tokens)+k])
	}
	for _, p := range w.touched {
		p.take()
	}
	w.touched = w.touched[:0]
	return nil
}

func (w *buildWorker) post(t *token, members []uint32) {
	if t == nil || len(members) == 0 {
		return
	}
	for _, p := range t.postings {
		if len(p.block) == 0 {
			w.touched = append(w.touched, p)
		}
		p.block = append(p.block, members...)
	}
}
