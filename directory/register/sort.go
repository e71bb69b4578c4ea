package register

import (
	"bufio"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"cardinal/directory"
)

// sorter sorts more entries than memory holds: runs of up to runBytes are
// sorted in memory and written to temporary files that have no name, so that
// nothing of them outlives the process.
type sorter struct {
	folder  string
	limit   int // bytes of a run
	pending []sorted
	size    int
	files   []*os.File
}

// sorted is an entry's record under its key.
type sorted struct {
	key    directory.Key
	nth    uint64
	line   int
	record []byte
}

const (
	runBytes  = 96 << 20 // records in memory; with their bookkeeping some 130 MiB
	maxRecord = 1 << 30
)

func (s *sorter) close() {
	for _, f := range s.files {
		f.Close()
	}
	s.files, s.pending = nil, nil
}

func bySorted(a, b sorted) int {
	return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.nth, b.nth))
}

func (s *sorter) add(it *item) error {
	s.pending = append(s.pending, sorted{it.key, it.nth, it.line, it.record})
	if s.size += len(it.key) + len(it.record) + 80; s.size < s.limit {
		return nil
	}
	return s.spill()
}

func (s *sorter) spill() (err error) {
	slices.SortFunc(s.pending, bySorted)
	f, err := os.CreateTemp(s.folder, "cardinal-load-")
	if err != nil {
		return fmt.Errorf("making a temporary file: %w", err)
	}
	s.files = append(s.files, f)
	if err := os.Remove(f.Name()); err != nil {
		return fmt.Errorf("unnaming a temporary file: %w", err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	var head []byte
	for i := range s.pending {
		p := &s.pending[i]
		head = binary.AppendUvarint(head[:0], uint64(len(p.key)))
		head = append(head, p.key...)
		head = binary.AppendUvarint(head, p.nth)
		head = binary.AppendUvarint(head, uint64(p.line))
		head = binary.AppendUvarint(head, uint64(len(p.record)))
		w.Write(head)
		w.Write(p.record)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("writing a temporary file: %w", err)
	}
	clear(s.pending)
	s.pending, s.size = s.pending[:0], 0
	return nil
}

// run is a sorted run being read.
type run struct {
	r    *bufio.Reader
	head sorted
}

func (r *run) next() error {
	n, err := binary.ReadUvarint(r.r)
	if err != nil {
		return err
	}
	key, err1 := readN(r.r, n)
	nth, err2 := binary.ReadUvarint(r.r)
	line, err3 := binary.ReadUvarint(r.r)
	size, err4 := binary.ReadUvarint(r.r)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return errors.Join(io.ErrUnexpectedEOF, err)
	}
	record, err := readN(r.r, size)
	r.head = sorted{directory.Key(key), nth, int(line), record}
	return err
}

func readN(r io.Reader, n uint64) ([]byte, error) {
	if n > maxRecord {
		return nil, errors.New("a temporary file is damaged")
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}

type runs []*run

func (h runs) Len() int           { return len(h) }
func (h runs) Less(i, j int) bool { return bySorted(h[i].head, h[j].head) < 0 }
func (h runs) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *runs) Push(x any)        { *h = append(*h, x.(*run)) }
func (h *runs) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// merge calls fn with every entry in order. It may be called once.
func (s *sorter) merge(fn func(sorted) error) error {
	if len(s.files) == 0 {
		slices.SortFunc(s.pending, bySorted)
		for _, p := range s.pending {
			if err := fn(p); err != nil {
				return err
			}
		}
		return nil
	}
	if err := s.spill(); err != nil {
		return err
	}
	s.pending = nil
	h, err := s.open()
	if err != nil {
		return err
	}
	for h.Len() > 0 {
		top := h[0]
		if err := fn(top.head); err != nil {
			return err
		}
		err := top.next()
		switch {
		case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
			heap.Pop(&h)
		case err != nil:
			return fmt.Errorf("reading a temporary file: %w", err)
		default:
			heap.Fix(&h, 0)
		}
	}
	return nil
}

func (s *sorter) open() (runs, error) {
	var h runs
	for _, f := range s.files {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, fmt.Errorf("reading a temporary file: %w", err)
		}
		r := &run{r: bufio.NewReaderSize(f, 256<<10)}
		err := r.next()
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading a temporary file: %w", err)
		}
		h = append(h, r)
	}
	heap.Init(&h)
	return h, nil
}
