package directory

import (
	"fmt"
	"slices"
	"strings"
)

// Check decides whether a canonical entry obeys the schema (RFC 4512 §2.4,
// §2.5): one structural class, every required attribute, none that is not
// allowed, single values single, RDN values present. Attributes named
// elsewhere are kept outside the entry and count as present. The error is an
// *Error with slapd's codes, found in slapd's order: 19 for several values,
// 65, 64 for the RDN, 65.
func (s *Schema) Check(e *Entry, elsewhere ...string) error {
	if err := s.checkSingle(e); err != nil {
		return err
	}
	classes, err := s.classesOf(e)
	if err != nil {
		return err
	}
	if _, err := structuralOf(classes); err != nil {
		return err
	}
	if err := s.checkNaming(e); err != nil {
		return err
	}
	if err := s.checkRequired(e, classes, elsewhere); err != nil {
		return err
	}
	return s.checkAllowed(e, classes)
}

func (s *Schema) checkSingle(e *Entry) error {
	for i := range e.Attributes {
		a := &e.Attributes[i]
		t := s.Attribute(a.Type)
		if t == nil {
			return refuse(UndefinedAttributeType, a.Type+": attribute type undefined")
		}
		if t.SingleValue && len(a.Values) > 1 {
			return refuse(ConstraintViolation, fmt.Sprintf("attribute '%s' cannot have multiple values", t.Name()))
		}
	}
	return nil
}

// StructuralClass returns the most derived structural class of the entry
// (RFC 4512 §2.4.2); the error is an *Error with 65.
func (s *Schema) StructuralClass(e *Entry) (*ObjectClass, error) {
	classes, err := s.classesOf(e)
	if err != nil {
		return nil, err
	}
	return structuralOf(classes)
}

func (s *Schema) classesOf(e *Entry) ([]*ObjectClass, error) {
	values := e.Get("objectClass")
	if len(values) == 0 {
		return nil, refuse(ObjectClassViolation, "no objectClass attribute")
	}
	out := make([]*ObjectClass, 0, len(values))
	for _, v := range values {
		c := s.Class(string(v))
		if c == nil {
			return nil, refuse(ObjectClassViolation, fmt.Sprintf("unrecognized objectClass '%s'", v))
		}
		out = append(out, c)
	}
	return out, nil
}

func structuralOf(classes []*ObjectClass) (*ObjectClass, error) {
	var best *ObjectClass
	for _, c := range classes {
		if c.Kind == Structural && (best == nil || c.Is(best)) {
			best = c
		}
	}
	if best == nil {
		return nil, refuse(ObjectClassViolation, "no structural object class provided")
	}
	for _, c := range classes {
		if c.Kind == Structural && !best.Is(c) {
			return nil, refuse(ObjectClassViolation,
				fmt.Sprintf("invalid structural object class chain (%s/%s)", best.Name(), c.Name()))
		}
		derived := func(o *ObjectClass) bool { return o != c && o.Is(c) }
		if c.Kind == Abstract && !slices.ContainsFunc(classes, derived) {
			return nil, refuse(ObjectClassViolation,
				fmt.Sprintf("instantiation of abstract objectClass '%s' not allowed", c.Name()))
		}
	}
	return best, nil
}

// extensibleObject lets an entry hold any user attribute (RFC 4512 §4.3).
const extensibleObject = "1.3.6.1.4.1.1466.101.120.111"

func (s *Schema) checkAllowed(e *Entry, classes []*ObjectClass) error {
	open := slices.ContainsFunc(classes, func(c *ObjectClass) bool { return c.OID == extensibleObject })
	for i := range e.Attributes {
		t := s.Attribute(e.Attributes[i].Type)
		if open || t.Operational() || slices.ContainsFunc(classes, func(c *ObjectClass) bool { return c.allows(t) }) {
			continue
		}
		return refuse(ObjectClassViolation, fmt.Sprintf("attribute '%s' not allowed", t.Name()))
	}
	return nil
}

func (c *ObjectClass) allows(t *AttributeType) bool {
	return slices.Contains(c.AllMust, t) || slices.Contains(c.AllMay, t)
}

func (s *Schema) checkRequired(e *Entry, classes []*ObjectClass, elsewhere []string) error {
	for _, c := range classes {
		for _, t := range c.AllMust {
			if !s.present(e, t) && !slices.Contains(elsewhere, t.Name()) {
				return refuse(ObjectClassViolation,
					fmt.Sprintf("object class '%s' requires attribute '%s'", c.Name(), t.Name()))
			}
		}
	}
	return nil
}

// present reports whether the entry has the type, with whatever options.
func (s *Schema) present(e *Entry, t *AttributeType) bool {
	name := t.Name()
	for i := range e.Attributes {
		have := e.Attributes[i].Type
		if strings.HasPrefix(have, name) && (len(have) == len(name) || have[len(name)] == ';') {
			return true
		}
	}
	return false
}

func (s *Schema) checkNaming(e *Entry) error {
	if len(e.DN) == 0 {
		return nil
	}
	for _, a := range e.DN[0] {
		t := s.Attribute(a.Type)
		if t == nil {
			return refuse(NamingViolation, fmt.Sprintf("unknown attribute type %q in a name", a.Type))
		}
		if t.position(e.Get(Description{Type: t}.String()), a.Value) < 0 {
			return refuse(NamingViolation, fmt.Sprintf("value of naming attribute '%s' is not present in entry", t.Name()))
		}
	}
	return nil
}
