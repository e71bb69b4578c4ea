package tree

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"slices"
	"strings"

	"cardinal/directory"
)

// The planner finds a set of entries that holds every entry a filter can be
// true for, as small as the indexes make it at little cost. It never has to be
// exact: each candidate is tested against the whole filter afterwards.

// candidates is such a set, ascending: gathered, or made slice by slice, or all
// entries, or found along a range of the index, in its order.
type candidates struct {
	ids []uint32
	set *sliced
	all bool

	along *ranging // in the order of an index
}

// planner works for one search in one snapshot.
type planner struct {
	rd      *reader
	indexed map[*directory.AttributeType]bool
	budget  int // chunks that may still be read for counting
	buf     []byte
}

// exact gives the entries a filter with an equality on a unique attribute can
// be true for: no other part of it can make them fewer at less cost.
func (p *planner) exact(n *node, ids []uint32) []uint32 {
	if n.isUUID() {
		if id := parseID(p.rd.uuids.Get(n.Value)); id != 0 {
			ids = append(ids, id)
		}
		return ids
	}
	attr, ok := p.rd.catalog.indexCode(n.Attr.Type)
	if !ok {
		return ids
	}
	p.buf = appendIndexValue(p.buf[:0], attr, n.Value)
	if p.rd.recall != nil && p.rd.tree.unique[n.Attr.Type] {
		if out, known := p.rd.recall.equal(maphash.Bytes(p.rd.tree.recalls.seed, p.buf), ids); known {
			return ascending(out)
		}
	}
	r := keyRange{low: p.buf, one: true}
	for k, v := p.seek(r); r.within(k); k, v = p.rd.index.Next() {
		ids = chunk(v).appendTo(ids, binary.BigEndian.Uint16(k[len(k)-2:]))
	}
	return ids
}

const (
	// scopeProbe is how many entries of a scope are looked at before the
	// indexes are asked: a person's few roles are cheaper read than looked up.
	scopeProbe = 16
	// scopeWalk bounds the walk over a subtree when no index helps; beyond it
	// going through all entries by number is the cheaper way.
	scopeWalk = 20_000
	// intersectAbove is the size from which a second condition is worth its
	// set: below it reading the entries costs less.
	intersectAbove = 64
	// countChunks bounds the reading done for estimates.
	countChunks = 4096
	// chunksEach is how many chunks are counted in the time an entry takes to be
	// tested.
	chunksEach = 4
)

// estimate is how many entries an item proposes at most; -1 if no index helps.
func (p *planner) estimate(n *node, limit int) int {
	switch n.Kind {
	case directory.FilterAnd:
		best := -1
		for i := range n.children {
			c := &n.children[i]
			if e := p.estimate(c, limit); e >= 0 && (best < 0 || e < best) {
				best = e
			}
			if best >= 0 && best <= scopeProbe {
				break
			}
		}
		return best
	case directory.FilterOr:
		sum := 0
		for i := range n.children {
			c := &n.children[i]
			e := p.estimate(c, limit)
			if e < 0 {
				return -1
			}
			sum += e
		}
		return sum
	case directory.FilterNot:
		return -1
	case directory.FilterNone:
		return 0
	}
	return p.estimateItem(n, limit)
}

func (p *planner) estimateItem(n *node, limit int) int {
	if n.isUUID() {
		return 1
	}
	if n.computed != nil && n.computed.index != nil {
		return n.computed.index.estimate(p, n, limit)
	}
	ranges, ok := p.ranges(n)
	if !ok {
		return -1
	}
	sum := 0
	for _, r := range ranges {
		sum += p.count(r, limit)
	}
	return sum
}

func (n *node) isUUID() bool {
	return n.Kind == directory.FilterEquality && len(n.Attr.Options) == 0 && n.Attr.Type.Name() == "entryUUID"
}

// collect gives the entries an item proposes, ascending; ok is false if no
// index helps.
func (p *planner) collect(n *node) (ids []uint32, ok bool) {
	switch n.Kind {
	case directory.FilterAnd:
		return p.collectAnd(n)
	case directory.FilterOr:
		for i := range n.children {
			c := &n.children[i]
			set, ok := p.collect(c)
			if !ok {
				return nil, false
			}
			ids = append(ids, set...)
		}
		return ascending(ids), true
	case directory.FilterNot:
		return nil, false
	case directory.FilterNone:
		return nil, true
	}
	if n.isUUID() {
		return p.exact(n, nil), true
	}
	if n.computed != nil && n.computed.index != nil {
		return n.computed.index.collect(p, n)
	}
	ranges, ok := p.ranges(n)
	if !ok {
		return nil, false
	}
	for _, r := range ranges {
		for k, v := p.seek(r); r.within(k); k, v = p.rd.index.Next() {
			ids = chunk(v).appendTo(ids, binary.BigEndian.Uint16(k[len(k)-2:]))
		}
	}
	return ascending(ids), true
}

// ascending sorts a set and removes what is in it twice.
func ascending(ids []uint32) []uint32 {
	if !slices.IsSorted(ids) {
		slices.Sort(ids)
	}
	return slices.Compact(ids)
}

