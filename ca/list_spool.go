package ca

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// spoolMemory is how much of a spool stays in memory: most shards' lists.
const spoolMemory = 4 << 20

// spool keeps what is written to it, what is long in a file that nobody else
// can name, so that a list of any length costs the same memory. It must be
// closed.
type spool struct {
	dir  string // "": the system's
	size int64
	head []byte
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
	if s.file == nil && len(s.head)+len(p) <= spoolMemory {
		s.head = append(s.head, p...)
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
	_, err = f.Write(s.head)
	s.head = nil
	return err
}

// reader reads all that was written, from the beginning.
func (s *spool) reader() (io.Reader, error) {
	if s.file == nil {
		return bytes.NewReader(s.head), nil
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
