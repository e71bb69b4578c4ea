package directory

import (
	"bytes"
	"slices"
)

// Match decides the query for an entry (RFC 4511 §4.5.1.7). It never fails.
// Values of the entry are normalised on the way.
func (q *Query) Match(e *Entry) Truth {
	switch q.Kind {
	case FilterAnd:
		t := True
		for _, c := range q.Children {
			if t = min(t, c.Match(e)); t == False {
				break
			}
		}
		return t
	case FilterOr:
		t := False
		for _, c := range q.Children {
			if t = max(t, c.Match(e)); t == True {
				break
			}
		}
		return t
	case FilterNot:
		return q.Children[0].Match(e).Not()
	case FilterNone:
		return Undefined
	}
	return q.matchLeaf(e)
}

func (q *Query) matchLeaf(e *Entry) Truth {
	t := False
	for i := range e.Attributes {
		a := &e.Attributes[i]
		if !q.covers(a.Type) {
			continue
		}
		if q.Kind == FilterPresent {
			if len(a.Values) > 0 {
				return True
			}
			continue
		}
		for _, v := range a.Values {
			if t = max(t, q.MatchValue(v)); t == True {
				return t
			}
		}
	}
	if q.DNAttrs && q.Kind == FilterExtensible {
		return max(t, q.matchDN(e.DN))
	}
	return t
}

// covers reports whether the query looks at an attribute of the entry.
func (q *Query) covers(description string) bool {
	typ, options := SplitDescription(description)
	t := q.schema.Attribute(typ)
	if t == nil || len(q.Types) != 1 && !slices.Contains(q.Types, t) || len(q.Types) == 1 && q.Types[0] != t {
		return false
	}
	if len(q.Attr.Options) == 0 {
		return true
	}
	if options == "" {
		return false
	}
	d, ok := q.schema.Describe(description)
	return ok && coversOptions(q.Attr.Options, d.Options)
}

func (q *Query) matchDN(d DN) Truth {
	t := False
	for _, r := range d {
		for _, a := range r {
			at := q.schema.Attribute(a.Type)
			if at == nil || !slices.Contains(q.Types, at) {
				continue
			}
			if t = max(t, q.MatchValue(a.Value)); t == True {
				return t
			}
		}
	}
	return t
}

// MatchValue decides a leaf for one attribute value as it is stored.
func (q *Query) MatchValue(v []byte) Truth {
	n, err := q.Rule.Normalize(v)
	if err != nil {
		return Undefined
	}
	return q.MatchNormal(n)
}

// MatchNormal decides a leaf for a value in the normal form of q.Rule.
func (q *Query) MatchNormal(n []byte) Truth {
	switch {
	case q.Sub != nil:
		return truth(q.Sub.Match(n))
	case q.Kind == FilterGreaterOrEqual:
		return truth(bytes.Compare(n, q.Value) >= 0)
	case q.Kind == FilterLessOrEqual:
		return truth(bytes.Compare(n, q.Value) <= 0)
	}
	return q.Rule.Matches(n, q.Value)
}
