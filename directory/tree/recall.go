package tree

import (
	"encoding/binary"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
)

// recall is what a tree keeps in memory beside the store, so that a sign-in
// looks for nothing in pages: the records themselves, which entries stand below
// which, which entry a name or a value that hardly two share leads to, and
// which attributes an entry has. It is only ever a quicker way to what the store
// holds; the store decides.
//
// One goroutine changes it, the one that applies changes, and until it is
// complete a second that fills it, both under mu. Readers take no lock. Why a
// reader never finds anything in it but what its own snapshot holds:
//
//   - It belongs to one file, told by the file's mark, and is handed to a
//     snapshot of that file alone whose position is since or later. Between two
//     positions nothing is committed: a change that is applied in several
//     commits ends the recall, as does a batch that was taken back.
//   - Records. Before a change is committed the record of its entry is made
//     unknown, and what is unknown is asked of the store. The new record comes
//     in after the commit and tells the position that wrote it; a reader of an
//     older snapshot passes it over. The one who fills never puts a record in
//     the place of one that was made unknown.
//   - Names (parts) are guesses. The record guessed at is held against the name
//     in the reader's snapshot, and no two entries have one name; a guess that
//     fails is asked of the store.
//   - Values (pairs), entries below an entry (first, next) and attributes (has)
//     are sets that hold too much. What a change adds is added before the change
//     is committed, and nothing is ever taken away, so they hold what any
//     snapshot since holds. Whoever uses them tests each entry by its record.
//   - What does not fit ends in "ask the store": more than a handful of entries
//     below one, or of one value, an entry that moved. What fits nowhere ends the
//     recall; another one is filled when it is missed.
//   - While an order changes very many records, one that is worn stays as it is,
//     and what has changed is asked of the store. None is filled meanwhile.
//
// The memory is not the collector's, so that it is not counted when the heap may
// grow; it is given back when nobody holds the recall any more.
type recall struct {
	mark   string
	since  uint64 // position from which on it is complete; set before it is shown
	filled uint32 // records that stand before are those of since or earlier

	mu      sync.Mutex
	ended   atomic.Bool
	end     uint32 // of the records, in granules
	wasted  uint32 // granules of records that have been replaced
	records []byte
	where   []uint32 // by entry number: where its record begins, in granules
	first   []uint32 // the entry that came last below it, or manyBelow
	next    []uint32 // the one that came before it below the same, or lastBelow
	below   []uint8  // how many are listed
	has     []uint64 // a bit for each attribute number it may have
	parts   table    // parent and last part of the key → number
	pairs   table    // index key → number, or askIndex
}

const (
	granule      = 4 // octets; records begin at a multiple
	recallStart  = 2 // granules left free, for:
	placeUnknown = 1 // the record has changed: only the applier puts one in again

	lastBelow = 1<<32 - 2
	manyBelow = 1<<32 - 1
	mostBelow = 16

	askIndex = 1<<32 - 1
	mostSame = 16

	otherAttributes = 63 // the bit of all numbers from it on
)

func attributeBit(code uint64) uint64 { return 1 << min(code, otherAttributes) }

// record finds the record of an entry as the snapshot of a position has it;
// nil: ask the store.
func (r *recall) record(id uint32, position uint64) record {
	if id >= uint32(len(r.where)) {
		return nil
	}
	at := atomic.LoadUint32(&r.where[id])
	if at <= placeUnknown {
		return nil
	}
	b := r.records[granule*int(at):]
	size, n := uint64(b[0]), 1
	if size >= 0x80 {
		size, n = binary.Uvarint(b)
	}
	rec := record(b[n : n+int(size) : n+int(size)])
	if at >= r.filled {
		if h, err := parseHead(rec); err != nil || h.position > position {
			return nil
		}
	}
	return rec
}

// listBelow appends the entries that may stand directly below one, as long as
// they are few; known is false if the store must be asked.
func (r *recall) listBelow(parent uint32, ids []uint32) (out []uint32, known bool) {
	if parent == 0 || parent >= uint32(len(r.first)) {
		return ids, false
	}
	id := atomic.LoadUint32(&r.first[parent])
	for n := 0; id != 0 && id != lastBelow; n++ {
		if id == manyBelow || n > mostBelow || id >= uint32(len(r.next)) {
			return ids, false
		}
		ids = append(ids, id)
		id = atomic.LoadUint32(&r.next[id])
	}
	return ids, true
}

