package ber

// AppendTag appends the identifier octets.
func AppendTag(b []byte, tag Tag) []byte {
	switch {
	case tag <= 0xFF:
		return append(b, byte(tag))
	case tag <= 0xFFFF:
		return append(b, byte(tag>>8), byte(tag))
	case tag <= 0xFFFFFF:
		return append(b, byte(tag>>16), byte(tag>>8), byte(tag))
	default:
		return append(b, byte(tag>>24), byte(tag>>16), byte(tag>>8), byte(tag))
	}
}

// AppendLength appends the length octets of a value of n octets, in the
// shortest form.
func AppendLength(b []byte, n int) []byte {
	switch {
	case n < 0x80:
		return append(b, byte(n))
	case n <= 0xFF:
		return append(b, 0x81, byte(n))
	case n <= 0xFFFF:
		return append(b, 0x82, byte(n>>8), byte(n))
	case n <= 0xFFFFFF:
		return append(b, 0x83, byte(n>>16), byte(n>>8), byte(n))
	default:
		return append(b, 0x84, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
}

// LengthSize is how many octets AppendLength appends for n.
func LengthSize(n int) int {
	switch {
	case n < 0x80:
		return 1
	case n <= 0xFF:
		return 2
	case n <= 0xFFFF:
		return 3
	case n <= 0xFFFFFF:
		return 4
	default:
		return 5
	}
}

// Append appends a whole element.
func Append(b []byte, tag Tag, value []byte) []byte {
	b = AppendLength(AppendTag(b, tag), len(value))
	return append(b, value...)
}

// AppendString appends a whole element whose value is a string.
func AppendString(b []byte, tag Tag, value string) []byte {
	b = AppendLength(AppendTag(b, tag), len(value))
	return append(b, value...)
}

// AppendInt appends an INTEGER or ENUMERATED in the fewest octets.
func AppendInt(b []byte, tag Tag, v int64) []byte {
	n := 1
	for x := v; x > 127 || x < -128; x >>= 8 {
		n++
	}
	b = append(AppendTag(b, tag), byte(n))
	for i := n - 1; i >= 0; i-- {
		b = append(b, byte(v>>(8*i)))
	}
	return b
}

// AppendBool appends a BOOLEAN, true as FF (RFC 4511 §5.1).
func AppendBool(b []byte, tag Tag, v bool) []byte {
	b = append(AppendTag(b, tag), 1, 0)
	if v {
		b[len(b)-1] = 0xFF
	}
	return b
}

// Begin appends a tag and leaves room for a length. What is appended next is
// the value, until End is called with the returned mark. Begin and End nest.
func Begin(b []byte, tag Tag) ([]byte, int) {
	b = append(AppendTag(b, tag), 0)
	return b, len(b)
}

// End closes the element opened at mark: it writes the length and, if that
// needs more than one octet, moves the value up.
func End(b []byte, mark int) []byte {
	n := len(b) - mark
	extra := LengthSize(n) - 1
	if extra == 0 {
		b[mark-1] = byte(n)
		return b
	}
	b = append(b, 0, 0, 0, 0)[:len(b)+extra]
	copy(b[mark+extra:], b[mark:mark+n])
	AppendLength(b[:mark-1], n)
	return b
}
