package directory

import (
	"bytes"
	"errors"
)

// Substring is a compiled substring assertion in the normal form of its rule.
type Substring struct {
	Initial []byte // nil when absent
	Any     [][]byte
	Final   []byte // nil when absent
	// spaced: a part begins or ends with a space that meets another part, so
	// the spaces of RFC 4518 §2.6.1 must be restored before comparing.
	spaced bool
}

// CompileSubstring brings the parts to normal form. Values are compared in
// the form Normalize gives, so initial is a prefix of a matching value's form
// up to a trailing space; see Prefix.
func (r *MatchingRule) CompileSubstring(initial []byte, parts [][]byte, final []byte) (*Substring, error) {
	if initial == nil && final == nil && len(parts) == 0 {
		return nil, errors.New("a substring assertion without a part")
	}
	s := &Substring{}
	var err error
	form := func(v []byte, start, end bool) []byte {
		n, e := r.NormalizeAssertion(v)
		if e != nil {
			err = e
			return n
		}
		if isSpaced(r) {
			n = s.keepSpaces(n, v, start, end)
		}
		return n
	}
	if initial != nil {
		s.Initial = form(initial, true, false)
	}
	for _, p := range parts {
		s.Any = append(s.Any, form(p, false, false))
	}
	if final != nil {
		s.Final = form(final, false, true)
	}
	return s, err
}

// isSpaced reports whether spaces of the rule's values are insignificant.
func isSpaced(r *MatchingRule) bool {
	return r.Syntax != syntaxOctetString && r.Name != "numericStringSubstringsMatch" &&
		r.Name != "telephoneNumberSubstringsMatch"
}

// keepSpaces puts back the one space at an end of a part that is not an end
// of the whole value.
func (s *Substring) keepSpaces(n, v []byte, start, end bool) []byte {
	if len(v) == 0 || len(n) == 1 && n[0] == ' ' {
		s.spaced = true
		return n
	}
	lead := !start && isSpaceByte(v[0])
	trail := !end && isSpaceByte(v[len(v)-1])
	if !lead && !trail {
		return n
	}
	s.spaced = true
	out := make([]byte, 0, len(n)+2)
	if lead {
		out = append(out, ' ')
	}
	out = append(out, n...)
	if trail {
		out = append(out, ' ')
	}
	return out
}

func isSpaceByte(c byte) bool { return c == ' ' || c >= 0x09 && c <= 0x0d }

// Prefix returns a prefix of the normal form of every matching value, for
// range scans of an index; empty when there is none.
func (s *Substring) Prefix() []byte { return bytes.TrimRight(s.Initial, " ") }

// Match decides the assertion for a value's normal form: the parts must occur
// in order without overlapping (RFC 4517 §4.2.6).
func (s *Substring) Match(n []byte) bool {
	if s.spaced {
		return s.matchSpaced(n)
	}
	return inOrder(n, s.Initial, s.Any, s.Final)
}

func inOrder(n, initial []byte, parts [][]byte, final []byte) bool {
	if !bytes.HasPrefix(n, initial) || len(n) < len(initial)+len(final) {
		return false
	}
	n = n[len(initial):]
	if !bytes.HasSuffix(n, final) {
		return false
	}
	n = n[:len(n)-len(final)]
	for _, p := range parts {
		i := bytes.Index(n, p)
		if i < 0 {
			return false
		}
		n = n[i+len(p):]
	}
	return true
}

// matchSpaced compares in the form RFC 4518 §2.6.1 writes: one space at each
// end of the value, two between words.
func (s *Substring) matchSpaced(n []byte) bool {
	value := widen(n, true, true)
	var initial, final []byte
	if s.Initial != nil {
		initial = widen(s.Initial, true, false)
	}
	if s.Final != nil {
		final = widen(s.Final, false, true)
	}
	parts := make([][]byte, len(s.Any))
	for i, p := range s.Any {
		parts[i] = widen(p, false, false)
	}
	return inOrder(value, initial, parts, final)
}

func widen(n []byte, start, end bool) []byte {
	if len(n) == 1 && n[0] == ' ' {
		if start && end {
			return []byte("  ")
		}
		return n
	}
	out := make([]byte, 0, len(n)+8)
	if start {
		out = append(out, ' ')
	}
	for i, c := range n {
		out = append(out, c)
		if c == ' ' && i > 0 && i < len(n)-1 {
			out = append(out, ' ')
		}
	}
	if end {
		out = append(out, ' ')
	}
	return out
}

// splitSubstringAssertion cuts "a*b*c" of RFC 4517 §3.3.30 for extensible
// matches with a substrings rule.
func splitSubstringAssertion(v []byte) (initial []byte, parts [][]byte, final []byte, ok bool) {
	pieces := bytes.Split(v, []byte{'*'})
	if len(pieces) < 2 {
		return nil, nil, nil, false
	}
	for i, p := range pieces {
		u, good := unescapeHex(p)
		switch {
		case !good:
			return nil, nil, nil, false
		case i == 0 && len(u) > 0:
			initial = u
		case i == len(pieces)-1 && len(u) > 0:
			final = u
		case i > 0 && i < len(pieces)-1:
			parts = append(parts, u)
		}
	}
	return initial, parts, final, true
}
