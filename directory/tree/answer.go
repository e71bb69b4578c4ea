package tree

import (
	"encoding/binary"
	"strconv"

	"cardinal/internal/ber"
)

// Showing says what an answer shows of an attribute.
type Showing uint8

// The ways to show an attribute.
const (
	ShowNothing Showing = iota
	ShowAll             // every value
	ShowAsked           // whatever the asker's own function appends
)

// AppendShown appends the entry's attributes, each a PartialAttribute (RFC 4511
// §4.1.7) in the order they were given, as how says for their numbers; it must
// have Names().Len() elements. Those that are ShowAsked go through ask.
//
// It is Each for the answers of searches, where most of the work is: it copies
// octets and builds nothing else.
func (e *Entry) AppendShown(b []byte, how []Showing, ask func(b []byte, a *Attribute) []byte) []byte {
	names, words := e.reader.catalog.names, e.reader.catalog.words
	d := digits{rest: e.head.attributes}
	for len(d.rest) > 0 {
		code := d.uint()
		part := d.take(d.uint())
		if d.short || code >= uint64(len(names)) || code >= uint64(len(how)) {
			return b
		}
		switch {
		case how[code] == ShowNothing:
			continue
		case how[code] == ShowAsked, len(part) > 0 && part[0]&(1<<formBits-1) == formOutlined:
			b = ask(b, e.attribute(int(code), values{rest: part, words: words}))
			continue
		}
		b = appendAttribute(b, names[code].header, part, words)
	}
	return b
}

func appendAttribute(b, header, part []byte, words []string) []byte {
	b, attr := ber.Begin(b, ber.Sequence)
	b = append(b, header...)
	b, set := ber.Begin(b, ber.Set)
	return ber.End(ber.End(appendValues(b, part, words), set), attr)
}

// appendValues appends every value of an attribute's part of a record as an
// OCTET STRING. What is damaged ends it.
func appendValues(b, part []byte, words []string) []byte {
	for len(part) > 0 {
		head, n := uint64(part[0]), 1
		if head >= 0x80 {
			if head, n = binary.Uvarint(part); n <= 0 {
				return b
			}
		}
		part = part[n:]
		x := head >> formBits
		switch head & (1<<formBits - 1) {
		case formWord:
			if x >= uint64(len(words)) {
				return b
			}
			b = append(b, words[x]...)
		case formRaw:
			if x > uint64(len(part)) {
				return b
			}
			b = ber.AppendLength(append(b, byte(ber.OctetString)), int(x))
			b = append(b, part[:x]...)
			part = part[x:]
		case formNumber:
			b = append(b, byte(ber.OctetString), 0)
			mark := len(b)
			b = strconv.AppendUint(b, x, 10)
			b[mark-1] = byte(len(b) - mark) // at most 20 digits
		case formTime:
			b = append(b, byte(ber.OctetString), byte(len("20060102150405Z")))
			b = appendSeconds(b, x)
		default:
			return b
		}
	}
	return b
}
