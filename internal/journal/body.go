package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// Encoder writes the body of a change: unsigned integers as shortest base-128 varints, everything of variable length
// behind its length, times as eight bytes of microseconds. One value has exactly one encoding, so equal changes have
// equal bodies. The zero value is ready.
type Encoder struct{ buffer []byte }

// NewEncoder appends to b.
func NewEncoder(b []byte) *Encoder { return &Encoder{buffer: b} }

// Bytes is what was written so far, behind what NewEncoder was given.
func (e *Encoder) Bytes() []byte { return e.buffer }

// AppendUint writes an unsigned integer.
func (e *Encoder) AppendUint(v uint64) { e.buffer = binary.AppendUvarint(e.buffer, v) }

// AppendBytes writes a length and bytes. Nil and empty are the same.
func (e *Encoder) AppendBytes(v []byte) {
	e.AppendUint(uint64(len(v)))
	e.buffer = append(e.buffer, v...)
}

// AppendString writes a length and a string's bytes.
func (e *Encoder) AppendString(v string) {
	e.AppendUint(uint64(len(v)))
	e.buffer = append(e.buffer, v...)
}

// AppendFixed writes bytes whose length the reader knows.
func (e *Encoder) AppendFixed(v []byte) { e.buffer = append(e.buffer, v...) }

// AppendHash writes the 32 bytes of a hash.
func (e *Encoder) AppendHash(h Hash) { e.buffer = append(e.buffer, h[:]...) }

// AppendBool writes one byte, 0 or 1.
func (e *Encoder) AppendBool(v bool) { e.buffer = append(e.buffer, flag(v)) }

// noTime is how the zero time is written.
const noTime = math.MinInt64

// AppendTime writes a time cut to microseconds; the zero time (absent) stays the zero time.
func (e *Encoder) AppendTime(t time.Time) {
	micro := int64(noTime)
	if !t.IsZero() {
		micro = t.UnixMicro()
	}
	e.buffer = binary.BigEndian.AppendUint64(e.buffer, uint64(micro))
}

// ErrMalformed: a body or an encoded change does not follow the format. Wrapped with the byte it was found at.
var ErrMalformed = errors.New("malformed encoding")

// Decoder reads what Encoder wrote. After the first fault every method returns a zero value and Err says where it was;
// so a reader can decode all fields and check once, with End. It never panics and never allocates more than it was given.
type Decoder struct {
	rest []byte
	size int
	err  error
}

// NewDecoder reads b. Bytes and Rest return parts of b, not copies.
func NewDecoder(b []byte) *Decoder { return &Decoder{rest: b, size: len(b)} }

// Err is the first fault, or nil. It wraps ErrMalformed.
func (d *Decoder) Err() error { return d.err }

// Fail records a fault the caller found in a value (an unknown enumeration, an order not kept), unless one is known.
func (d *Decoder) Fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w at byte %d: %s", ErrMalformed, d.size-len(d.rest), what)
	}
	d.rest = nil
}

// End is Err, and a fault if anything is left over.
func (d *Decoder) End() error {
	if d.err == nil && len(d.rest) != 0 {
		d.Fail("bytes left over")
	}
	return d.err
}

// Rest is what was not read yet; nil after a fault.
func (d *Decoder) Rest() []byte { return d.rest }

// Uint reads an unsigned integer; one written longer than needed is a fault.
func (d *Decoder) Uint() uint64 {
	if len(d.rest) > 0 && d.rest[0] < 0x80 { // the common case, one byte
		v := uint64(d.rest[0])
		d.rest = d.rest[1:]
		return v
	}
	v, n := binary.Uvarint(d.rest)
	switch {
	case n == 0:
		d.Fail("integer cut off")
		return 0
	case n < 0:
		d.Fail("integer above 64 bits")
		return 0
	case d.rest[n-1] == 0:
		d.Fail("integer not in its shortest form")
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

// UintMax reads an unsigned integer of at most limit.
func (d *Decoder) UintMax(limit uint64) uint64 {
	v := d.Uint()
	if v > limit {
		d.Fail("integer above its limit")
		return 0
	}
	return v
}

// Count reads how many items follow, each at least size bytes long: a count that cannot be true is a fault, so the
// result is safe to allocate from.
func (d *Decoder) Count(size int) int {
	v := d.Uint()
	if v > uint64(len(d.rest)/max(size, 1)) {
		d.Fail("count larger than what follows")
		return 0
	}
	return int(v)
}

// Fixed reads n bytes: a part of the input, not a copy. Nil after a fault.
func (d *Decoder) Fixed(n int) []byte {
	if n < 0 || n > len(d.rest) {
		d.Fail("cut off")
		return nil
	}
	v := d.rest[:n:n]
	d.rest = d.rest[n:]
	return v
}

// Bytes reads a length and that many bytes: a part of the input, not a copy.
func (d *Decoder) Bytes() []byte {
	n := d.Uint()
	if n > uint64(len(d.rest)) {
		d.Fail("cut off")
		return nil
	}
	return d.Fixed(int(n))
}

// String reads a length and a string.
func (d *Decoder) String() string { return string(d.Bytes()) }

// Hash reads 32 bytes.
func (d *Decoder) Hash() Hash {
	var h Hash
	copy(h[:], d.Fixed(len(h)))
	return h
}

// Bool reads one byte, which must be 0 or 1.
func (d *Decoder) Bool() bool {
	b := d.Fixed(1)
	if len(b) == 1 && b[0] > 1 {
		d.Fail("truth value is neither 0 nor 1")
		return false
	}
	return len(b) == 1 && b[0] == 1
}

// Time reads a time in UTC.
func (d *Decoder) Time() time.Time {
	b := d.Fixed(8)
	if b == nil {
		return time.Time{}
	}
	micro := int64(binary.BigEndian.Uint64(b))
	if micro == noTime {
		return time.Time{}
	}
	return time.UnixMicro(micro).UTC()
}
