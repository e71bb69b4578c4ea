package directory

import (
	"fmt"
	"math/big"
	"slices"
)

// Apply returns the canonical entry with the modifications of a client made,
// all or none (RFC 4511 §4.6); e is not changed, the result shares its values.
// The result is checked as Check does. Errors are *Error with slapd's codes:
// 17 unknown attribute, 19 an attribute users may not modify, 2 no values to
// add, 21 wrong syntax, 20 a value there already, 16 one not there, 18 where
// an equality rule is needed and missing, 69 another structural class, and
// those of Check.
func (s *Schema) Apply(e *Entry, mods []Modification, elsewhere ...string) (*Entry, error) {
	return s.modify(patch{s: s, e: e.shallow(), user: true}, mods, elsewhere)
}

// ApplyRelaxed is Apply, but names and times of creation and modification may
// be modified too.
func (s *Schema) ApplyRelaxed(e *Entry, mods []Modification, elsewhere ...string) (*Entry, error) {
	return s.modify(patch{s: s, e: e.shallow(), user: true, relaxed: true}, mods, elsewhere)
}

func (s *Schema) modify(p patch, mods []Modification, elsewhere []string) (*Entry, error) {
	before, err := s.StructuralClass(p.e)
	if err != nil {
		return nil, err
	}
	for i := range mods {
		if err := p.apply(&mods[i]); err != nil {
			return nil, err
		}
	}
	if err := s.addSuperclasses(p.e); err != nil {
		return nil, err
	}
	after, err := s.StructuralClass(p.e)
	if err != nil {
		return nil, err
	}
	if after != before {
		return nil, refuse(ObjectClassModsProhibited, fmt.Sprintf(
			"structural object class modification from '%s' to '%s' not allowed", before.Name(), after.Name()))
	}
	if err := s.Check(p.e, elsewhere...); err != nil {
		return nil, err
	}
	return p.e, nil
}

// Replay returns the entry with recorded modifications made: those of an
// EntryModified, EntriesModified or EntryMoved change. Nothing is checked
// but that they can be made; an error means the copy has diverged.
func (s *Schema) Replay(e *Entry, mods []Modification) (*Entry, error) {
	p := patch{s: s, e: e.shallow()}
	for i := range mods {
		if err := p.apply(&mods[i]); err != nil {
			return nil, fmt.Errorf("replaying %s of %s on %s: %w", mods[i].Op, mods[i].Attribute.Type, e.DN, err)
		}
	}
	return p.e, nil
}

// shallow copies the entry and its list of attributes, not the values.
func (e *Entry) shallow() *Entry {
	return &Entry{DN: e.DN, Attributes: slices.Clone(e.Attributes)}
}

// patch is an entry being modified.
type patch struct {
	s    *Schema
	e    *Entry
	user bool // check what a user may do
	// relaxed: he may also say who made and modified the entry, and when
	relaxed bool
}

func (p *patch) apply(m *Modification) error {
	d, ok := p.s.Describe(m.Attribute.Type)
	if p.user {
		var err error
		if d, err = p.s.describe(m.Attribute.Type); err != nil {
			return err
		}
		if err := p.permitted(d, m); err != nil {
			return err
		}
	} else if !ok {
		return refuse(UndefinedAttributeType, m.Attribute.Type)
	}
	name := d.String()
	switch m.Op {
	case ModAdd:
		return p.add(d.Type, name, m.Attribute.Values)
	case ModDelete:
		return p.delete(d.Type, name, m.Attribute.Values)
	case ModReplace:
		p.e.Put(name, m.Attribute.Values...)
		return nil
	case ModIncrement:
		return p.increment(d.Type, name, m.Attribute.Values)
	}
	return refuse(ProtocolError, "unknown modification")
}

// permitted checks what depends on the modification alone.
func (p *patch) permitted(d Description, m *Modification) error {
	name, values := d.String(), m.Attribute.Values
	switch {
	case d.Type.NoUserModification && !(p.relaxed && isStamp(d.Type)):
		return refuse(ConstraintViolation, name+": no user modification allowed")
	case d.Type.Obsolete && m.Op != ModDelete && len(values) > 0:
		return refuse(ConstraintViolation, name+": attribute is obsolete")
	case m.Op == ModAdd && len(values) == 0:
		return refuse(ProtocolError, fmt.Sprintf("modify/add: %s: no values given", name))
	case m.Op == ModIncrement && len(values) != 1:
		return refuse(ProtocolError, fmt.Sprintf("modify/increment: %s: one value expected", name))
	}
	if m.Op != ModDelete {
		if err := p.s.checkValues(d.Type, values); err != nil {
			return err
		}
	}
	if n := p.s.twice(d.Type, values); n >= 0 && m.Op != ModDelete {
		return refuse(AttributeOrValueExists, fmt.Sprintf("%s: value #%d provided more than once", name, n))
	}
	return nil
}

