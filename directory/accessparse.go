package directory

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// accessFile is the file form of the rules, strictly decoded.
type accessFile struct {
	Rules []struct {
		Name       string   `yaml:"name"`
		Who        []string `yaml:"who"`        // anyone, anonymous, authenticated, self, selfSubtree, dn:…, subtree:…, group:…, name:…, filter:(…)
		By         []string `yaml:"by"`         // how the identity was shown: simple, a SASL mechanism, certificate; none: any way
		From       []string `yaml:"from"`       // addresses or networks the connection comes from; none: any
		Strength   string   `yaml:"strength"`   // tls, or the least length of the cipher's key in bits
		Entry      string   `yaml:"entry"`      // one of these four, or none for every entry
		One        string   `yaml:"one"`        // directly below
		Children   string   `yaml:"children"`   // anywhere below
		Subtree    string   `yaml:"subtree"`    // the entry and anywhere below
		Filter     string   `yaml:"filter"`     // further restricts the entries
		Attributes []string `yaml:"attributes"` // entry, *, +, names, @class, !name, !@class
		Rights     []string `yaml:"rights"`     // read, search, compare, add, delete, modify, rename, write, proxy, manage, replicate
		Deny       bool     `yaml:"deny"`
	} `yaml:"rules"`
}

// DefaultRules is what a directory without rules of its own uses: anonymous
// clients read the root DSE and the schema, authenticated ones read all user
// and operational attributes but cn=Monitor, and nobody but root identities
// writes.
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
  - name: monitoring is for root identities
    who: [anyone]
    subtree: "cn=Monitor"
    attributes: ["entry", "*", "+"]
    rights: [read, search, compare]
    deny: true
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
		Rules []yaml.Node `yaml:"rules"`
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("parsing access rules: %w", err)
	}
	out := &Rules{schema: s, filters: map[string]*Query{}}
	var problems []error
	names := map[string]bool{}
	for i := range f.Rules {
		p := ruleParser{s: s, rule: &rule{name: f.Rules[i].Name, line: doc.Rules[i].Line, deny: f.Rules[i].Deny}, of: out}
		for at := 0; at+1 < len(doc.Rules[i].Content); at += 2 {
			p.given = append(p.given, doc.Rules[i].Content[at].Value)
		}
		if p.rule.name == "" || names[p.rule.name] {
			p.problem("needs a name of its own")
		}
		names[p.rule.name] = true
		p.parse(&f, i)
		written := f.Rules[i]
		written.Name = ""
		p.rule.text = ruleDigest(p.given, written)
		for _, e := range p.problems {
			problems = append(problems, &RuleError{Line: p.rule.line, Rule: p.rule.name, Number: i + 1, Problem: e})
		}
		out.list = append(out.list, p.rule)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return out, nil
}

// RuleError is one mistake in a file of rules.
type RuleError struct {
	Line, Number int // of the rule, both from 1
	Rule         string
	Problem      string
}

// Error names rule and line.
func (e *RuleError) Error() string {
	return fmt.Sprintf("line %d: access rule %d (%s): %s", e.Line, e.Number, e.Rule, e.Problem)
}

type ruleParser struct {
	s        *Schema
	rule     *rule
	of       *Rules
	given    []string // keys
	problems []string
}

func (p *ruleParser) parse(f *accessFile, i int) {
	r := &f.Rules[i]
	p.who(r.Who)
	p.by(r.By)
	p.from(r.From)
	p.strength(r.Strength)
	p.entries("entry", r.Entry)
	p.entries("one", r.One)
	p.entries("children", r.Children)
	p.entries("subtree", r.Subtree)
	p.filter(r.Filter)
	p.attributes(r.Attributes)
	p.rights(r.Rights)
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

func (p *ruleParser) entries(scope, dn string) {
	if !slices.Contains(p.given, scope) {
		return
	}
	if p.rule.isScope {
		p.problem("more than one of entry, one, children and subtree")
	}
	p.rule.all, p.rule.isScope, p.rule.scope, p.rule.base = false, true, scope, p.key(dn)
}

func (p *ruleParser) filter(text string) {
	if q := p.query(text); q != nil {
		p.rule.all, p.rule.query, p.rule.filter = false, q, text
	}
}

func (p *ruleParser) query(text string) *Query {
	if text == "" {
		return nil
	}
	f, err := ParseFilter(text)
	if err != nil {
		p.problem("%v", err)
		return nil
	}
	q := p.s.Compile(f)
	if q.alwaysUndefined() {
		p.problem("filter %s can match nothing: unknown attribute, no rule, or a bad value", text)
	}
	return q
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
		right, known := ParseRight(name)
		if !known {
			p.problem("unknown right %q", name)
		}
		p.rule.rights |= right
	}
}
