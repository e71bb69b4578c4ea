package directory

import (
	"encoding/hex"
	"errors"
	"strings"
)

// gser is a value in the Generic String Encoding Rules (RFC 3641), as far as
// certificate assertions use them: a sequence, a string, a choice or a word.
type gser struct {
	fields map[string]*gser // of { name value, … }, names in lower case
	items  []*gser          // of { value, … }
	choice string           // of "choice:value", with the value in text or fields
	text   string           // of "string", 'hex'H (decoded), 'bits'B (as digits) or a word
	quoted bool
	hex    bool
	bits   bool
}

var errGSER = errors.New("not a GSER value")

// maxGSERDepth is what assertions of RFC 4523 need, and some.
const maxGSERDepth = 8

func parseGSER(s string) (*gser, error) {
	p := &gserParser{s: s}
	v, err := p.value(0)
	if err != nil {
		return nil, err
	}
	p.spaces()
	if p.i != len(s) {
		return nil, errGSER
	}
	return v, nil
}

type gserParser struct {
	s string
	i int
}

func (p *gserParser) spaces() {
	for p.i < len(p.s) && isBlank(p.s[p.i]) {
		p.i++
	}
}

func (p *gserParser) peek() byte {
	p.spaces()
	if p.i == len(p.s) {
		return 0
	}
	return p.s[p.i]
}

func (p *gserParser) value(depth int) (*gser, error) {
	if depth > maxGSERDepth {
		return nil, errGSER
	}
	switch p.peek() {
	case 0:
		return nil, errGSER
	case '{':
		return p.sequence(depth)
	case '"':
		return p.quotedString()
	case '\'':
		return p.hexOrBits()
	}
	word := p.word()
	if word == "" {
		return nil, errGSER
	}
	if p.i < len(p.s) && p.s[p.i] == ':' {
		p.i++
		v, err := p.value(depth + 1)
		if err != nil || v.choice != "" {
			return nil, errGSER
		}
		v.choice = word
		return v, nil
	}
	return &gser{text: word}, nil
}

func (p *gserParser) word() string {
	p.spaces()
	start := p.i
	for p.i < len(p.s) && (isTypeByte(p.s[p.i]) || p.s[p.i] == '-') {
		p.i++
	}
	return p.s[start:p.i]
}

// sequence reads a SEQUENCE or SET, whose components have names, or a list of
// values: a SEQUENCE OF, or the named bits of a BIT STRING.
func (p *gserParser) sequence(depth int) (*gser, error) {
	p.i++
	v := &gser{fields: map[string]*gser{}}
	if p.peek() == '}' {
		p.i++
		return v, nil
	}
	for {
		if err := p.component(v, depth+1); err != nil {
			return nil, err
		}
		c := p.peek()
		p.i++
		switch {
		case c == '}' && len(v.fields) > 0 && len(v.items) > 0:
			return nil, errGSER
		case c == '}':
			return v, nil
		case c != ',':
			return nil, errGSER
		}
	}
}

func (p *gserParser) component(v *gser, depth int) error {
	start := p.i
	name := strings.ToLower(p.word())
	if c := p.peek(); name == "" || c == ',' || c == '}' || c == ':' {
		p.i = start
		item, err := p.value(depth)
		v.items = append(v.items, item)
		return err
	}
	if v.fields[name] != nil {
		return errGSER
	}
	f, err := p.value(depth)
	v.fields[name] = f
	return err
}

func (p *gserParser) quotedString() (*gser, error) {
	p.i++
	var b strings.Builder
	for p.i < len(p.s) {
		c := p.s[p.i]
		p.i++
		if c != '"' {
			b.WriteByte(c)
			continue
		}
		if p.i == len(p.s) || p.s[p.i] != '"' {
			return &gser{text: b.String(), quoted: true}, nil
		}
		b.WriteByte('"')
		p.i++
	}
	return nil, errGSER
}

func (p *gserParser) hexOrBits() (*gser, error) {
	p.i++
	n := strings.IndexByte(p.s[p.i:], '\'')
	if n < 0 || p.i+n+1 == len(p.s) {
		return nil, errGSER
	}
	digits, kind := p.s[p.i:p.i+n], p.s[p.i+n+1]
	p.i += n + 2
	switch {
	case kind == 'B' && strings.Trim(digits, "01") == "":
		return &gser{text: digits, bits: true}, nil
	case kind == 'H':
		if text, err := hex.DecodeString(digits); err == nil {
			return &gser{text: string(text), hex: true}, nil
		}
	}
	return nil, errGSER
}
