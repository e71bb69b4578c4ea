package directory

import (
	"encoding/binary"
	"errors"
)

// Blocks of a load are compressed by matching against the last 64 KiB, without
// entropy coding: some five times as quick as DEFLATE in both directions, for
// an output half as large again.
//
// A stream is a sequence of: one octet, whose upper half says how many literal
// octets follow and whose lower half how many octets of a match less
// lzShortest; for 15 in either half the rest of the number comes as octets of
// 255 and one that is less; the literals; the distance of the match in two
// octets, little endian. The last sequence ends behind its literals.
const (
	lzShortest = 4 // octets of a match
	lzWindow   = 1<<16 - 1
	lzTable    = 14 // bits of a hash
	lzTail     = 8  // octets at the end that are always literals
	lzNibble   = 15
)

// lzWriter compresses; its table is reused. For one goroutine.
type lzWriter struct{ table [1 << lzTable]uint32 }

func lzHash(v uint32) uint32 { return v * 2654435761 >> (32 - lzTable) }

// append compresses src behind dst.
func (w *lzWriter) append(dst, src []byte) []byte {
	clear(w.table[:])
	done, at, misses := 0, 0, 0
	for at+lzTail < len(src) {
		v := binary.LittleEndian.Uint32(src[at:])
		slot := &w.table[lzHash(v)]
		before := int(*slot) - 1
		*slot = uint32(at) + 1
		if before < 0 || at-before > lzWindow || binary.LittleEndian.Uint32(src[before:]) != v {
			misses++
			at += 1 + misses>>6 // what does not repeat is passed over quicker and quicker
			continue
		}
		misses = 0
		n := lzShortest + lzCommon(src[before+lzShortest:], src[at+lzShortest:len(src)-lzTail/2])
		dst = lzSequence(dst, src[done:at], n)
		dst = binary.LittleEndian.AppendUint16(dst, uint16(at-before))
		at += n
		done = at
	}
	return lzSequence(dst, src[done:], lzShortest)
}

// lzCommon is how many octets b begins with that a begins with too.
func lzCommon(a, b []byte) int {
	n := 0
	for len(b)-n >= 8 && binary.LittleEndian.Uint64(a[n:]) == binary.LittleEndian.Uint64(b[n:]) {
		n += 8
	}
	for n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// lzSequence appends the lengths and the literals.
func lzSequence(dst, literals []byte, match int) []byte {
	n, m := len(literals), match-lzShortest
	dst = append(dst, byte(min(n, lzNibble)<<4|min(m, lzNibble)))
	dst = lzLength(dst, n)
	dst = lzLength(dst, m)
	return append(dst, literals...)
}

func lzLength(dst []byte, n int) []byte {
	if n < lzNibble {
		return dst
	}
	for n -= lzNibble; n >= 255; n -= 255 {
		dst = append(dst, 255)
	}
	return append(dst, byte(n))
}

var errLZ = errors.New("a compressed block is damaged")

// lzRead expands a stream of exactly size octets.
func lzRead(src []byte, size int) ([]byte, error) {
	if size > 256*len(src)+lzTail { // no stream expands that far
		return nil, errLZ
	}
	dst := make([]byte, 0, size)
	for len(src) > 0 {
		head := int(src[0])
		n, m, rest, ok := lzLengths(head>>4, head&lzNibble, src[1:])
		if !ok || n > len(rest) || n > size-len(dst) {
			return nil, errLZ
		}
		dst, src = append(dst, rest[:n]...), rest[n:]
		if len(src) == 0 {
			break
		}
		if len(src) < 2 {
			return nil, errLZ
		}
		distance := int(binary.LittleEndian.Uint16(src))
		src = src[2:]
		if distance == 0 || distance > len(dst) || m+lzShortest > size-len(dst) {
			return nil, errLZ
		}
		dst = lzCopy(dst, distance, m+lzShortest)
	}
	if len(dst) != size {
		return nil, errLZ
	}
	return dst, nil
}

func lzLengths(n, m int, src []byte) (literals, match int, rest []byte, ok bool) {
	ok = true
	if n == lzNibble {
		n, src, ok = lzMore(n, src)
	}
	if m == lzNibble && ok {
		m, src, ok = lzMore(m, src)
	}
	return n, m, src, ok
}

func lzMore(n int, src []byte) (int, []byte, bool) {
	for i, c := range src {
		if n += int(c); c < 255 {
			return n, src[i+1:], true
		}
	}
	return 0, nil, false
}

// lzCopy appends n octets from a distance behind the end; they may overlap.
func lzCopy(dst []byte, distance, n int) []byte {
	for n > 0 {
		from := dst[len(dst)-distance:]
		k := min(n, len(from))
		dst = append(dst, from[:k]...)
		n -= k
	}
	return dst
}
