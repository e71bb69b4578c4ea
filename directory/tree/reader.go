package tree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"

	"go.etcd.io/bbolt"

	"cardinal/directory"
	"cardinal/internal/replica"
)

// reader is one snapshot with its buckets opened, its cursors kept and the
// names of containers remembered. It stays with the snapshot (Snapshot.Local)
// and belongs to one goroutine at a time.
type reader struct {
	tree    *Tree
	catalog *Names

	entries, children, index *bbolt.Cursor
	uuids, counts, secrets   *bbolt.Bucket
	root                     *bbolt.Bucket
	last                     uint32 // highest number given out so far
	epoch                    Point  // at which the ledger's last epoch began; zero if it is the first

	key      []byte // scratch for keys
	value    [64]byte
	shown    Attribute // what Entry.Each shows
	computed [][]byte  // what Entry.Computed returned last
	planned  planner   // with its buffers
	parents  [containers]container
	found    [containers]located
	name     []byte                      // scratch for names
	views    map[*directory.Query]*query // filters of access rules, ready for records
	kinds    [kinds]kindSet

	mark     string // of the file
	position uint64 // of the snapshot
	recall   *recall
	guessed  Entry // what child held a guess against
	asked    int   // records that were asked of the store
}

// container is a remembered inner entry: its parent, and its name as text and,
// once it was asked for, as a key.
type container struct {
	id, parent uint32
	dn         []byte
	key        directory.Key
}

// located is the number of an inner entry that was looked for by its key.
type located struct {
	key directory.Key
	id  uint32
}

// containers is how many inner entries one reader remembers, each in the place
// its number or its key falls on. A few are asked for all the time, and finding
// one again costs little.
const containers = 128

// open takes a snapshot and its reader; the snapshot must be released.
func (t *Tree) open() (*replica.Snapshot, *reader, error) {
	r := t.replica.Load()
	if r == nil {
		return nil, nil, errors.New("the directory is not attached to a replica")
	}
	s, err := r.Begin(t.Name())
	if err != nil {
		return nil, nil, fmt.Errorf("opening the directory: %w", err)
	}
	if rd, ok := s.Local.(*reader); ok {
		rd.use()
		return s, rd, nil
	}
	rd, err := t.newReader(s.Bucket())
	if err != nil {
		s.Release()
		return nil, nil, err
	}
	rd.position = uint64(s.State().Position)
	rd.use()
	s.Local = rd
	return s, rd, nil
}

func (t *Tree) newReader(b *bbolt.Bucket) (*reader, error) {
	rd := &reader{tree: t, root: b}
	if b == nil || b.Bucket([]byte(bucketState)) == nil {
		rd.catalog = &Names{}
		return rd, nil
	}
	var err error
	if rd.catalog, err = t.catalogs.of(b, t.schema); err != nil {
		return nil, err
	}
	rd.entries = b.Bucket([]byte(bucketEntries)).Cursor()
	rd.children = b.Bucket([]byte(bucketChildren)).Cursor()
	rd.index = b.Bucket([]byte(bucketIndex)).Cursor()
	rd.uuids = b.Bucket([]byte(bucketUUIDs))
	rd.counts = b.Bucket([]byte(bucketCounts))
	rd.secrets = b.Bucket([]byte(bucketSecrets))
	states := b.Bucket([]byte(bucketState))
	rd.epoch, rd.mark = parseEpoch(states.Get([]byte(stateEpoch))), string(states.Get([]byte(stateMark)))
	if k, _ := rd.entries.Last(); k != nil {
		rd.last = parseID(k)
	}
	return rd, nil
}

// get reads the record of a number; nil if there is none.
func (rd *reader) get(id uint32) record {
	if rd.recall != nil {
		if rec := rd.recall.record(id, rd.position); rec != nil {
			return rec
		}
	}
	if rd.entries == nil || id == 0 {
		return nil
	}
	rd.asked++
	rd.key = appendID(rd.key[:0], id)
	k, v := rd.entries.Seek(rd.key)
	if !bytes.Equal(k, rd.key) {
		return nil
	}
	return v
}

// child finds the entry below a parent by the last part of its key.
func (rd *reader) child(parent uint32, part directory.Key) uint32 {
	rd.key = append(appendID(rd.key[:0], parent), part...)
	if rd.recall != nil {
		if id := rd.guess(parent, part); id != 0 {
			return id
		}
	}
	k, v := rd.children.Seek(rd.key)
	if !bytes.Equal(k, rd.key) {
		return 0
	}
	return parseID(v)
}

