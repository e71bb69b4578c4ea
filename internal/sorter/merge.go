package sorter

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// Merged gives the pairs of several sorters in order. For one goroutine.
type Merged struct{ fronts []*front }

// front is the next pair of one run. What it points at lives until advance.
type front struct {
	key, value []byte
	sorter     *Sorter // a run in memory, or
	next       int
	file       *bufio.Reader // one in a file
	room       []byte
}

// Merge ends the adding to the sorters, which must be closed afterwards.
func Merge(sorters ...*Sorter) (*Merged, error) {
	m := &Merged{}
	for _, s := range sorters {
		s.Sort()
		if err := m.add(&front{sorter: s}); err != nil {
			return nil, err
		}
		for _, f := range s.runs {
			if err := m.addFile(f); err != nil {
				return nil, err
			}
		}
	}
	for i := len(m.fronts)/2 - 1; i >= 0; i-- {
		m.sink(i)
	}
	return m, nil
}

func (m *Merged) addFile(f *os.File) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("sorting: %w", err)
	}
	return m.add(&front{file: bufio.NewReaderSize(f, 256<<10)})
}

func (m *Merged) add(f *front) error {
	there, err := f.advance()
	if there {
		m.fronts = append(m.fronts, f)
	}
	return err
}

func (f *front) advance() (there bool, err error) {
	if f.sorter == nil {
		return f.read()
	}
	if f.next == len(f.sorter.items) {
		return false, nil
	}
	it := f.sorter.items[f.next]
	f.key, f.value = f.sorter.key(it), f.sorter.value(it)
	f.next++
	return true, nil
}

func (f *front) read() (bool, error) {
	var head [pairHead]byte
	if _, err := io.ReadFull(f.file, head[:]); errors.Is(err, io.EOF) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("sorting: %w", err)
	}
	k, v := int(binary.LittleEndian.Uint16(head[:])), int(binary.LittleEndian.Uint32(head[2:]))
	f.room = slices.Grow(f.room[:0], k+v)[:k+v]
	if _, err := io.ReadFull(f.file, f.room); err != nil {
		return false, fmt.Errorf("sorting: %w", err)
	}
	f.key, f.value = f.room[:k], f.room[k:]
	return true, nil
}

// Peek shows the next pair without taking it; nil at the end. Both live until
// Skip.
func (m *Merged) Peek() (key, value []byte) {
	if len(m.fronts) == 0 {
		return nil, nil
	}
	return m.fronts[0].key, m.fronts[0].value
}

// Skip takes the next pair.
func (m *Merged) Skip() error {
	there, err := m.fronts[0].advance()
	if err != nil {
		return err
	}
	if !there {
		last := len(m.fronts) - 1
		m.fronts[0] = m.fronts[last]
		m.fronts = m.fronts[:last]
	}
	if len(m.fronts) > 1 {
		m.sink(0)
	}
	return nil
}

func (m *Merged) less(i, j int) bool {
	a, b := m.fronts[i], m.fronts[j]
	if c := bytes.Compare(a.key, b.key); c != 0 {
		return c < 0
	}
	return bytes.Compare(a.value, b.value) < 0
}

func (m *Merged) sink(i int) {
	for {
		child := 2*i + 1
		if child >= len(m.fronts) {
			return
		}
		if child+1 < len(m.fronts) && m.less(child+1, child) {
			child++
		}
		if !m.less(child, i) {
			return
		}
		m.fronts[i], m.fronts[child] = m.fronts[child], m.fronts[i]
		i = child
	}
}
