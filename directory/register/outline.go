package register

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"cardinal/directory"
	"cardinal/internal/ledger"
)

// An attribute of very many values is outlined: its values stand in rows of
// directory_value, and the entry's row holds the attribute without values. So
// adding or deleting one of 66,000 members costs what it costs for one of ten.
const (
	outlineAbove = 1000
	inlineBelow  = 500 // lower, so that one value more or less does not move all
	// projectAtMost is how many values are looked up one by one; for more, all are read.
	projectAtMost = 5000
)

// outline is what is known of an outlined attribute of an entry in hand.
type outline struct {
	full  bool     // the entry holds all values
	shown [][]byte // else those project put there; nil: none
}

// formOf names a value in directory_value.
func formOf(t *directory.AttributeType, v []byte) []byte {
	h := sumOf(t.Form(v))
	return h[:16]
}

// noteOutlines finds the outlined attributes of an entry just read.
func (s *stored) noteOutlines() {
	for i := range s.entry.Attributes {
		if a := &s.entry.Attributes[i]; len(a.Values) == 0 {
			if s.outlines == nil {
				s.outlines = map[string]*outline{}
			}
			s.outlines[a.Type] = &outline{}
		}
	}
}

// fill reads all values of outlined attributes.
func (r *Register) fill(tx *ledger.Tx, s *stored) error {
	for name := range s.outlines {
		if err := r.fillOne(tx, s, name); err != nil {
			return err
		}
	}
	return nil
}

func (r *Register) fillOne(tx *ledger.Tx, s *stored, name string) error {
	o := s.outlines[name]
	if o == nil || o.full {
		return nil
	}
	values, err := outlinedValues(tx, s.uuid, name)
	if err != nil {
		return err
	}
	s.entry.Attribute(name).Values = values
	o.full, o.shown = true, nil
	return nil
}

func outlinedValues(tx *ledger.Tx, u directory.UUID, name string) ([][]byte, error) {
	return readValues(tx, `SELECT value FROM directory_value WHERE uuid = $1 AND attribute = $2 ORDER BY form`, u[:], name)
}

