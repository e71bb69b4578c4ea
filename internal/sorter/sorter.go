// Package sorter brings pairs of key and value into order with bounded memory:
// pairs are collected up to a limit, sorted and written to a file that has no
// name, and at the end all runs are merged. Nothing of it outlives the process.
//
// Keys compare as octets; pairs of equal keys come in the order of their values.
package sorter

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
)

// Sorter collects pairs. It is for one goroutine; several can be merged.
type Sorter struct {
	dir    string
	memory int
	chunks [][]byte
	spare  [][]byte // chunks of a run that was written
	used   int      // octets of chunks and items
	items  []item
	sorted bool
	runs   []*os.File
}

// item points at a pair; head is a part of its key that decides most comparisons.
type item struct {
	head  uint64
	chunk uint32
	at    uint32
}

const (
	chunkSize = 1 << 20
	itemSize  = 16
	pairHead  = 2 + 4 // lengths of key and value
	maxKey    = 1<<16 - 1
)

var errLong = errors.New("sorting: a key or value is too long")

// New makes a sorter that writes its files to dir ("" is the system's folder
// for temporary files) and holds about so many octets in memory.
func New(dir string, memory int) *Sorter { return &Sorter{dir: dir, memory: max(memory, chunkSize)} }

// Add copies a pair.
func (s *Sorter) Add(key, value []byte) error {
	n := pairHead + len(key) + len(value)
	if len(key) > maxKey || len(value) > 1<<31 {
		return errLong
	}
	if last := len(s.chunks) - 1; last < 0 || len(s.chunks[last])+n > cap(s.chunks[last]) {
		if s.used > 0 && s.used+len(s.items)*itemSize+max(n, chunkSize) > s.memory {
			if err := s.spill(); err != nil {
				return err
			}
		}
		s.chunks = append(s.chunks, s.room(n))
		s.used += max(n, chunkSize)
	}
	s.sorted = false
	c := &s.chunks[len(s.chunks)-1]
	s.items = append(s.items, item{chunk: uint32(len(s.chunks) - 1), at: uint32(len(*c))})
	*c = binary.LittleEndian.AppendUint16(*c, uint16(len(key)))
	*c = binary.LittleEndian.AppendUint32(*c, uint32(len(value)))
	*c = append(append(*c, key...), value...)
	return nil
}

func (s *Sorter) room(n int) []byte {
	if last := len(s.spare) - 1; last >= 0 && n <= chunkSize {
		c := s.spare[last]
		s.spare = s.spare[:last]
		return c[:0]
	}
	return make([]byte, 0, max(n, chunkSize))
}

// Close gives up the files and the memory.
func (s *Sorter) Close() error {
	var all []error
	for _, f := range s.runs {
		all = append(all, f.Close())
	}
	s.runs, s.chunks, s.spare, s.items = nil, nil, nil, nil
	return errors.Join(all...)
}

func (s *Sorter) pair(it item) []byte { return s.chunks[it.chunk][it.at:] }

func (s *Sorter) key(it item) []byte {
	p := s.chunks[it.chunk][it.at:]
	return p[pairHead : pairHead+int(binary.LittleEndian.Uint16(p))]
}

func (s *Sorter) value(it item) []byte {
	p := s.pair(it)
	from := pairHead + int(binary.LittleEndian.Uint16(p))
	return p[from : from+int(binary.LittleEndian.Uint32(p[2:]))]
}

// Sort brings what is in memory into order. Merge does it where it was not
// done; calling it before lets several sorters do it at the same time.
func (s *Sorter) Sort() {
	if !s.sorted {
		s.sort(s.items, 0)
		s.sorted = true
	}
}

const (
	fewItems = 12 // below, comparing whole keys is quicker
	fewHeads = 64 // below, comparing heads is quicker than counting their octets
	headBits = 64
)

// sort orders items whose keys have their first depth octets in common. It
// passes over what else they have in common, orders by the eight octets that
// follow, zeros standing for what a key lacks, and goes on within those that
// are equal.
func (s *Sorter) sort(items []item, depth int) {
	if len(items) < fewItems {
		s.sortWhole(items, depth)
		return
	}
	depth += s.common(items, depth)
	s.setHeads(items, depth)
	sortHeads(items, headBits-8)
	for from := 0; from < len(items); {
		to, short := from, false
		for ; to < len(items) && items[to].head == items[from].head; to++ {
			short = short || len(s.key(items[to])) < depth+8
		}
		switch {
		case short:
			s.sortWhole(items[from:to], depth)
		case to > from+1:
			s.sort(items[from:to], depth+8)
		}
		from = to
	}
}

func (s *Sorter) setHeads(items []item, depth int) {
	for i := range items {
		k := s.key(items[i])[depth:]
		if len(k) >= 8 {
			items[i].head = binary.BigEndian.Uint64(k)
			continue
		}
		var head [8]byte
		copy(head[:], k)
		items[i].head = binary.BigEndian.Uint64(head[:])
	}
}

// common is how many octets behind depth all keys share.
func (s *Sorter) common(items []item, depth int) int {
	first := s.key(items[0])
	n := len(first) - depth
	for _, it := range items[1:] {
		k := s.key(it)
		n = min(n, len(k)-depth)
		for i := 0; i < n; i++ {
			if k[depth+i] != first[depth+i] {
				n = i
			}
		}
	}
	return n
}

func (s *Sorter) sortWhole(items []item, depth int) {
	if len(items) < 2 {
		return
	}
	s.setHeads(items, depth)
	slices.SortFunc(items, func(a, b item) int {
		if c := cmp.Compare(a.head, b.head); c != 0 {
			return c
		}
		if c := bytes.Compare(s.key(a)[depth:], s.key(b)[depth:]); c != 0 {
			return c
		}
		return bytes.Compare(s.value(a), s.value(b))
	})
}

func (s *Sorter) spill() error {
	s.Sort()
	f, err := os.CreateTemp(s.dir, "cardinal-sort-*")
	if err != nil {
		return fmt.Errorf("sorting: %w", err)
	}
	s.runs = append(s.runs, f)
	if err := os.Remove(f.Name()); err != nil {
		return fmt.Errorf("sorting: %w", err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	for _, it := range s.items {
		p := s.pair(it)
		n := pairHead + int(binary.LittleEndian.Uint16(p)) + int(binary.LittleEndian.Uint32(p[2:]))
		if _, err := w.Write(p[:n]); err != nil {
			return fmt.Errorf("sorting: %w", err)
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("sorting: %w", err)
	}
	for _, c := range s.chunks {
		if cap(c) == chunkSize {
			s.spare = append(s.spare, c)
		}
	}
	s.chunks, s.items, s.used = s.chunks[:0], s.items[:0], 0
	return nil
}
