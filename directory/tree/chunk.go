package tree

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// A chunk is the set of entry numbers below one index key that share their
// upper 16 bits; it holds the lower 16. It is written in one of four forms,
// whichever is smallest:
//
//	one      2 octets, the number
//	array    'a', then each number, ascending
//	runs     'r', then pairs of first and last, ascending
//	bitmap   'b', 8,192 octets, number n in octet n/8 as bit n%8
//
// All numbers are big endian.
type chunk []byte

const (
	chunkArray  = 'a'
	chunkRuns   = 'r'
	chunkBitmap = 'b'

	bitmapOctets = 8192
)

// well reports whether c has one of the four forms; reading anything else
// would be reading a damaged file.
func (c chunk) well() bool {
	switch {
	case len(c) == 2:
		return true
	case len(c) == 0:
		return false
	case c[0] == chunkArray:
		return len(c)%2 == 1
	case c[0] == chunkRuns:
		return len(c)%4 == 1
	case c[0] == chunkBitmap:
		return len(c) == 1+bitmapOctets
	}
	return false
}

// count is the number of members.
func (c chunk) count() int {
	if !c.well() {
		return 0
	}
	if len(c) == 2 {
		return 1
	}
	n := 0
	switch c[0] {
	case chunkArray:
		n = len(c) / 2
	case chunkRuns:
		for p := c[1:]; len(p) > 0; p = p[4:] {
			n += max(0, int(binary.BigEndian.Uint16(p[2:]))-int(binary.BigEndian.Uint16(p))+1)
		}
	case chunkBitmap:
		for p := c[1:]; len(p) > 0; p = p[8:] {
			n += bits.OnesCount64(binary.BigEndian.Uint64(p))
		}
	}
	return n
}

// about is count where that is cheap, and its order of magnitude where it is
// not: for deciding what to read first.
func (c chunk) about() int {
	if len(c) > 512 && (c[0] == chunkRuns || c[0] == chunkBitmap) {
		return 1 << 15
	}
	return c.count()
}

// appendTo appends the members to ids with high as their upper half.
func (c chunk) appendTo(ids []uint32, high uint16) []uint32 {
	if !c.well() {
		return ids
	}
	base := uint32(high) << 16
	if len(c) == 2 {
		return append(ids, base|uint32(binary.BigEndian.Uint16(c)))
	}
	switch c[0] {
	case chunkArray:
		for p := c[1:]; len(p) > 0; p = p[2:] {
			ids = append(ids, base|uint32(binary.BigEndian.Uint16(p)))
		}
	case chunkRuns:
		for p := c[1:]; len(p) > 0; p = p[4:] {
			last := uint32(binary.BigEndian.Uint16(p[2:]))
			for v := uint32(binary.BigEndian.Uint16(p)); v <= last; v++ {
				ids = append(ids, base|v)
			}
		}
	case chunkBitmap:
		ids = appendBitmap(ids, base, c[1:])
	}
	return ids
}

func appendBitmap(ids []uint32, base uint32, p []byte) []uint32 {
	for i, octet := range p {
		for ; octet != 0; octet &= octet - 1 {
			ids = append(ids, base|uint32(i*8+bits.TrailingZeros8(octet)))
		}
	}
	return ids
}

// encodeChunk writes the members, which must ascend without repetition, in
// the smallest form. The result is new memory.
func encodeChunk(members []uint16) chunk {
	if len(members) == 1 {
		return binary.BigEndian.AppendUint16(nil, members[0])
	}
	runs := countRuns(members)
	switch size := min(4*runs, 2*len(members), bitmapOctets); size {
	case 2 * len(members):
		return encodeArray(members)
	case 4 * runs:
		return encodeRuns(members, runs)
	default:
		return encodeBitmap(members)
	}
}

func countRuns(members []uint16) int {
	runs := 0
	for i, v := range members {
		if i == 0 || members[i-1]+1 != v {
			runs++
		}
	}
	return runs
}

func encodeArray(members []uint16) chunk {
	c := make([]byte, 1, 1+2*len(members))
	c[0] = chunkArray
	for _, v := range members {
		c = binary.BigEndian.AppendUint16(c, v)
	}
	return c
}

func encodeRuns(members []uint16, runs int) chunk {
	c := make([]byte, 1, 1+4*runs)
	c[0] = chunkRuns
	for i, v := range members {
		if i == 0 || members[i-1]+1 != v {
			c = binary.BigEndian.AppendUint16(c, v)
			c = binary.BigEndian.AppendUint16(c, v)
		} else {
			binary.BigEndian.PutUint16(c[len(c)-2:], v)
		}
	}
	return c
}

func encodeBitmap(members []uint16) chunk {
	c := make([]byte, 1+bitmapOctets)
	c[0] = chunkBitmap
	for _, v := range members {
		c[1+v/8] |= 1 << (v % 8)
	}
	return c
}

// members returns the lower halves, ascending, as new memory.
func (c chunk) members() []uint16 {
	ids := c.appendTo(nil, 0)
	out := make([]uint16, len(ids))
	for i, id := range ids {
		out[i] = uint16(id)
	}
	return out
}

// with returns the chunk with v added, without v removed. The result is new
// memory unless nothing changed; nil means empty.
func (c chunk) with(v uint16) chunk {
	if len(c) == 1+bitmapOctets && c[0] == chunkBitmap {
		out := slices.Clone(c)
		out[1+v/8] |= 1 << (v % 8)
		return out
	}
	m := c.members()
	i, found := slices.BinarySearch(m, v)
	if found {
		return c
	}
	return encodeChunk(slices.Insert(m, i, v))
}

func (c chunk) without(v uint16) chunk {
	m := c.members()
	i, found := slices.BinarySearch(m, v)
	if !found {
		return c
	}
	if len(m) == 1 {
		return nil
	}
	return encodeChunk(slices.Delete(m, i, i+1))
}
