package directory

import (
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// stringOfBER returns the characters of a BER string as UTF-8; for a type
// that is not a string, the element itself. ok is false unless der is exactly
// one element with a definite length.
func stringOfBER(der []byte) (v []byte, ok bool) {
	in := cryptobyte.String(der)
	var body cryptobyte.String
	var tag casn1.Tag
	if !in.ReadAnyASN1(&body, &tag) || !in.Empty() {
		return nil, false
	}
	switch tag {
	case casn1.UTF8String, casn1.PrintableString, casn1.IA5String, casn1.OCTET_STRING,
		casn1.Tag(18), casn1.Tag(26): // NumericString, VisibleString
		if !utf8.Valid(body) && tag != casn1.OCTET_STRING {
			return nil, false
		}
		return body, true
	case casn1.T61String: // read as Latin-1, as everyone does
		return runesOf(body, 1)
	case casn1.Tag(30): // BMPString
		return runesOf(body, 2)
	case casn1.Tag(28): // UniversalString
		return runesOf(body, 4)
	}
	return der, true
}

func runesOf(b []byte, width int) ([]byte, bool) {
	if len(b)%width != 0 {
		return nil, false
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i += width {
		r := rune(0)
		for _, c := range b[i : i+width] {
			r = r<<8 | rune(c)
		}
		if !utf8.ValidRune(r) {
			return nil, false
		}
		out = utf8.AppendRune(out, r)
	}
	return out, true
}
