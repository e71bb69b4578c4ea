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
	if t.Equality != nil && t.Equality.folds() {
		if folded, ok := appendFolded(append(append(b, t.keyName()...), '='), v); ok {
			return append(folded, keyEnd), true
		}
	}
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

// Gives reports whether part, the last RDN of a key, is that of a name of this
// type and one value. False may mean only that it is not written plainly: then
// the key of the name decides. Mostly it allocates nothing.
func (a *AttributeType) Gives(part Key, value []byte) bool {
	name := a.keyName()
	if len(part) < len(name)+2 || string(part[:len(name)]) != name || part[len(name)] != '=' || part[len(part)-1] != keyEnd {
		return false
	}
	form := part[len(name)+1 : len(part)-1]
	for i := range len(form) {
		if form[i] <= keyPlus {
			return false
		}
	}
	if a.Equality == nil {
		return string(form) == string(value)
	}
	if a.Equality.folds() && foldsTo(value, string(form)) {
		return true
	}
	n, err := a.Equality.Normalize(value)
	return err == nil && string(n) == string(form)
}

// folds: the form of plain ASCII is the same in lower case.
func (r *MatchingRule) folds() bool {
	return r.Name == "caseIgnoreMatch" || r.Name == "caseIgnoreIA5Match"
}

// foldsTo reports whether v is plain ASCII without insignificant spaces and the
// same as form in lower case.
func foldsTo(v []byte, form string) bool {
	if len(v) != len(form) {
		return false
	}
	for i, c := range v {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != form[i] || c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// appendFolded appends plain ASCII without spaces in lower case; false if it is
// anything else.
func appendFolded(b, v []byte) ([]byte, bool) {
	n := len(b)
	for _, c := range v {
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case c <= ' ' || c >= 0x7f:
			return b[:n], false
		}
		b = append(b, c)
	}
	return b, true
}
