package tree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"cardinal/directory"
	"cardinal/internal/journal"
	"cardinal/internal/replica"
)

// A suffix is loaded in two phases, each in slices that are committed one by
// one. First the entries are written, in the order of their keys, which is
// the order of their numbers; what their indexes need is sorted aside. Then
// the indexes are written from one end to the other. How far both have come
// stands in the bucket. What is sorted aside does not: after a restart it is
// made again from the content, without writing what is there already.

// load is a suffix being loaded.
type load struct {
	state  loadState
	reader *directory.LoadReader
	block  int    // blocks read in this process
	last   uint32 // number of the last entry read
	path   []step // names from the head of the suffix to that entry
	sorter *sorter
	shared shared
	merger *merger
	key    []byte
}

// step is one entry on the way down to the one read last.
type step struct {
	key directory.Key
	id  uint32
}

// loadState is what stands in the bucket about a load.
type loadState struct {
	position journal.Position
	first    uint32 // number of the first entry
	blocks   int    // whose entries are written
	indexing bool
	after    []byte // in the second phase: the last key written
}

const (
	stateLoad = "load"
	// loadEntries and loadKeys are how much one slice writes.
	loadEntries = 20_000
	loadKeys    = 100_000
	// loadFill is how full pages written in order become; the rest is for
	// later changes.
	loadFill = 0.9
)

// The first octet of a sorted key says where it belongs.
const (
	sortChildren = 'c'
	sortIndex    = 'i'
	sortUUIDs    = 'u'
)

func (l *load) drop() {
	if l != nil && l.sorter != nil {
		_ = l.sorter.close() // nothing depends on files that are gone already
	}
}

func (s *loadState) append() []byte {
	e := journal.NewEncoder(nil)
	e.AppendUint(uint64(s.position))
	e.AppendUint(uint64(s.first))
	e.AppendUint(uint64(s.blocks))
	e.AppendBool(s.indexing)
	e.AppendBytes(s.after)
	return e.Bytes()
}

func parseLoadState(b []byte) (s loadState) {
	d := journal.NewDecoder(b)
	s.position, s.first, s.blocks = journal.Position(d.Uint()), uint32(d.Uint()), int(d.Uint())
	s.indexing, s.after = d.Bool(), bytes.Clone(d.Bytes())
	if d.End() != nil {
		return loadState{}
	}
	return s
}

func (t *Tree) applyLoad(b *replica.Batch, c journal.Change) error {
	x, err := directory.ParseSuffixLoaded(c.Body)
	if err != nil {
		return err
	}
	state := parseLoadState(t.writer.states.Get([]byte(stateLoad)))
	if state.position != c.Position {
		state = loadState{position: c.Position, first: uint32(t.writer.entries.Sequence()) + 1}
	}
	if t.load == nil || !t.load.is(state) {
		t.load.drop()
		if t.load, err = t.beginLoad(b, x, state); err != nil {
			t.load = nil
			return fmt.Errorf("loading %s: %w", x.Suffix, err)
		}
	}
	done, err := t.load.slice(t.writer)
	var later *unread
	switch {
	case errors.As(err, &later): // nothing was written: what is sorted stays
		return fmt.Errorf("loading %s: %w", x.Suffix, later.err)
	case err != nil || done:
		t.load.drop()
		t.load = nil
		if err != nil {
			return fmt.Errorf("loading %s: %w", x.Suffix, err)
		}
		if err := t.writer.note(noted{kind: ChangeLoaded, name: x.Suffix.String()}); err != nil {
			return err
		}
		return t.writer.states.Delete([]byte(stateLoad))
	}
	if err := t.writer.states.Put([]byte(stateLoad), t.load.state.append()); err != nil {
		return err
	}
	return replica.ErrMore
}

// is reports whether what is in memory goes with what is in the bucket; after
// a restart or a rollback it does not.
func (l *load) is(s loadState) bool {
	return l.state.position == s.position && l.state.first == s.first && l.state.blocks == s.blocks &&
		l.state.indexing == s.indexing && bytes.Equal(l.state.after, s.after)
}

func (t *Tree) beginLoad(b *replica.Batch, x *directory.SuffixLoaded, s loadState) (*load, error) {
	r, err := directory.OpenLoad(b.Content, x.Content)
	if err != nil {
		return nil, err
	}
	return &load{state: s, reader: r, last: s.first - 1, sorter: newSorter(t.options.SpillDir, t.options.SpillMemory)}, nil
}

// unread says that a block could not be fetched, before anything was written.
type unread struct{ err error }

func (u *unread) Error() string { return u.err.Error() }
func (u *unread) Unwrap() error { return u.err }

// slice does a part of the work and reports whether nothing is left.
func (l *load) slice(w *writer) (done bool, err error) {
	if l.merger == nil {
		if done, err = l.readEntries(w); err != nil || !done {
			return false, err
		}
		if err = w.entries.SetSequence(uint64(l.last)); err != nil {
			return false, err
		}
		if err = l.startIndexing(); err != nil {
			return false, err
		}
		l.state.indexing = true
	}
	return l.writeIndexes(w)
}

