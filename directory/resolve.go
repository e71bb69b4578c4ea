package directory

import (
	"cmp"
	"slices"
	"strings"
)

// resolve turns the raw definitions into types and classes.
func (b *builder) resolve() {
	s := b.schema
	kept := b.attributes[:0]
	for _, r := range b.attributes {
		a := &AttributeType{OID: r.def.oid, Names: r.def.get("NAME"), Description: r.def.one("DESC"),
			Obsolete: r.def.has("OBSOLETE"), definition: r.text, origin: r.origin()}
		a.lower = strings.ToLower(a.Name())
		if b.nameAttribute(r, a) {
			a.Index = len(s.attributeList)
			s.attributeList = append(s.attributeList, a)
			kept = append(kept, r)
		}
	}
	b.attributes = kept
	done := make([]uint8, len(kept))
	for i := range kept {
		b.completeAttribute(i, done)
	}
	for _, a := range s.attributeList {
		for t := a; t != nil; t = t.Sup {
			if t == a {
				t.subtypes = append([]*AttributeType{a}, t.subtypes...)
			} else {
				t.subtypes = append(t.subtypes, a)
			}
		}
	}
	b.resolveClasses()
	s.objectClass = s.Attribute("objectClass")
	if s.objectClass == nil {
		b.problem("schema", 0, "no definition of objectClass: the system schema is missing")
	}
}

// nameAttribute enters the names; false when the type is there already.
func (b *builder) nameAttribute(r *raw, a *AttributeType) bool {
	for _, n := range append([]string{a.OID}, a.Names...) {
		old := b.schema.attributes[strings.ToLower(n)]
		if old == nil {
			continue
		}
		if old.definition != a.definition {
			b.problem(r.file, r.line, "attribute type %s is defined otherwise at %s", n, old.origin)
		}
		return false
	}
	for _, n := range append([]string{a.OID}, a.Names...) {
		b.schema.attributes[strings.ToLower(n)] = a
		b.schema.exact[n] = a
	}
	return true
}

const (
	resolving uint8 = 1
	resolved  uint8 = 2
)

// completeAttribute fills in one type after its supertype.
func (b *builder) completeAttribute(i int, done []uint8) {
	r, a := b.attributes[i], b.schema.attributeList[i]
	if done[i] != 0 {
		if done[i] == resolving {
			b.problem(r.file, r.line, "%s is its own supertype", a.Name())
		}
		return
	}
	done[i] = resolving
	a.Syntax = b.schema.syntaxes[syntaxOctetString]
	if sup := r.def.one("SUP"); sup != "" {
		b.inherit(i, sup, done)
	}
	b.ownFields(r, a)
	done[i] = resolved
}

func (b *builder) inherit(i int, name string, done []uint8) {
	r, a := b.attributes[i], b.schema.attributeList[i]
	sup := b.schema.attributes[strings.ToLower(b.expand(name))]
	if sup == nil {
		b.problem(r.file, r.line, "%s: unknown supertype %q", a.Name(), name)
		return
	}
	b.completeAttribute(sup.Index, done)
	if done[sup.Index] != resolved {
		return
	}
	a.Sup = sup
	a.Equality, a.Ordering, a.Substrings = sup.Equality, sup.Ordering, sup.Substrings
	a.Syntax, a.MaxLength, a.Usage = sup.Syntax, sup.MaxLength, sup.Usage
}

var usages = map[string]Usage{
	"": UserApplications, "userapplications": UserApplications, "directoryoperation": DirectoryOperation,
	"distributedoperation": DistributedOperation, "dsaoperation": DSAOperation,
}

func (b *builder) ownFields(r *raw, a *AttributeType) {
	a.SingleValue = r.def.has("SINGLE-VALUE")
	a.Collective = r.def.has("COLLECTIVE")
	a.NoUserModification = r.def.has("NO-USER-MODIFICATION")
	if syntax := r.def.one("SYNTAX"); syntax != "" {
		oid, bound, _ := strings.Cut(b.expand(syntax), "{")
		y := b.schema.syntaxes[oid]
		if y == nil {
			b.problem(r.file, r.line, "%s: unknown syntax %q", a.Name(), oid)
			return
		}
		a.Syntax, a.MaxLength = y, smallNumber(bound)
	} else if a.Sup == nil && r.def.one("SUP") == "" {
		b.problem(r.file, r.line, "%s: neither SYNTAX nor SUP", a.Name())
	}
	for _, f := range []struct {
		keyword string
		rule    **MatchingRule
	}{{"EQUALITY", &a.Equality}, {"ORDERING", &a.Ordering}, {"SUBSTR", &a.Substrings}} {
		name := r.def.one(f.keyword)
		if name == "" {
			continue
		}
		rule := b.schema.Rule(name)
		if rule == nil {
			b.problem(r.file, r.line, "%s: unknown matching rule %q", a.Name(), name)
			continue
		}
		*f.rule = rule
	}
	usage, ok := usages[strings.ToLower(r.def.one("USAGE"))]
	if !ok {
		b.problem(r.file, r.line, "%s: unknown usage %q", a.Name(), r.def.one("USAGE"))
	}
	if r.def.has("USAGE") {
		a.Usage = usage
	}
	if a.NoUserModification && a.Usage == UserApplications {
		b.problem(r.file, r.line, "%s: NO-USER-MODIFICATION needs an operational USAGE", a.Name())
	}
}

