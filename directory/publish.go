package directory

import (
	"fmt"
	"strings"
)

// Published returns the schema as the operational attributes of a subschema
// entry (RFC 4512 §4.2): attributeTypes, objectClasses, matchingRules,
// matchingRuleUse and ldapSyntaxes. Definitions are written out anew, macros
// resolved, in the order of loading.
func (s *Schema) Published() []Attribute {
	out := []Attribute{{Type: "ldapSyntaxes"}, {Type: "matchingRules"}, {Type: "matchingRuleUse"},
		{Type: "attributeTypes"}, {Type: "objectClasses"}}
	for _, y := range s.syntaxList {
		out[0].Values = append(out[0].Values, y.publish())
	}
	for _, r := range s.ruleList {
		out[1].Values = append(out[1].Values, r.publish())
		if use := s.publishUse(r); use != nil {
			out[2].Values = append(out[2].Values, use)
		}
	}
	for _, a := range s.attributeList {
		out[3].Values = append(out[3].Values, a.publish())
	}
	for _, c := range s.classList {
		out[4].Values = append(out[4].Values, c.publish())
	}
	return out
}

// written is a definition of RFC 4512 §4.1 being written.
type written struct{ strings.Builder }

func begin(oid string, names []string, desc string) *written {
	w := &written{}
	w.WriteString("( " + oid)
	switch len(names) {
	case 0:
	case 1:
		w.WriteString(" NAME '" + names[0] + "'")
	default:
		w.WriteString(" NAME ( '" + strings.Join(names, "' '") + "' )")
	}
	if desc != "" {
		w.WriteString(" DESC '" + strings.NewReplacer(`\`, `\5C`, `'`, `\27`).Replace(desc) + "'")
	}
	return w
}

func (w *written) flag(on bool, keyword string) {
	if on {
		w.WriteString(" " + keyword)
	}
}

func (w *written) word(keyword, value string) { w.flag(value != "", keyword+" "+value) }

func (w *written) list(keyword string, names []string) {
	switch len(names) {
	case 0:
	case 1:
		w.word(keyword, names[0])
	default:
		w.word(keyword, "( "+strings.Join(names, " $ ")+" )")
	}
}

func (w *written) end() []byte { return []byte(w.String() + " )") }

func (y *Syntax) publish() []byte {
	w := begin(y.OID, nil, y.Description)
	w.flag(y.Binary, "X-BINARY-TRANSFER-REQUIRED 'TRUE'")
	w.flag(y.Opaque, "X-NOT-HUMAN-READABLE 'TRUE'")
	return w.end()
}

func (r *MatchingRule) publish() []byte {
	w := begin(r.OID, []string{r.Name}, "")
	w.word("SYNTAX", r.Syntax)
	return w.end()
}

// publishUse lists the attribute types a rule can be used with in an
// extensible match (RFC 4512 §4.1.4); nil if there are none.
func (s *Schema) publishUse(r *MatchingRule) []byte {
	var names []string
	for _, t := range s.attributeList {
		if r.AppliesTo(t) {
			names = append(names, t.Name())
		}
	}
	if len(names) == 0 {
		return nil
	}
	w := begin(r.OID, []string{r.Name}, "")
	w.list("APPLIES", names)
	return w.end()
}

func (a *AttributeType) publish() []byte {
	w := begin(a.OID, a.Names, a.Description)
	w.flag(a.Obsolete, "OBSOLETE")
	var sup AttributeType
	if a.Sup != nil {
		sup = *a.Sup
		w.word("SUP", a.Sup.Name())
	}
	w.rule("EQUALITY", a.Equality, sup.Equality)
	w.rule("ORDERING", a.Ordering, sup.Ordering)
	w.rule("SUBSTR", a.Substrings, sup.Substrings)
	if a.Syntax != sup.Syntax || a.MaxLength != sup.MaxLength {
		length := ""
		if a.MaxLength > 0 {
			length = fmt.Sprintf("{%d}", a.MaxLength)
		}
		w.word("SYNTAX", a.Syntax.OID+length)
	}
	w.flag(a.SingleValue, "SINGLE-VALUE")
	w.flag(a.Collective, "COLLECTIVE")
	w.flag(a.NoUserModification, "NO-USER-MODIFICATION")
	usage := map[Usage]string{DirectoryOperation: "directoryOperation",
		DistributedOperation: "distributedOperation", DSAOperation: "dSAOperation"}
	w.word("USAGE", usage[a.Usage])
	return w.end()
}

// rule leaves out what the supertype says already.
func (w *written) rule(keyword string, r, inherited *MatchingRule) {
	if r != nil && r != inherited {
		w.word(keyword, r.Name)
	}
}

func (c *ObjectClass) publish() []byte {
	w := begin(c.OID, c.Names, c.Description)
	w.flag(c.Obsolete, "OBSOLETE")
	var sup []string
	for _, s := range c.Sup {
		sup = append(sup, s.Name())
	}
	w.list("SUP", sup)
	w.WriteString(" " + [...]string{"STRUCTURAL", "ABSTRACT", "AUXILIARY"}[c.Kind])
	w.list("MUST", namesOf(c.Must))
	w.list("MAY", namesOf(c.May))
	return w.end()
}

func namesOf(types []*AttributeType) []string {
	var out []string
	for _, t := range types {
		out = append(out, t.Name())
	}
	return out
}
