package directory

import (
	"bytes"
	"unsafe"
)

// AppendPlainKey appends the key of a name written in the plainest way, as
// programs write them: no escapes, no spaces around separators, one value an
// RDN. ok is false for any other and for whatever is wrong; then ParseDN and
// AppendKey decide. It allocates nothing but what b needs.
func (s *Schema) AppendPlainKey(b, dn []byte) (key []byte, ok bool) {
	for i, c := range dn {
		if c < ' ' || c >= 0x7f || c == ' ' && (i == 0 || i == len(dn)-1 || !isPlainByte(dn[i-1]) || !isPlainByte(dn[i+1])) {
			return b, false
		}
	}
	if bytes.ContainsAny(dn, `"#+;<>\`) {
		return b, false
	}
	for end := len(dn); ; {
		start := bytes.LastIndexByte(dn[:end], ',') + 1
		if b, ok = s.appendPlainRDN(b, dn[start:end]); !ok {
			return b, false
		}
		if start == 0 {
			return b, true
		}
		end = start - 1
	}
}

func isPlainByte(c byte) bool { return c != ' ' && c != ',' && c != '=' }

func (s *Schema) appendPlainRDN(b, rdn []byte) ([]byte, bool) {
	equals := bytes.IndexByte(rdn, '=')
	if equals <= 0 || equals == len(rdn)-1 || bytes.IndexByte(rdn[equals+1:], '=') >= 0 {
		return b, false
	}
	name := rdn[:equals]
	t := s.Attribute(unsafe.String(unsafe.SliceData(name), len(name)))
	if t == nil || !isLetter(name[0]) || bytes.IndexByte(name, ';') >= 0 || t.Syntax.Validate(rdn[equals+1:]) != nil {
		return b, false
	}
	v := rdn[equals+1:]
	if t.Equality != nil {
		var err error
		if v, err = t.Equality.Normalize(v); err != nil {
			return b, false
		}
	}
	if bytes.IndexFunc(v, func(r rune) bool { return r <= keyPlus }) >= 0 {
		return b, false
	}
	b = append(append(b, t.keyName()...), '=')
	return append(append(b, v...), keyEnd), true
}
