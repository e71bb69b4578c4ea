package tree

import (
	"fmt"

	"cardinal/directory"
)

// Computed is an operational attribute that stands in no record: it follows
// from the entry, the time, or something outside the tree. It is shown, found
// and compared like any other, and costs nothing unless it is asked for.
type Computed struct {
	// Name is that of an operational attribute type the schema defines as not
	// for users to modify.
	Name string
	// Values appends the attribute's values for an entry; none means that the
	// entry has no such attribute. They must stay as they are for as long as the
	// entry does. With known false it cannot be told now: the attribute is not
	// shown, and whatever a filter says of it is Undefined. It is called from
	// any number of goroutines, within a read transaction: it must not wait.
	Values func(e *Entry, into [][]byte) (values [][]byte, known bool)
}

// computed is a Computed ready for use.
type computed struct {
	Computed
	description directory.Description
	always      bool  // every entry has it
	index       finds // nil: no index proposes entries by it
	// asked is Values for an attribute that speaks of other entries: those the
	// asker may know of; nil: Values it is.
	asked func(e *Entry, by Asker, into [][]byte) (values [][]byte, known bool)
	// equal decides an equality where that is cheaper than looking at the
	// values; nil: it is not.
	equal func(q *query, n *node, e *Entry) directory.Truth
}

// finds proposes the entries an item on a computed attribute can be true for.
type finds interface {
	// estimate is how many collect would give at most; -1 if it would not.
	estimate(p *planner, n *node, limit int) int
	// collect gives them ascending; ok is false if it cannot.
	collect(p *planner, n *node) (ids []uint32, ok bool)
}

// SubschemaDN is where the schema is published.
const SubschemaDN = "cn=Subschema"

// native are the attributes that follow from where an entry is and which
// change made it what it is, in the order they are shown.
func native(t *Tree) []computed {
	groups := memberOf{t}
	one := func(name string, value func(e *Entry) []byte) computed {
		return computed{always: true, Computed: Computed{Name: name, Values: func(e *Entry, into [][]byte) ([][]byte, bool) {
			v := value(e)
			return append(into, v), v != nil
		}}}
	}
	return []computed{
		one("entryUUID", func(e *Entry) []byte { return directory.FormatUUID(e.UUID()) }), // RFC 4530
		one("entryCSN", (*Entry).CSN), // draft-zeilenga-ldap-csn
		one("entryDN", func(e *Entry) []byte { // RFC 5020
			text, err := e.appendDN(nil)
			if err != nil {
				return nil
			}
			return text
		}),
		one("subschemaSubentry", func(*Entry) []byte { return []byte(SubschemaDN) }), // RFC 4512 §4.2
		{Computed: Computed{Name: "hasSubordinates"}, asked: hasSubordinates},        // X.501 §13.4
		{Computed: Computed{Name: "numSubordinates"}, asked: numSubordinates},        // draft-boreham-numsubordinates
		{Computed: Computed{Name: "memberOf"}, asked: groups.values, index: groups, equal: groups.match},
	}
}

// computedSet is all the computed attributes of a tree. It never changes.
type computedSet struct {
	byType map[*directory.AttributeType]*computed
	order  []*computed
}

func (s *computedSet) add(schema *directory.Schema, c computed) error {
	d, ok := schema.Describe(c.Name)
	switch {
	case !ok:
		return fmt.Errorf("computing %s: it is not in the schema", c.Name)
	case !d.Type.Operational() || !d.Type.NoUserModification || len(d.Options) > 0:
		return fmt.Errorf("computing %s: it is not operational, or users may modify it", c.Name)
	}
	c.description = d
	if old := s.byType[d.Type]; old != nil {
		*old = c
		return nil
	}
	s.byType[d.Type] = &c
	s.order = append(s.order, &c)
	return nil
}

func nativeSet(t *Tree) (*computedSet, error) {
	s := &computedSet{byType: map[*directory.AttributeType]*computed{}}
	for _, c := range native(t) {
		if err := s.add(t.schema, c); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Compute adds attributes to those the tree computes by itself, in place of
// all that were added before. Searches begun before do not know them. An error
// names the attribute the schema does not allow to be computed.
func (t *Tree) Compute(list ...Computed) error {
	s, err := nativeSet(t)
	if err != nil {
		return err
	}
	for _, c := range list {
		if err := s.add(t.schema, computed{Computed: c}); err != nil {
			return err
		}
	}
	t.computed.Store(s)
	return nil
}

// computedOf is the computed attribute of a description; nil if it is none.
func (t *Tree) computedOf(d directory.Description) *computed {
	if d.Type == nil || len(d.Options) > 0 || !d.Type.Operational() {
		return nil
	}
	return t.computed.Load().byType[d.Type]
}

// IsComputed reports whether a description is of a computed attribute.
func (t *Tree) IsComputed(d directory.Description) bool { return t.computedOf(d) != nil }

// Computed are the descriptions of all computed attributes, in the order they
// are shown.
func (t *Tree) Computed() []directory.Description {
	var out []directory.Description
	for _, c := range t.computed.Load().order {
		out = append(out, c.description)
	}
	return out
}

// Computed returns the values of a computed attribute, valid until the next
// call; none if the entry has no such attribute. With known false it cannot be
// told now. What speaks of other entries says what by may know of them; nil
// knows all.
func (e *Entry) Computed(d directory.Description, by Asker) (values [][]byte, known bool) {
	c := e.reader.tree.computedOf(d)
	if c == nil {
		return nil, true
	}
	return e.compute(c, by)
}

func (e *Entry) compute(c *computed, by Asker) (values [][]byte, known bool) {
	if c.asked != nil {
		values, known = c.asked(e, by, e.reader.computed[:0])
	} else {
		values, known = c.Values(e, e.reader.computed[:0])
	}
	e.reader.computed = values[:0]
	if !known {
		return nil, false
	}
	return values, true
}

// First returns the first value of an attribute the record holds, with its
// subtypes and options; nil if there is none. It lives until the next value
// of the reader is looked at.
func (e *Entry) First(d directory.Description) []byte {
	var found []byte
	e.EachOf(d, func(v []byte) bool {
		found = v
		return false
	})
	return found
}

// EachOf runs over the values of an attribute the record holds, with its
// subtypes and options, until visit returns false. Each lives until the next.
func (e *Entry) EachOf(d directory.Description, visit func(v []byte) bool) {
	for it := e.attributes(); ; {
		code, vs, ok := it.next()
		if !ok || int(code) >= len(e.reader.catalog.names) {
			return
		}
		if have := &e.reader.catalog.names[code].description; have.Type != d.Type && (have.Type == nil || len(d.Type.Subtypes()) == 1) || !d.Covers(*have) {
			continue
		}
		if !e.eachValue(code, &vs, visit) {
			return
		}
	}
}

func (q *query) matchComputed(n *node, e *Entry) directory.Truth {
	if q.allow != nil && !q.allow.Search(e, n.Attr) {
		return directory.Undefined
	}
	if n.Kind == directory.FilterPresent && n.computed.always {
		return directory.True
	}
	if n.computed.equal != nil && n.Kind == directory.FilterEquality {
		return n.computed.equal(q, n, e)
	}
	values, known := e.compute(n.computed, askerOf(q.allow))
	switch {
	case !known:
		return directory.Undefined
	case n.Kind == directory.FilterPresent:
		return truth(len(values) > 0)
	}
	result := directory.False
	for _, v := range values {
		if result = max(result, n.MatchValue(v)); result == directory.True {
			break
		}
	}
	return result
}

func truth(b bool) directory.Truth {
	if b {
		return directory.True
	}
	return directory.False
}
