package tree

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"cardinal/internal/replica"
	"cardinal/internal/sorter"
)

// previous walks over a bucket as it was before.
type previous struct {
	cursor     *bbolt.Cursor
	key, value []byte
}

func newPrevious(b *bbolt.Bucket) *previous {
	p := &previous{}
	if b != nil {
		p.cursor = b.Cursor()
		p.key, p.value = p.cursor.First()
	}
	return p
}

func (p *previous) next() { p.key, p.value = p.cursor.Next() }

// upTo lays out what stands before a key, all of it for nil.
func (p *previous) upTo(key []byte, put func(k, v []byte) error) error {
	for p.key != nil && (key == nil || bytes.Compare(p.key, key) < 0) {
		if err := put(p.key, p.value); err != nil {
			return err
		}
		p.next()
	}
	return nil
}

// mergeUnique lays out a bucket in which a key stands for one entry.
func mergeUnique(w *replica.BucketWriter, old *bbolt.Bucket, sorters []*sorter.Sorter, seen func(key []byte) error) error {
	before := newPrevious(old)
	put := func(k, v []byte) error {
		if err := seen(k); err != nil {
			return err
		}
		return w.Put(k, v)
	}
	m, err := sorter.Merge(sorters...)
	if err != nil {
		return err
	}
	var last []byte
	for key, id := m.Peek(); key != nil; key, id = m.Peek() {
		if err := before.upTo(key, put); err != nil {
			return err
		}
		if bytes.Equal(key, before.key) || last != nil && bytes.Equal(key, last) {
			return fmt.Errorf("two entries have the key %q", key)
		}
		last = append(last[:0], key...)
		if err := put(key, id); err != nil {
			return err
		}
		if err := m.Skip(); err != nil {
			return err
		}
	}
	return before.upTo(nil, put)
}

// mergeChildren lays out which entries stand below which, and how many.
func (g *build) mergeChildren(w, counts *replica.BucketWriter, sorters []*sorter.Sorter) error {
	parent, n := uint32(0), uint64(0)
	count := func() error {
		if parent == 0 {
			return nil
		}
		return counts.Put(appendID(nil, parent), binary.AppendUvarint(nil, n))
	}
	err := mergeUnique(w, g.bucket(bucketChildren), sorters, func(key []byte) error {
		p := binary.BigEndian.Uint32(key)
		if p != parent {
			if err := count(); err != nil {
				return err
			}
			parent, n = p, 0
		}
		n++
		return nil
	})
	if err != nil {
		return err
	}
	return count()
}

// indexMerge lays out the index from three sources: what was there, what was
// sorted, and the sets of tokens.
type indexMerge struct {
	out      *replica.BucketWriter
	before   *previous
	sorted   *sorter.Merged
	tokens   *tokens
	keys     []string // of tokens, those left
	key      []byte   // being written, without the upper half
	full     []byte   // with it
	members  []uint16
	ids      []uint32
	combined []postedChunk
}

func (g *build) mergeIndex(w *replica.BucketWriter, sorters []*sorter.Sorter) error {
	sorted, err := sorter.Merge(sorters...)
	if err != nil {
		return err
	}
	m := &indexMerge{out: w, before: newPrevious(g.bucket(bucketIndex)), sorted: sorted, tokens: &g.tokens, keys: g.tokens.sorted()}
	for {
		more, err := m.step()
		if err != nil {
			return err
		}
		if !more {
			return m.before.upTo(nil, w.Put)
		}
	}
}

// step writes the next key.
func (m *indexMerge) step() (more bool, err error) {
	fromSort, _ := m.sorted.Peek()
	if fromSort == nil && len(m.keys) == 0 {
		return false, nil
	}
	order := -1 // from the sorter first
	switch {
	case fromSort == nil:
		order = 1
	case len(m.keys) > 0:
		order = bytes.Compare(fromSort, octets(m.keys[0]))
	}
	m.ids, m.combined = m.ids[:0], m.combined[:0]
	if order >= 0 {
		m.key = append(m.key[:0], m.keys[0]...)
		m.combined = append(m.combined, m.tokens.postings[m.keys[0]].chunks...)
		delete(m.tokens.postings, m.keys[0])
		m.keys = m.keys[1:]
	} else {
		m.key = append(m.key[:0], fromSort...)
	}
	if order <= 0 {
		if err := m.gather(); err != nil {
			return false, err
		}
	}
	return true, m.write()
}

// gather takes every number the sorter has for the key.
func (m *indexMerge) gather() error {
	for key, id := m.sorted.Peek(); bytes.Equal(key, m.key); key, id = m.sorted.Peek() {
		m.ids = append(m.ids, binary.BigEndian.Uint32(id))
		if err := m.sorted.Skip(); err != nil {
			return err
		}
	}
	if len(m.combined) > 0 { // some of the entries have a token for it
		for _, c := range m.combined {
			m.ids = c.set.appendTo(m.ids, c.upper)
		}
		m.combined = m.combined[:0]
		slices.Sort(m.ids)
	}
	return nil
}

func (m *indexMerge) write() error {
	for _, c := range m.combined {
		if err := m.put(c.upper, c.set, nil); err != nil {
			return err
		}
	}
	for from := 0; from < len(m.ids); {
		upper := uint16(m.ids[from] >> 16)
		m.members = m.members[:0]
		to := from
		for ; to < len(m.ids) && uint16(m.ids[to]>>16) == upper; to++ {
			if to == from || m.ids[to] != m.ids[to-1] {
				m.members = append(m.members, uint16(m.ids[to]))
			}
		}
		from = to
		if err := m.put(upper, nil, m.members); err != nil {
			return err
		}
	}
	return nil
}

// put writes one slice of a set, given encoded or as members, with what was
// there before; new numbers are above all old ones.
func (m *indexMerge) put(upper uint16, set chunk, members []uint16) error {
	m.full = binary.BigEndian.AppendUint16(append(m.full[:0], m.key...), upper)
	if err := m.before.upTo(m.full, m.out.Put); err != nil {
		return err
	}
	if bytes.Equal(m.before.key, m.full) {
		if set != nil {
			members = set.members()
		}
		set = encodeChunk(append(chunk(m.before.value).members(), members...))
		m.before.next()
	}
	if set == nil && len(members) == 1 {
		var one [2]byte
		binary.BigEndian.PutUint16(one[:], members[0])
		return m.out.Put(m.full, one[:])
	}
	if set == nil {
		set = encodeChunk(members)
	}
	return m.out.Put(m.full, set)
}
