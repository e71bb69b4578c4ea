package directory

import (
	"bytes"
	"strings"
)

// AVA is one attribute type and value of an RDN. Value holds the value's
// bytes without any escaping; for a #hex value of a string type, the string.
type AVA struct {
	Type  string
	Value []byte
}

// RDN is a relative distinguished name: one AVA or several (RFC 4512 §2.3.1).
type RDN []AVA

// DN is a distinguished name, leaf first. The empty DN is the root DSE's.
type DN []RDN

// String returns the RFC 4514 §2 form with types as they were given.
func (d DN) String() string {
	return string(d.Append(nil))
}

// Append appends the RFC 4514 form of d to b.
func (d DN) Append(b []byte) []byte {
	for i, r := range d {
		if i > 0 {
			b = append(b, ',')
		}
		b = r.Append(b)
	}
	return b
}

// String returns the RFC 4514 §2.2 form.
func (r RDN) String() string { return string(r.Append(nil)) }

// Append appends the RFC 4514 form of r to b.
func (r RDN) Append(b []byte) []byte {
	for i, a := range r {
		if i > 0 {
			b = append(b, '+')
		}
		b = append(b, a.Type...)
		b = append(b, '=')
		b = appendDNValue(b, a.Value)
	}
	return b
}

// Parent returns the name without its first RDN; nil for the empty DN. The
// result shares d's memory.
func (d DN) Parent() DN {
	if len(d) == 0 {
		return nil
	}
	return d[1:]
}

// IsUnder reports whether d equals base or lies below it, comparing types and
// values as ASCII without case. Use keys (Schema.Key) where the schema must
// decide.
func (d DN) IsUnder(base DN) bool {
	if len(d) < len(base) {
		return false
	}
	return d[len(d)-len(base):].EqualFold(base)
}

// EqualFold reports whether both names have the same RDNs, types and values
// compared without case and AVAs in the order given.
func (d DN) EqualFold(o DN) bool {
	if len(d) != len(o) {
		return false
	}
	for i := range d {
		if !d[i].equalFold(o[i]) {
			return false
		}
	}
	return true
}

func (r RDN) equalFold(o RDN) bool {
	if len(r) != len(o) {
		return false
	}
	for i := range r {
		if !strings.EqualFold(r[i].Type, o[i].Type) || !bytes.EqualFold(r[i].Value, o[i].Value) {
			return false
		}
	}
	return true
}

// Clone returns a deep copy.
func (d DN) Clone() DN {
	if d == nil {
		return nil
	}
	out := make(DN, len(d))
	for i, r := range d {
		out[i] = make(RDN, len(r))
		for j, a := range r {
			out[i][j] = AVA{Type: a.Type, Value: bytes.Clone(a.Value)}
		}
	}
	return out
}

// Child returns the name rdn directly below d.
func (d DN) Child(rdn RDN) DN {
	out := make(DN, 0, len(d)+1)
	return append(append(out, rdn), d...)
}

const hexDigits = "0123456789ABCDEF"

// appendDNValue escapes as RFC 4514 §2.4 asks: the specials, a leading space
// or #, a trailing space, NUL, and every byte that is not part of well-formed
// UTF-8 or is a control character.
func appendDNValue(b, v []byte) []byte {
	for i := 0; i < len(v); {
		c := v[i]
		if c >= 0x80 {
			n := validRune(v[i:])
			if n == 0 {
				b = append(b, '\\', hexDigits[c>>4], hexDigits[c&15])
				i++
				continue
			}
			b = append(b, v[i:i+n]...)
			i += n
			continue
		}
		switch {
		case c < 0x20 || c == 0x7f:
			b = append(b, '\\', hexDigits[c>>4], hexDigits[c&15])
		case strings.IndexByte(`,+"\<>;=`, c) >= 0,
			c == ' ' && (i == 0 || i == len(v)-1),
			c == '#' && i == 0:
			b = append(b, '\\', c)
		default:
			b = append(b, c)
		}
		i++
	}
	return b
}
