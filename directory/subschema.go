package directory

import (
	"fmt"
	"strings"
)

// Subschema returns the subschema entry (RFC 4512 §4.2) at cn=Subschema with
// all its attributes; operational ones are to be returned on request only.
func (s *Schema) Subschema() *Entry {
	e := &Entry{DN: DN{{{Type: "cn", Value: []byte("Subschema")}}}}
	e.PutString("objectClass", "top", "subentry", "subschema", "extensibleObject")
	e.PutString("cn", "Subschema")
	var list []string
	for _, y := range s.syntaxList {
		list = append(list, y.definition())
	}
	e.PutString("ldapSyntaxes", list...)
	list = nil
	for _, r := range s.ruleList {
		list = append(list, fmt.Sprintf("( %s NAME '%s' SYNTAX %s )", r.OID, r.Name, r.Syntax))
	}
	e.PutString("matchingRules", list...)
	e.PutString("matchingRuleUse", s.ruleUses()...)
	list = nil
	for _, a := range s.attributeList {
		list = append(list, a.published())
	}
	e.PutString("attributeTypes", list...)
	list = nil
	for _, c := range s.classList {
		list = append(list, strings.Replace(c.definition, "( "+firstWord(c.definition), "( "+c.OID, 1))
	}
	e.PutString("objectClasses", list...)
	return e
}

// published is the definition with its OID written out.
func (a *AttributeType) published() string {
	return strings.Replace(a.definition, "( "+firstWord(a.definition), "( "+a.OID, 1)
}

func firstWord(definition string) string {
	first, err := firstComponent([]byte(definition))
	if err != nil {
		return ""
	}
	return string(first)
}

func (y *Syntax) definition() string {
	var b strings.Builder
	fmt.Fprintf(&b, "( %s DESC '%s'", y.OID, escapeQuoted(y.Description))
	if y.Binary {
		b.WriteString(" X-BINARY-TRANSFER-REQUIRED 'TRUE'")
	}
	if y.Opaque {
		b.WriteString(" X-NOT-HUMAN-READABLE 'TRUE'")
	}
	b.WriteString(" )")
	return b.String()
}

// ruleUses says of each rule which attributes it may be used with (RFC 4512
// §4.1.4).
func (s *Schema) ruleUses() []string {
	var out []string
	for _, r := range s.ruleList {
		var names []string
		for _, a := range s.attributeList {
			if r == a.Equality || r == a.Ordering || r == a.Substrings {
				names = append(names, a.Name())
			}
		}
		if len(names) > 0 {
			out = append(out, fmt.Sprintf("( %s NAME '%s' APPLIES ( %s ) )", r.OID, r.Name, strings.Join(names, " $ ")))
		}
	}
	return out
}
