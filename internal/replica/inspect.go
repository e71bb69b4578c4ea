package replica

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"

	"go.etcd.io/bbolt"
)

// This file reads bbolt's pages by itself (github.com/etcd-io/bbolt, version 2 of its format), through the file and not
// the mapping: a damaged page number makes the store touch memory that is not there, sometimes on a goroutine of its
// own, and that ends the process.

// The forms. A page begins with id (8), flags (2), count (2), overflow (4); all integers are little endian.
const (
	pageHeader = 16
	element    = 16

	pageBranch   = 0x01
	pageLeaf     = 0x02
	pageFreelist = 0x10

	metaMagic    = 0xED0CDAED
	metaVersion  = 2
	metaRoot     = 16 // offset behind the page header of the root bucket's page
	metaFreelist = 32
	metaPages    = 40 // number of pages
	metaTxid     = 48
	metaChecksum = 56
	metaLength   = 64

	deepest = 64 // levels of nested pages and buckets; a real file has a handful
)

// meta is one of the two header pages.
type meta struct{ root, freelist, pages, txid uint64 }

// noFreelist stands for the page of the list of free pages where none was written.
const noFreelist = 1<<64 - 1

// readMeta reads a header page; false if it is not valid.
func readMeta(f io.ReaderAt, page int64) (meta, bool) {
	var raw [metaLength]byte
	if _, err := f.ReadAt(raw[:], page*pageSize+pageHeader); err != nil {
		return meta{}, false
	}
	return parseMeta(raw[:])
}

// parseMeta reads what follows the head of a header page.
func parseMeta(raw []byte) (meta, bool) {
	le := binary.LittleEndian
	sum := fnv.New64a()
	sum.Write(raw[:metaChecksum])
	if le.Uint32(raw[:]) != metaMagic || le.Uint32(raw[4:]) != metaVersion || le.Uint32(raw[8:]) != pageSize ||
		sum.Sum64() != le.Uint64(raw[metaChecksum:]) {
		return meta{}, false
	}
	return meta{root: le.Uint64(raw[metaRoot:]), freelist: le.Uint64(raw[metaFreelist:]),
		pages: le.Uint64(raw[metaPages:]), txid: le.Uint64(raw[metaTxid:])}, true
}

// inspectHead looks at what opening a file touches: the newest valid header, the length and the list of free pages, or
// where none was written every page in use. It returns Damage for anything that bbolt cannot have left behind.
func inspectHead(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening replica: %w", err)
	}
	defer f.Close()
	a, okA := readMeta(f, 0)
	b, okB := readMeta(f, 1)
	if !okA || okB && b.txid > a.txid {
		a, okA = b, okB
	}
	if !okA {
		return &Damage{What: "no valid header page"}
	}
	in, err := newInspector(f, a)
	if err == nil && a.freelist == noFreelist {
		// The store is about to read everything, on a goroutine whose panic nobody could catch.
		err = in.tree(a.root, nil, nil, 0)
	}
	return err
}

// errMoved: the header of the transaction was overwritten before it was read.
var errMoved = errors.New("the file moved on while it was examined")

// metaOf finds the header of a transaction. It stands on the page of the number's parity, or on the first in a copy that
// was made while the file was in use.
func metaOf(f io.ReaderAt, txid uint64) (meta, error) {
	own, ok := readMeta(f, int64(txid%2))
	if ok && own.txid == txid {
		return own, nil
	}
	if other, ok := readMeta(f, int64(1-txid%2)); ok && other.txid == txid {
		return other, nil
	}
	if !ok {
		return meta{}, &Damage{What: "its header page"}
	}
	return meta{}, errMoved
}

// inspect reads every page that a transaction can reach.
func inspect(tx *bbolt.Tx, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("examining replica: %w", err)
	}
	defer f.Close()
	m, err := metaOf(f, uint64(tx.ID()))
	if err != nil {
		return err
	}
	in, err := newInspector(f, m)
	if err != nil {
		return err
	}
	if err := in.tree(m.root, nil, nil, 0); err != nil {
		return err
	}
	for id, seen := range in.seen {
		if !seen && id > 1 && m.freelist != noFreelist {
			return &Damage{What: fmt.Sprintf("page %d is neither used nor free", id)}
		}
	}
	return nil
}

// inspector holds a file against its format.
type inspector struct {
	f    io.ReaderAt
	meta meta
	seen []bool // by page: used or free
}

