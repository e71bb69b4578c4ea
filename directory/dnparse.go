package directory

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits of a name, so that parsing is bounded whatever arrives.
const (
	maxDNLength = 8 << 10 // bytes of a name; slapd's SLAP_LDAPDN_MAXLEN is the same
	maxRDNs     = 64      // depth of a tree; the deepest NHS name has 4
	maxAVAs     = 16      // AVAs of one RDN
)

// ParseDN reads a name in RFC 4514 form, as leniently as slapd does: spaces
// around = , and +, ; as separator, "quoted" values, \x and \hex escapes,
// OIDs as types, #hex BER values. It refuses what slapd refuses: an empty
// RDN, a trailing separator, an "OID." prefix, a bad escape, bytes that are
// not UTF-8. The error is an *Error with InvalidDNSyntax naming the byte.
func ParseDN(s string) (DN, error) {
	if len(s) > maxDNLength {
		return nil, refuse(InvalidDNSyntax, fmt.Sprintf("a name of %d bytes exceeds %d", len(s), maxDNLength))
	}
	p := dnParser{s: s, b: []byte(s)}
	p.spaces()
	if p.i == len(s) {
		return DN{}, nil
	}
	d, err := p.dn()
	if err != nil {
		return nil, err
	}
	return d, nil
}

// ParseRDN reads one RDN.
func ParseRDN(s string) (RDN, error) {
	d, err := ParseDN(s)
	if err != nil {
		return nil, err
	}
	if len(d) != 1 {
		return nil, refuse(InvalidDNSyntax, "one RDN expected")
	}
	return d[0], nil
}

// dnParser reads one name. Values without escapes are parts of b, the input's
// one copy.
type dnParser struct {
	s string
	b []byte
	i int
}

func (p *dnParser) fail(what string) error {
	return refuse(InvalidDNSyntax, fmt.Sprintf("%s at byte %d of the name", what, p.i+1))
}

func (p *dnParser) spaces() {
	for p.i < len(p.s) && (p.s[p.i] == ' ' || p.s[p.i] == '\n') {
		p.i++
	}
}

func (p *dnParser) dn() (DN, error) {
	d := make(DN, 0, 5)
	all := make([]AVA, 0, 5) // of all RDNs: one allocation
	start := 0               // of the RDN being read
	for {
		a, err := p.ava()
		if err != nil {
			return nil, err
		}
		if all = append(all, a); len(all)-start > maxAVAs {
			return nil, p.fail("too many values in one RDN")
		}
		sep := byte(0)
		if p.i < len(p.s) {
			sep = p.s[p.i]
			p.i++
		}
		if sep == '+' {
			continue
		}
		if d = append(d, all[start:len(all):len(all)]); len(d) > maxRDNs {
			return nil, p.fail("too many RDNs")
		}
		if sep == 0 {
			return d, nil
		}
		start = len(all)
	}
}

func (p *dnParser) ava() (AVA, error) {
	p.spaces()
	start := p.i
	for p.i < len(p.s) && isTypeByte(p.s[p.i]) {
		p.i++
	}
	typ := p.s[start:p.i]
	if !validType(typ) {
		p.i = start
		return AVA{}, p.fail("no attribute type")
	}
	p.spaces()
	if p.i >= len(p.s) || p.s[p.i] != '=' {
		return AVA{}, p.fail("no = after the attribute type")
	}
	p.i++
	p.spaces()
	v, err := p.value()
	if err != nil {
		return AVA{}, err
	}
	return AVA{Type: typ, Value: v}, nil
}

func (p *dnParser) value() ([]byte, error) {
	switch {
	case p.i < len(p.s) && p.s[p.i] == '#':
		return p.hexValue()
	case p.i < len(p.s) && p.s[p.i] == '"':
		return p.quoted()
	}
	return p.plain()
}

func (p *dnParser) atEnd() bool {
	p.spaces()
	return p.i == len(p.s) || strings.IndexByte(",;+", p.s[p.i]) >= 0
}

