package directory

import (
	"errors"
	"slices"
)

// Subjects is a set of identities, told as access rules tell who. It never
// changes; any number of goroutines may use it.
type Subjects struct{ list []subject }

// ParseSubjects reads who is meant: anyone, anonymous, authenticated, dn:NAME,
// subtree:NAME, group:NAME, name:NAME. What depends on the entry that is asked
// for, or on a filter, is refused. All problems are reported at once.
func (s *Schema) ParseSubjects(list []string) (*Subjects, error) {
	p := ruleParser{s: s, rule: &rule{}, of: &Rules{schema: s, filters: map[string]*Query{}}}
	p.who(list)
	for _, x := range p.rule.who {
		if slices.Contains([]string{"self", "selfSubtree", "filter"}, x.kind) {
			p.problem("who %q has no meaning here", x.kind)
		}
	}
	var problems []error
	for _, text := range p.problems {
		problems = append(problems, errors.New(text))
	}
	return &Subjects{list: p.rule.who}, errors.Join(problems...)
}

// Fit reports whether an identity is one of them.
func (s *Subjects) Fit(who *Identity) bool {
	return slices.ContainsFunc(s.list, func(x subject) bool { return x.fits(who, "") })
}

// AsksGroups reports whether groups are among them.
func (s *Subjects) AsksGroups() bool {
	return slices.ContainsFunc(s.list, func(x subject) bool { return x.kind == "group" })
}
