package ldap

import (
	"cardinal/directory"
	"cardinal/internal/ber"
)

// parseFilter reads one Filter (RFC 4511 §4.5.1.7) and nothing after it. The
// result looks into b. A choice this server does not know is Undefined, not an
// error.
func parseFilter(b []byte) (*directory.Filter, error) {
	r := ber.NewReader(b)
	f, err := readFilter(&r)
	if err != nil {
		return nil, err
	}
	return f, r.End()
}

func readFilter(r *ber.Reader) (*directory.Filter, error) {
	return readFilterWithin(r, maxFilterNodes)
}

// readFilterWithin reads a filter of at most so many parts; the pieces of a
// substring count as well, since each is looked for.
func readFilterWithin(r *ber.Reader, nodes int) (*directory.Filter, error) {
	p := filterParser{left: nodes}
	return p.read(r, 0)
}

// filterRoom is memory for one filter after another.
type filterRoom struct {
	nodes [fewNodes]directory.Filter
	links [fewNodes]*directory.Filter
}

// readFilterIn is readFilterWithin in memory whose filter nobody looks at any
// more, with the names of attributes as the schema has them.
func readFilterIn(room *filterRoom, schema *directory.Schema, r *ber.Reader, nodes int) (*directory.Filter, error) {
	clear(room.nodes[:])
	p := filterParser{left: nodes, room: room.nodes[:], links: room.links[:], schema: schema}
	return p.read(r, 0)
}

var errFilterParts = &directory.Error{Code: directory.AdminLimitExceeded, Message: "the filter has too many parts"}

type filterParser struct {
	left   int
	room   []directory.Filter // for the next nodes
	links  []*directory.Filter
	schema *directory.Schema // whose names are taken; nil: they are copied
}

// name is an attribute description as a string.
func (p *filterParser) name(b []byte) string {
	if p.schema != nil {
		if name, ok := p.schema.NameOf(b); ok {
			return name
		}
	}
	return string(b)
}

// list gives memory for a few children.
func (p *filterParser) list() []*directory.Filter {
	if len(p.links) < fewNodes {
		return make([]*directory.Filter, 0, fewNodes-1)
	}
	out := p.links[:0:fewNodes]
	p.links = nil
	return out
}

// fewNodes are made at once: most filters are of one node, or of three or four.
const fewNodes = 4

func (p *filterParser) take() *directory.Filter {
	if len(p.room) == 0 {
		p.room = make([]directory.Filter, fewNodes)
	}
	f := &p.room[0]
	p.room = p.room[1:]
	return f
}

func (p *filterParser) read(r *ber.Reader, depth int) (*directory.Filter, error) {
	if p.left--; p.left < 0 || depth > maxFilterDepth {
		return nil, errFilterParts
	}
	tag, value, err := r.Next()
	if err != nil {
		return nil, err
	}
	in := ber.NewReader(value)
	if depth == 0 && p.room == nil && tag != 0xA0 && tag != 0xA1 && tag != 0xA2 {
		p.room = make([]directory.Filter, 1)
	}
	f := p.take()
	switch tag {
	case 0xA0, 0xA1:
		f.Kind = directory.FilterKind(tag & 0x1F)
		f.Children = p.list()
		for !in.Empty() {
			child, err := p.read(&in, depth+1)
			if err != nil {
				return nil, err
			}
			f.Children = append(f.Children, child)
		}
		return f, nil
	case 0xA2:
		child, err := p.read(&in, depth+1)
		f.Kind, f.Children = directory.FilterNot, []*directory.Filter{child}
		return f, err
	case 0xA3, 0xA5, 0xA6, 0xA8:
		f.Kind = directory.FilterKind(tag & 0x1F)
		return f, p.readAssertion(f, &in)
	case 0xA4:
		f.Kind = directory.FilterSubstrings
		err := readSubstrings(f, &in)
		if p.left -= len(f.Any); p.left < 0 && err == nil {
			return nil, errFilterParts
		}
		return f, err
	case 0x87:
		f.Kind, f.Attr = directory.FilterPresent, p.name(value)
		return f, nil
	case 0xA9:
		f.Kind = directory.FilterExtensible
		return f, readExtensible(f, &in)
	}
	f.Kind = directory.FilterNone
	return f, nil
}

// readAssertion reads an attribute and a value.
func readAssertion(f *directory.Filter, r *ber.Reader) error {
	return (&filterParser{}).readAssertion(f, r)
}

func (p *filterParser) readAssertion(f *directory.Filter, r *ber.Reader) error {
	attr, err := r.Expect(ber.OctetString)
	if err != nil {
		return err
	}
	f.Attr = p.name(attr)
	f.Value, err = r.Expect(ber.OctetString)
	return err
}

// readSubstrings wants initial first, final last, each at most once, and no
// empty part (RFC 4511 §4.5.1.7.2).
func readSubstrings(f *directory.Filter, r *ber.Reader) error {
	attr, err := r.Expect(ber.OctetString)
	if err != nil {
		return err
	}
	f.Attr = string(attr)
	parts, err := r.Enter(ber.Sequence)
	if err != nil {
		return err
	}
	if parts.Empty() {
		return errProtocol
	}
	for n := 0; !parts.Empty(); n++ {
		tag, value, err := parts.Next()
		switch {
		case err != nil:
			return err
		case len(value) == 0 || f.Final != nil || n >= maxFilterNodes:
			return errProtocol
		case tag == 0x80 && n == 0:
			f.Initial = value
		case tag == 0x81:
			f.Any = append(f.Any, value)
		case tag == 0x82:
			f.Final = value
		default:
			return errProtocol
		}
	}
	return nil
}

func readExtensible(f *directory.Filter, r *ber.Reader) error {
	rule, _, err := r.Optional(0x81)
	if err != nil {
		return err
	}
	attr, _, err := r.Optional(0x82)
	if err != nil {
		return err
	}
	f.Rule, f.Attr = string(rule), string(attr)
	if f.Value, err = r.Expect(0x83); err != nil {
		return err
	}
	dn, there, err := r.Optional(0x84)
	if err != nil || !there {
		return err
	}
	f.DNAttrs, err = ber.ParseBool(dn)
	return err
}
