package tree

import (
	"cmp"
	"math/bits"
	"slices"

	"cardinal/directory"
)

// having is which attributes an entry must have some of to be among the
// answers: one of each set.
type having struct {
	sets  []uint64
	known int // so many attribute numbers were known
}

// needs finds what an entry must have for a filter to be true.
func (q *query) needs(n *node, sets []uint64) []uint64 {
	switch n.Kind {
	case directory.FilterAnd:
		for i := range n.children {
			sets = q.needs(&n.children[i], sets)
		}
		return sets
	case directory.FilterOr:
		all := uint64(0)
		for i := range n.children {
			one := q.needs(&n.children[i], nil)
			if len(one) == 0 {
				return sets
			}
			all |= slices.MinFunc(one, fewerBits)
		}
		return append(sets, all)
	case directory.FilterNot, directory.FilterNone:
		return sets
	}
	if n.computed != nil || n.DNAttrs {
		return sets
	}
	set := uint64(0)
	for code := range q.catalog.names {
		if q.coveredBy(n, uint16(code)) {
			set |= attributeBit(uint64(code))
		}
	}
	return append(sets, set)
}

func fewerBits(a, b uint64) int { return cmp.Compare(bits.OnesCount64(a), bits.OnesCount64(b)) }

// may reports whether an entry has what it must have; true if that is not known.
func (s *Scan) may(rd *reader, id uint32) bool {
	if rd.recall == nil || s.query.root == nil {
		return true
	}
	if h := &s.having; h.known != len(rd.catalog.names) {
		h.sets, h.known = s.query.needs(s.query.root, h.sets[:0]), len(rd.catalog.names)
	}
	if len(s.having.sets) == 0 {
		return true
	}
	has := rd.recall.attributesOf(id)
	for _, set := range s.having.sets {
		if has&set == 0 {
			return false
		}
	}
	return true
}

// followingAny gives the next entry by number that may be among the answers.
func (s *Scan) followingAny(rd *reader) (uint32, record) {
	if rd.recall != nil {
		for s.last < rd.last && !s.may(rd, s.last+1) {
			s.last++
		}
		if s.last >= rd.last {
			return 0, nil
		}
		if rec := rd.get(s.last + 1); rec != nil {
			s.last++
			return s.last, rec
		}
	}
	rd.key = appendID(rd.key[:0], s.last+1)
	k, v := rd.entries.Seek(rd.key)
	if k == nil {
		return 0, nil
	}
	s.last = parseID(k)
	return s.last, v
}
