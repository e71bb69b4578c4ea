package directory

import (
	"slices"
	"strings"
)

// Query is a filter compiled against a schema: attribute descriptions
// resolved and assertion values brought to normal form, once. A node that
// cannot be decided (unknown type, no such rule, a value of the wrong syntax)
// is compiled to Kind FilterNone, which is Undefined. A Query is never
// changed and may be used by several goroutines. It may share the memory of
// the filter's values, which must then stay as they are.
type Query struct {
	Kind     FilterKind
	Attr     Description
	Rule     *MatchingRule // the rule that decides; nil for sets and presence
	Value    []byte        // normal form of the assertion
	Sub      *Substring    // of FilterSubstrings
	DNAttrs  bool          // of FilterExtensible
	Types    []*AttributeType
	Children []*Query
	schema   *Schema
}

// Compile resolves a filter. It never fails; see Query. Filters from the wire
// must be within MaxFilterDepth and MaxFilterNodes: deeper parts are Undefined.
func (s *Schema) Compile(f *Filter) *Query { return s.CompileIn(&QueryRoom{}, f) }

// QueryRoom is memory for one Query after another. It belongs to one goroutine.
type QueryRoom struct {
	nodes []Query
	links []*Query
}

// CompileIn is Compile in memory that the Query before it, if there was one, is
// not looked at in any more.
func (s *Schema) CompileIn(room *QueryRoom, f *Filter) *Query {
	n := f.nodes(0)
	if cap(room.nodes) < n {
		room.nodes, room.links = make([]Query, n), make([]*Query, n)
	}
	clear(room.nodes[:n])
	c := compiler{s: s, left: MaxFilterNodes, room: room.nodes[:n], links: room.links[:n]}
	return c.node(f, 0)
}

// nodes counts what Compile makes of a filter.
func (f *Filter) nodes(depth int) int {
	n := 1
	if f == nil || depth > MaxFilterDepth {
		return n
	}
	for _, child := range f.Children {
		if n += child.nodes(depth + 1); n > MaxFilterNodes {
			return MaxFilterNodes
		}
	}
	return n
}

type compiler struct {
	s     *Schema
	left  int
	room  []Query // for all nodes at once, as far as it goes
	links []*Query
}

// list gives memory for so many children.
func (c *compiler) list(n int) []*Query {
	if n > len(c.links) {
		return make([]*Query, 0, n)
	}
	out := c.links[:0:n]
	c.links = c.links[n:]
	return out
}

// take gives a node of its own.
func (c *compiler) take() *Query {
	if len(c.room) == 0 {
		return &Query{}
	}
	q := &c.room[0]
	c.room = c.room[1:]
	return q
}

func (c *compiler) node(f *Filter, depth int) *Query {
	c.left--
	if f == nil || depth > MaxFilterDepth || c.left < 0 {
		return &Query{Kind: FilterNone}
	}
	q := c.take()
	q.Kind, q.schema = f.Kind, c.s
	if f.Kind <= FilterNot {
		q.Children = c.list(len(f.Children))
		for _, child := range f.Children {
			q.Children = append(q.Children, c.node(child, depth+1))
		}
		if f.Kind == FilterNot && len(q.Children) != 1 {
			return &Query{Kind: FilterNone}
		}
		return q
	}
	if f.Kind == FilterExtensible {
		return c.extensible(q, f)
	}
	d, ok := c.s.Describe(f.Attr)
	if !ok {
		return &Query{Kind: FilterNone}
	}
	q.Attr, q.Types = d, d.Type.subtypes
	if c.leaf(q, f) {
		return q
	}
	return &Query{Kind: FilterNone}
}

