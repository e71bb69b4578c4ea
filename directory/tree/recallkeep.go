package tree

import (
	"encoding/binary"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// recalls is which recall a tree has.
type recalls struct {
	seed   maphash.Seed
	memory int64 // that one may take; 0: there is none

	keeps atomic.Pointer[recall] // is told of changes, from before it is filled
	shown atomic.Pointer[recall] // is complete

	mu      sync.Mutex
	open    bool // a batch is being applied, or was and did not come to be
	blocked bool // another file is being laid out
	missed  atomic.Int64
	filling atomic.Bool
	stirred atomic.Int64 // when a large batch was committed last, in nanoseconds since 1970
}

const (
	// largeBatch is how many records one batch changes when many are changed: an
	// order is being worked off, or the copy catches up.
	largeBatch = 256
	// calmAfter is how long after a large batch no more of them are expected. Until
	// then no recall is filled: what it cost would be taken from those who sign in
	// meanwhile, and it would be worn soon.
	calmAfter = 5 * time.Second
)

// calm reports whether no large batches are being applied.
func (c *recalls) calm() bool {
	since := time.Duration(time.Now().UnixNano() - c.stirred.Load())
	return since < 0 || since >= calmAfter
}

// begin starts the filling of a recall: from now on it is told of every change.
// Not while a batch is open, of which it would be told but a part.
func (c *recalls) begin(r *recall) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open || c.blocked {
		return false
	}
	c.keeps.Store(r)
	return true
}

// drop ends the recall there is.
func (c *recalls) drop() {
	if r := c.keeps.Swap(nil); r != nil {
		r.ended.Store(true)
	}
	c.shown.Store(nil)
}

// end is drop for whoever has found that it cannot be kept right.
func (c *recalls) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop()
}

// batch begins one: what is told next becomes true with its commit. It returns
// the recall that is to be told, if it is of the file with this mark.
func (c *recalls) batch(mark []byte) *recall {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open { // what was told before did not come to be, or in another file
		c.drop()
	}
	c.open = true
	if r := c.keeps.Load(); r != nil && r.mark == string(mark) {
		return r
	}
	return nil
}

// committed ends a batch.
func (c *recalls) committed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = false
}

// block ends the recall for as long as a file is laid out that has the mark of
// this one and will hold more, and lets another begin with it.
func (c *recalls) block(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop()
	c.blocked, c.open = on, false
}

// mostPending bounds the records of one batch that are kept to be put in after
// its commit. What is beyond is asked of the store.
const mostPending = 4096

// tell runs fn, which adds to the recall, if there is one. If it does not fit,
// the recall ends.
func (w *writer) tell(fn func(r *recall) (fits bool)) {
	r := w.recall
	if r == nil {
		return
	}
	r.mu.Lock()
	fits := fn(r)
	r.mu.Unlock()
	if !fits {
		w.tree.recalls.end()
		w.recall = nil
	}
}

// tellRecord is told of a record that was written; nil: deleted.
func (w *writer) tellRecord(id uint32, rec record) {
	w.written++
	w.tell(func(r *recall) bool {
		if id >= uint32(len(r.where)) {
			return false
		}
		atomic.StoreUint32(&r.where[id], placeUnknown)
		r.holds(id, rec)
		if _, again := w.pending[id]; again || len(w.pending) < mostPending {
			w.pending[id] = rec
		}
		return true
	})
}

// tellName is told that an entry stands below a parent from now on.
func (w *writer) tellName(key []byte, parent, id uint32) {
	w.tell(func(r *recall) bool {
		return r.link(parent, id) && r.parts.replace(maphash.Bytes(w.tree.recalls.seed, key), id)
	})
}

// tellValue is told of a value that an entry has from now on, by its index key.
func (w *writer) tellValue(key []byte, id uint32) {
	code := binary.BigEndian.Uint16(key)
	if w.recall == nil || int(code) >= len(w.catalog.now.names) || !w.tree.unique[w.catalog.now.names[code].description.Type] {
		return
	}
	w.tell(func(r *recall) bool { return r.pair(maphash.Bytes(w.tree.recalls.seed, key), id) })
}

// remember puts in the records of a batch that is committed now. Those of a
// recall that is worn stay unknown; it ends, for another to be filled, once many
// are not changed any more.
func (w *writer) remember() {
	c := &w.tree.recalls
	if w.written >= largeBatch {
		c.stirred.Store(time.Now().UnixNano())
	}
	if r := w.recall; r != nil {
		r.mu.Lock()
		worn := r.worn()
		for id, rec := range w.pending {
			if rec != nil && !worn {
				r.put(id, rec)
			}
		}
		r.mu.Unlock()
		if worn && c.calm() {
			c.end()
		}
	}
	clear(w.pending)
	w.recall, w.written = nil, 0
	c.committed()
}

// put lets a record be found. Where there is no room the store is asked.
func (r *recall) put(id uint32, rec record) {
	var head [binary.MaxVarintLen32]byte
	n := binary.PutUvarint(head[:], uint64(len(rec)))
	size := (n + len(rec) + granule - 1) / granule
	if uint64(r.end)+uint64(size) > uint64(len(r.records)/granule) {
		return
	}
	b := r.records[granule*int(r.end):]
	copy(b[copy(b, head[:n]):], rec)
	atomic.StoreUint32(&r.where[id], r.end)
	if r.end >= r.filled {
		r.wasted += uint32(size) // in the place of one that is still there
	}
	r.end += uint32(size)
}

// worn: much of the memory holds what has been replaced.
func (r *recall) worn() bool { return r.wasted > r.end/4+(8<<20)/granule }

// holds notes the attributes of a record.
func (r *recall) holds(id uint32, rec record) {
	h, err := parseHead(rec)
	if err != nil {
		return
	}
	bits := r.has[id]
	for a := (attributes{rest: h.attributes}); ; {
		code, _, ok := a.next()
		if !ok {
			break
		}
		bits |= attributeBit(uint64(code))
	}
	atomic.StoreUint64(&r.has[id], bits)
}

// link lists an entry below its parent. An entry that is in a list already
// stays there, and the parent it has now has no list any more.
func (r *recall) link(parent, id uint32) bool {
	if parent >= uint32(len(r.first)) || id >= uint32(len(r.next)) {
		return false
	}
	if parent == 0 || r.first[parent] == manyBelow {
		return true
	}
	if r.next[id] != 0 || r.below[parent] == mostBelow {
		atomic.StoreUint32(&r.first[parent], manyBelow)
		return true
	}
	before := r.first[parent]
	if before == 0 {
		before = lastBelow
	}
	atomic.StoreUint32(&r.next[id], before)
	atomic.StoreUint32(&r.first[parent], id)
	r.below[parent]++
	return true
}

// pair notes that an entry has a value.
func (r *recall) pair(hash uint64, id uint32) bool {
	p := r.pairs.probe(hash)
	for n := 0; ; n++ {
		switch p.next() {
		case id, askIndex:
			return true
		case 0:
			if n >= mostSame {
				id = askIndex
			}
			return r.pairs.put(hash, id)
		}
	}
}
