package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"cardinal/directory"
	"cardinal/directory/register"
	"cardinal/internal/ledger"
)

var errNotEntry = errors.New("is a change; into an empty suffix only entries can be loaded")

// load fills a suffix that holds nothing but what init made. What init made
// makes room first and comes back with the load, where the files do not bring
// it themselves; if the load is refused it is put back.
func (im *importing) load(ctx context.Context, at int) error {
	suffix := im.register.Suffixes()[at]
	base, err := baseEntries(suffix, at == 0)
	if err != nil {
		return err
	}
	if err := im.clear(ctx, at); err != nil {
		return fmt.Errorf("making room below %s: %w", suffix, err)
	}
	source := &loadSource{im: im, base: slices.Clone(base)}
	reading := im.a.progress("reading entries", 0)
	var storing *bar
	position, err := im.register.Load(ctx, register.LoadJob{Ledger: im.ledger, Suffix: suffix, Next: source.next, Line: source.line, By: founder(),
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
		return errors.Join(source.located(err), im.putBack(ctx, at, base))
	}
	if storing != nil {
		storing.finish()
	}
	return im.a.printJSON(imported{Entries: source.n, Loaded: true, Position: uint64(position)})
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
	im   *importing
	base []*directory.Entry
	at   *placed
	n    uint64
}

func (s *loadSource) next() (*directory.Entry, error) {
	p, err := s.im.in.next()
	if errors.Is(err, io.EOF) {
		return s.missing()
	}
	if err != nil {
		return nil, err
	}
	s.at = p
	if p.Entry == nil {
		return nil, &recordError{p, errNotEntry}
	}
	s.n++
	key, err := s.im.register.Schema().Key(p.DN)
	if err != nil {
		return nil, &recordError{p, err}
	}
	s.base = slices.DeleteFunc(s.base, func(e *directory.Entry) bool {
		k, err := s.im.register.Schema().Key(e.DN)
		return err == nil && k == key
	})
	return p.Entry, nil
}

func (s *loadSource) missing() (*directory.Entry, error) {
	s.at = nil
	if len(s.base) == 0 {
		return nil, io.EOF
	}
	e := s.base[0]
	s.base = s.base[1:]
	return e, nil
}

func (s *loadSource) line() int {
	if s.at == nil {
		return 0
	}
	return s.at.Line
}

// located adds the file to an error that knows only the line.
func (s *loadSource) located(err error) error {
	var refusal *register.LoadError
	if errors.As(err, &refusal) && s.im.in.path != "" {
		return fmt.Errorf("%s: %w", s.im.in.path, err)
	}
	return err
}
