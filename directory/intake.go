package directory

import (
	"bytes"
	"slices"
	"strings"
)

// Intake decides for entry after entry what Canonical and Check decide, quicker
// where entries resemble each other: names and sets of object classes are
// looked up once. It knows only the ordinary case; everything else it leaves
// to them. It is for one goroutine.
type Intake struct {
	schema *Schema
	names  map[string]*intakeName
	last   *intakeName // asked for last
	sets   map[string]*classSet
	key    []byte
	entry  uint64   // number of the entry in hand
	seen   []uint64 // by type: the last entry that had it
}

// intakeName is an attribute description as it was given.
type intakeName struct {
	given     string
	next      *intakeName // asked for behind it last: entries resemble each other
	canonical string
	typ       *AttributeType // nil: not ordinary
	last      uint64         // entry that had this description last
	twin      *intakeName    // another spelling of the same description
}

// classSet is what follows from the values of objectClass as they were given.
type classSet struct {
	values     [][]byte // with all superclasses
	structural *ObjectClass
	must       []*AttributeType
	allowed    []bool // by Index
	open       bool
}

// maxIntake bounds what an Intake remembers.
const maxIntake = 4096

// NewIntake makes an Intake.
func (s *Schema) NewIntake() *Intake {
	return &Intake{schema: s, names: map[string]*intakeName{}, sets: map[string]*classSet{}, seen: make([]uint64, len(s.attributeList))}
}

// Type resolves an attribute description; nil if it is not an ordinary one.
func (n *Intake) Type(description string) *AttributeType { return n.name(description).typ }

func (n *Intake) name(description string) *intakeName {
	if n.last != nil && n.last.next != nil && n.last.next.given == description {
		n.last = n.last.next
		return n.last
	}
	x := n.named(description)
	if n.last != nil {
		n.last.next = x
	}
	n.last = x
	return x
}

func (n *Intake) named(description string) *intakeName {
	if x, ok := n.names[description]; ok {
		return x
	}
	if len(n.names) >= maxIntake {
		clear(n.names)
		n.last = nil
	}
	x := &intakeName{given: description}
	n.names[description] = x
	d, err := n.schema.describe(description)
	if err != nil {
		return x
	}
	x.canonical, x.typ = d.String(), d.Type
	if x.canonical != description {
		x.twin = n.named(x.canonical)
	}
	return x
}

// Take brings an entry that obeys the schema into canonical form, in place and
// without new memory for it, and gives its structural class. False leaves the
// entry to Canonical and Check, whatever is the matter with it; some of its
// descriptions may be canonical then.
func (n *Intake) Take(e *Entry) (*ObjectClass, bool) {
	n.entry++
	set := n.classSet(e)
	if set == nil {
		return nil, false
	}
	for i := range e.Attributes {
		if !n.takeAttribute(&e.Attributes[i], set) {
			return nil, false
		}
	}
	for _, t := range set.must {
		if n.seen[t.Index] != n.entry {
			return nil, false
		}
	}
	if !n.tells(e) {
		return nil, false
	}
	e.Attribute("objectClass").Values = set.values
	return set.structural, true
}

func (n *Intake) takeAttribute(a *Attribute, set *classSet) bool {
	x := n.name(a.Type)
	if x.typ == nil {
		return false
	}
	if x.twin != nil {
		x = x.twin
		a.Type = x.canonical
	}
	t := x.typ
	if x.last == n.entry || len(a.Values) == 0 || t.SingleValue && len(a.Values) > 1 ||
		!set.open && !t.Operational() && !set.allowed[t.Index] {
		return false
	}
	x.last = n.entry
	n.seen[t.Index] = n.entry
	if t == n.schema.objectClass {
		return true
	}
	for _, v := range a.Values {
		if t.Syntax.Validate(v) != nil {
			return false
		}
	}
	return n.schema.twice(t, a.Values) < 0
}

// tells reports whether the entry's name is told by a value it has.
func (n *Intake) tells(e *Entry) bool {
	if len(e.DN) == 0 || len(e.DN[0]) != 1 {
		return false
	}
	ava := &e.DN[0][0]
	x := n.name(ava.Type)
	if x.typ == nil || strings.IndexByte(ava.Type, ';') >= 0 {
		return false
	}
	a := e.Attribute(x.canonical)
	return a != nil && slices.ContainsFunc(a.Values, func(v []byte) bool { return bytes.Equal(v, ava.Value) })
}

func (n *Intake) classSet(e *Entry) *classSet {
	i := slices.IndexFunc(e.Attributes, func(a Attribute) bool { return n.Type(a.Type) == n.schema.objectClass })
	if i < 0 {
		return nil
	}
	n.key = n.key[:0]
	for _, v := range e.Attributes[i].Values {
		n.key = append(append(n.key, v...), 0)
	}
	set, ok := n.sets[string(n.key)]
	if !ok {
		if len(n.sets) >= maxIntake {
			clear(n.sets)
		}
		set = n.schema.newClassSet(e.Attributes[i].Values)
		n.sets[string(n.key)] = set
	}
	return set
}

// newClassSet returns nil for values that are not in order.
func (s *Schema) newClassSet(values [][]byte) *classSet {
	probe := &Entry{Attributes: []Attribute{{Type: "objectClass", Values: make([][]byte, len(values))}}}
	for i, v := range values {
		probe.Attributes[0].Values[i] = bytes.Clone(v)
	}
	if s.objectClass == nil || s.checkValues(s.objectClass, values) != nil || s.twice(s.objectClass, values) >= 0 ||
		s.addSuperclasses(probe) != nil {
		return nil
	}
	classes, err := s.classesOf(probe)
	if err != nil {
		return nil
	}
	set := &classSet{values: slices.Clip(probe.Attributes[0].Values), allowed: make([]bool, len(s.attributeList))}
	if set.structural, err = structuralOf(classes); err != nil {
		return nil
	}
	for _, c := range classes {
		set.open = set.open || c.OID == extensibleObject
		set.must = append(set.must, c.AllMust...)
		for _, t := range slices.Concat(c.AllMust, c.AllMay) {
			set.allowed[t.Index] = true
		}
	}
	return set
}
