package register

import (
	"fmt"

	"cardinal/directory"
	"cardinal/internal/ledger"
)

// Unique says that no two entries of a part of the tree share a value.
type Unique struct {
	// Attributes, each by itself: a value of one may be one of another.
	Attributes []string
	// Base is the top of the part; nil is the whole directory.
	Base directory.DN
	// Filter says which entries it is about; nil: all.
	Filter *directory.Filter
}

// uniqueness is a Unique ready for use.
type uniqueness struct {
	types []*directory.AttributeType
	base  directory.Key
	query *directory.Query
}

func (r *Register) addUnique(c Unique) error {
	u := uniqueness{}
	for _, name := range c.Attributes {
		t, err := r.trackable(name)
		if err != nil {
			return fmt.Errorf("uniqueness: %w", err)
		}
		u.types = append(u.types, t)
		r.single[t.Name()] = true
	}
	var err error
	if u.base, err = r.schema.Key(c.Base); err != nil {
		return fmt.Errorf("uniqueness below %q: %w", c.Base, err)
	}
	if c.Filter != nil {
		u.query = r.schema.Compile(c.Filter)
	}
	r.uniques = append(r.uniques, u)
	return nil
}

// about reports whether an entry is one of those that may not share values.
func (u *uniqueness) about(key directory.Key, e *directory.Entry) bool {
	return e != nil && u.base.Contains(key) && (u.query == nil || u.query.Match(e) == directory.True)
}

// version is an entry at one side of an update.
type version struct {
	key   directory.Key
	entry *directory.Entry // nil: there is none
}

// unshared refuses, with constraintViolation as slapd's unique overlay does, an
// update after which an entry shares a value it may not. Values it had before
// as one of those a rule is about are not looked for again.
func (r *Register) unshared(tx *ledger.Tx, s *stored, before, after version) error {
	for i := range r.uniques {
		c := uniqueCheck{r: r, uniqueness: &r.uniques[i], self: s}
		if !c.about(after.key, after.entry) {
			continue
		}
		had := before.entry
		if !c.about(before.key, before.entry) {
			had = nil
		}
		for _, t := range c.types {
			if err := c.values(tx, t, had, after.entry); err != nil {
				return err
			}
		}
	}
	return nil
}

// uniqueCheck is one rule put to one entry.
type uniqueCheck struct {
	r *Register
	*uniqueness
	self *stored
}

func (c *uniqueCheck) values(tx *ledger.Tx, t *directory.AttributeType, before, after *directory.Entry) error {
	had := c.r.forms(before, t)
	for form, v := range c.r.forms(after, t) {
		if _, old := had[form]; old {
			continue
		}
		if err := c.r.mustBeFilled(tx); err != nil {
			return err
		}
		shared := false
		err := c.r.holders(tx, t, v, func(other *stored) (bool, error) {
			shared = other.uuid != c.self.uuid && c.about(other.key, other.entry)
			return !shared, nil
		})
		if err != nil {
			return err
		}
		if shared {
			return refuse(directory.ConstraintViolation, "some attributes not unique: %s", t.Name())
		}
	}
	return nil
}
