package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"cardinal/directory"
	"cardinal/directory/register"
	"cardinal/internal/ledger"
)

var errNotEntry = errors.New("is a change; into an empty suffix only entries can be loaded")

// load fills a suffix that holds nothing but what init made. What init made
// makes room first and comes back with the load, where the files do not bring
// it themselves; if the load is refused it is put back.
func (im *importing) load(ctx context.Context, at int) error {
	tuneCollector()
	suffix := im.register.Suffixes()[at]
	base, err := baseEntries(suffix, at == 0)
	if err != nil {
		return err
	}
	if _, err := im.register.Fill(ctx, im.ledger); err != nil {
		return err
	}
	if err := im.clear(ctx, at); err != nil {
		return fmt.Errorf("making room below %s: %w", suffix, err)
	}
	source := &loadSource{im: im, base: slices.Clone(base)}
	for _, e := range base {
		source.depth = max(source.depth, len(e.DN))
	}
	reading := im.a.progress("reading entries", 0)
	var storing *bar
	position, err := im.register.Load(ctx, register.LoadJob{Ledger: im.ledger, Suffix: suffix, Next: source.next, Rest: source.rest, By: founder(),
		Progress: func(p register.LoadProgress) {
			if !p.Stored {
				reading.to(int64(p.Done))
				return
			}
			if storing == nil {
				reading.finish()
				storing = im.a.progress("storing entries", int64(p.Total))
			}
			storing.to(int64(p.Done))
		}})
	if err != nil {
		return errors.Join(err, im.putBack(ctx, at, base))
	}
	if storing != nil {
		storing.finish()
	}
	if _, err := im.register.Fill(ctx, im.ledger); err != nil {
		return err
	}
	return im.a.printJSON(imported{Entries: source.n.Load(), Loaded: true, Position: uint64(position)})
}

// clear removes what init made, leaves first.
func (im *importing) clear(ctx context.Context, at int) error {
	_, err := im.ledger.Write(ctx, func(tx *ledger.Tx) error {
		var names []directory.DN
		err := im.each(tx, at, func(_ directory.Key, e *directory.Entry) error {
			names = append(names, e.DN)
			return nil
		})
		if err != nil {
			return err
		}
		for _, dn := range slices.Backward(names) {
			if err := im.register.Delete(tx, founder(), dn); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// putBack makes the base entries again.
func (im *importing) putBack(ctx context.Context, at int, base []*directory.Entry) error {
	_, err := im.ledger.Write(context.WithoutCancel(ctx), func(tx *ledger.Tx) error {
		for _, e := range base {
			if err := im.register.Add(tx, founder(), e); err != nil {
				return fmt.Errorf("putting back %s: %w", e.DN, err)
			}
		}
		return nil
	})
	return err
}

// loadSource gives the files' entries, then the base entries they lack.
type loadSource struct {
	im    *importing
	mu    sync.Mutex
	base  []*directory.Entry // not met yet
	depth int                // RDNs a base entry has at most
	n     atomic.Uint64
}

func (s *loadSource) next() (*register.LoadPiece, error) {
	p, err := s.im.in.piece()
	if err != nil {
		return nil, err
	}
	return &register.LoadPiece{File: p.path, Next: func() (*directory.Entry, int, error) {
		if p.reader == nil {
			return nil, 0, io.EOF
		}
		if p.ahead != nil {
			return s.take(p)
		}
		record, err := p.reader.Next()
		if err != nil {
			return nil, 0, err
		}
		p.ahead = &placed{record, p.path}
		return s.take(p)
	}}, nil
}

// take gives the record ahead.
func (s *loadSource) take(p *ldifFiles) (*directory.Entry, int, error) {
	record := p.ahead
	p.ahead = nil
	if record.Entry == nil {
		return nil, 0, &recordError{record, errNotEntry}
	}
	s.n.Add(1)
	return record.Entry, record.Line, s.met(record)
}

// met notes that the files bring a base entry themselves.
func (s *loadSource) met(p *placed) error {
	if len(p.DN) > s.depth {
		return nil
	}
	key, err := s.im.register.Schema().Key(p.DN)
	if err != nil {
		return &recordError{p, err}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base = slices.DeleteFunc(s.base, func(e *directory.Entry) bool {
		k, err := s.im.register.Schema().Key(e.DN)
		return err == nil && k == key
	})
	return nil
}

// rest gives the base entries no file brought.
func (s *loadSource) rest() []*directory.Entry { return s.base }
