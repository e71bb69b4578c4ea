package tree

import (
	"bytes"
	"encoding/binary"

	"cardinal/directory"
)

// A search that takes only a few of the many entries of a range (a prefix, an
// order, a presence) goes along the index and stops when it has them, in place
// of gathering the range first. If the rest of the filter lets so few through
// that this takes long, it begins again in the usual way and passes over what it
// has looked at.
const (
	// rangingMost is up to how many entries asked for a range is gone along.
	rangingMost = 1000
	// rangingShare is how many entries are looked at for each one asked for before
	// the search goes on in the usual way.
	rangingShare = 16
	// rangingBlock is how many index keys are read at once.
	rangingBlock = 64
)

// ranging is a walk along the index.
type ranging struct {
	ranges []keyRange
	at     []byte   // the key read last
	ids    []uint32 // read, and not yet looked at
	seen   map[uint32]struct{}
	most   int
	ended  bool
}

// ranges finds what to go along for a search that takes few entries; nil if
// the usual way is as quick.
func (s *Scan) ranging(p *planner) *ranging {
	enough := s.request.Enough
	if enough <= 0 || enough > rangingMost || s.request.After > 0 || s.query.root == nil {
		return nil
	}
	few := 4*enough + intersectAbove
	n := p.rangeOf(s.query.root, few)
	if n == nil {
		return nil
	}
	ranges, ok := p.ranges(n)
	if !ok {
		return nil
	}
	size := 0
	for _, r := range ranges {
		size += p.count(r, few)
	}
	if size <= few {
		return nil
	}
	return &ranging{ranges: ranges, seen: map[uint32]struct{}{}, most: rangingShare*enough + intersectAbove}
}

// rangeOf is the item of a filter whose range is gone along; nil if there is
// none, or if another item proposes few entries.
func (p *planner) rangeOf(n *node, few int) *node {
	switch n.Kind {
	case directory.FilterSubstrings, directory.FilterGreaterOrEqual, directory.FilterLessOrEqual, directory.FilterPresent:
		if _, ok := p.ranges(n); ok {
			return n
		}
	case directory.FilterAnd:
		return p.rangeAmong(n.children, few)
	}
	return nil
}

// rangeAmong is rangeOf for parts that must all be true: a prefix, if there is
// one.
func (p *planner) rangeAmong(parts []node, few int) (found *node) {
	for i := range parts {
		c := &parts[i]
		if c.Kind == directory.FilterEquality {
			if e := p.estimate(c, few); e >= 0 && e <= few {
				return nil
			}
			continue
		}
		if got := p.rangeOf(c, few); got != nil && (found == nil || found.Kind != directory.FilterSubstrings) {
			found = got
		}
	}
	return found
}

// followingRanged gives the next candidate of a walk; 0 when it is over or
// takes too long.
func (s *Scan) followingRanged(rd *reader) (uint32, record) {
	w := s.left.along
	for !w.ended && len(w.seen) < w.most {
		if len(w.ids) == 0 {
			w.read(rd)
			continue
		}
		id := w.ids[0]
		w.ids = w.ids[1:]
		if _, again := w.seen[id]; again {
			continue
		}
		w.seen[id] = struct{}{}
		if rec := rd.get(id); rec != nil {
			s.last = id
			return id, rec
		}
	}
	return 0, nil
}

// read takes the next keys of the index.
func (w *ranging) read(rd *reader) {
	w.ids = w.ids[:0]
	for n := 0; n < rangingBlock; {
		if len(w.ranges) == 0 {
			w.ended = len(w.ids) == 0
			return
		}
		r := w.ranges[0]
		from := r.low
		if w.at != nil {
			from = w.at
		}
		k, v := rd.index.Seek(from)
		if w.at != nil && bytes.Equal(k, w.at) {
			k, v = rd.index.Next()
		}
		for ; n < rangingBlock && r.within(k); k, v = rd.index.Next() {
			w.ids = chunk(v).appendTo(w.ids, binary.BigEndian.Uint16(k[len(k)-2:]))
			w.at = append(w.at[:0], k...)
			n++
		}
		if !r.within(k) {
			w.ranges, w.at = w.ranges[1:], nil
		}
	}
}

// leave goes on in the usual way, from the start.
func (s *Scan) leave(rd *reader) {
	s.seen, s.last = s.left.along.seen, 0
	s.left, _ = s.usual(rd, s.planner(rd, 0), 0)
}