// equal appends the entries that may have a value, by the hash of its index
// key; known is false if the store must be asked.
func (r *recall) equal(hash uint64, ids []uint32) (out []uint32, known bool) {
	for p := r.pairs.probe(hash); ; {
		id := p.next()
		switch id {
		case 0:
			return ids, true
		case askIndex:
			return ids, false
		}
		ids = append(ids, id)
	}
}

// table is a hash table of numbers, by hashes of what leads to them. Slots are
// only ever filled: the number above, 32 bits of the hash below.
type table struct {
	slots []uint64
	used  int
}

// probe runs over the numbers whose hash may be the one looked for.
type probe struct {
	slots []uint64
	at    uint64
	tag   uint32
}

func (t *table) probe(hash uint64) probe {
	if len(t.slots) == 0 {
		return probe{}
	}
	at, _ := bits.Mul64(hash, uint64(len(t.slots)))
	return probe{t.slots, at, uint32(hash)}
}

// next is 0 at the end. A table is never full.
func (p *probe) next() uint32 {
	if len(p.slots) == 0 {
		return 0
	}
	for {
		slot := atomic.LoadUint64(&p.slots[p.at])
		if slot == 0 {
			return 0
		}
		if p.at++; p.at == uint64(len(p.slots)) {
			p.at = 0
		}
		if uint32(slot) == p.tag {
			return uint32(slot >> 32)
		}
	}
}

// free is the slot behind those of a hash.
func (t *table) free(hash uint64) *uint64 {
	for p := t.probe(hash); ; {
		if p.next() == 0 {
			return &p.slots[p.at]
		}
	}
}

// full: searching takes long in a table with less room.
func (t *table) full() bool { return t.used >= len(t.slots)/8*7 }

// put adds a number; false if the table is full. Slots hold the number above.
func (t *table) put(hash uint64, id uint32) bool {
	if t.full() {
		return false
	}
	atomic.StoreUint64(t.free(hash), uint64(id)<<32|uint64(uint32(hash)))
	t.used++
	return true
}

// replace puts a number in the place of one with the same hash.
func (t *table) replace(hash uint64, id uint32) bool {
	if len(t.slots) == 0 {
		return false
	}
	p := t.probe(hash)
	if p.next() == 0 {
		return t.put(hash, id)
	}
	at := (p.at + uint64(len(p.slots)) - 1) % uint64(len(p.slots))
	atomic.StoreUint64(&p.slots[at], uint64(id)<<32|uint64(uint32(hash)))
	return true
}

// recallShape says how large the parts of a recall are.
type recallShape struct {
	numbers int // of entries, with room to grow
	parts   int // slots
	pairs   int
	memory  int64 // in all
}

// newRecall makes an empty recall; nil if there is no memory for it.
func newRecall(mark string, s recallShape) *recall {
	var taken [][]byte
	take := func(size int64) []byte {
		b := reserve(size)
		if b != nil {
			taken = append(taken, b)
		}
		return b
	}
	tables := int64(s.numbers)*(4+4+4+1+8) + 8*int64(s.parts+s.pairs)
	left := min(s.memory-tables, granule<<32-granule)
	if left < tables/2 {
		return nil
	}
	r := &recall{mark: mark, end: recallStart, filled: 1<<32 - 1, records: take(left), where: words32(take(4 * int64(s.numbers))),
		first: words32(take(4 * int64(s.numbers))), next: words32(take(4 * int64(s.numbers))), below: take(int64(s.numbers)),
		has: words64(take(8 * int64(s.numbers))), parts: table{slots: words64(take(8 * int64(s.parts)))}, pairs: table{slots: words64(take(8 * int64(s.pairs)))}}
	if len(taken) < 8 {
		giveBack(taken)
		return nil
	}
	runtime.AddCleanup(r, giveBack, taken)
	return r
}
