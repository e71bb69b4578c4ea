package directory

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Canonical returns the entry as it is stored: descriptions canonical, one
// attribute each, superclasses of its object classes added (RFC 4512 §2.4),
// the values of its RDN added where absent, as slapd does, and every value
// checked against its syntax. DN and values share the given entry's memory.
// Errors are *Error with slapd's codes: 17 unknown attribute, 20 the same
// value twice, 21 a value of the wrong syntax, 2 an attribute without values.
func (s *Schema) Canonical(e *Entry) (*Entry, error) {
	out := &Entry{DN: e.DN, Attributes: make([]Attribute, 0, len(e.Attributes)+1)}
	for i := range e.Attributes {
		a := &e.Attributes[i]
		d, err := s.describe(a.Type)
		if err != nil {
			return nil, err
		}
		name := d.String()
		if len(a.Values) == 0 {
			return nil, refuse(ProtocolError, name+": no values given")
		}
		if slices.ContainsFunc(out.Attributes, func(o Attribute) bool { return o.Type == name }) {
			return nil, refuse(AttributeOrValueExists, fmt.Sprintf("attribute %q stands twice", name))
		}
		if err := s.checkValues(d.Type, a.Values); err != nil {
			return nil, err
		}
		if n := s.twice(d.Type, a.Values); n >= 0 {
			return nil, refuse(AttributeOrValueExists, fmt.Sprintf("%s: value #%d stands twice", name, n))
		}
		out.Attributes = append(out.Attributes, Attribute{Type: name, Values: a.Values})
	}
	if err := s.addRDNValues(out); err != nil {
		return nil, err
	}
	return out, s.addSuperclasses(out)
}

func (s *Schema) describe(description string) (Description, error) {
	d, ok := s.Describe(description)
	if !ok {
		return d, refuse(UndefinedAttributeType, fmt.Sprintf("%s: attribute type undefined", description))
	}
	if strings.IndexByte(description, ';') < 0 || d.Type.Binary() {
		return d, nil
	}
	for o := range Options(description) {
		if strings.EqualFold(o, "binary") {
			return d, refuse(UndefinedAttributeType, fmt.Sprintf("%s: this syntax has no ;binary form", description))
		}
	}
	return d, nil
}

func (s *Schema) checkValues(t *AttributeType, values [][]byte) error {
	for i, v := range values {
		if err := t.Syntax.Validate(v); err != nil {
			return refuse(InvalidAttributeSyntax, fmt.Sprintf("%s: value #%d: %v", t.Name(), i, err))
		}
		if t == s.objectClass && s.Class(string(v)) == nil {
			return refuse(InvalidAttributeSyntax, fmt.Sprintf("objectClass: value #%d: unknown object class %q", i, v))
		}
	}
	return nil
}

// Form returns the form in which two values of one entry are compared: that of
// the equality rule, or the bytes where there is none or it refuses the value.
func (t *AttributeType) Form(v []byte) []byte { return t.normal(v) }

func (t *AttributeType) normal(v []byte) []byte {
	if t.Equality != nil && t.Equality.Indexable() {
		if n, err := t.Equality.Normalize(v); err == nil {
			return n
		}
	}
	return v
}

const fewValues = 16 // up to here comparing in pairs is cheaper than a map

// twice returns the index of a value equal to an earlier one, or -1. Without
// an equality rule no two values are equal.
func (s *Schema) twice(t *AttributeType, values [][]byte) int {
	if len(values) < 2 || t.Equality == nil {
		return -1
	}
	if len(values) > fewValues {
		seen := make(map[string]bool, len(values))
		for i, v := range values {
			n := string(t.normal(v))
			if seen[n] {
				return i
			}
			seen[n] = true
		}
		return -1
	}
	forms := make([][]byte, 0, fewValues)
	for i, v := range values {
		n := t.normal(v)
		if slices.ContainsFunc(forms, func(f []byte) bool { return bytes.Equal(f, n) }) {
			return i
		}
		forms = append(forms, n)
	}
	return -1
}

// addRDNValues adds the values of the entry's RDN that are not there yet.
func (s *Schema) addRDNValues(e *Entry) error {
	if len(e.DN) == 0 {
		return nil
	}
	for _, a := range e.DN[0] {
		d, err := s.describe(a.Type)
		if err != nil {
			return refuse(InvalidDNSyntax, fmt.Sprintf("unknown attribute type %q in a name", a.Type))
		}
		if err := s.checkValues(d.Type, [][]byte{a.Value}); err != nil {
			return err
		}
		name := d.String()
		have := e.Get(name)
		if d.Type.position(have, a.Value) >= 0 {
			continue
		}
		if len(have) > 0 && d.Type.SingleValue {
			return refuse(NamingViolation, fmt.Sprintf("value of %s in the name is not in the entry", name))
		}
		e.Put(name, append(slices.Clip(have), a.Value)...)
	}
	return nil
}

// position returns the index of a value equal to v, or -1.
func (t *AttributeType) position(values [][]byte, v []byte) int {
	if i := slices.IndexFunc(values, func(o []byte) bool { return bytes.Equal(o, v) }); i >= 0 {
		return i
	}
	n := t.normal(v)
	return slices.IndexFunc(values, func(o []byte) bool { return bytes.Equal(t.normal(o), n) })
}

// addSuperclasses completes objectClass (RFC 4512 §2.4: "all superclasses …
// shall be implicitly added"); slapd leaves them out and looks them up at each
// search instead.
func (s *Schema) addSuperclasses(e *Entry) error {
	a := e.Attribute("objectClass")
	if a == nil {
		return nil
	}
	complete := true
	seen := make([]*ObjectClass, 0, 8)
	for _, v := range a.Values {
		if c := s.Class(string(v)); c != nil {
			seen = append(seen, c)
		}
	}
	for _, c := range seen {
		for _, up := range c.above[1:] {
			complete = complete && slices.Contains(seen, up)
		}
	}
	if complete {
		return nil
	}
	values := slices.Clone(a.Values)
	for i := 0; i < len(seen); i++ {
		for _, up := range seen[i].above[1:] {
			if !slices.Contains(seen, up) {
				seen = append(seen, up)
				values = append(values, []byte(up.Name()))
			}
		}
	}
	a.Values = values
	return nil
}
