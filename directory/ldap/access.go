package ldap

import (
	"cardinal/directory"
	"cardinal/directory/tree"
)

// sight is what an identity may do at and below one base. Where the rules make
// no difference between the entries there they are asked once; else for each
// entry.
type sight struct {
	rules *directory.Rules
	who   directory.Identity
	fixed bool
	grant directory.Access
	outlook
}

// look sets s up for an identity and the base of its operation. A root
// identity is one only within its own suffix.
func (s *sight) look(c asker, base directory.Key) {
	s.rules, s.who, s.outlook = c.rules(), c.who.Identity, c.outlook(directory.RightSearch)
	s.who.Root = c.who.rootOf != "" && c.who.rootOf.Contains(base)
	_, s.fixed = s.rules.Fixed(&s.who, base, &s.grant)
}

// at is what may be done with one entry. It is valid until the next call.
func (s *sight) at(e directory.EntryView) *directory.Access {
	if s.fixed {
		return &s.grant
	}
	return s.rules.On(&s.who, e, &s.grant)
}

// sees reports whether the entry may be known to exist.
func (s *sight) sees(e directory.EntryView) bool {
	return s.at(e).Allows(nil, directory.RightRead)
}

// Search applies the search right to filters (tree.Allow).
func (s *sight) Search(e *tree.Entry, d directory.Description) bool {
	return s.at(e).Allows(d.Type, directory.RightSearch)
}

// outlook is what an identity may know of entries anywhere, for attributes that
// speak of other entries than their own (tree.Asker).
type outlook struct {
	all   *directory.Rules
	asks  *Identity
	using directory.Right // on what names the members of a group
}

func (c asker) outlook(using directory.Right) outlook {
	return outlook{all: c.rules(), asks: c.who, using: using}
}

func (o outlook) on(e *tree.Entry) *directory.Access {
	who := o.asks.at(e.Key())
	return o.all.On(&who.Identity, e, nil)
}

// Sees implements tree.Asker.
func (o outlook) Sees(e *tree.Entry) bool { return o.on(e).Allows(nil, directory.RightRead) }

// SeesBelow implements tree.Asker.
func (o outlook) SeesBelow(key directory.Key) bool {
	who := o.asks.at(key)
	grant, fixed := o.all.Fixed(&who.Identity, key, nil)
	return fixed && grant.Allows(nil, directory.RightRead)
}

// Member implements tree.Asker.
func (o outlook) Member(group *tree.Entry, d directory.Description) bool {
	grant := o.on(group)
	return grant.Allows(nil, directory.RightRead) && grant.Allows(d.Type, o.using)
}

// granted applies one right to the attributes of one entry (tree.Allow).
type granted struct {
	grant *directory.Access
	right directory.Right
	outlook
}

func (g granted) Search(_ *tree.Entry, d directory.Description) bool {
	return g.grant.Allows(d.Type, g.right)
}

// hideMatched shows of the names above one that does not exist only the
// deepest that may be known.
func (c asker) hideMatched(base directory.Key, r result) result {
	var s sight
	s.look(c, "")
	for key := base.Parent(); key != ""; key = key.Parent() {
		seen := false
		err := c.server.config.Tree.Get(key, func(e *tree.Entry) error {
			dn, err := e.AppendDN(nil)
			r.matched, seen = string(dn), s.seesWithin(c, key, e)
			return err
		})
		if err == nil && seen {
			return r
		}
	}
	r.matched = ""
	return r
}

// seesWithin is sees for an entry above the base that was looked at.
func (s *sight) seesWithin(c asker, key directory.Key, e directory.EntryView) bool {
	who := c.who.Identity
	who.Root = c.who.rootOf != "" && c.who.rootOf.Contains(key)
	return s.rules.On(&who, e, nil).Allows(nil, directory.RightRead)
}

// hideBase turns an answer without entries into "no such object" when the base
// itself may not be known: it must look as if it were not there.
func (c asker) hideBase(base directory.Key, r result) result {
	var s sight
	s.look(c, base)
	if s.who.Root {
		return r
	}
	hidden := false
	err := c.server.config.Tree.Get(base, func(e *tree.Entry) error {
		hidden = !s.sees(e)
		return nil
	})
	if err != nil || !hidden {
		return r
	}
	return c.hideMatched(base, result{code: directory.NoSuchObject})
}

// visible is the check before an operation on one entry: it must be there and
// may be known, and then the right is asked for.
func (c asker) visible(key directory.Key, visit func(e *tree.Entry, grant *directory.Access) error) error {
	var s sight
	s.look(c, key)
	err := c.server.config.Tree.Get(key, func(e *tree.Entry) error {
		if !s.sees(e) {
			return errHidden
		}
		return visit(e, s.at(e))
	})
	return err
}

// errHidden stands for an entry that must look as if it were not there.
var errHidden = &tree.NoSuchBase{}
