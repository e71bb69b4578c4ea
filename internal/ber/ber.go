// Package ber owns tag, length, value: the Basic Encoding Rules of X.690 as far
// as LDAP (RFC 4511 §5.1) and the data objects of smartcards (ISO/IEC 7816-4
// §5.2.2) need them.
//
// It promises three things. Reading never allocates and never copies: values
// are slices of the input. Nothing is believed before it is checked: a length
// is compared with what is really there, so a declared length costs no memory.
// And the forms both standards forbid are refused by name: indefinite lengths,
// tags of more than four octets, lengths that do not fit.
//
// Lengths in more octets than needed (84 00 00 00 05) are accepted, because
// widespread clients always send them; lengths are written in the shortest form.
package ber

import "errors"

// Tag is the identifier octets of an element read as one big-endian number:
// 0x30 for a SEQUENCE, 0x7F49 or 0x5FC105 for the two- and three-octet tags of
// smartcards.
type Tag uint32

// The universal tags LDAP uses, and the bits of a single-octet tag.
const (
	Boolean     Tag = 0x01
	Integer     Tag = 0x02
	OctetString Tag = 0x04
	Null        Tag = 0x05
	Enumerated  Tag = 0x0A
	Sequence    Tag = 0x30
	Set         Tag = 0x31

	Constructed Tag = 0x20
	Application Tag = 0x40
	Context     Tag = 0x80
)

// IsConstructed tells whether the value of an element with this tag is itself
// a series of elements (bit 6 of the first identifier octet, X.690 §8.1.2.5).
func (t Tag) IsConstructed() bool {
	for t > 0xFF {
		t >>= 8
	}
	return t&Constructed != 0
}

// The ways an element can be wrong. All are errors of the sender, except
// ErrShort, which on a stream means: read more and ask again.
var (
	ErrShort      = errors.New("ber: the element is cut short")
	ErrIndefinite = errors.New("ber: indefinite length")
	ErrLength     = errors.New("ber: length does not fit")
	ErrTag        = errors.New("ber: tag does not fit")
	ErrUnexpected = errors.New("ber: another tag was expected")
	ErrValue      = errors.New("ber: value is not of its type")
	ErrTrailing   = errors.New("ber: octets after the last element")
)

// MaxLength is the longest value this package will speak of, in octets. It
// keeps every sum of header and value within 32 bits.
const MaxLength = 1<<31 - 16
