package tree

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"cardinal/directory"
)

// Sets of candidates that may be very large are never gathered: they are made
// slice by slice, 65,536 numbers at a time, as the search gets there. A slice
// costs 8 KiB and a look at one chunk of each index key concerned.

// slice64k holds one slice, number n as bit n%64 of word n/64.
type slice64k [1 << 10]uint64

func (b *slice64k) add(c chunk) {
	if !c.well() {
		return
	}
	if len(c) == 2 {
		b.set(binary.BigEndian.Uint16(c))
		return
	}
	switch p := c[1:]; c[0] {
	case chunkArray:
		for ; len(p) > 0; p = p[2:] {
			b.set(binary.BigEndian.Uint16(p))
		}
	case chunkRuns:
		for ; len(p) > 0; p = p[4:] {
			last := int(binary.BigEndian.Uint16(p[2:]))
			for v := int(binary.BigEndian.Uint16(p)); v <= last; v++ {
				b.set(uint16(v))
			}
		}
	case chunkBitmap:
		for i := range b {
			b[i] |= binary.LittleEndian.Uint64(p[8*i:])
		}
	}
}

func (b *slice64k) set(v uint16) { b[v>>6] |= 1 << (v & 63) }

// following is the first number from v on; false if there is none.
func (b *slice64k) following(v uint32) (uint16, bool) {
	for i := int(v >> 6); i < len(b); i++ {
		word := b[i]
		if i == int(v>>6) {
			word &= ^uint64(0) << (v & 63)
		}
		if word != 0 {
			return uint16(i<<6 + bits.TrailingZeros64(word)), true
		}
	}
	return 0, false
}

// sliced is a set of candidates that is made slice by slice.
type sliced struct {
	op    setOp
	keys  [][]byte // setKeys: index keys without the upper half
	ids   []uint32 // setIDs, ascending
	parts []*sliced
	exact bool // holds no entry the filter is not true for, but for what access rules hide
}

type setOp uint8

const (
	setKeys setOp = iota
	setIDs
	setAnd
	setOr
	setNot
)

const (
	// gatherMost is up to how many candidates are gathered at once.
	gatherMost = 20_000
	// gatherRange bounds those gathered of a range within a sliced set.
	gatherRange = 200_000
	// sliceDepth bounds the slices that are in hand at the same time.
	sliceDepth = 16
)

// slicedOf makes the set of a filter; nil if no index helps. hidden says that
// some values may not be there for who asks.
func (p *planner) slicedOf(n *node, hidden bool, depth int) *sliced {
	if depth > sliceDepth {
		return nil
	}
	switch n.Kind {
	case directory.FilterAnd, directory.FilterOr:
		return p.slicedList(n, hidden, depth)
	case directory.FilterNot:
		inner := p.slicedOf(&n.children[0], hidden, depth+1)
		if inner == nil || !inner.exact || hidden {
			return nil
		}
		return &sliced{op: setNot, parts: []*sliced{inner}, exact: false}
	case directory.FilterNone:
		return &sliced{op: setIDs}
	}
	return p.slicedItem(n)
}

func (p *planner) slicedList(n *node, hidden bool, depth int) *sliced {
	out := &sliced{op: setAnd, exact: true}
	if n.Kind == directory.FilterOr {
		out.op = setOr
	}
	for i := range n.children {
		part := p.slicedOf(&n.children[i], hidden, depth+1)
		switch {
		case part != nil:
			out.parts = append(out.parts, part)
			out.exact = out.exact && part.exact
		case out.op == setOr:
			return nil
		default:
			out.exact = false
		}
	}
	if len(out.parts) == 0 && out.op == setAnd {
		return nil
	}
	return out
}

func (p *planner) slicedItem(n *node) *sliced {
	ranges, ok := p.ranges(n)
	if n.isUUID() || !ok {
		return nil
	}
	if n.Kind != directory.FilterEquality {
		if p.estimateItem(n, gatherRange) > gatherRange {
			return nil
		}
		ids, ok := p.collect(n)
		if !ok {
			return nil
		}
		return &sliced{op: setIDs, ids: ids}
	}
	out := &sliced{op: setKeys, exact: len(n.Attr.Options) == 0 && len(n.Value) <= longValue}
	for _, r := range ranges {
		out.keys = append(out.keys, r.low)
	}
	return out
}

// slice makes one slice of a set.
func (p *planner) slice(s *sliced, upper uint16, out *slice64k) {
	clear(out[:])
	switch s.op {
	case setKeys:
		for _, key := range s.keys {
			p.buf = binary.BigEndian.AppendUint16(append(p.buf[:0], key...), upper)
			if k, v := p.rd.index.Seek(p.buf); string(k) == string(p.buf) {
				out.add(chunk(v))
			}
		}
	case setIDs:
		from, _ := slices.BinarySearch(s.ids, uint32(upper)<<16)
		for _, id := range s.ids[from:] {
			if uint16(id>>16) != upper {
				break
			}
			out.set(uint16(id))
		}
	default:
		p.combine(s, upper, out)
	}
}

func (p *planner) combine(s *sliced, upper uint16, out *slice64k) {
	var part slice64k
	for i, c := range s.parts {
		p.slice(c, upper, &part)
		switch {
		case s.op == setNot:
			for k := range out {
				out[k] = ^part[k]
			}
		case s.op == setOr || i == 0:
			for k := range out {
				out[k] |= part[k]
			}
		default:
			for k := range out {
				out[k] &= part[k]
			}
		}
	}
}