// newInspector checks the length of the file and its list of free pages.
func newInspector(f *os.File, m meta) (*inspector, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("examining replica: %w", err)
	}
	if m.pages > uint64(info.Size())/pageSize {
		return nil, &Damage{What: fmt.Sprintf("cut short: %d bytes of %d pages", info.Size(), m.pages)}
	}
	in := &inspector{f: f, meta: m, seen: make([]bool, m.pages)}
	if m.freelist == noFreelist {
		return in, nil
	}
	page, flags, err := in.page(m.freelist)
	if err != nil {
		return nil, err
	}
	count := uint64(binary.LittleEndian.Uint16(page[10:]))
	ids := page[pageHeader:]
	if count == 0xffff { // a longer list has its length in front
		count, ids = binary.LittleEndian.Uint64(ids), ids[8:]
	}
	if flags != pageFreelist || count > uint64(len(ids)/8) {
		return nil, &Damage{What: fmt.Sprintf("page %d is no list of free pages", m.freelist)}
	}
	for i := range count {
		if err := in.see(binary.LittleEndian.Uint64(ids[8*i:])); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// see marks a page, which must not have been marked before.
func (in *inspector) see(id uint64) error {
	if id < 2 || id >= in.meta.pages {
		return &Damage{What: fmt.Sprintf("page %d of %d is referred to", id, in.meta.pages)}
	}
	if in.seen[id] {
		return &Damage{What: fmt.Sprintf("page %d is used twice", id)}
	}
	in.seen[id] = true
	return nil
}

// page reads a page with those that continue it, and marks them.
func (in *inspector) page(id uint64) (raw []byte, flags uint16, err error) {
	if err := in.see(id); err != nil {
		return nil, 0, err
	}
	var head [pageHeader]byte
	if _, err := in.f.ReadAt(head[:], int64(id)*pageSize); err != nil {
		return nil, 0, fmt.Errorf("examining replica: %w", err)
	}
	more := uint64(binary.LittleEndian.Uint32(head[12:]))
	if binary.LittleEndian.Uint64(head[:]) != id || more >= in.meta.pages {
		return nil, 0, &Damage{What: fmt.Sprintf("the header of page %d", id)}
	}
	for i := range more {
		if err := in.see(id + 1 + i); err != nil {
			return nil, 0, err
		}
	}
	raw = make([]byte, (more+1)*pageSize)
	if _, err := in.f.ReadAt(raw, int64(id)*pageSize); err != nil {
		return nil, 0, fmt.Errorf("examining replica: %w", err)
	}
	return raw, binary.LittleEndian.Uint16(raw[8:]), nil
}

// tree checks the page id and all below it. Its keys lie from low up to but without high; nil means no bound.
func (in *inspector) tree(id uint64, low, high []byte, depth int) error {
	if depth > deepest {
		return &Damage{What: fmt.Sprintf("page %d stands too deep", id)}
	}
	raw, flags, err := in.page(id)
	if err != nil {
		return err
	}
	items, err := elements(raw, flags)
	if err == nil {
		err = ordered(items, low, high)
	}
	if err != nil {
		return &Damage{What: fmt.Sprintf("page %d", id), Err: err}
	}
	for i, item := range items {
		next := high
		if i+1 < len(items) {
			next = items[i+1].key
		}
		if flags == pageBranch {
			err = in.tree(item.child, item.key, next, depth+1)
		} else {
			err = in.bucket(item, depth)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bucket goes into a nested bucket: a tree of its own, or a page within the value.
func (in *inspector) bucket(i item, depth int) error {
	if !i.isBucket {
		return nil
	}
	if len(i.value) < 16 {
		return &Damage{What: fmt.Sprintf("bucket %q has no header", i.key)}
	}
	if root := binary.LittleEndian.Uint64(i.value); root != 0 {
		return in.tree(root, nil, nil, depth+1)
	}
	inline := i.value[16:]
	if len(inline) < pageHeader || binary.LittleEndian.Uint16(inline[8:]) != pageLeaf {
		return &Damage{What: fmt.Sprintf("bucket %q", i.key)}
	}
	items, err := elements(inline, pageLeaf)
	if err == nil {
		err = ordered(items, nil, nil)
	}
	for _, x := range items {
		if x.isBucket {
			err = errors.New("a bucket within an inline bucket")
		}
	}
	if err != nil {
		return &Damage{What: fmt.Sprintf("bucket %q", i.key), Err: err}
	}
	return nil
}

// item is an element of a page.
type item struct {
	key, value []byte
	child      uint64
	isBucket   bool
}

// elements reads a page's elements: position, key length and page of a branch; flags, position, key and value length of
// a leaf. Positions count from the element.
func elements(raw []byte, flags uint16) ([]item, error) {
	count := int(binary.LittleEndian.Uint16(raw[10:]))
	if pageHeader+count*element > len(raw) || flags != pageBranch && flags != pageLeaf {
		return nil, errors.New("neither a branch nor a leaf")
	}
	items := make([]item, 0, count)
	for i := range count {
		at := pageHeader + i*element
		var fields [4]uint64
		for n := range fields {
			fields[n] = uint64(binary.LittleEndian.Uint32(raw[at+4*n:]))
		}
		position, key, value := fields[0], fields[1], uint64(0)
		x := item{child: fields[2] | fields[3]<<32}
		if flags == pageLeaf {
			position, key, value = fields[1], fields[2], fields[3]
			x.isBucket = fields[0] == 1
			if fields[0] > 1 {
				return nil, fmt.Errorf("element %d has unknown flags", i)
			}
		}
		start := uint64(at) + position
		if start+key+value > uint64(len(raw)) {
			return nil, fmt.Errorf("element %d reaches out of the page", i)
		}
		x.key, x.value = raw[start:start+key], raw[start+key:start+key+value]
		items = append(items, x)
	}
	return items, nil
}

// ordered checks that keys rise and stay within bounds.
func ordered(items []item, low, high []byte) error {
	for i := range items {
		k := items[i].key
		switch {
		case i > 0 && bytes.Compare(items[i-1].key, k) >= 0:
			return fmt.Errorf("key %x does not follow the one before", k)
		case low != nil && bytes.Compare(k, low) < 0, high != nil && bytes.Compare(k, high) >= 0:
			return fmt.Errorf("key %x lies outside its branch", k)
		}
	}
	return nil
}
