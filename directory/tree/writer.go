package tree

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"cardinal/directory"
)

// writer puts entries into the buckets of one write transaction. The catalog
// in it outlives transactions.
type writer struct {
	tree    *Tree
	catalog *catalogWriter
	records recordWriter

	root                                            *bbolt.Bucket
	entries, children, counts, uuids, index, states *bbolt.Bucket

	at struct{ entries, uuids *bbolt.Cursor } // that look for one key after the other

	parentKey directory.Key // the parent found last, and its number
	parentID  uint32
	key       []byte

	past     pastWriter
	wrote    []byte // the attributes of the record written last
	read     reader // of what is being written: it decodes, and remembers nothing
	named    [64]nameOfEntry
	nameRoom []byte

	recall  *recall           // is told of what is written
	pending map[uint32]record // for it, once they are committed
	written int               // records, in the batch
}

func newWriter(t *Tree) *writer {
	c := newCatalogWriter(t.schema)
	return &writer{tree: t, catalog: c, read: reader{tree: t, catalog: &c.now}, records: recordWriter{catalog: c, repeated: t.repeated},
		past: pastWriter{keep: t.options.History.withDefaults()}, pending: map[uint32]record{}}
}

// begin opens the buckets of a transaction, makes them if they are missing,
// and forgets what a transaction that was rolled back left in memory.
func (w *writer) begin(root *bbolt.Bucket) error {
	if root.Bucket([]byte(bucketState)) == nil {
		if err := w.create(root); err != nil {
			return err
		}
	}
	w.parentKey, w.parentID = "", 0
	clear(w.named[:])
	if w.root == root {
		return nil
	}
	clear(w.pending)
	w.written = 0
	w.recall = w.tree.recalls.batch(root.Bucket([]byte(bucketState)).Get([]byte(stateMark)))
	w.root, w.records.bucket = root, root
	w.read.root = root
	for name, b := range map[string]**bbolt.Bucket{bucketEntries: &w.entries, bucketChildren: &w.children,
		bucketCounts: &w.counts, bucketUUIDs: &w.uuids, bucketIndex: &w.index, bucketState: &w.states} {
		*b = root.Bucket([]byte(name))
	}
	w.at.entries, w.at.uuids = w.entries.Cursor(), w.uuids.Cursor()
	if err := w.beginHistory(root); err != nil {
		return err
	}
	if w.catalog.agrees(root) {
		return nil
	}
	return w.catalog.load(root)
}

func (w *writer) create(root *bbolt.Bucket) error {
	for _, name := range allBuckets() {
		if _, err := root.CreateBucketIfNotExists([]byte(name)); err != nil {
			return fmt.Errorf("creating bucket %s: %w", name, err)
		}
	}
	return root.Bucket([]byte(bucketState)).Put([]byte(stateMark), newMark())
}

// find gives the number of the entry with a key, 0 if there is none.
func (w *writer) find(key directory.Key) uint32 {
	if key == "" {
		return 0
	}
	if key == w.parentKey {
		return w.parentID
	}
	if id := w.child(0, key); id != 0 {
		return id
	}
	above := key.Parent()
	parent := w.find(above)
	if parent == 0 {
		return 0
	}
	return w.child(parent, key[len(above):])
}

func (w *writer) child(parent uint32, part directory.Key) uint32 {
	w.key = append(appendID(w.key[:0], parent), part...)
	return parseID(w.children.Get(w.key))
}

// place says where an entry stands: below a parent, or at the head of a suffix
// with parent 0 and its whole key as the part.
func (w *writer) place(key directory.Key) (parent uint32, part directory.Key) {
	above := key.Parent()
	if parent = w.find(above); parent == 0 {
		return 0, key
	}
	w.parentKey, w.parentID = above, parent
	return parent, key[len(above):]
}

// entriesFill is how full pages of entries become that new ones fill from the
// end; what is free is for changes that make a record longer.
const entriesFill = 0.9

// add writes a new entry.
func (w *writer) add(uuid directory.UUID, e *directory.Entry) error {
	key, err := w.tree.schema.Key(e.DN)
	if err != nil {
		return err
	}
	if w.find(key) != 0 || w.uuids.Get(uuid[:]) != nil {
		return fmt.Errorf("adding %s: the entry is there already", e.DN)
	}
	seq, err := w.entries.NextSequence()
	if err != nil {
		return err
	}
	id := uint32(seq)
	w.entries.FillPercent = entriesFill
	parent, part := w.place(key)
	if err := w.link(parent, part, id); err != nil {
		return err
	}
	if err := w.uuids.Put(uuid[:], appendID(nil, id)); err != nil {
		return err
	}
	if err := w.outline(id, e, outlines{}); err != nil {
		return err
	}
	if err := w.put(id, parent, uuid, e); err != nil {
		return err
	}
	return w.reindex(id, nil, w.indexKeys(e.Attributes))
}

func (w *writer) put(id, parent uint32, uuid directory.UUID, e *directory.Entry) error {
	r, err := w.records.append(parent, uuid, e)
	if err != nil {
		return err
	}
	return w.putRecord(id, r)
}

func (w *writer) putRecord(id uint32, r record) error {
	h, err := parseHead(r)
	if err != nil {
		return err
	}
	w.wrote = h.attributes
	w.tellRecord(id, r)
	return w.entries.Put(appendID(nil, id), r)
}

// recordOf is the record of an entry; nil if there is none.
func (w *writer) recordOf(id uint32) record {
	w.key = appendID(w.key[:0], id)
	if k, v := w.at.entries.Seek(w.key); bytes.Equal(k, w.key) {
		return v
	}
	return nil
}

