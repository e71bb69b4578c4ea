package ca

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// spoolMemory is how much of a spool stays in memory: shards' lists of some
// 160,000 entries, which so do not wait for a disk that is busy.
const spoolMemory = 8 << 20

// spool keeps what is written to it, what is long in a file that nobody else
// can name, so that a list of any length costs the same memory. It must be
// closed.
type spool struct {
	dir  string // "": the system's
	size int64
	head [][]byte // in pieces of a chunk at most
	file *os.File // nil while head holds all
}

// spoolFiles are the names of spools, of which each has its file for a moment.
const spoolFiles = "list-*"

// CleanSpool removes from a Config.TempDir what a process left there that was
// killed between making a file and taking its name away. Nobody may publish
// with this folder meanwhile.
func CleanSpool(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, spoolFiles))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	if err != nil {
		return fmt.Errorf("cleaning %s: %w", dir, err)
	}
	return nil
}

// Write implements io.Writer.
func (s *spool) Write(p []byte) (int, error) {
	if s.file == nil && s.size+int64(len(p)) <= spoolMemory {
		s.keep(p)
		s.size += int64(len(p))
		return len(p), nil
	}
	if s.file == nil {
		if err := s.spill(); err != nil {
			return 0, err
		}
	}
	n, err := s.file.Write(p)
	s.size += int64(n)
	return n, err
}

// keep adds to what is in memory.
func (s *spool) keep(p []byte) {
	for len(p) > 0 {
		if n := len(s.head); n == 0 || len(s.head[n-1]) == cap(s.head[n-1]) {
			s.head = append(s.head, make([]byte, 0, min(chunk, max(len(p), int(s.size), 4<<10))))
		}
		last := &s.head[len(s.head)-1]
		n := min(len(p), cap(*last)-len(*last))
		*last, p = append(*last, p[:n]...), p[n:]
	}
}

// spill moves what is in memory to a file without a name.
func (s *spool) spill() error {
	f, err := os.CreateTemp(s.dir, spoolFiles)
	if err != nil {
		return err
	}
	s.file = f
	if err := os.Remove(f.Name()); err != nil {
		return err
	}
	for _, piece := range s.head {
		if _, err := f.Write(piece); err != nil {
			return err
		}
	}
	s.head = nil
	return nil
}

// reader reads all that was written, from the beginning.
func (s *spool) reader() (io.Reader, error) {
	if s.file == nil {
		pieces := make([]io.Reader, len(s.head))
		for i, piece := range s.head {
			pieces[i] = bytes.NewReader(piece)
		}
		return io.MultiReader(pieces...), nil
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return s.file, nil
}

// Close lets go of the memory and the file.
func (s *spool) Close() error {
	f := s.file
	s.head, s.file = nil, nil
	if f == nil {
		return nil
	}
	if err := f.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
