package register

import (
	"fmt"

	"cardinal/directory"
	"cardinal/internal/ledger"
)

// Get returns the entry of a name with its operational attributes, entryUUID
// among them, without secrets. The error is a *directory.Error with
// NoSuchObject if there is none. The entry's memory is the caller's.
func (r *Register) Get(tx *ledger.Tx, dn directory.DN) (*directory.Entry, error) {
	p, err := r.locate(dn)
	if err != nil {
		return nil, err
	}
	s, err := r.find(tx, p)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, r.noSuchObject(tx, p)
	}
	return r.public(tx, s)
}

// public copies the entry, with all values, and adds entryUUID.
func (r *Register) public(tx *ledger.Tx, s *stored) (*directory.Entry, error) {
	if err := r.fill(tx, s); err != nil {
		return nil, err
	}
	e := s.entry.Clone()
	e.Put("entryUUID", directory.FormatUUID(s.uuid))
	return e, nil
}

// Exists reports whether there is an entry of this name.
func (r *Register) Exists(tx *ledger.Tx, dn directory.DN) (bool, error) {
	p, err := r.locate(dn)
	if err != nil {
		return false, err
	}
	s, err := r.find(tx, p)
	return s != nil, err
}

// Subtree calls fn for the entry of a name and every entry below it, parents
// first, in the order of their keys, as Get gives them. It ends with fn's
// first error. A name without an entry is NoSuchObject.
func (r *Register) Subtree(tx *ledger.Tx, dn directory.DN, fn func(*directory.Entry) error) error {
	return r.walk(tx, dn, fn, false)
}

// Children calls fn for the entries directly below a name.
func (r *Register) Children(tx *ledger.Tx, dn directory.DN, fn func(*directory.Entry) error) error {
	return r.walk(tx, dn, fn, true)
}

func (r *Register) walk(tx *ledger.Tx, dn directory.DN, fn func(*directory.Entry) error, onlyChildren bool) error {
	p, err := r.locate(dn)
	if err != nil {
		return err
	}
	c, err := r.cursor(tx, p.suffix, p.key, p.key.After())
	if err != nil {
		return fmt.Errorf("reading entries below %q: %w", dn, err)
	}
	for n := 0; ; n++ {
		s, err := c.next()
		if err != nil {
			return fmt.Errorf("reading entries below %q: %w", dn, err)
		}
		if n == 0 && (s == nil || s.key != p.key) {
			return r.noSuchObject(tx, p)
		}
		if s == nil {
			return nil
		}
		if onlyChildren && n == 0 {
			continue
		}
		e, err := r.public(tx, s)
		if err != nil {
			return err
		}
		if err := fn(e); err != nil {
			return err
		}
		if onlyChildren {
			if err := c.seek(s.key.After()); err != nil {
				return fmt.Errorf("reading entries below %q: %w", dn, err)
			}
		}
	}
}

// Suffixes returns the suffixes, as configured.
func (r *Register) Suffixes() []directory.DN {
	out := make([]directory.DN, len(r.suffixes))
	for i := range r.suffixes {
		out[i] = r.suffixes[i].dn
	}
	return out
}
