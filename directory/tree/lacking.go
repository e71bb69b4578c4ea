package tree

import (
	"slices"
	"strconv"

	"cardinal/directory"
)

// maxShape bounds the text of a filter's shape, in octets.
const maxShape = 240

// Shape is a filter in the form of RFC 4515 without its values: attributes and
// rules the schema knows by their names, all else as "?". What repeats is said
// once with how often it stands there.
func (t *Tree) Shape(f *directory.Filter) string {
	b := t.appendShape(nil, f, 0)
	if len(b) > maxShape {
		b = append(b[:maxShape], "…"...)
	}
	return string(b)
}

func (t *Tree) appendShape(b []byte, f *directory.Filter, depth int) []byte {
	if f == nil || f.Kind == directory.FilterNone || depth > directory.MaxFilterDepth || len(b) > maxShape {
		return append(b, "(?)"...)
	}
	b = append(b, '(')
	if f.Kind <= directory.FilterNot {
		b = append(b, "&|!"[f.Kind])
		return append(t.appendShapes(b, f.Children, depth+1), ')')
	}
	if f.Attr != "" {
		b = append(b, t.nameOf(f.Attr)...)
	}
	return append(appendShapeItem(b, f, t.schema), ')')
}

// appendShapes writes each run of equal shapes once.
func (t *Tree) appendShapes(b []byte, list []*directory.Filter, depth int) []byte {
	var last []byte
	run := 0
	end := func() {
		if b = append(b, last...); run > 1 {
			b = strconv.AppendInt(append(b, "×"...), int64(run), 10)
		}
	}
	for _, f := range list {
		one := t.appendShape(nil, f, depth)
		one = one[:min(len(one), maxShape)]
		if run > 0 && string(one) == string(last) {
			run++
			continue
		}
		if end(); len(b) > maxShape {
			return b
		}
		last, run = one, 1
	}
	end()
	return b
}

func appendShapeItem(b []byte, f *directory.Filter, schema *directory.Schema) []byte {
	switch f.Kind {
	case directory.FilterPresent:
		return append(b, "=*"...)
	case directory.FilterGreaterOrEqual:
		return append(b, ">=?"...)
	case directory.FilterLessOrEqual:
		return append(b, "<=?"...)
	case directory.FilterApprox:
		return append(b, "~=?"...)
	case directory.FilterSubstrings:
		b = append(b, '=')
		if f.Initial != nil {
			b = append(b, '?')
		}
		if len(f.Any) > 0 {
			b = append(b, "*?"...)
		}
		b = append(b, '*')
		if f.Final != nil {
			b = append(b, '?')
		}
		return b
	case directory.FilterExtensible:
		if f.DNAttrs {
			b = append(b, ":dn"...)
		}
		if r := schema.Rule(f.Rule); f.Rule != "" && r != nil {
			b = append(append(b, ':'), r.Name...)
		}
		return append(b, ":=?"...)
	}
	return append(b, "=?"...)
}

// nameOf is the canonical name of an attribute, "?" if the schema has none.
func (t *Tree) nameOf(text string) string {
	if d, ok := t.schema.Describe(text); ok {
		return d.Type.Name()
	}
	return "?"
}

// Lacking names the attributes whose index would let a filter propose few
// entries; none if no index would, or those there are do.
func (t *Tree) Lacking(f *directory.Filter) []string {
	names, _ := t.lacking(t.newNode(t.schema.Compile(f)))
	slices.Sort(names)
	if names = slices.Compact(names); len(names) > maxLacking {
		return nil
	}
	return names
}

// maxLacking is how many attributes one filter is worth; a supertype of many
// is better asked otherwise.
const maxLacking = 8

// lacking reports in helped whether the item would propose entries once the
// attributes it names are indexed.
func (t *Tree) lacking(n *node) (names []string, helped bool) {
	switch n.Kind {
	case directory.FilterNone:
		return nil, true
	case directory.FilterNot:
		return nil, false
	case directory.FilterAnd: // one that is served is enough, and equality the best
		var best *node
		for i := range n.children {
			c := &n.children[i]
			lacks, ok := t.lacking(c)
			if ok && len(lacks) > 0 && (best == nil || c.Kind == directory.FilterEquality && best.Kind != directory.FilterEquality) {
				best, names, helped = c, lacks, true
			}
		}
		return names, helped
	case directory.FilterOr: // all must be
		for i := range n.children {
			c := &n.children[i]
			lacks, ok := t.lacking(c)
			if !ok {
				return nil, false
			}
			names = append(names, lacks...)
		}
		return names, true
	}
	return t.lackingItem(n)
}

func (t *Tree) lackingItem(n *node) (names []string, helped bool) {
	if n.Attr.Type == nil || n.DNAttrs || n.computed != nil {
		return nil, n.isUUID()
	}
	switch n.Kind {
	case directory.FilterEquality, directory.FilterPresent, directory.FilterGreaterOrEqual, directory.FilterLessOrEqual:
	case directory.FilterSubstrings:
		if len(n.Sub.Prefix()) == 0 {
			return nil, false
		}
	default:
		return nil, false
	}
	for _, typ := range n.Types {
		switch {
		case t.indexed[typ]:
		case typ.Equality == nil || !typ.Equality.Indexable() || n.Kind != directory.FilterPresent && n.Rule != typ.Equality && !sameForm(n.Rule, typ.Equality):
			return nil, false
		default:
			names = append(names, typ.Name())
		}
	}
	return names, true
}
