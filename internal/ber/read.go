package ber

// Header is what stands before a value.
type Header struct {
	Tag    Tag
	Size   int // octets of tag and length together
	Length int // octets of the value that follows
}

// Total is the size of the whole element in octets.
func (h Header) Total() int { return h.Size + h.Length }

// ParseHeader reads the tag and length at the start of b, which need not hold
// the value. ErrShort means b ends within the header; everything else is final
// and can be decided before the value has arrived (X.690 §8.1.2, §8.1.3).
func ParseHeader(b []byte) (Header, error) {
	if len(b) >= 2 && b[0]&0x1F != 0x1F && b[1] < 0x80 {
		return Header{Tag: Tag(b[0]), Size: 2, Length: int(b[1])}, nil
	}
	tag, size, err := parseTag(b)
	if err != nil {
		return Header{}, err
	}
	length, octets, err := parseLength(b[size:])
	if err != nil {
		return Header{}, err
	}
	return Header{Tag: tag, Size: size + octets, Length: length}, nil
}

func parseTag(b []byte) (Tag, int, error) {
	if len(b) == 0 {
		return 0, 0, ErrShort
	}
	tag := Tag(b[0])
	if b[0]&0x1F != 0x1F {
		return tag, 1, nil
	}
	for i := 1; i < 4; i++ {
		if i >= len(b) {
			return 0, 0, ErrShort
		}
		tag = tag<<8 | Tag(b[i])
		if b[i]&0x80 == 0 {
			return tag, i + 1, nil
		}
	}
	return 0, 0, ErrTag
}

func parseLength(b []byte) (length, octets int, err error) {
	if len(b) == 0 {
		return 0, 0, ErrShort
	}
	if b[0] < 0x80 {
		return int(b[0]), 1, nil
	}
	n := int(b[0] & 0x7F)
	if n == 0 {
		return 0, 0, ErrIndefinite
	}
	if n > 8 {
		return 0, 0, ErrLength
	}
	var v uint64
	for i := 1; i <= n; i++ {
		if i >= len(b) {
			return 0, 0, ErrShort
		}
		v = v<<8 | uint64(b[i])
		if v > MaxLength {
			return 0, 0, ErrLength
		}
	}
	return int(v), n + 1, nil
}

// Reader walks over a series of elements. Copying one is cheap and gives an
// independent position. What it returns are slices of the input: they live as
// long as the input is not reused.
type Reader struct{ rest []byte }

// NewReader reads the elements that stand one after another in b.
func NewReader(b []byte) Reader { return Reader{rest: b} }

// Empty tells whether nothing is left.
func (r *Reader) Empty() bool { return len(r.rest) == 0 }

// Rest is what has not been read yet.
func (r *Reader) Rest() []byte { return r.rest }

// End returns ErrTrailing if something is left.
func (r *Reader) End() error {
	if len(r.rest) > 0 {
		return ErrTrailing
	}
	return nil
}

// Peek returns the tag of the next element, or 0 if there is none or it cannot
// be read.
func (r *Reader) Peek() Tag {
	tag, _, err := parseTag(r.rest)
	if err != nil {
		return 0
	}
	return tag
}

// Next reads one element of any kind.
func (r *Reader) Next() (Tag, []byte, error) {
	h, err := ParseHeader(r.rest)
	if err != nil {
		return 0, nil, err
	}
	if len(r.rest)-h.Size < h.Length {
		return 0, nil, ErrShort
	}
	value := r.rest[h.Size:h.Total():h.Total()]
	r.rest = r.rest[h.Total():]
	return h.Tag, value, nil
}

// Raw reads one element and returns it whole, header included.
func (r *Reader) Raw() (Tag, []byte, error) {
	before := r.rest
	tag, _, err := r.Next()
	if err != nil {
		return 0, nil, err
	}
	n := len(before) - len(r.rest)
	return tag, before[:n:n], nil
}

// Expect reads the next element, which must have this tag.
func (r *Reader) Expect(tag Tag) ([]byte, error) {
	got, value, err := r.Next()
	if err != nil {
		return nil, err
	}
	if got != tag {
		return nil, ErrUnexpected
	}
	return value, nil
}

// Optional reads the next element if it has this tag, and reports whether.
func (r *Reader) Optional(tag Tag) ([]byte, bool, error) {
	if r.Empty() || r.Peek() != tag {
		return nil, false, nil
	}
	value, err := r.Expect(tag)
	return value, err == nil, err
}

// Enter reads the next element, which must have this tag, and returns a reader
// of what is inside.
func (r *Reader) Enter(tag Tag) (Reader, error) {
	value, err := r.Expect(tag)
	return Reader{rest: value}, err
}

// Int reads an INTEGER or ENUMERATED under the given tag.
func (r *Reader) Int(tag Tag) (int64, error) {
	value, err := r.Expect(tag)
	if err != nil {
		return 0, err
	}
	return ParseInt(value)
}

// Bool reads a BOOLEAN under the given tag. Any octet but zero is true: RFC
// 4511 §5.1 wants FF, clients exist that send 01.
func (r *Reader) Bool(tag Tag) (bool, error) {
	value, err := r.Expect(tag)
	if err != nil {
		return false, err
	}
	return ParseBool(value)
}

// ParseInt reads the contents of an INTEGER or ENUMERATED. Superfluous leading
// octets are accepted as long as the number fits into 64 bits.
func ParseInt(value []byte) (int64, error) {
	if len(value) == 0 || len(value) > 8 {
		return 0, ErrValue
	}
	v := int64(int8(value[0]))
	for _, c := range value[1:] {
		v = v<<8 | int64(c)
	}
	return v, nil
}

// ParseBool reads the contents of a BOOLEAN.
func ParseBool(value []byte) (bool, error) {
	if len(value) != 1 {
		return false, ErrValue
	}
	return value[0] != 0, nil
}