func smallNumber(s string) int {
	n := 0
	for i := 0; i < len(s) && s[i] >= '0' && s[i] <= '9' && n < 1<<24; i++ {
		n = n*10 + int(s[i]-'0')
	}
	return n
}

func (b *builder) addRules(x ExtraRules) {
	a := b.schema.Attribute(x.Attribute)
	if a == nil {
		b.problem("rules", 0, "unknown attribute type %q", x.Attribute)
		return
	}
	for _, f := range []struct {
		what, name string
		own        func(*AttributeType) **MatchingRule
	}{
		{"equality", x.Equality, func(t *AttributeType) **MatchingRule { return &t.Equality }},
		{"ordering", x.Ordering, func(t *AttributeType) **MatchingRule { return &t.Ordering }},
		{"substrings", x.Substrings, func(t *AttributeType) **MatchingRule { return &t.Substrings }},
	} {
		rule := b.schema.Rule(f.name)
		switch {
		case f.name == "":
		case rule == nil:
			b.problem("rules", 0, "%s: unknown matching rule %q", x.Attribute, f.name)
		case *f.own(a) != nil:
			b.problem("rules", 0, "%s has an %s rule already", x.Attribute, f.what)
		default:
			for _, t := range a.subtypes {
				*f.own(t) = cmp.Or(*f.own(t), rule)
			}
		}
	}
}

func (b *builder) resolveClasses() {
	s := b.schema
	var kept []*raw
	for _, r := range b.classes {
		c := &ObjectClass{OID: r.def.oid, Names: r.def.get("NAME"), Description: r.def.one("DESC"),
			Obsolete: r.def.has("OBSOLETE"), definition: r.text, origin: r.origin()}
		if b.nameClass(r, c) {
			s.classList = append(s.classList, c)
			kept = append(kept, r)
		}
	}
	done := map[*ObjectClass]uint8{}
	index := map[*ObjectClass]*raw{}
	for i, c := range s.classList {
		index[c] = kept[i]
	}
	for _, c := range s.classList {
		b.completeClass(c, index, done)
	}
}

func (b *builder) nameClass(r *raw, c *ObjectClass) bool {
	names := append([]string{c.OID}, c.Names...)
	for _, n := range names {
		old := b.schema.classes[strings.ToLower(n)]
		if old == nil {
			continue
		}
		if old.definition != c.definition {
			b.problem(r.file, r.line, "object class %s is defined otherwise at %s", n, old.origin)
		}
		return false
	}
	for _, n := range names {
		b.schema.classes[strings.ToLower(n)] = c
		b.schema.classes[n] = c
	}
	return true
}

func (b *builder) completeClass(c *ObjectClass, index map[*ObjectClass]*raw, done map[*ObjectClass]uint8) {
	r := index[c]
	if done[c] != 0 {
		if done[c] == resolving {
			b.problem(r.file, r.line, "object class %s is its own superclass", c.Name())
		}
		return
	}
	done[c] = resolving
	switch {
	case r.def.has("ABSTRACT"):
		c.Kind = Abstract
	case r.def.has("AUXILIARY"):
		c.Kind = Auxiliary
	}
	c.above = []*ObjectClass{c}
	for _, name := range r.def.get("SUP") {
		sup := b.schema.classes[strings.ToLower(b.expand(name))]
		if sup == nil {
			b.problem(r.file, r.line, "%s: unknown superclass %q", c.Name(), name)
			continue
		}
		b.completeClass(sup, index, done)
		c.Sup = append(c.Sup, sup)
		for _, u := range sup.above {
			if !slices.Contains(c.above, u) {
				c.above = append(c.above, u)
			}
		}
		if c.Kind == Structural && sup.Kind == Auxiliary || c.Kind == Auxiliary && sup.Kind == Structural {
			b.problem(r.file, r.line, "%s: superclass %s is of another kind", c.Name(), name)
		}
	}
	c.Must = b.attributesOf(r, c, "MUST")
	c.May = b.attributesOf(r, c, "MAY")
	for _, u := range c.above {
		c.AllMust = appendNew(c.AllMust, u.Must)
		c.AllMay = appendNew(c.AllMay, u.May)
	}
	done[c] = resolved
}

func appendNew(to, from []*AttributeType) []*AttributeType {
	for _, a := range from {
		if !slices.Contains(to, a) {
			to = append(to, a)
		}
	}
	return to
}

func (b *builder) attributesOf(r *raw, c *ObjectClass, keyword string) []*AttributeType {
	var out []*AttributeType
	for _, name := range r.def.get(keyword) {
		a := b.schema.attributes[strings.ToLower(b.expand(name))]
		if a == nil {
			b.problem(r.file, r.line, "%s: unknown attribute type %q in %s", c.Name(), name, keyword)
			continue
		}
		out = appendNew(out, []*AttributeType{a})
	}
	return out
}