// both keeps what is in both sets; the result is in a's memory.
func both(a, b []uint32) []uint32 {
	out := a[:0]
	for _, id := range a {
		i, found := slices.BinarySearch(b, id)
		if found {
			out = append(out, id)
		}
		b = b[i:]
	}
	return out
}

// collectAnd begins with the smallest set and narrows it by others that are
// not so large that gathering them costs more than it saves.
func (p *planner) collectAnd(n *node) ([]uint32, bool) {
	type part struct {
		n    *node
		size int
	}
	parts, best := make([]part, 0, len(n.children)), -1
	for i := range n.children {
		c := &n.children[i]
		if e := p.estimate(c, countChunks<<16); e >= 0 {
			parts = append(parts, part{c, e})
			if best < 0 || e < parts[best].size {
				best = len(parts) - 1
			}
			if e <= intersectAbove {
				break // reading that few costs less than looking for fewer
			}
		}
	}
	if best < 0 {
		return nil, false
	}
	ids, ok := p.collect(parts[best].n)
	if !ok {
		return nil, false
	}
	for i, c := range parts {
		if i == best || len(ids) <= intersectAbove || c.size > 16*len(ids) {
			continue
		}
		if set, ok := p.collect(c.n); ok {
			ids = both(ids, set)
		}
	}
	return ids, true
}

// keyRange is a span of index keys: those from low up to but not including
// high, or those that begin with low when high is nil.
type keyRange struct {
	low, high []byte
	one       bool // all chunks of a single value
}

// ranges are the index keys that can make the item true, over the attribute
// and its subtypes; ok is false when one of them is not indexed for this.
func (p *planner) ranges(n *node) ([]keyRange, bool) {
	if n.Attr.Type == nil || n.DNAttrs || n.computed != nil {
		return nil, false
	}
	if len(n.Types) == 1 {
		return p.appendRanges(nil, n, n.Types[0])
	}
	var out []keyRange
	for _, t := range n.Types {
		if !p.inUse(t) {
			continue
		}
		var ok bool
		if out, ok = p.appendRanges(out, n, t); !ok {
			return nil, false
		}
	}
	return out, true
}

// inUse reports whether any record may hold values of the type.
func (p *planner) inUse(t *directory.AttributeType) bool {
	for i := range p.rd.catalog.names {
		if p.rd.catalog.names[i].description.Type == t {
			return true
		}
	}
	return false
}

func (p *planner) appendRanges(out []keyRange, n *node, t *directory.AttributeType) ([]keyRange, bool) {
	if !p.indexed[t] {
		return nil, false
	}
	attr, ok := p.rd.catalog.indexCode(t)
	if !ok {
		return out, true // never written: no entry has it
	}
	switch n.Kind {
	case directory.FilterPresent:
		return append(out, keyRange{low: appendIndexPrefix(nil, attr, nil)}), true
	case directory.FilterEquality, directory.FilterExtensible:
		return append(out, keyRange{low: appendIndexValue(nil, attr, n.Value), one: true}), n.Rule == t.Equality
	case directory.FilterSubstrings:
		initial := n.Sub.Prefix()
		return append(out, keyRange{low: appendIndexPrefix(nil, attr, initial)}), len(initial) > 0 && sameForm(n.Rule, t.Equality)
	case directory.FilterGreaterOrEqual:
		return append(out, keyRange{low: appendIndexPrefix(nil, attr, n.Value),
			high: appendIndexPrefix(nil, attr+1, nil)}), sameForm(n.Rule, t.Equality)
	case directory.FilterLessOrEqual:
		high := appendIndexValue(nil, attr, n.Value)
		return append(out, keyRange{low: appendIndexPrefix(nil, attr, nil),
			high: append(high, 0xFF, 0xFF, 0xFF)}), sameForm(n.Rule, t.Equality)
	}
	return nil, false
}

// sameForm reports whether two rules bring values to the same form, so that
// an index made for one serves the other.
func sameForm(a, equality *directory.MatchingRule) bool {
	if a == nil || equality == nil {
		return false
	}
	base := strings.TrimSuffix(strings.TrimSuffix(a.Name, "OrderingMatch"), "SubstringsMatch")
	return base == strings.TrimSuffix(equality.Name, "Match") && !strings.HasSuffix(base, "List")
}

// seek goes to the first chunk of a range.
func (p *planner) seek(r keyRange) (k, v []byte) { return p.rd.index.Seek(r.low) }

// within reports whether a key found is still in the range.
func (r keyRange) within(k []byte) bool {
	if len(k) < 4 {
		return false
	}
	if r.high != nil {
		return bytes.Compare(k, r.high) < 0
	}
	return bytes.HasPrefix(k, r.low) && (!r.one || len(k) == len(r.low)+2)
}

// count counts the members of a range, up to about limit.
func (p *planner) count(r keyRange, limit int) int {
	n := 0
	for k, v := p.seek(r); r.within(k) && n <= limit; k, v = p.rd.index.Next() {
		if p.budget--; p.budget < 0 {
			return max(n, limit)
		}
		n += chunk(v).about()
	}
	return n
}
