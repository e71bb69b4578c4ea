package directory

import (
	"net/netip"
	"slices"
	"strings"
)

// Right is what an access rule grants, one bit each.
type Right uint16

// The rights. RightSearch lets a filter test an attribute, RightRead returns
// it. Each of the four that change the directory is asked on the entry
// (EntryPart) and, where the request names attributes, on each of them:
// RightAdd on both, RightModify on attributes, RightDelete and RightRename on
// the entry; RightRename is asked at the old place and at the new one.
//
// The last three are asked on the entry alone, unless said otherwise, and are
// part of no other right: RightProxy lets an identity act as that entry
// (RFC 4370, and the authorization identity of a SASL bind), RightManage lets
// it relax the rules of the schema there (on each attribute concerned as
// well), RightReplicate lets it follow the directory with its secrets.
const (
	RightRead Right = 1 << iota
	RightSearch
	RightCompare
	RightAdd
	RightDelete
	RightModify
	RightRename
	RightProxy
	RightManage
	RightReplicate
)

// RightsWrite are the rights that "write" stands for in a file of rules. Ask
// for one of them, never for all.
const RightsWrite = RightAdd | RightDelete | RightModify | RightRename

var rightNames = []struct {
	right Right
	name  string
}{
	{RightRead, "read"}, {RightSearch, "search"}, {RightCompare, "compare"}, {RightAdd, "add"}, {RightDelete, "delete"},
	{RightModify, "modify"}, {RightRename, "rename"}, {RightProxy, "proxy"}, {RightManage, "manage"}, {RightReplicate, "replicate"},
}

// AllRights lists every right, in the order of their names' importance.
func AllRights() []Right {
	out := make([]Right, len(rightNames))
	for i, n := range rightNames {
		out[i] = n.right
	}
	return out
}

// ParseRight reads the name of a right; "write" is four at once.
func ParseRight(name string) (Right, bool) {
	if name == "write" {
		return RightsWrite, true
	}
	for _, n := range rightNames {
		if n.name == name {
			return n.right, true
		}
	}
	return 0, false
}

// String lists the rights by name.
func (r Right) String() string {
	var out []string
	if r&RightsWrite == RightsWrite {
		out, r = append(out, "write"), r&^RightsWrite
	}
	for _, n := range rightNames {
		if r&n.right != 0 {
			out = append(out, n.name)
		}
	}
	return strings.Join(out, ",")
}

// Identity is who asks, and how he came. The zero value is anonymous.
type Identity struct {
	DN     DN
	Key    Key   // of DN; "" when the identity has no name
	Groups []Key // groups the identity is known to be a member of
	Name   string
	// Root identities may do everything the directory itself allows; the
	// managed subtrees are beyond them as for everyone.
	Root bool
	// Method says how the identity was shown: "" for nobody's, simple, a SASL
	// mechanism, certificate for one taken from a client certificate without a
	// bind of its own, proxied for one that another acts as.
	Method string
	// Certified: the identity rests on a client certificate.
	Certified bool
	// Strength is the security strength factor of the connection: the length
	// of the cipher's key in bits, 0 without encryption.
	Strength int
	Peer     netip.Addr // where the connection comes from
	// Facts are the filters on identities that rules ask, by Rules.Facts; a
	// filter that is not there has not been asked.
	Facts map[string]bool
}

// Anonymous reports whether nobody has been authenticated.
func (i *Identity) Anonymous() bool { return i.Key == "" && i.Name == "" && !i.Root }

// EntryView is what a rule looks at in an entry.
type EntryView interface {
	Key() Key
	Match(*Query) Truth
}

// EntryPart is the pseudo-attribute of the entry itself: RightRead on it makes
// the entry visible at all.
const EntryPart = "entry"

// Rules is an ordered list of access rules. The first rule that fits identity,
// entry, attribute and right decides; if none fits the answer is no. Rules
// never change once parsed; any number of goroutines may use them.
type Rules struct {
	schema  *Schema
	list    []*rule
	filters map[string]*Query // on identities, by their text
}

type rule struct {
	name   string
	line   int
	deny   bool
	text   [32]byte // digest of the rule as it was written
	rights Right
	who    []subject
	manner
	subjectScope
	attributes attributeSet
}

// subjectScope is the set of entries a rule is about.
type subjectScope struct {
	all     bool // every entry
	base    Key
	scope   string // entry, one, children, subtree
	filter  string // of query
	query   *Query // nil: any
	isScope bool
}

func (s *subjectScope) covers(v EntryView, deny bool) bool {
	if s.all {
		return true
	}
	if s.isScope && !s.holds(v.Key()) {
		return false
	}
	if s.query == nil {
		return true
	}
	t := v.Match(s.query)
	return t == True || t == Undefined && deny // doubt fails closed
}

// holds decides the place alone.
func (s *subjectScope) holds(k Key) bool {
	switch s.scope {
	case "entry":
		return k == s.base
	case "one":
		return k != "" && k.Parent() == s.base
	case "children":
		return k != s.base && s.base.Contains(k)
	}
	return s.base.Contains(k)
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
	if !x.manner.fits(who) {
		return false
	}
	for i := range x.who {
		if x.who[i].fits(who, entry) || x.deny && x.who[i].unasked(who) {
			return true
		}
	}
	return false
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

// Equal reports whether two grants come from the same rules, and so decide
// everything alike.
func (a *Access) Equal(b *Access) bool { return a.root == b.root && slices.Equal(a.rules, b.rules) }

// Clone is a grant that stays as it is when a's memory is used again.
func (a *Access) Clone() Access { return Access{root: a.root, rules: slices.Clone(a.rules)} }

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
