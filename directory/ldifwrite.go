package directory

import (
	"encoding/base64"
	"io"
	"unicode/utf8"
)

// ldifWidth is where lines are folded (RFC 2849 note 2 suggests 76).
const ldifWidth = 76

// WriteLDIF writes one content record, with the blank line that ends it.
func WriteLDIF(w io.Writer, e *Entry) error {
	_, err := w.Write(AppendLDIF(nil, e))
	return err
}

// AppendLDIF appends one content record, with the blank line that ends it.
func AppendLDIF(b []byte, e *Entry) []byte {
	b = AppendLDIFLine(b, "dn", e.DN.Append(nil))
	for i := range e.Attributes {
		for _, v := range e.Attributes[i].Values {
			b = AppendLDIFLine(b, e.Attributes[i].Type, v)
		}
	}
	return append(b, '\n')
}

// AppendLDIFChange appends a modify record, with the blank line that ends it.
func AppendLDIFChange(b []byte, dn DN, mods []Modification) []byte {
	b = AppendLDIFLine(b, "dn", dn.Append(nil))
	b = append(b, "changetype: modify\n"...)
	return append(AppendLDIFMods(b, mods), '\n')
}

// AppendLDIFMods appends the modifications alone, as the changes attribute of
// a change log holds them (draft-good-ldap-changelog §3).
func AppendLDIFMods(b []byte, mods []Modification) []byte {
	for i := range mods {
		a := &mods[i].Attribute
		b = AppendLDIFLine(b, mods[i].Op.String(), []byte(a.Type))
		for _, v := range a.Values {
			b = AppendLDIFLine(b, a.Type, v)
		}
		b = append(b, "-\n"...)
	}
	return b
}

// AppendLDIFLine appends "name: value", in base64 where the value is not a
// SAFE-STRING, folded.
func AppendLDIFLine(b []byte, name string, value []byte) []byte {
	start := len(b)
	b = append(append(b, name...), ':')
	if safeLDIF(value) {
		if len(value) > 0 {
			b = append(append(b, ' '), value...)
		}
	} else {
		b = append(b, ": "...)
		b = base64.StdEncoding.AppendEncode(b, value)
	}
	return append(fold(b, start), '\n')
}

// safeLDIF is SAFE-STRING of RFC 2849 without trailing spaces.
func safeLDIF(v []byte) bool {
	if len(v) == 0 {
		return true
	}
	if v[0] == ' ' || v[0] == ':' || v[0] == '<' || v[len(v)-1] == ' ' {
		return false
	}
	for _, c := range v {
		if c == 0 || c == '\n' || c == '\r' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// fold breaks the line that begins at start.
func fold(b []byte, start int) []byte {
	line := b[start:]
	if len(line) <= ldifWidth {
		return b
	}
	rest := append([]byte(nil), line[ldifWidth:]...)
	b = b[:start+ldifWidth]
	for len(rest) > 0 {
		n := min(len(rest), ldifWidth-1)
		b = append(append(b, '\n', ' '), rest[:n]...)
		rest = rest[n:]
	}
	return b
}
