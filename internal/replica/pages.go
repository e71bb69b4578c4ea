package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"go.etcd.io/bbolt"
)

// A bucket whose keys come in order need not be written key by key: its pages
// can be laid out one behind another, each written once. This is the store's
// file format, version 2, in the byte order of the machine: a page is a head
// (number, kind, how many elements, how many pages more), the elements, and
// what they point at; page 0 and 1 say where the rest is.
const (
	storeMagic   = 0xED0CDAED
	storeVersion = 2

	pageHead    = 16
	elementSize = 16
	kindBranch  = 0x01
	kindLeaf    = 0x02
	kindMeta    = 0x04
	kindFree    = 0x10
	isBucket    = 1 // flag of a leaf's element

	// layoutFill is how full of octets pages become; the rest is for changes.
	layoutFill = pageSize * 9 / 10
	// extentMax is how many pages are written at once.
	extentMax = 64
)

// pageFile is a store that is being laid out. Several buckets may be written
// at the same time.
type pageFile struct {
	f    *os.File
	mu   sync.Mutex
	next uint64   // page
	free []uint64 // pages that were set aside and not needed

	written atomic.Int64 // octets since the system was last asked to begin
}

// writeAhead is after how many octets the system is asked to begin putting them
// on disk, so that the sync at the end does not wait for all of the file.
const writeAhead = 16 << 20

func (p *pageFile) reserve(n int) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := p.next
	p.next += uint64(n)
	return first
}

func (p *pageFile) giveBack(first uint64, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range n {
		p.free = append(p.free, first+uint64(i))
	}
}

func (p *pageFile) write(first uint64, data []byte) error {
	if _, err := p.f.WriteAt(data, int64(first)*pageSize); err != nil {
		return err
	}
	if n := p.written.Add(int64(len(data))); n >= writeAhead && p.written.CompareAndSwap(n, 0) {
		beginWriting(p.f)
	}
	return nil
}

// finish writes what says where everything is, durably.
func (p *pageFile) finish(root uint64) error {
	pages := 1
	for pageHead+8*(len(p.free)+1) > pages*pageSize {
		pages++
	}
	list := p.reserve(pages)
	slices.Sort(p.free)
	page := newPage(list, kindFree, min(len(p.free), 0xFFFF), pages-1)
	if len(p.free) >= 0xFFFF {
		page = binary.NativeEndian.AppendUint64(page, uint64(len(p.free)))
	}
	for _, n := range p.free {
		page = binary.NativeEndian.AppendUint64(page, n)
	}
	page = append(page, make([]byte, pages*pageSize-len(page))...)
	if err := errors.Join(p.write(list, page), p.f.Sync()); err != nil {
		return err
	}
	for n := range uint64(2) {
		meta := newPage(n, kindMeta, 0, 0)
		meta = binary.NativeEndian.AppendUint32(meta, storeMagic)
		meta = binary.NativeEndian.AppendUint32(meta, storeVersion)
		meta = binary.NativeEndian.AppendUint32(meta, pageSize)
		meta = binary.NativeEndian.AppendUint32(meta, 0)
		for _, v := range []uint64{root, 0, list, p.next, n} { // root bucket and its sequence, free list, end, transaction
			meta = binary.NativeEndian.AppendUint64(meta, v)
		}
		sum := fnv.New64a()
		sum.Write(meta[pageHead:])
		meta = binary.NativeEndian.AppendUint64(meta, sum.Sum64())
		if err := p.write(n, append(meta, make([]byte, pageSize-len(meta))...)); err != nil {
			return err
		}
	}
	return p.f.Sync()
}

func newPage(number uint64, kind uint16, count, more int) []byte {
	b := binary.NativeEndian.AppendUint64(make([]byte, 0, pageSize), number)
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, uint16(count))
	return binary.NativeEndian.AppendUint32(b, uint32(more))
}

// BucketWriter lays out one bucket. It is for one goroutine.
type BucketWriter struct {
	file     *pageFile
	levels   []*pageLevel // the first is of leaves
	sequence uint64
	last     []byte
	any      bool
	root     uint64
	closed   bool

	extent []byte // pages not written yet
	first  uint64 // number of the first of them
	left   int    // pages that may follow
	size   int    // pages of the extent
}

// pageLevel is the page that is being filled at one level of the tree.
type pageLevel struct {
	kind     uint16
	first    []byte // its first key
	elements []byte
	data     []byte
	count    int
}

var errOrder = errors.New("laying out a bucket: keys are not in order")

// Put appends a key, which must be above the one before, and its value; both
// are copied.
func (w *BucketWriter) Put(key, value []byte) error { return w.put(key, value, 0) }

// SetSequence sets what bbolt's Bucket.Sequence will say.
func (w *BucketWriter) SetSequence(n uint64) { w.sequence = n }

