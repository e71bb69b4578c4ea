package tree

import (
	"bufio"
	"bytes"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// sorter brings pairs of key and entry number into order with bounded memory:
// what does not fit is sorted and written to a file, and the files are merged.
type sorter struct {
	dir    string
	memory int
	arena  []byte // pairs one behind another: length(2) ‖ key ‖ number(4)
	items  []item
	runs   []*os.File
}

// item points at a pair; the beginning of its key decides most comparisons.
type item struct {
	head   uint64
	offset uint32
}

const (
	defaultSpill = 64 << 20
	itemSize     = 16
	pairExtra    = 2 + 4
)

func newSorter(dir string, memory int) *sorter {
	if memory <= 0 {
		memory = defaultSpill
	}
	return &sorter{dir: dir, memory: min(memory, 1<<31)}
}

func (s *sorter) add(key []byte, id uint32) error {
	if len(s.arena)+len(s.items)*itemSize+len(key)+pairExtra+itemSize > s.memory {
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.items = append(s.items, item{head: beginning(key), offset: uint32(len(s.arena))})
	s.arena = binary.BigEndian.AppendUint16(s.arena, uint16(len(key)))
	s.arena = append(s.arena, key...)
	s.arena = binary.BigEndian.AppendUint32(s.arena, id)
	return nil
}

func beginning(key []byte) uint64 {
	var b [8]byte
	copy(b[:], key)
	return binary.BigEndian.Uint64(b[:])
}

// pair reads the pair at an offset: key, number and the rest of the arena.
func (s *sorter) pair(offset uint32) (key []byte, id uint32) {
	p := s.arena[offset:]
	n := int(binary.BigEndian.Uint16(p))
	return p[2 : 2+n], binary.BigEndian.Uint32(p[2+n:])
}

func (s *sorter) sort() {
	slices.SortFunc(s.items, func(a, b item) int {
		if c := cmp.Compare(a.head, b.head); c != 0 {
			return c
		}
		ka, ia := s.pair(a.offset)
		kb, ib := s.pair(b.offset)
		return cmp.Or(bytes.Compare(ka, kb), cmp.Compare(ia, ib))
	})
}

func (s *sorter) spill() (err error) {
	s.sort()
	f, err := os.CreateTemp(s.dir, "cardinal-sort-*")
	if err != nil {
		return fmt.Errorf("sorting a load: %w", err)
	}
	_ = os.Remove(f.Name()) // it lives as long as it is open
	s.runs = append(s.runs, f)
	w := bufio.NewWriterSize(f, 1<<20)
	for _, it := range s.items {
		n := uint32(binary.BigEndian.Uint16(s.arena[it.offset:]))
		if _, err := w.Write(s.arena[it.offset : it.offset+n+pairExtra]); err != nil {
			return fmt.Errorf("sorting a load: %w", err)
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("sorting a load: %w", err)
	}
	s.arena, s.items = s.arena[:0], s.items[:0]
	return nil
}

// close gives up the files.
func (s *sorter) close() error {
	var all []error
	for _, f := range s.runs {
		all = append(all, f.Close())
	}
	s.runs, s.arena, s.items = nil, nil, nil
	return errors.Join(all...)
}

// source gives pairs in order; the key lives until the next call.
type source interface {
	next() (key []byte, id uint32, err error) // io.EOF at the end
}

// sources ends the adding: every pair comes out of one of them.
func (s *sorter) sources() ([]source, error) {
	s.sort()
	out := []source{&sorted{s: s}}
	for _, f := range s.runs {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, fmt.Errorf("sorting a load: %w", err)
		}
		out = append(out, &spilled{r: bufio.NewReaderSize(f, 256<<10)})
	}
	return out, nil
}

type sorted struct {
	s *sorter
	i int
}

func (x *sorted) next() ([]byte, uint32, error) {
	if x.i >= len(x.s.items) {
		return nil, 0, io.EOF
	}
	key, id := x.s.pair(x.s.items[x.i].offset)
	x.i++
	return key, id, nil
}

type spilled struct {
	r   *bufio.Reader
	buf []byte
}

func (x *spilled) next() ([]byte, uint32, error) {
	var n [2]byte
	if _, err := io.ReadFull(x.r, n[:]); err != nil {
		return nil, 0, err
	}
	size := int(binary.BigEndian.Uint16(n[:]))
	x.buf = slices.Grow(x.buf[:0], size+4)[:size+4]
	if _, err := io.ReadFull(x.r, x.buf); err != nil {
		return nil, 0, fmt.Errorf("sorting a load: %w", err)
	}
	return x.buf[:size], binary.BigEndian.Uint32(x.buf[size:]), nil
}

// merger gives the pairs of several sources in order. It is itself a source,
// and can be asked what comes next without taking it.
type merger struct{ heads []*front }

type front struct {
	source
	key []byte
	id  uint32
}

func (f *front) advance() (err error) {
	f.key, f.id, err = f.source.next()
	return err
}

func newMerger(sources []source) (*merger, error) {
	m := &merger{}
	for _, s := range sources {
		f := &front{source: s}
		if err := f.advance(); errors.Is(err, io.EOF) {
			continue
		} else if err != nil {
			return nil, err
		}
		m.heads = append(m.heads, f)
	}
	heap.Init(m)
	return m, nil
}

// peek shows the next pair; nil key at the end.
func (m *merger) peek() (key []byte, id uint32) {
	if len(m.heads) == 0 {
		return nil, 0
	}
	return m.heads[0].key, m.heads[0].id
}

// skip takes the next pair.
func (m *merger) skip() error {
	err := m.heads[0].advance()
	if errors.Is(err, io.EOF) {
		heap.Pop(m)
		return nil
	}
	if err == nil {
		heap.Fix(m, 0)
	}
	return err
}

// Len, Less, Swap, Push and Pop are container/heap's.
func (m *merger) Len() int { return len(m.heads) }

func (m *merger) Less(i, j int) bool {
	a, b := m.heads[i], m.heads[j]
	if c := bytes.Compare(a.key, b.key); c != 0 {
		return c < 0
	}
	return a.id < b.id
}

func (m *merger) Swap(i, j int) { m.heads[i], m.heads[j] = m.heads[j], m.heads[i] }

// Push is container/heap's; nothing is pushed.
func (m *merger) Push(x any) { m.heads = append(m.heads, x.(*front)) }

// Pop is container/heap's.
func (m *merger) Pop() any {
	last := m.heads[len(m.heads)-1]
	m.heads = m.heads[:len(m.heads)-1]
	return last
}
