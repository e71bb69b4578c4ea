package register

import (
	"fmt"
	"slices"

	"cardinal/directory"
	"cardinal/internal/ledger"
)

// Integrity says which references to entries follow them: when an entry goes,
// values that name it are removed, when it is renamed they are changed, in the
// same transaction.
type Integrity struct {
	// Attributes hold names of entries.
	Attributes []string
	// Subtrees are where references are kept up; nil means everywhere.
	Subtrees []directory.DN
	// Nothing takes the place of the last value of an attribute that must have
	// one; nil: deleting the entry is refused then.
	Nothing directory.DN
	// Limit is how many references one update may change; 0 means 200, which a
	// transaction can do without holding the head for long.
	Limit int
}

const defaultReferences = 200

// The syntaxes of names (RFC 4517 §3.3.9, §3.3.21). A name with a unique
// identifier is not the name of an entry and stays as it is.
const (
	syntaxDN      = "1.3.6.1.4.1.1466.115.121.1.12"
	syntaxNameUID = "1.3.6.1.4.1.1466.115.121.1.34"
)

// integrity is an Integrity ready for use.
type integrity struct {
	types   []*directory.AttributeType
	within  []directory.Key
	nothing []byte
	limit   int
}

func (r *Register) setIntegrity(c Integrity) error {
	r.integrity = integrity{limit: c.Limit}
	if c.Limit == 0 {
		r.integrity.limit = defaultReferences
	}
	for _, name := range c.Attributes {
		t, err := r.trackable(name)
		if err != nil {
			return fmt.Errorf("referential integrity: %w", err)
		}
		if t.Syntax.OID != syntaxDN && t.Syntax.OID != syntaxNameUID {
			return fmt.Errorf("referential integrity: %s does not hold names", name)
		}
		r.integrity.types = append(r.integrity.types, t)
	}
	for _, dn := range c.Subtrees {
		k, err := r.schema.Key(dn)
		if err != nil {
			return fmt.Errorf("referential integrity: subtree %q: %w", dn, err)
		}
		r.integrity.within = append(r.integrity.within, k)
	}
	if c.Nothing != nil {
		r.integrity.nothing = c.Nothing.Append(nil)
	}
	return nil
}

// trackable adds an attribute to those that are tracked.
func (r *Register) trackable(name string) (*directory.AttributeType, error) {
	t := r.schema.Attribute(name)
	switch {
	case t == nil:
		return nil, fmt.Errorf("attribute %q is not in the schema", name)
	case t.Equality == nil || !t.Equality.Indexable():
		return nil, fmt.Errorf("%s has no equality rule an index can serve", name)
	case r.isSecret(t):
		return nil, fmt.Errorf("%s is a secret", name)
	}
	r.tracked[t.Name()] = true
	return t, nil
}

// gone is an entry that was deleted or, with to, renamed.
type gone struct {
	from, to directory.DN
}

// mend brings references to entries in line after an update by someone.
func (r *Register) mend(tx *ledger.Tx, by Author, list []gone) error {
	if len(r.integrity.types) == 0 || len(list) == 0 {
		return nil
	}
	if err := r.mustBeFilled(tx); err != nil {
		return err
	}
	left := r.integrity.limit
	for _, g := range list {
		for _, t := range r.integrity.types {
			if err := r.mendOne(tx, by, mending{gone: g, typ: t, left: &left}); err != nil {
				return err
			}
		}
	}
	return nil
}

// mending is one attribute's references to one entry.
type mending struct {
	gone
	typ  *directory.AttributeType
	left *int
}

func (r *Register) mendOne(tx *ledger.Tx, by Author, m mending) error {
	old := m.from.Append(nil)
	var found []*stored
	err := r.holders(tx, m.typ, old, func(s *stored) (bool, error) {
		if !r.keptUp(s.key) {
			return true, nil
		}
		if *m.left--; *m.left < 0 {
			return false, refuse(directory.AdminLimitExceeded, "more than %d references would have to follow %q", r.integrity.limit, m.from)
		}
		found = append(found, s)
		return true, nil
	})
	if err != nil {
		return err
	}
	for _, s := range found {
		if err := r.mendEntry(tx, by, s, m); err != nil {
			return err
		}
	}
	return nil
}

// keptUp reports whether references at a place are kept up.
func (r *Register) keptUp(k directory.Key) bool {
	return r.integrity.within == nil || slices.ContainsFunc(r.integrity.within, func(w directory.Key) bool { return w.Contains(k) })
}

func (r *Register) mendEntry(tx *ledger.Tx, by Author, s *stored, m mending) error {
	u := &directory.Update{DN: s.entry.DN, Permissive: true}
	old := m.from.Append(nil)
	for _, name := range r.descriptions(s.entry, m.typ) {
		mod := func(op directory.ModOp, v []byte) {
			u.Mods = append(u.Mods, directory.Modification{Op: op, Attribute: directory.Attribute{Type: name, Values: [][]byte{v}}})
		}
		alone := len(s.entry.Get(name)) == 1
		switch {
		case m.to != nil:
			mod(directory.ModDelete, old)
			mod(directory.ModAdd, m.to.Append(nil))
		case alone && r.integrity.nothing != nil && r.requires(s.entry, m.typ):
			mod(directory.ModAdd, r.integrity.nothing)
			mod(directory.ModDelete, old)
		case alone && r.requires(s.entry, m.typ):
			return refuse(directory.UnwillingToPerform, "%q is the last %s of an entry that must have one", m.from, m.typ.Name())
		default:
			mod(directory.ModDelete, old)
		}
	}
	if err := r.modify(tx, by, u); err != nil {
		return fmt.Errorf("changing the reference of %q to %q: %w", s.entry.DN, m.from, err)
	}
	return nil
}

// descriptions are those under which an entry has values of a type.
func (r *Register) descriptions(e *directory.Entry, t *directory.AttributeType) (out []string) {
	for i := range e.Attributes {
		if r.schema.Attribute(e.Attributes[i].Type) == t {
			out = append(out, e.Attributes[i].Type)
		}
	}
	return out
}

// requires reports whether a class of the entry must have the attribute.
func (r *Register) requires(e *directory.Entry, t *directory.AttributeType) bool {
	return slices.ContainsFunc(e.Get("objectClass"), func(name []byte) bool {
		c := r.schema.Class(string(name))
		return c != nil && slices.Contains(c.AllMust, t)
	})
}