// idOf is the number of an entry; 0 if there is none.
func (w *writer) idOf(uuid *directory.UUID) uint32 {
	if k, v := w.at.uuids.Seek(uuid[:]); bytes.Equal(k, uuid[:]) {
		return parseID(v)
	}
	return 0
}

func (w *writer) link(parent uint32, part directory.Key, id uint32) error {
	key := append(appendID(nil, parent), part...)
	w.tellName(key, parent, id)
	if err := w.children.Put(key, appendID(nil, id)); err != nil {
		return err
	}
	return w.countChild(parent, 1)
}

func (w *writer) unlink(parent uint32, part directory.Key) error {
	if err := w.children.Delete(append(appendID(nil, parent), part...)); err != nil {
		return err
	}
	return w.countChild(parent, -1)
}

func (w *writer) countChild(parent uint32, by int64) error {
	if parent == 0 {
		return nil
	}
	k := appendID(nil, parent)
	n, _ := binary.Uvarint(w.counts.Get(k))
	n += uint64(by)
	if n == 0 {
		return w.counts.Delete(k)
	}
	return w.counts.Put(k, binary.AppendUvarint(nil, n))
}

// held is an entry taken out of the store to be changed.
type held struct {
	id     uint32
	parent uint32
	part   directory.Key
	uuid   directory.UUID
	// entry has its whole name only if it heads a suffix, else its RDN alone.
	// Attributes that are outlined have no values in it: see fill.
	entry    *directory.Entry
	outlines outlines
	head     head // as it was read
}

// take reads an entry by its UUID.
func (w *writer) take(uuid directory.UUID) (*held, error) {
	h, err := w.takeID(parseID(w.uuids.Get(uuid[:])))
	if err != nil {
		return nil, fmt.Errorf("taking entry %s: %w", uuid, err)
	}
	return h, nil
}

func (w *writer) takeID(id uint32) (*held, error) {
	r := slices.Clone(w.entries.Get(appendID(nil, id)))
	h, err := parseHead(r)
	if err != nil {
		return nil, err
	}
	e := Entry{ID: id, head: h, reader: w.reader()}
	dn, err := directory.ParseDN(string(e.appendRDN(nil)))
	if err != nil {
		return nil, err
	}
	part, err := w.tree.schema.Key(dn)
	if err != nil {
		return nil, err
	}
	out := &held{id: id, parent: h.parent, part: part, uuid: directory.UUID(h.uuid), head: h, entry: &directory.Entry{DN: dn}}
	out.entry.Attributes, out.outlines = w.noteOutlined(&e)
	return out, nil
}

// change writes an entry back with other attributes.
func (w *writer) change(h *held, after *directory.Entry) error {
	if err := w.outline(h.id, after, h.outlines); err != nil {
		return err
	}
	if err := w.put(h.id, h.parent, h.uuid, after); err != nil {
		return err
	}
	gone, come := differing(h.entry.Attributes, after.Attributes)
	return w.reindex(h.id, w.indexKeys(gone), w.indexKeys(come))
}

func (w *writer) remove(h *held) error {
	if err := w.fillAll(h); err != nil {
		return err
	}
	if err := w.unlink(h.parent, h.part); err != nil {
		return err
	}
	if err := w.uuids.Delete(h.uuid[:]); err != nil {
		return err
	}
	w.tellRecord(h.id, nil)
	if err := w.entries.Delete(appendID(nil, h.id)); err != nil {
		return err
	}
	return w.reindex(h.id, w.indexKeys(h.entry.Attributes), nil)
}

// indexKeys are the index keys of an entry, without the chunk, sorted.
func (w *writer) indexKeys(attributes []directory.Attribute) [][]byte {
	var keys [][]byte
	for _, a := range attributes {
		keys = w.appendIndexKeys(keys, a)
	}
	slices.SortFunc(keys, bytes.Compare)
	return slices.CompactFunc(keys, bytes.Equal)
}

// appendIndexKeys leaves out values that defy their rule: no filter can be
// true for them.
func (w *writer) appendIndexKeys(keys [][]byte, a directory.Attribute) [][]byte {
	d, ok := w.tree.schema.Describe(a.Type)
	if !ok || !w.tree.indexed[d.Type] {
		return keys
	}
	w.tree.regrouped = w.tree.regrouped || w.tree.membership[d.Type]
	attr, err := w.catalog.codeOf(w.root, directory.Description{Type: d.Type}.String())
	if err != nil {
		return keys
	}
	for _, v := range a.Values {
		if form, err := d.Type.Equality.Normalize(v); err == nil {
			keys = append(keys, appendIndexValue(nil, attr, form))
		}
	}
	return keys
}

// reindex moves an entry from one set of keys to another; both are sorted.
func (w *writer) reindex(id uint32, before, after [][]byte) error {
	for len(before) > 0 || len(after) > 0 {
		order := 0
		switch {
		case len(before) == 0:
			order = 1
		case len(after) == 0:
			order = -1
		default:
			order = bytes.Compare(before[0], after[0])
		}
		var err error
		if order < 0 {
			err = w.post(before[0], id, false)
		} else if order > 0 {
			err = w.post(after[0], id, true)
		}
		if err != nil {
			return err
		}
		if order <= 0 {
			before = before[1:]
		}
		if order >= 0 {
			after = after[1:]
		}
	}
	return nil
}

// post adds an entry to the set of an index key, or removes it.
func (w *writer) post(key []byte, id uint32, on bool) error {
	k := binary.BigEndian.AppendUint16(slices.Clip(key), uint16(id>>16))
	old := chunk(w.index.Get(k))
	if on {
		w.tellValue(key, id)
		return w.index.Put(k, old.with(uint16(id)))
	}
	if left := old.without(uint16(id)); left != nil {
		return w.index.Put(k, left)
	}
	return w.index.Delete(k)
}
