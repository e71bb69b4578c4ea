package directory

import (
	"errors"
	"strings"
)

// gser is a value in the Generic String Encoding Rules (RFC 3641), as far as
// certificate assertions use them: a sequence, a string, a choice or a word.
type gser struct {
	fields map[string]*gser // of { name value, … }
	choice string           // of "choice:value", with the value in text or fields
	text   string           // of "string", 'hex'H (decoded) or a word
	quoted bool
	hex    bool
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
		return p.hexString()
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

func (p *gserParser) sequence(depth int) (*gser, error) {
	p.i++
	v := &gser{fields: map[string]*gser{}}
	if p.peek() == '}' {
		p.i++
		return v, nil
	}
	for {
		name := strings.ToLower(p.word())
		if name == "" || v.fields[name] != nil {
			return nil, errGSER
		}
		f, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		v.fields[name] = f
		c := p.peek()
		p.i++
		if c == '}' {
			return v, nil
		}
		if c != ',' {
			return nil, errGSER
		}
	}
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

func (p *gserParser) hexString() (*gser, error) {
	p.i++
	end := strings.Index(p.s[p.i:], "'H")
	if end < 0 || end%2 != 0 {
		return nil, errGSER
	}
	out := make([]byte, 0, end/2)
	for k := p.i; k < p.i+end; k += 2 {
		if !isHex(p.s[k]) || !isHex(p.s[k+1]) {
			return nil, errGSER
		}
		out = append(out, unhex(p.s[k])<<4|unhex(p.s[k+1]))
	}
	p.i += end + 2
	return &gser{text: string(out), hex: true}, nil
}