// guess is child by what the recall holds, if that leads to an entry whose name
// is that one; 0 says nothing. The key to look for stands in rd.key.
func (rd *reader) guess(parent uint32, part directory.Key) uint32 {
	p := rd.recall.parts.probe(maphash.Bytes(rd.tree.recalls.seed, rd.key))
	id := p.next()
	if id == 0 {
		return 0
	}
	rec, e := rd.recall.record(id, rd.position), &rd.guessed
	e.ID, e.reader = id, rd
	if rec == nil || e.parse(rec) != nil || e.head.parent != parent || !e.isNamed(part) {
		return 0
	}
	return id
}

// lookup finds the entry of a key: its number, or 0 and the number of the
// deepest ancestor that exists (0 for none).
func (rd *reader) lookup(key directory.Key) (id, ancestor uint32) {
	if rd.children == nil || key == "" {
		return 0, 0
	}
	if at := rd.place(key); at.key == key {
		return at.id, 0
	}
	above := key.Parent()
	if above == "" {
		return rd.child(0, key), 0
	}
	parent, ancestor := rd.container(above)
	if parent == 0 {
		if id = rd.child(0, key); id != 0 {
			return id, 0
		}
		return 0, ancestor
	}
	if id = rd.child(parent, key[len(above):]); id == 0 {
		return 0, parent
	}
	return id, 0
}

// place is where the number of a key is remembered, or another's.
func (rd *reader) place(key directory.Key) *located {
	return &rd.found[maphash.String(rd.tree.recalls.seed, string(key))%containers]
}

// container is lookup for a key that other keys will share: it remembers.
func (rd *reader) container(key directory.Key) (id, ancestor uint32) {
	id, ancestor = rd.lookup(key)
	if id != 0 {
		*rd.place(key) = located{key, id}
	}
	return id, ancestor
}

// nameOf tells parent and text of an entry that has children, remembering it.
// What it returns holds until the next call.
func (rd *reader) nameOf(id uint32) (*container, error) {
	c := &rd.parents[id%containers]
	if c.id == id && id != 0 {
		return c, nil
	}
	e := Entry{reader: rd, ID: id}
	if err := e.parse(rd.get(id)); err != nil {
		return nil, fmt.Errorf("reading entry %d: %w", id, err)
	}
	var above *container
	if e.head.parent != 0 {
		var err error
		if above, err = rd.nameOf(e.head.parent); err != nil {
			return nil, err
		}
	}
	rd.name = e.appendRDN(rd.name[:0])
	if above != nil {
		rd.name = append(append(rd.name, ','), above.dn...)
	}
	rd.name, *c = c.dn, container{id: id, parent: e.head.parent, dn: rd.name}
	return c, nil
}

// parentOf is the number of the entry above one; 0 if there is none.
func (rd *reader) parentOf(id uint32) uint32 {
	if c := &rd.parents[id%containers]; c.id == id {
		return c.parent
	}
	h, err := parseHead(rd.get(id))
	if err != nil {
		return 0
	}
	return h.parent
}

// keyOf is the key of an entry that has children.
func (rd *reader) keyOf(id uint32) directory.Key {
	c, err := rd.nameOf(id)
	if err != nil {
		return ""
	}
	if c.key != "" {
		return c.key
	}
	e := Entry{reader: rd, ID: id}
	if e.parse(rd.get(id)) != nil {
		return ""
	}
	key := e.Key()
	if c.id == id { // else another has taken its place meanwhile
		c.key = key
	}
	return key
}

// isUnder reports whether an entry whose parent is given lies below base.
func (rd *reader) isUnder(parent, base uint32) bool {
	for depth := 0; parent != 0 && depth < maxDepth; depth++ {
		if parent == base {
			return true
		}
		parent = rd.parentOf(parent)
	}
	return false
}

// maxDepth bounds the walk from an entry to the head of its suffix; the names
// of a damaged file could form a ring.
const maxDepth = 512

// listBelow appends the entries directly below one, and perhaps some that are not
// any more; known is false if only the store can tell.
func (rd *reader) listBelow(parent uint32, ids []uint32) (out []uint32, known bool) {
	if rd.recall == nil {
		return ids, false
	}
	return rd.recall.listBelow(parent, ids)
}

// countChildren is how many entries lie directly below id.
func (rd *reader) countChildren(id uint32) uint64 {
	if rd.counts == nil {
		return 0
	}
	rd.key = appendID(rd.key[:0], id)
	n, _ := binary.Uvarint(rd.counts.Get(rd.key))
	return n
}

// each runs over the entries directly below parent whose part of the key is
// greater than after, until visit returns false.
func (rd *reader) each(parent uint32, after []byte, visit func(part []byte, id uint32) bool) {
	rd.key = append(appendID(rd.key[:0], parent), after...)
	k, v := rd.children.Seek(rd.key)
	if after != nil && bytes.Equal(k, rd.key) {
		k, v = rd.children.Next()
	}
	for ; len(k) > 4 && binary.BigEndian.Uint32(k) == parent; k, v = rd.children.Next() {
		if !visit(k[4:], parseID(v)) {
			return
		}
	}
}