func (w *BucketWriter) put(key, value []byte, flags uint32) error {
	if len(key) == 0 || len(key) > bbolt.MaxKeySize || w.any && string(key) <= string(w.last) {
		return fmt.Errorf("%w: %x", errOrder, key)
	}
	w.any = true
	w.last = append(w.last[:0], key...)
	l, err := w.room(0, len(key)+len(value), key)
	if err != nil {
		return err
	}
	l.elements = binary.NativeEndian.AppendUint32(l.elements, flags)
	l.elements = binary.NativeEndian.AppendUint32(l.elements, uint32(len(l.data)))
	l.elements = binary.NativeEndian.AppendUint32(l.elements, uint32(len(key)))
	l.elements = binary.NativeEndian.AppendUint32(l.elements, uint32(len(value)))
	l.data = append(append(l.data, key...), value...)
	l.count++
	return nil
}

// putBranch notes a page at the level above it.
func (w *BucketWriter) putBranch(level int, key []byte, page uint64) error {
	l, err := w.room(level, len(key), key)
	if err != nil {
		return err
	}
	l.elements = binary.NativeEndian.AppendUint32(l.elements, uint32(len(l.data)))
	l.elements = binary.NativeEndian.AppendUint32(l.elements, uint32(len(key)))
	l.elements = binary.NativeEndian.AppendUint64(l.elements, page)
	l.data = append(l.data, key...)
	l.count++
	return nil
}

// room gives the page of a level that takes an element of n octets more.
func (w *BucketWriter) room(level, n int, key []byte) (*pageLevel, error) {
	if level == len(w.levels) {
		kind := uint16(kindBranch)
		if level == 0 {
			kind = kindLeaf
		}
		w.levels = append(w.levels, &pageLevel{kind: kind})
	}
	l := w.levels[level]
	if l.count > 0 && pageHead+len(l.elements)+elementSize+len(l.data)+n > layoutFill {
		page, err := w.flush(l)
		if err != nil {
			return nil, err
		}
		if err := w.putBranch(level+1, l.first, page); err != nil {
			return nil, err
		}
		l.elements, l.data, l.count = l.elements[:0], l.data[:0], 0
	}
	if l.count == 0 {
		l.first = append(l.first[:0], key...)
	}
	return l, nil
}

// flush gives a page its number and form.
func (w *BucketWriter) flush(l *pageLevel) (number uint64, err error) {
	size := pageHead + len(l.elements) + len(l.data)
	pages := max(1, (size+pageSize-1)/pageSize)
	if number, err = w.take(pages); err != nil {
		return 0, err
	}
	// An element says where its data is, counted from the element.
	at := 4
	if l.kind == kindBranch {
		at = 0
	}
	for i := range l.count {
		field := l.elements[i*elementSize+at:]
		offset := binary.NativeEndian.Uint32(field) + uint32(len(l.elements)-i*elementSize)
		binary.NativeEndian.PutUint32(field, offset)
	}
	w.extent = append(w.extent, newPage(number, l.kind, l.count, pages-1)...)
	w.extent = append(append(w.extent, l.elements...), l.data...)
	w.extent = append(w.extent, make([]byte, pages*pageSize-size)...)
	return number, nil
}

// take sets pages aside that follow one another.
func (w *BucketWriter) take(n int) (uint64, error) {
	if n > w.left {
		if err := w.writeExtent(); err != nil {
			return 0, err
		}
		w.size = min(max(2*w.size, 1), extentMax)
		w.left = max(w.size, n)
		w.first = w.file.reserve(w.left)
	}
	w.left -= n
	return w.first + uint64(len(w.extent)/pageSize), nil
}

func (w *BucketWriter) writeExtent() error {
	used := uint64(len(w.extent) / pageSize)
	if w.left > 0 {
		w.file.giveBack(w.first+used, w.left)
	}
	w.left = 0
	if used == 0 {
		return nil
	}
	err := w.file.write(w.first, w.extent)
	w.extent = w.extent[:0]
	return err
}

// Close ends the bucket. It must be called before Build returns.
func (w *BucketWriter) Close() error {
	if w.closed {
		return nil
	}
	w.closed = true
	if len(w.levels) == 0 {
		w.levels = []*pageLevel{{kind: kindLeaf}}
	}
	for i := 0; ; i++ {
		l := w.levels[i]
		top := i == len(w.levels)-1
		if top && l.kind == kindBranch && l.count == 1 {
			w.root = binary.NativeEndian.Uint64(l.elements[8:])
			break
		}
		page, err := w.flush(l)
		if err != nil {
			return err
		}
		if top {
			w.root = page
			break
		}
		if err := w.putBranch(i+1, l.first, page); err != nil {
			return err
		}
	}
	w.levels = nil
	return w.writeExtent()
}

// putBucket appends a bucket that is closed.
func (w *BucketWriter) putBucket(name []byte, b *BucketWriter) error {
	value := binary.NativeEndian.AppendUint64(nil, b.root)
	return w.put(name, binary.NativeEndian.AppendUint64(value, b.sequence), isBucket)
}

// copyBucket lays out what a bucket of another store holds.
func (p *pageFile) copyBucket(b *bbolt.Bucket) (*BucketWriter, error) {
	w := &BucketWriter{file: p, sequence: b.Sequence()}
	err := b.ForEach(func(k, v []byte) error {
		if v != nil {
			return w.Put(k, v)
		}
		inner, err := p.copyBucket(b.Bucket(k))
		if err != nil {
			return err
		}
		return w.putBucket(k, inner)
	})
	if err != nil {
		return nil, err
	}
	return w, w.Close()
}
