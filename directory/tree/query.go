package tree

import (
	"cardinal/directory"
)

// Allow decides whether the asker may use an attribute of an entry in a
// filter. What he may not use is Undefined, so that an answer never tells
// what is hidden.
type Allow interface {
	Search(e *Entry, attribute directory.Description) bool
}

// Hide says which values are not there for who asks.
type Hide interface {
	// Hides reports whether some values of an attribute may be hidden; Hidden is
	// asked for each value of those alone.
	Hides(attribute directory.Description) bool
	Hidden(value []byte) bool
}

// query is a filter made ready for records. It belongs to one search.
type query struct {
	root    *node
	catalog *Names
	allow   Allow
	hide    Hide
}

// node is one element of a compiled filter, and which attribute numbers it
// speaks of, as far as that was asked.
type node struct {
	*directory.Query
	children []node
	computed *computed
	covers   []coverage
	room     [48]coverage // for covers, as long as the numbers are few
}

type coverage uint8

const (
	coverUnknown coverage = iota
	coverYes
	coverNo
)

// nodeRoom is memory for nodes.
type nodeRoom struct{ all, free []node }

// fewNodes are made at once: most filters have no more.
const fewNodes = 4

func (r *nodeRoom) take(n int) []node {
	if n > len(r.free) {
		r.all = make([]node, max(n, fewNodes))
		r.free = r.all
	}
	out := r.free[:n:n]
	r.free = r.free[n:]
	return out
}

// newNode makes the nodes of a filter; those below one parent stand together.
func (t *Tree) newNode(q *directory.Query) *node { return t.nodeIn(&nodeRoom{}, q) }

// nodeIn is newNode in memory whose nodes nobody looks at any more.
func (t *Tree) nodeIn(room *nodeRoom, q *directory.Query) *node {
	room.free = room.all
	n := &room.take(1)[0]
	t.fill(room, n, q)
	return n
}

func (t *Tree) fill(room *nodeRoom, n *node, q *directory.Query) {
	n.Query, n.computed, n.children, n.covers = q, t.computedOf(q.Attr), nil, nil
	if len(q.Children) > 0 {
		n.children = room.take(len(q.Children))
		for i, c := range q.Children {
			t.fill(room, &n.children[i], c)
		}
	}
}

// match decides the filter for one entry, with the three truth values of
// RFC 4511 §4.5.1.7.
func (q *query) match(n *node, e *Entry) directory.Truth {
	switch n.Kind {
	case directory.FilterAnd:
		t := directory.True
		for i := range n.children {
			c := &n.children[i]
			if t = min(t, q.match(c, e)); t == directory.False {
				return t
			}
		}
		return t
	case directory.FilterOr:
		t := directory.False
		for i := range n.children {
			c := &n.children[i]
			if t = max(t, q.match(c, e)); t == directory.True {
				return t
			}
		}
		return t
	case directory.FilterNot:
		return q.match(&n.children[0], e).Not()
	case directory.FilterNone:
		return directory.Undefined
	}
	if n.computed != nil {
		return q.matchComputed(n, e)
	}
	return q.matchItem(n, e)
}

// matchItem looks through the entry for a value that makes the item true.
// Without one the item is False, or Undefined if an attribute it speaks of
// may not be searched or a value defied its rule.
func (q *query) matchItem(n *node, e *Entry) directory.Truth {
	result := directory.False
	for it := e.attributes(); ; {
		code, vs, ok := it.next()
		if !ok {
			break
		}
		if !q.coveredBy(n, code) {
			continue
		}
		d := q.catalog.names[code].description
		if q.allow != nil && !q.allow.Search(e, d) {
			result = directory.Undefined
			continue
		}
		hide := q.hide
		if hide != nil && !hide.Hides(d) {
			hide = nil
		}
		if result = max(result, n.matchValues(code, &vs, e, hide)); result == directory.True {
			return result
		}
	}
	if n.DNAttrs && n.Kind == directory.FilterExtensible {
		result = max(result, q.matchDN(n, e))
	}
	if result == directory.False && n.Attr.Type != nil && q.allow != nil && !q.allow.Search(e, n.Attr) {
		return directory.Undefined
	}
	return result
}

// coveredBy reports whether values under this attribute number are meant.
func (q *query) coveredBy(n *node, code uint16) bool {
	if int(code) >= len(n.covers) {
		if int(code) >= len(q.catalog.names) {
			return false
		}
		n.cover(len(q.catalog.names))
	}
	if n.covers[code] == coverUnknown {
		n.covers[code] = coverNo
		if n.SpeaksOf(q.catalog.names[code].description) {
			n.covers[code] = coverYes
		}
	}
	return n.covers[code] == coverYes
}

// matchValues decides the item for the values of one attribute, as if those
// hide hides were not there; nil hides none.
func (n *node) matchValues(code uint16, vs *values, e *Entry, hide Hide) directory.Truth {
	if n.Kind == directory.FilterPresent && hide == nil {
		return directory.True
	}
	if _, apart := vs.outlined(); apart {
		return n.matchOutlined(e, code, hide)
	}
	result := directory.False
	for {
		v, ok := vs.next(e.reader.value[:])
		switch {
		case !ok:
			return result
		case hide != nil && hide.Hidden(v):
			continue
		case n.Kind == directory.FilterPresent:
			return directory.True
		}
		if result = max(result, n.MatchValue(v)); result == directory.True {
			return result
		}
	}
}

// matchDN looks into the parts of the entry's own name (the dn form of an
// extensible match, RFC 4511 §4.5.1.7.7).
func (q *query) matchDN(n *node, e *Entry) directory.Truth {
	text, err := e.AppendDN(nil)
	if err != nil {
		return directory.Undefined
	}
	dn, err := directory.ParseDN(string(text))
	if err != nil {
		return directory.Undefined
	}
	result := directory.False
	for _, rdn := range dn {
		for _, ava := range rdn {
			d, ok := e.reader.tree.schema.Describe(ava.Type)
			if ok && n.SpeaksOf(d) && (q.allow == nil || q.allow.Search(e, d)) {
				result = max(result, n.MatchValue(ava.Value))
			}
		}
	}
	return result
}

// cover makes room for so many numbers.
func (n *node) cover(numbers int) {
	if n.covers == nil {
		n.covers = n.room[:0]
	}
	for len(n.covers) < numbers {
		n.covers = append(n.covers, coverUnknown)
	}
}
