package tree

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"

	"cardinal/internal/replica"
)

// Check walks through the whole bucket and compares every index with what the
// records say.
func (t *Tree) Check() error {
	s, rd, err := t.open()
	if err != nil {
		return err
	}
	defer s.Release()
	w := newWriter(t)
	if err := w.catalog.load(s.Bucket()); err != nil {
		return err
	}
	apart := 0
	index, uuids, children, counts := map[string]bool{}, 0, map[string]bool{}, map[uint32]uint64{}
	err = s.Bucket().Bucket([]byte(bucketEntries)).ForEach(func(k, v []byte) error {
		e := Entry{ID: parseID(k), reader: rd}
		if err := e.parse(v); err != nil {
			return err
		}
		for _, key := range w.indexKeys(e.decodeAttributes()) {
			index[fmt.Sprintf("%x/%d", key, e.ID)] = true
		}
		if !bytes.Equal(rd.uuids.Get(e.head.uuid), k) {
			return fmt.Errorf("entry %d is not found by its UUID", e.ID)
		}
		uuids++
		n, err := checkOutlined(&e)
		if apart += n; err != nil {
			return err
		}
		key := e.Key()
		if id, _ := rd.lookup(key); id != e.ID {
			return fmt.Errorf("entry %d is not found by its key %q but %d", e.ID, key, id)
		}
		children[fmt.Sprint(e.head.parent, "/", e.ID)] = true
		if e.head.parent != 0 {
			counts[e.head.parent]++
		}
		return nil
	})
	if err != nil {
		return err
	}
	if n := rd.root.Bucket([]byte(bucketValues)).Stats().KeyN; n != apart {
		return fmt.Errorf("%d values stand apart, %d belong to entries", n, apart)
	}
	return t.checkIndexes(s.Bucket(), rd, expected{index, uuids, children, counts})
}

// OutlineAbove sets from how many values on an attribute is outlined.
func (t *Tree) OutlineAbove(n, below int) { t.outlineAbove, t.inlineBelow = n, below }

// GatherMost sets up to how many candidates are gathered at once, of an index
// or a scope.
func (t *Tree) GatherMost(n int) { t.gatherMost, t.walkMost = n, n }

// Apart counts the values that stand apart.
func (t *Tree) Apart() (n int) {
	s, rd, err := t.open()
	if err != nil {
		return -1
	}
	defer s.Release()
	return rd.root.Bucket([]byte(bucketValues)).Stats().KeyN
}

// checkOutlined counts the outlined values of an entry.
func checkOutlined(e *Entry) (total int, err error) {
	e.Each(func(a *Attribute) bool {
		want, ok := a.values.outlined()
		if !ok {
			return true
		}
		n := uint64(0)
		a.Values(func([]byte) bool { n++; return true })
		if n != want && err == nil {
			err = fmt.Errorf("entry %d has %d values of %s, %d are promised", e.ID, n, a.Name, want)
		}
		total += int(n)
		return true
	})
	return total, err
}

type expected struct {
	index    map[string]bool
	uuids    int
	children map[string]bool
	counts   map[uint32]uint64
}

func (t *Tree) checkIndexes(b *bbolt.Bucket, rd *reader, want expected) error {
	found := 0
	err := b.Bucket([]byte(bucketIndex)).ForEach(func(k, v []byte) error {
		c := chunk(v)
		if !c.well() || c.count() == 0 {
			return fmt.Errorf("index key %x holds a damaged set", k)
		}
		for _, id := range c.appendTo(nil, binary.BigEndian.Uint16(k[len(k)-2:])) {
			found++
			if !want.index[fmt.Sprintf("%x/%d", k[:len(k)-2], id)] {
				return fmt.Errorf("index key %q should not hold entry %d", k, id)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if found != len(want.index) {
		return fmt.Errorf("%d pairs in the index, %d expected", found, len(want.index))
	}
	links := 0
	err = b.Bucket([]byte(bucketChildren)).ForEach(func(k, v []byte) error {
		links++
		if !want.children[fmt.Sprint(binary.BigEndian.Uint32(k), "/", parseID(v))] {
			return fmt.Errorf("child %x should not be there", k)
		}
		return nil
	})
	if err == nil && (links != len(want.children) || rd.uuids.Stats().KeyN != want.uuids) {
		err = fmt.Errorf("%d children and %d UUIDs, %d and %d expected", links, rd.uuids.Stats().KeyN, len(want.children), want.uuids)
	}
	for parent, n := range want.counts {
		if got := rd.countChildren(parent); err == nil && got != n {
			err = fmt.Errorf("entry %d counts %d children, has %d", parent, got, n)
		}
	}
	if err == nil && rd.counts.Stats().KeyN != len(want.counts) {
		err = fmt.Errorf("%d counts, %d expected", rd.counts.Stats().KeyN, len(want.counts))
	}
	return err
}

// Recall fills a recall, and reports whether it is in use.
func (t *Tree) Recall() bool { return t.fillRecall() && t.recalls.shown.Load() != nil }

// Recalls reports whether there is a recall.
func (t *Tree) Recalls() bool { return t.recalls.shown.Load() != nil }

// Held is a snapshot that stays what it is.
type Held struct {
	tree     *Tree
	snapshot *replica.Snapshot
	reader   *reader
}

// Hold takes one. It must be let go of before the replica is closed.
func (t *Tree) Hold() (*Held, error) {
	s, rd, err := t.open()
	return &Held{t, s, rd}, err
}

// Find names what a search finds in it.
func (h *Held) Find(r Request) (out []string, err error) {
	scan := h.tree.Open(r)
	for done := false; !done && err == nil; {
		done, err = scan.stepIn(h.reader, 7, func(e *Entry) bool {
			dn, err := e.AppendDN(nil)
			out = append(out, fmt.Sprint(string(dn), err, e.decodeAttributes()))
			return true
		})
	}
	return out, err
}

// Recalled reports whether the snapshot has a recall.
func (h *Held) Recalled() bool { return h.reader.recall != nil }

// Forget takes its recall from it.
func (h *Held) Forget() { h.reader.recall = nil }

// Release lets go of it. Nobody else gets it: it may have been made to forget.
func (h *Held) Release() {
	if h.snapshot != nil {
		h.snapshot.Local = nil
		h.snapshot.Release()
		h.snapshot = nil
	}
}