func readValues(tx *ledger.Tx, query string, args ...any) ([][]byte, error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return nil, fmt.Errorf("reading values of an entry: %w", err)
	}
	defer rows.Close()
	var out [][]byte
	for rows.Next() {
		var v []byte
		if err := rows.Scan(&v); err != nil {
			return nil, fmt.Errorf("reading values of an entry: %w", err)
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// project puts into each outlined attribute the values that decide the
// modifications: those they name that are there, and one they do not name, so
// that the attribute is not emptied. Modifications that need all values get them.
func (r *Register) project(tx *ledger.Tx, s *stored, mods []directory.Modification) error {
	for name, o := range s.outlines {
		named, all := r.namedValues(name, mods)
		if all {
			if err := r.fillOne(tx, s, name); err != nil {
				return err
			}
		}
		if all || len(named) == 0 || o.full {
			continue
		}
		if err := r.projectOne(tx, s, name, named); err != nil {
			return err
		}
	}
	return nil
}

// namedValues collects the values that modifications of an attribute name; all
// if one of them is about more.
func (r *Register) namedValues(name string, mods []directory.Modification) (named [][]byte, all bool) {
	for _, m := range mods {
		d, ok := r.schema.Describe(m.Attribute.Type)
		if !ok || d.String() != name {
			continue
		}
		if m.Op != directory.ModAdd && m.Op != directory.ModDelete || m.Op == directory.ModDelete && len(m.Attribute.Values) == 0 {
			return nil, true
		}
		named = append(named, m.Attribute.Values...)
	}
	return named, len(named) > projectAtMost
}

func (r *Register) projectOne(tx *ledger.Tx, s *stored, name string, named [][]byte) error {
	t := r.schema.Attribute(name)
	forms := map[string]bool{}
	var shown [][]byte
	for _, v := range named {
		form := formOf(t, v)
		if forms[string(form)] {
			continue
		}
		forms[string(form)] = true
		var have []byte
		err := tx.QueryRow(`SELECT value FROM directory_value WHERE uuid = $1 AND attribute = $2 AND form = $3`, s.uuid[:], name, form).Scan(&have)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return fmt.Errorf("reading values of an entry: %w", err)
		}
		shown = append(shown, have)
	}
	others, err := readValues(tx, `SELECT value FROM directory_value WHERE uuid = $1 AND attribute = $2 ORDER BY form LIMIT $3`,
		s.uuid[:], name, len(forms)+1)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(others, func(v []byte) bool { return !forms[string(formOf(t, v))] })
	if i >= 0 {
		shown = append(shown, others[i])
	}
	s.outlines[name].shown = shown
	s.entry.Attribute(name).Values = slices.Clone(shown)
	return nil
}

// settle brings the rows of directory_value in line with the entry and returns
// the attributes as the entry's row shall hold them.
func (r *Register) settle(tx *ledger.Tx, s *stored) ([]directory.Attribute, error) {
	out := slices.Clone(s.entry.Attributes)
	seen := map[string]bool{}
	for i := range out {
		a := &out[i]
		o := s.outlines[a.Type]
		seen[a.Type] = true
		var err error
		switch {
		case o != nil && !o.full && o.shown == nil: // not touched
		case o != nil && !o.full:
			a.Values, err = r.settlePart(tx, s, a, o)
		case len(a.Values) > outlineAbove && r.mayOutline(s.entry, a.Type):
			dropOutline(tx, s.uuid, a.Type)
			r.insertValues(tx, s.uuid, a.Type, a.Values)
			tx.Defer(`INSERT INTO directory_outline (uuid, attribute, number) VALUES ($1, $2, $3)`, s.uuid[:], a.Type, len(a.Values))
			a.Values = nil
		case o != nil:
			dropOutline(tx, s.uuid, a.Type)
		}
		if err != nil {
			return nil, err
		}
	}
	for name := range s.outlines {
		if !seen[name] {
			dropOutline(tx, s.uuid, name)
		}
	}
	return out, nil
}

// mayOutline: values need an equality rule, and naming ones stay in the entry.
func (r *Register) mayOutline(e *directory.Entry, name string) bool {
	t := r.schema.Attribute(name)
	return t.Equality != nil && !r.single[t.Name()] && !slices.ContainsFunc(e.DN[0], func(a directory.AVA) bool { return r.schema.Attribute(a.Type) == t })
}

// settlePart writes the difference between what was shown and what is left. It
// returns all values when they have become few.
func (r *Register) settlePart(tx *ledger.Tx, s *stored, a *directory.Attribute, o *outline) ([][]byte, error) {
	t := r.schema.Attribute(a.Type)
	before, after := map[string]bool{}, map[string]bool{}
	for _, v := range o.shown {
		before[string(formOf(t, v))] = true
	}
	var added [][]byte
	for _, v := range a.Values {
		form := string(formOf(t, v))
		after[form] = true
		if !before[form] {
			added = append(added, v)
		}
	}
	removed := 0
	for form := range before {
		if !after[form] {
			removed++
			tx.Defer(`DELETE FROM directory_value WHERE uuid = $1 AND attribute = $2 AND form = $3`, s.uuid[:], a.Type, []byte(form))
		}
	}
	r.insertValues(tx, s.uuid, a.Type, added)
	var number int
	err := tx.QueryRow(`UPDATE directory_outline SET number = number + $1 WHERE uuid = $2 AND attribute = $3 RETURNING number`,
		len(added)-removed, s.uuid[:], a.Type).Scan(&number)
	if err != nil {
		return nil, fmt.Errorf("counting values of %s: %w", a.Type, err)
	}
	if number >= inlineBelow {
		return nil, nil
	}
	values, err := outlinedValues(tx, s.uuid, a.Type)
	dropOutline(tx, s.uuid, a.Type)
	return values, err
}

func (r *Register) insertValues(tx *ledger.Tx, u directory.UUID, name string, values [][]byte) {
	t := r.schema.Attribute(name)
	for _, v := range values {
		tx.Defer(`INSERT INTO directory_value (uuid, attribute, form, value) VALUES ($1, $2, $3, $4)`, u[:], name, formOf(t, v), v)
	}
}

func dropOutline(tx *ledger.Tx, u directory.UUID, name string) {
	tx.Defer(`DELETE FROM directory_value WHERE uuid = $1 AND attribute = $2`, u[:], name)
	tx.Defer(`DELETE FROM directory_outline WHERE uuid = $1 AND attribute = $2`, u[:], name)
}
