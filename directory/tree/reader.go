package tree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

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
	parents  map[uint32]container
	found    map[string]uint32           // keys of containers already looked up
	views    map[*directory.Query]*query // filters of access rules, ready for records
	kinds    [kinds]kindSet
}

// container is a remembered inner entry: its parent, and its name as text and,
// once it was asked for, as a key.
type container struct {
	parent uint32
	dn     string
	key    directory.Key
}

// maxContainers bounds what one reader remembers; a generation rarely lives
// long enough to meet it.
const maxContainers = 4096

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
		return s, rd, nil
	}
	rd, err := t.newReader(s.Bucket())
	if err != nil {
		s.Release()
		return nil, nil, err
	}
	s.Local = rd
	return s, rd, nil
}

func (t *Tree) newReader(b *bbolt.Bucket) (*reader, error) {
	rd := &reader{tree: t, root: b, parents: map[uint32]container{}, found: map[string]uint32{}}
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
	rd.epoch = parseEpoch(b.Bucket([]byte(bucketState)).Get([]byte(stateEpoch)))
	if k, _ := rd.entries.Last(); k != nil {
		rd.last = parseID(k)
	}
	return rd, nil
}

// get reads the record of a number; nil if there is none.
func (rd *reader) get(id uint32) record {
	if rd.entries == nil || id == 0 {
		return nil
	}
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
	k, v := rd.children.Seek(rd.key)
	if !bytes.Equal(k, rd.key) {
		return 0
	}
	return parseID(v)
}

// lookup finds the entry of a key: its number, or 0 and the number of the
// deepest ancestor that exists (0 for none).
func (rd *reader) lookup(key directory.Key) (id, ancestor uint32) {
	if rd.children == nil || key == "" {
		return 0, 0
	}
	if id, ok := rd.found[string(key)]; ok {
		return id, 0
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

// container is lookup for a key that other keys will share: it remembers.
func (rd *reader) container(key directory.Key) (id, ancestor uint32) {
	id, ancestor = rd.lookup(key)
	if id != 0 && len(rd.found) < maxContainers {
		rd.found[string(key)] = id
	}
	return id, ancestor
}

// nameOf tells parent and text of an entry that has children, remembering it.
func (rd *reader) nameOf(id uint32) (container, error) {
	if c, ok := rd.parents[id]; ok {
		return c, nil
	}
	e := Entry{reader: rd, ID: id}
	if err := e.parse(rd.get(id)); err != nil {
		return container{}, fmt.Errorf("reading entry %d: %w", id, err)
	}
	text, err := e.appendDN(nil)
	if err != nil {
		return container{}, err
	}
	c := container{parent: e.head.parent, dn: string(text)}
	if len(rd.parents) < maxContainers {
		rd.parents[id] = c
	}
	return c, nil
}

// keyOf is the key of an entry that has children.
func (rd *reader) keyOf(id uint32) directory.Key {
	c, err := rd.nameOf(id)
	if err != nil || c.key != "" {
		return c.key
	}
	e := Entry{reader: rd, ID: id}
	if e.parse(rd.get(id)) == nil {
		c.key = e.Key()
	}
	if _, ok := rd.parents[id]; ok {
		rd.parents[id] = c
	}
	return c.key
}

// isUnder reports whether an entry whose parent is given lies below base.
func (rd *reader) isUnder(parent, base uint32) bool {
	for depth := 0; parent != 0 && depth < maxDepth; depth++ {
		if parent == base {
			return true
		}
		c, err := rd.nameOf(parent)
		if err != nil {
			return false
		}
		parent = c.parent
	}
	return false
}

// maxDepth bounds the walk from an entry to the head of its suffix; the names
// of a damaged file could form a ring.
const maxDepth = 512

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
