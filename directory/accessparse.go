package directory

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// accessFile is the file form of the rules, strictly decoded.
type accessFile struct {
	Rules []struct {
		Name       string   `yaml:"name"`
		Who        []string `yaml:"who"`        // anyone, anonymous, authenticated, self, selfSubtree, dn:…, subtree:…, group:…, name:…
		Entry      string   `yaml:"entry"`      // one of these three, or none for every entry
		Children   string   `yaml:"children"`   //
		Subtree    string   `yaml:"subtree"`    //
		Filter     string   `yaml:"filter"`     // further restricts the entries
		Attributes []string `yaml:"attributes"` // entry, *, +, names, @class, !name
		Rights     []string `yaml:"rights"`     // read, search, compare, write, replicate, proxy
		Deny       bool     `yaml:"deny"`
	} `yaml:"rules"`
}

// DefaultRules is what a directory without rules of its own uses: anonymous
// clients read the root DSE and the schema, authenticated ones read all user
// and operational attributes, and nobody but root identities writes.
const DefaultRules = `rules:
  - name: root DSE and schema
    who: [anyone]
    entry: ""
    attributes: ["entry", "*", "+"]
    rights: [read, search, compare]
  - name: schema
    who: [anyone]
    entry: "cn=Subschema"
    attributes: ["entry", "*", "+"]
    rights: [read, search, compare]
  - name: authenticated clients read
    who: [authenticated]
    attributes: ["entry", "*", "+"]
    rights: [read, search, compare]
`

// ParseRules reads rules in YAML. Unknown keys, names the schema does not
// know and rules that can never apply are refused, all problems at once.
func (s *Schema) ParseRules(text []byte) (*Rules, error) {
	var f accessFile
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("parsing access rules: %w", err)
	}
	var doc struct {
		Rules []map[string]any `yaml:"rules"`
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("parsing access rules: %w", err)
	}
	out := &Rules{schema: s}
	var problems []error
	names := map[string]bool{}
	for i := range f.Rules {
		p := ruleParser{s: s, rule: &rule{name: f.Rules[i].Name, deny: f.Rules[i].Deny}, given: doc.Rules[i]}
		if p.rule.name == "" || names[p.rule.name] {
			p.problem("needs a name of its own")
		}
		names[p.rule.name] = true
		p.who(f.Rules[i].Who)
		p.entries("entry", f.Rules[i].Entry)
		p.entries("children", f.Rules[i].Children)
		p.entries("subtree", f.Rules[i].Subtree)
		p.filter(f.Rules[i].Filter)
		p.attributes(f.Rules[i].Attributes)
		p.rights(f.Rules[i].Rights)
		for _, e := range p.problems {
			problems = append(problems, fmt.Errorf("access rule %d (%s): %s", i+1, p.rule.name, e))
		}
		out.list = append(out.list, p.rule)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return out, nil
}

type ruleParser struct {
	s        *Schema
	rule     *rule
	given    map[string]any
	problems []string
}

func (p *ruleParser) problem(format string, args ...any) {
	p.problems = append(p.problems, fmt.Sprintf(format, args...))
}

func (p *ruleParser) key(dn string) Key {
	k, err := p.s.ParseKey(dn)
	if err != nil {
		p.problem("name %q: %v", dn, err)
	}
	return k
}

func (p *ruleParser) who(list []string) {
	if len(list) == 0 {
		p.problem("who is missing")
	}
	for _, w := range list {
		kind, rest, found := strings.Cut(w, ":")
		x := subject{kind: kind}
		switch kind {
		case "anyone", "anonymous", "authenticated", "self", "selfSubtree":
			if found {
				p.problem("who %q takes no value", kind)
			}
		case "dn", "subtree", "group":
			if x.key = p.key(strings.TrimSpace(rest)); x.key == "" {
				p.problem("who %q needs a name", kind)
			}
		case "name":
			if x.name = strings.TrimSpace(rest); x.name == "" {
				p.problem("who %q needs a name", kind)
			}
		default:
			p.problem("unknown who %q", w)
		}
		p.rule.who = append(p.rule.who, x)
	}
	p.rule.all = true
}

func (p *ruleParser) entries(scope, dn string) {
	if _, given := p.given[scope]; !given {
		return
	}
	if p.rule.isScope {
		p.problem("more than one of entry, children and subtree")
	}
	p.rule.all, p.rule.isScope, p.rule.scope, p.rule.base = false, true, scope, p.key(dn)
}

func (p *ruleParser) filter(text string) {
	if text == "" {
		return
	}
	f, err := ParseFilter(text)
	if err != nil {
		p.problem("%v", err)
		return
	}
	p.rule.all, p.rule.query = false, p.s.Compile(f)
	if p.rule.query.alwaysUndefined() {
		p.problem("filter %s can match nothing: unknown attribute, no rule, or a bad value", text)
	}
}

// alwaysUndefined reports whether some part can never be decided.
func (q *Query) alwaysUndefined() bool {
	if q.Kind == FilterNone {
		return true
	}
	for _, c := range q.Children {
		if c.alwaysUndefined() {
			return true
		}
	}
	return false
}

func (p *ruleParser) attributes(list []string) {
	a := &p.rule.attributes
	a.types, a.except = map[*AttributeType]bool{}, map[*AttributeType]bool{}
	if len(list) == 0 {
		p.problem("attributes is missing")
	}
	for _, name := range list {
		switch {
		case name == EntryPart:
			a.entry = true
		case name == "*":
			a.user = true
		case name == "+":
			a.operational = true
		case strings.HasPrefix(name, "!"):
			p.addTypes(a.except, name[1:])
		default:
			p.addTypes(a.types, name)
		}
	}
}

func (p *ruleParser) addTypes(set map[*AttributeType]bool, name string) {
	if class, ok := strings.CutPrefix(name, "@"); ok {
		c := p.s.Class(class)
		if c == nil {
			p.problem("unknown object class %q", class)
			return
		}
		for _, t := range append(append([]*AttributeType{}, c.AllMust...), c.AllMay...) {
			set[t] = true
		}
		return
	}
	t := p.s.Attribute(name)
	if t == nil {
		p.problem("unknown attribute %q", name)
		return
	}
	for _, sub := range t.subtypes {
		set[sub] = true
	}
}

func (p *ruleParser) rights(list []string) {
	if len(list) == 0 {
		p.problem("rights is missing")
	}
	for _, name := range list {
		found := false
		for _, n := range rightNames {
			if n.name == name {
				p.rule.rights |= n.right
				found = true
			}
		}
		if !found {
			p.problem("unknown right %q", name)
		}
	}
}