func (p *dnParser) hexValue() ([]byte, error) {
	p.i++
	var der []byte
	for p.i+1 < len(p.s) && isHex(p.s[p.i]) && isHex(p.s[p.i+1]) {
		der = append(der, unhex(p.s[p.i])<<4|unhex(p.s[p.i+1]))
		p.i += 2
	}
	if len(der) == 0 || !p.atEnd() {
		return nil, p.fail("bad #hex value")
	}
	v, ok := stringOfBER(der)
	if !ok {
		return nil, p.fail("a #hex value that is not one BER element ends")
	}
	return v, nil
}

func (p *dnParser) quoted() ([]byte, error) {
	p.i++
	v := []byte{}
	for p.i < len(p.s) && p.s[p.i] != '"' {
		if p.s[p.i] != '\\' {
			v = append(v, p.s[p.i])
			p.i++
			continue
		}
		c, err := p.escape()
		if err != nil {
			return nil, err
		}
		v = append(v, c)
	}
	if p.i == len(p.s) {
		return nil, p.fail("unended quote")
	}
	p.i++
	if !p.atEnd() {
		return nil, p.fail("text after a quoted value")
	}
	return p.utf8(v)
}

func (p *dnParser) plain() ([]byte, error) {
	start := p.i
	for p.i < len(p.s) && strings.IndexByte(",;+\"<>\\\x00", p.s[p.i]) < 0 {
		p.i++
	}
	if p.i == len(p.s) || strings.IndexByte(",;+", p.s[p.i]) >= 0 {
		end := p.i
		for end > start && (p.s[end-1] == ' ' || p.s[end-1] == '\n') {
			end--
		}
		return p.utf8(p.b[start:end:end])
	}
	p.i = start
	return p.escaped()
}

// escaped reads a value with escapes in it.
func (p *dnParser) escaped() ([]byte, error) {
	v := []byte{}
	keep := 0 // length without trailing unescaped spaces
	for p.i < len(p.s) && strings.IndexByte(",;+", p.s[p.i]) < 0 {
		c := p.s[p.i]
		switch c {
		case '"', '<', '>', 0:
			return nil, p.fail("unescaped special character")
		case '\\':
			e, err := p.escape()
			if err != nil {
				return nil, err
			}
			v = append(v, e)
			keep = len(v)
			continue
		}
		v = append(v, c)
		p.i++
		if c != ' ' && c != '\n' {
			keep = len(v)
		}
	}
	return p.utf8(v[:keep])
}

func (p *dnParser) utf8(v []byte) ([]byte, error) {
	if !utf8.Valid(v) {
		return nil, p.fail("a value that is not UTF-8 ends")
	}
	return v, nil
}

// escape reads what follows a backslash: a special character or two hex digits.
func (p *dnParser) escape() (byte, error) {
	if p.i+1 >= len(p.s) {
		return 0, p.fail("bad escape")
	}
	c := p.s[p.i+1]
	if strings.IndexByte(` ,+"\<>;=#`, c) >= 0 {
		p.i += 2
		return c, nil
	}
	if p.i+2 < len(p.s) && isHex(c) && isHex(p.s[p.i+2]) {
		v := unhex(c)<<4 | unhex(p.s[p.i+2])
		p.i += 3
		return v, nil
	}
	return 0, p.fail("bad escape")
}

func isTypeByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_'
}

// validType reports whether s is a descr or a numeric OID (RFC 4512 §1.4).
// Underscores are let through because directories in use contain them.
func validType(s string) bool {
	if s == "" {
		return false
	}
	if s[0] >= '0' && s[0] <= '9' {
		return validOID(s)
	}
	for i := range len(s) {
		if !isTypeByte(s[i]) || s[i] == '.' {
			return false
		}
	}
	return isLetter(s[0])
}

func validOID(s string) bool {
	digits, dots := 0, 0
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '.':
			if digits == 0 {
				return false
			}
			digits = 0
			dots++
		case c >= '0' && c <= '9':
			if digits == 1 && s[i-1] == '0' {
				return false
			}
			digits++
		default:
			return false
		}
	}
	return digits > 0 && dots > 0
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}

// validRune returns the length of the rune v begins with, 0 if it is ill-formed.
func validRune(v []byte) int {
	r, n := utf8.DecodeRune(v)
	if r == utf8.RuneError && n <= 1 {
		return 0
	}
	return n
}