// isStamp reports the attributes that say who made and modified an entry, and
// when (RFC 4512 §3.4).
func isStamp(t *AttributeType) bool {
	switch t.Name() {
	case "creatorsName", "createTimestamp", "modifiersName", "modifyTimestamp":
		return true
	}
	return false
}

// Permissive returns what is left of modifications when adding a value that is
// there and deleting one that is not are no errors: exactly those that change
// the entry. What is wrong otherwise is left in, for Apply to refuse.
func (s *Schema) Permissive(e *Entry, mods []Modification) []Modification {
	p := patch{s: s, e: e.shallow()}
	out := make([]Modification, 0, len(mods))
	for i := range mods {
		m := mods[i]
		d, ok := s.Describe(m.Attribute.Type)
		if !ok {
			return append(out, mods[i:]...)
		}
		have := p.e.Get(d.String())
		switch {
		case m.Op == ModDelete && len(have) == 0:
			continue
		case (m.Op == ModAdd || m.Op == ModDelete) && len(m.Attribute.Values) > 0:
			m.Attribute.Values = p.effective(d.Type, have, &m)
			if len(m.Attribute.Values) == 0 {
				continue
			}
		}
		if p.apply(&m) != nil {
			return append(out, mods[i:]...)
		}
		out = append(out, m)
	}
	return out
}

// effective are the values that adding or deleting makes a difference for.
func (p *patch) effective(t *AttributeType, have [][]byte, m *Modification) [][]byte {
	set := formSet(t, have)
	var left [][]byte
	for _, v := range m.Attribute.Values {
		if set[string(t.normal(v))] == (m.Op == ModDelete) {
			left = append(left, v)
		}
	}
	return left
}

func (p *patch) add(t *AttributeType, name string, values [][]byte) error {
	have := p.e.Get(name)
	if len(have) == 0 {
		p.e.Put(name, values...)
		return nil
	}
	if p.user && t.Equality == nil {
		return refuse(InappropriateMatching, fmt.Sprintf("modify/add: %s: no equality matching rule", name))
	}
	if n := firstOf(t, have, values, true); n >= 0 {
		return refuse(AttributeOrValueExists, fmt.Sprintf("modify/add: %s: value #%d already exists", name, n))
	}
	p.e.Put(name, append(slices.Clip(have), values...)...)
	return nil
}

func (p *patch) delete(t *AttributeType, name string, values [][]byte) error {
	have := p.e.Get(name)
	if len(have) == 0 {
		return refuse(NoSuchAttribute, fmt.Sprintf("modify/delete: %s: no such attribute", name))
	}
	if len(values) == 0 {
		p.e.Put(name)
		return nil
	}
	if p.user && t.Equality == nil {
		return refuse(InappropriateMatching, fmt.Sprintf("modify/delete: %s: no equality matching rule", name))
	}
	if n := firstOf(t, have, values, false); n >= 0 {
		return refuse(NoSuchAttribute, fmt.Sprintf("modify/delete: %s: no such value", name))
	}
	gone := formSet(t, values)
	left := make([][]byte, 0, len(have))
	for _, v := range have {
		if !gone[string(t.normal(v))] {
			left = append(left, v)
		}
	}
	p.e.Put(name, left...)
	return nil
}

// firstOf returns the index of the first of values whose presence in have is
// as asked, or -1.
func firstOf(t *AttributeType, have, values [][]byte, present bool) int {
	if len(values) == 1 {
		if (t.position(have, values[0]) >= 0) == present {
			return 0
		}
		return -1
	}
	set := formSet(t, have)
	return slices.IndexFunc(values, func(v []byte) bool { return set[string(t.normal(v))] == present })
}

func formSet(t *AttributeType, values [][]byte) map[string]bool {
	set := make(map[string]bool, len(values))
	for _, v := range values {
		set[string(t.normal(v))] = true
	}
	return set
}

// increment is RFC 4525 §3: every value of the attribute is raised.
func (p *patch) increment(t *AttributeType, name string, by [][]byte) error {
	if t.Syntax.OID != syntaxBase+"27" || len(by) != 1 || checkInteger(by[0]) != nil {
		return refuse(ConstraintViolation, fmt.Sprintf("modify/increment: %s: not an integer", name))
	}
	have := p.e.Get(name)
	if len(have) == 0 {
		return refuse(NoSuchAttribute, fmt.Sprintf("modify/increment: %s: no such attribute", name))
	}
	step, _ := new(big.Int).SetString(string(by[0]), 10)
	values := make([][]byte, len(have))
	for i, v := range have {
		n, ok := new(big.Int).SetString(string(v), 10)
		if !ok {
			return refuse(ConstraintViolation, fmt.Sprintf("modify/increment: %s: not an integer", name))
		}
		values[i] = n.Add(n, step).Append(nil, 10)
	}
	p.e.Put(name, values...)
	return nil
}
