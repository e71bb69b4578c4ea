package directory

import (
	"fmt"
	"slices"
	"strings"
)

// Right is what an access rule grants, one bit each.
type Right uint8

// The rights. RightSearch lets a filter test an attribute, RightRead returns
// it. RightReplicate lets an identity follow the directory with its secrets.
// RightProxy on the entry part of another identity's entry lets one act as it
// (RFC 4370).
const (
	RightRead Right = 1 << iota
	RightSearch
	RightCompare
	RightWrite
	RightReplicate
	RightProxy
)

var rightNames = []struct {
	right Right
	name  string
}{
	{RightRead, "read"}, {RightSearch, "search"}, {RightCompare, "compare"},
	{RightWrite, "write"}, {RightReplicate, "replicate"}, {RightProxy, "proxy"},
}

// String lists the rights by name.
func (r Right) String() string {
	var out []string
	for _, n := range rightNames {
		if r&n.right != 0 {
			out = append(out, n.name)
		}
	}
	return strings.Join(out, ",")
}

// Identity is who asks. The zero value is anonymous.
type Identity struct {
	DN     DN
	Key    Key   // of DN; "" when the identity has no name
	Groups []Key // groups the identity is known to be a member of
	Name   string
	// Root identities may do everything the directory itself allows; the
	// managed subtrees are beyond them as for everyone.
	Root bool
}

// Anonymous reports whether nobody has been authenticated.
func (i *Identity) Anonymous() bool { return i.Key == "" && i.Name == "" && !i.Root }

// EntryView is what a rule looks at in an entry.
type EntryView interface {
	Key() Key
	Match(*Query) Truth
}

// EntryPart is the pseudo-attribute of the entry itself: RightRead on it makes
// the entry visible at all, RightWrite lets it be added, deleted and moved.
const EntryPart = "entry"

// Rules is an ordered list of access rules. The first rule that fits identity,
// entry, attribute and right decides; if none fits the answer is no. Rules
// never change once parsed; any number of goroutines may use them.
type Rules struct {
	schema *Schema
	list   []*rule
}

type rule struct {
	name   string
	deny   bool
	rights Right
	who    []subject
	subjectScope
	attributes attributeSet
}

// subjectScope is the set of entries a rule is about.
type subjectScope struct {
	all     bool // every entry
	base    Key
	scope   string // entry, children, subtree
	query   *Query // nil: any
	isScope bool
}

func (s *subjectScope) covers(v EntryView, deny bool) bool {
	if s.all {
		return true
	}
	if s.isScope {
		k := v.Key()
		switch s.scope {
		case "entry":
			if k != s.base {
				return false
			}
		case "children":
			if k == s.base || !s.base.Contains(k) {
				return false
			}
		default:
			if !s.base.Contains(k) {
				return false
			}
		}
	}
	if s.query == nil {
		return true
	}
	t := v.Match(s.query)
	return t == True || t == Undefined && deny // doubt fails closed
}

// subject is one kind of identity.
type subject struct {
	kind string // anyone, anonymous, authenticated, self, dn, subtree, group, name
	key  Key
	name string
}

func (s *subject) fits(who *Identity, entry Key) bool {
	switch s.kind {
	case "anyone":
		return true
	case "anonymous":
		return who.Anonymous()
	case "authenticated":
		return !who.Anonymous()
	case "self":
		return who.Key != "" && who.Key == entry
	case "selfSubtree":
		return who.Key != "" && who.Key.Contains(entry)
	case "dn":
		return who.Key != "" && who.Key == s.key
	case "subtree":
		return who.Key != "" && s.key.Contains(who.Key)
	case "group":
		return slices.Contains(who.Groups, s.key)
	case "name":
		return who.Name != "" && strings.EqualFold(who.Name, s.name)
	}
	return false
}

// attributeSet is a list of attributes by kind and name.
type attributeSet struct {
	entry, user, operational bool
	types                    map[*AttributeType]bool
	except                   map[*AttributeType]bool
}

func (a *attributeSet) has(t *AttributeType) bool {
	switch {
	case t == nil:
		return a.entry
	case a.except[t]:
		return false
	case a.types[t]:
		return true
	case t.Operational():
		return a.operational
	}
	return a.user
}

// Allows decides a right of an identity on an attribute of an entry and says
// which rule decided. attr is a description or EntryPart. An attribute the
// schema does not know is refused.
func (r *Rules) Allows(who *Identity, on EntryView, attr string, right Right) (allowed bool, by string) {
	if who.Root {
		return true, "root identity"
	}
	var t *AttributeType
	if attr != EntryPart {
		if t = r.schema.Attribute(attr); t == nil {
			return false, "unknown attribute"
		}
	}
	key := on.Key()
	for _, x := range r.list {
		if x.rights&right == 0 || !x.attributes.has(t) || !x.fits(who, key) || !x.covers(on, x.deny) {
			continue
		}
		return !x.deny, x.name
	}
	return false, "no rule: refused by default"
}

func (x *rule) fits(who *Identity, entry Key) bool {
	return slices.ContainsFunc(x.who, func(s subject) bool { return s.fits(who, entry) })
}

// Access is what the rules say about one identity and one entry.
type Access struct {
	root  bool
	rules []*rule
}

// On collects the rules that fit an identity and an entry, so that a search
// can ask for many attributes at the cost of one look. buf may be nil; its
// memory is reused.
func (r *Rules) On(who *Identity, on EntryView, buf *Access) *Access {
	if buf == nil {
		buf = &Access{}
	}
	buf.root, buf.rules = who.Root, buf.rules[:0]
	if who.Root {
		return buf
	}
	key := on.Key()
	for _, x := range r.list {
		if x.fits(who, key) && x.covers(on, x.deny) {
			buf.rules = append(buf.rules, x)
		}
	}
	return buf
}

// Allows decides a right on an attribute type; nil stands for EntryPart.
func (a *Access) Allows(t *AttributeType, right Right) bool {
	if a.root {
		return true
	}
	for _, x := range a.rules {
		if x.rights&right != 0 && x.attributes.has(t) {
			return !x.deny
		}
	}
	return false
}

// Explain lists, in order, every rule with why it fits or not, and the one
// that decides.
func (r *Rules) Explain(who *Identity, on EntryView, attr string, right Right) []string {
	_, by := r.Allows(who, on, attr, right)
	t := r.schema.Attribute(attr)
	key := on.Key()
	var out []string
	for _, x := range r.list {
		why := "fits"
		switch {
		case !x.fits(who, key):
			why = "another identity"
		case !x.covers(on, x.deny):
			why = "another entry"
		case attr != EntryPart && t == nil || !x.attributes.has(t):
			why = "another attribute"
		case x.rights&right == 0:
			why = "another right"
		}
		if x.name == by {
			why = map[bool]string{false: "decides: allowed", true: "decides: refused"}[x.deny]
		}
		out = append(out, fmt.Sprintf("%s: %s", x.name, why))
	}
	return append(out, "by: "+by)
}

// View returns the view of a plain entry.
func (s *Schema) View(e *Entry) (EntryView, error) {
	k, err := s.Key(e.DN)
	return &plainView{key: k, entry: e}, err
}

type plainView struct {
	key   Key
	entry *Entry
}

func (v *plainView) Key() Key             { return v.key }
func (v *plainView) Match(q *Query) Truth { return q.Match(v.entry) }