// leaf fills in rule and value; false when the node is Undefined.
func (c *compiler) leaf(q *Query, f *Filter) bool {
	t := q.Attr.Type
	switch f.Kind {
	case FilterPresent:
		return true
	case FilterEquality, FilterApprox:
		q.Kind, q.Rule = FilterEquality, t.Equality // approximate is equality here, as RFC 4511 allows
	case FilterGreaterOrEqual, FilterLessOrEqual:
		q.Rule = t.Ordering
	case FilterSubstrings:
		q.Rule = t.Substrings
		if q.Rule == nil {
			return false
		}
		var err error
		q.Sub, err = q.Rule.CompileSubstring(f.Initial, f.Any, f.Final)
		return err == nil
	default:
		return false
	}
	if q.Rule == nil || len(f.Value) == 0 && q.Rule.Syntax == syntaxDirectoryString {
		return false
	}
	v, err := q.Rule.NormalizeAssertion(f.Value)
	q.Value = v
	return err == nil
}

// extensible resolves attr:dn:rule (RFC 4511 §4.5.1.7.7).
func (c *compiler) extensible(q *Query, f *Filter) *Query {
	none := &Query{Kind: FilterNone}
	q.DNAttrs = f.DNAttrs
	if f.Attr != "" {
		d, ok := c.s.Describe(f.Attr)
		if !ok {
			return none
		}
		q.Attr, q.Types = d, d.Type.subtypes
		q.Rule = d.Type.Equality
	}
	if f.Rule != "" {
		q.Rule = c.s.Rule(f.Rule)
	}
	switch {
	case q.Rule == nil:
		return none
	case f.Attr == "":
		q.Types = c.s.typesFor(q.Rule)
	case !q.Rule.AppliesTo(q.Attr.Type):
		return none
	}
	if q.Rule.Kind == SubstringsRule {
		initial, parts, final, ok := splitSubstringAssertion(f.Value)
		sub, err := q.Rule.CompileSubstring(initial, parts, final)
		if !ok || err != nil {
			return none
		}
		q.Sub = sub
		return q
	}
	v, err := q.Rule.NormalizeAssertion(f.Value)
	if err != nil {
		return none
	}
	q.Value = v
	return q
}

// AppliesTo reports whether a rule may be used with a type: the assertion
// syntax is the type's, or both are strings, or one of the type's own rules
// has the same assertion syntax (RFC 4512 §4.1.3, read leniently as slapd does).
func (r *MatchingRule) AppliesTo(t *AttributeType) bool {
	if r == t.Equality || r == t.Ordering || r == t.Substrings || r.Syntax == t.Syntax.OID {
		return true
	}
	if t.Equality != nil && t.Equality.Syntax == r.Syntax {
		return true
	}
	if strings.HasPrefix(r.Syntax, certificateArc) {
		return t.Binary()
	}
	return isStringSyntax(t.Syntax.OID) && (isStringSyntax(r.Syntax) || r.Syntax == syntaxBase+"58") ||
		r.Syntax == syntaxOctetString
}

func isStringSyntax(oid string) bool {
	switch strings.TrimPrefix(oid, syntaxBase) {
	case "15", "26", "44", "36", "50", "11":
		return true
	}
	return false
}

// typesFor lists the types a rule without an attribute looks at: those that
// name it, directly or by inheritance, and those of its assertion syntax.
func (s *Schema) typesFor(r *MatchingRule) []*AttributeType {
	var out []*AttributeType
	for _, t := range s.attributeList {
		if r == t.Equality || r == t.Ordering || r == t.Substrings || r.Syntax == t.Syntax.OID {
			out = append(out, t)
		}
	}
	return out
}

// Match decides a filter for an entry, compiling it first; see Query.Match.
func (s *Schema) Match(f *Filter, e *Entry) Truth { return s.Compile(f).Match(e) }

// SpeaksOf reports whether a leaf says something of values under a description.
func (q *Query) SpeaksOf(d Description) bool {
	switch {
	case d.Type == nil:
		return false
	case q.Attr.Type == nil:
		return slices.Contains(q.Types, d.Type)
	}
	return q.Attr.Covers(d)
}