// readEntries reads blocks until a slice is full; those read before a restart
// are only sorted again.
func (l *load) readEntries(w *writer) (done bool, err error) {
	w.entries.FillPercent = loadFill
	for n := 0; n < loadEntries; {
		entries, err := l.reader.NextBlock()
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil && n > 0 {
			return false, nil // what was read is committed first
		}
		if err != nil {
			return false, &unread{err}
		}
		write := l.block >= l.state.blocks
		for i := range entries {
			if err := l.entry(w, &entries[i], write); err != nil {
				return false, fmt.Errorf("entry %s: %w", entries[i].Entry.DN, err)
			}
		}
		l.block++
		if write {
			l.state.blocks = l.block
			n += len(entries)
		}
	}
	return false, nil
}

func (l *load) entry(w *writer, x *directory.LoadEntry, write bool) error {
	key, err := w.tree.schema.Key(x.Entry.DN)
	if err != nil {
		return err
	}
	l.last++
	for len(l.path) > 0 && (!l.path[len(l.path)-1].key.Contains(key) || l.path[len(l.path)-1].key == key) {
		l.path = l.path[:len(l.path)-1]
	}
	parent, part := uint32(0), key
	if n := len(l.path); n > 0 && l.path[n-1].key == key.Parent() {
		parent, part = l.path[n-1].id, key[len(l.path[n-1].key):]
	} else {
		parent, part = w.place(key)
	}
	l.path = append(l.path, step{key: key, id: l.last})
	if write {
		if err := w.outline(l.last, x.Entry, outlines{}); err != nil {
			return err
		}
		r, err := w.records.append(parent, x.UUID, x.Entry)
		if err != nil {
			return err
		}
		if err := w.entries.Put(appendID(nil, l.last), r); err != nil {
			return err
		}
	}
	return l.keys(w, x, append(appendID(nil, parent), part...))
}

// keys sorts aside what finds the entry.
func (l *load) keys(w *writer, x *directory.LoadEntry, place []byte) error {
	l.key = append(append(l.key[:0], sortChildren), place...)
	if err := l.sorter.add(l.key, l.last); err != nil {
		return err
	}
	l.key = append(append(l.key[:0], sortUUIDs), x.UUID[:]...)
	if err := l.sorter.add(l.key, l.last); err != nil {
		return err
	}
	for _, a := range x.Entry.Attributes {
		d, ok := w.tree.schema.Describe(a.Type)
		if !ok || !w.tree.indexed[d.Type] {
			continue
		}
		attr, err := w.catalog.codeOf(w.root, directory.Description{Type: d.Type}.String())
		if err != nil {
			return err
		}
		for _, v := range a.Values {
			form, err := d.Type.Equality.Normalize(v)
			if err != nil {
				continue
			}
			l.key = appendIndexValue(append(l.key[:0], sortIndex), attr, form)
			if w.tree.repeated[d.Type] && l.shared.add(l.key, l.last) {
				continue
			}
			if err := l.sorter.add(l.key, l.last); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *load) startIndexing() error {
	sources, err := l.sorter.sources()
	if err != nil {
		return err
	}
	if l.merger, err = newMerger(append(sources, l.shared.source())); err != nil {
		return err
	}
	for key, _ := l.merger.peek(); key != nil && bytes.Compare(key, l.state.after) <= 0; key, _ = l.merger.peek() {
		if err := l.merger.skip(); err != nil {
			return err
		}
	}
	return nil
}

// writeIndexes writes sorted keys until a slice is full.
func (l *load) writeIndexes(w *writer) (done bool, err error) {
	w.children.FillPercent, w.uuids.FillPercent, w.index.FillPercent = loadFill, loadFill, loadFill
	w.counts.FillPercent = loadFill
	var ids []uint32
	for range loadKeys {
		key, id := l.merger.peek()
		if key == nil {
			return true, nil
		}
		l.key, ids = append(l.key[:0], key...), append(ids[:0], id)
		for {
			if err := l.merger.skip(); err != nil {
				return false, err
			}
			next, id := l.merger.peek()
			if !bytes.Equal(next, l.key) {
				break
			}
			ids = append(ids, id)
		}
		if err := l.writeKey(w, ids); err != nil {
			return false, err
		}
	}
	l.state.after = append(l.state.after[:0], l.key...)
	return false, nil
}

func (l *load) writeKey(w *writer, ids []uint32) error {
	key := l.key[1:]
	switch l.key[0] {
	case sortChildren:
		if len(ids) > 1 {
			return fmt.Errorf("the load holds the same name twice: %q", key[4:])
		}
		if err := w.children.Put(bytes.Clone(key), appendID(nil, ids[0])); err != nil {
			return err
		}
		return w.countChild(binary.BigEndian.Uint32(key), 1)
	case sortUUIDs:
		return w.uuids.Put(bytes.Clone(key), appendID(nil, ids[0]))
	}
	for len(ids) > 0 {
		upper := uint16(ids[0] >> 16)
		n := 0
		members := make([]uint16, 0, 16)
		for ; n < len(ids) && uint16(ids[n]>>16) == upper; n++ {
			if n == 0 || ids[n] != ids[n-1] {
				members = append(members, uint16(ids[n]))
			}
		}
		ids = ids[n:]
		k := binary.BigEndian.AppendUint16(bytes.Clone(key), upper)
		if err := w.index.Put(k, mergeChunk(w.index.Get(k), members)); err != nil {
			return err
		}
	}
	return nil
}

// mergeChunk adds members, all above those that are there.
func mergeChunk(old chunk, members []uint16) chunk {
	if len(old) == 0 {
		return encodeChunk(members)
	}
	return encodeChunk(append(old.members(), members...))
}
