package directory

import (
	"fmt"
	"strings"
)

// FilterError says where a filter string is wrong.
type FilterError struct {
	Byte int // 1-based
	What string
}

// Error returns "filter: what at byte N".
func (e *FilterError) Error() string { return fmt.Sprintf("filter: %s at byte %d", e.What, e.Byte) }

// ParseFilter reads the string form of RFC 4515, with blanks allowed between
// nodes and the outermost parentheses left out, as command lines write it.
// It is iterative: nesting costs no stack.
func ParseFilter(s string) (*Filter, error) {
	p := &filterParser{s: s}
	p.blanks()
	if p.i < len(s) && s[p.i] != '(' {
		f, err := p.item(len(s))
		if err == nil && p.i != len(s) {
			err = p.fail("text after the filter")
		}
		return f, err
	}
	f, err := p.tree()
	if err != nil {
		return nil, err
	}
	if p.blanks(); p.i != len(s) {
		return nil, p.fail("text after the filter")
	}
	return f, nil
}

type filterParser struct {
	s     string
	i     int
	nodes int
}

func (p *filterParser) fail(what string) error { return &FilterError{Byte: p.i + 1, What: what} }

func (p *filterParser) blanks() {
	for p.i < len(p.s) && isBlank(p.s[p.i]) {
		p.i++
	}
}

// tree reads one parenthesised filter; open holds the sets not yet closed.
func (p *filterParser) tree() (*Filter, error) {
	var open []*Filter
	for {
		f, err := p.step(len(open) > 0)
		switch {
		case err != nil:
			return nil, err
		case f == nil:
			f = open[len(open)-1]
			open = open[:len(open)-1]
			if f.Kind == FilterNot && len(f.Children) != 1 {
				return nil, p.fail("! with other than one filter")
			}
		case f.Kind <= FilterNot:
			if open = append(open, f); len(open) > MaxFilterDepth {
				return nil, p.fail("nested too deeply")
			}
			continue
		}
		if len(open) == 0 {
			return f, nil
		}
		top := open[len(open)-1]
		top.Children = append(top.Children, f)
	}
}

// step reads one item or the beginning of a set; nil for the end of a set.
func (p *filterParser) step(inSet bool) (*Filter, error) {
	p.blanks()
	switch {
	case p.i == len(p.s):
		return nil, p.fail("unended filter")
	case p.s[p.i] == ')' && inSet:
		p.i++
		return nil, nil
	case p.s[p.i] == '(':
		return p.opened()
	}
	return nil, p.fail("( expected")
}

// opened reads what follows "(": the sign of a set, or a whole item with ")".
func (p *filterParser) opened() (*Filter, error) {
	if p.nodes++; p.nodes > MaxFilterNodes {
		return nil, p.fail("too many parts")
	}
	p.i++
	p.blanks()
	if p.i < len(p.s) {
		if k := strings.IndexByte("&|!", p.s[p.i]); k >= 0 {
			p.i++
			return &Filter{Kind: FilterKind(k)}, nil
		}
	}
	end := strings.IndexByte(p.s[p.i:], ')')
	if end < 0 {
		return nil, p.fail("unended filter")
	}
	f, err := p.item(p.i + end)
	if err != nil {
		return nil, err
	}
	p.i++
	return f, nil
}

// item reads attr op value up to end.
func (p *filterParser) item(end int) (*Filter, error) {
	start := p.i
	eq := strings.IndexByte(p.s[start:end], '=')
	if eq < 0 {
		return nil, p.fail("no = in an item")
	}
	f := &Filter{Kind: FilterEquality}
	left := p.s[start : start+eq]
	if n := len(left); n > 0 {
		switch left[n-1] {
		case '>':
			f.Kind, left = FilterGreaterOrEqual, left[:n-1]
		case '<':
			f.Kind, left = FilterLessOrEqual, left[:n-1]
		case '~':
			f.Kind, left = FilterApprox, left[:n-1]
		case ':':
			f.Kind, left = FilterExtensible, left[:n-1]
		}
	}
	if f.Kind == FilterExtensible {
		if err := p.extensible(f, strings.TrimSpace(left)); err != nil {
			return nil, err
		}
	} else if f.Attr = strings.TrimSpace(left); !validFilterType(f.Attr) {
		return nil, p.fail("no attribute description")
	}
	p.i = start + eq + 1
	if f.Kind == FilterEquality && strings.IndexByte(p.s[p.i:end], '*') >= 0 {
		return f, p.substrings(f, end)
	}
	v, err := p.value(end)
	f.Value = v
	return f, err
}

func validFilterType(s string) bool {
	typ, rest := SplitDescription(s)
	for o := range strings.SplitSeq(rest, ";") {
		if len(typ) != len(s) && !validOption(o) {
			return false
		}
	}
	for i := range len(typ) {
		if !isTypeByte(typ[i]) {
			return false
		}
	}
	return validType(typ)
}

// extensible reads "attr:dn:rule", each part optional (RFC 4515 §3).
func (p *filterParser) extensible(f *Filter, left string) error {
	parts := strings.Split(left, ":")
	f.Attr = parts[0]
	rest := parts[1:]
	if len(rest) > 0 && strings.EqualFold(rest[0], "dn") {
		f.DNAttrs = true
		rest = rest[1:]
	}
	if len(rest) == 1 && rest[0] != "" {
		f.Rule = rest[0]
		rest = nil
	}
	if len(rest) > 0 || f.Attr == "" && f.Rule == "" ||
		f.Attr != "" && !validFilterType(f.Attr) || f.Rule != "" && !validType(f.Rule) {
		return p.fail("bad extensible match")
	}
	return nil
}

// value unescapes up to end (RFC 4515 §3).
func (p *filterParser) value(end int) ([]byte, error) {
	v := make([]byte, 0, end-p.i)
	for p.i < end {
		c := p.s[p.i]
		switch c {
		case '\\':
			if p.i+2 >= end || !isHex(p.s[p.i+1]) || !isHex(p.s[p.i+2]) {
				return nil, p.fail("bad escape")
			}
			c = unhex(p.s[p.i+1])<<4 | unhex(p.s[p.i+2])
			p.i += 2
		case '(', ')', 0:
			return nil, p.fail("unescaped special character")
		}
		v = append(v, c)
		p.i++
	}
	return v, nil
}

func (p *filterParser) substrings(f *Filter, end int) error {
	if p.s[p.i:end] == "*" {
		f.Kind = FilterPresent
		p.i = end
		return nil
	}
	f.Kind = FilterSubstrings
	first := true
	for {
		star := strings.IndexByte(p.s[p.i:end], '*')
		stop := end
		if star >= 0 {
			stop = p.i + star
		}
		v, err := p.value(stop)
		if err != nil {
			return err
		}
		switch {
		case len(v) == 0 && !first && star >= 0:
			return p.fail("empty substring")
		case len(v) == 0:
		case first:
			f.Initial = v
		case star < 0:
			f.Final = v
		default:
			f.Any = append(f.Any, v)
		}
		if star < 0 {
			return nil
		}
		first = false
		p.i++
	}
}
