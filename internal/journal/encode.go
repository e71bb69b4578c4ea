package journal

import (
	"encoding/binary"
	"time"
)

// The form of a change on the wire and in a backup: one byte of flags, position, time (microseconds), kind and version
// in fixed width, then either salt and body behind its length, or for an erased change its body hash, then the link.
const (
	flagLast   = 1
	flagErased = 2
)

// AppendChange appends c in the form it has on the wire and in a backup.
func AppendChange(b []byte, c *Change) []byte {
	flags := flag(c.Last) * flagLast
	if c.Erased {
		flags |= flagErased
	}
	b = append(b, flags)
	b = binary.BigEndian.AppendUint64(b, uint64(c.Position))
	b = binary.BigEndian.AppendUint64(b, uint64(c.Time.UnixMicro()))
	b = binary.BigEndian.AppendUint16(b, uint16(c.Kind))
	b = append(b, c.Version)
	if c.Erased {
		b = append(b, c.BodyHash[:]...)
	} else {
		b = append(b, c.Salt[:]...)
		b = binary.AppendUvarint(b, uint64(len(c.Body)))
		b = append(b, c.Body...)
	}
	return append(b, c.Link[:]...)
}

// ParseChange reads one change and returns what follows it. The body is a part of b, not a copy. The body hash is
// computed, not believed; whether the link fits, only Verify can say. Errors wrap ErrMalformed.
func ParseChange(b []byte) (c Change, rest []byte, err error) {
	d := NewDecoder(b)
	if flags := d.Fixed(1); flags != nil {
		if flags[0]&^(flagLast|flagErased) != 0 {
			d.Fail("unknown flag")
		}
		c.Last, c.Erased = flags[0]&flagLast != 0, flags[0]&flagErased != 0
	}
	if fixed := d.Fixed(8 + 8 + 2 + 1); fixed != nil {
		c.Position = Position(binary.BigEndian.Uint64(fixed))
		c.Time = time.UnixMicro(int64(binary.BigEndian.Uint64(fixed[8:]))).UTC()
		c.Kind = Kind(binary.BigEndian.Uint16(fixed[16:]))
		c.Version = fixed[18]
	}
	if c.Erased {
		c.BodyHash = d.Hash()
	} else {
		copy(c.Salt[:], d.Fixed(len(c.Salt)))
		c.Body = d.Bytes()
		if len(c.Body) > MaxBody {
			d.Fail("body above its limit")
		}
	}
	c.Link = d.Hash()
	if d.Err() != nil {
		return Change{}, nil, d.Err()
	}
	if !c.Erased {
		c.BodyHash = HashBody(c.Salt, c.Body)
	}
	return c, d.Rest(), nil
}
