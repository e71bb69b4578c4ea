package directory

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// AccessFinding is something in a file of rules that is hardly meant so.
type AccessFinding struct {
	Line int    // of the rule in its file
	Rule string // its name
	Kind string // unreachable, shadowed, redundant, anonymous, managed, secret, special
	Text string
}

// Lint looks for rules that never decide, that give strangers anything but the
// root DSE and the schema, that mean to write where issuance alone writes
// (managed), that speak of secrets, or that give special rights to many. It
// finds nothing in DefaultRules.
func (r *Rules) Lint(managed []Key) []AccessFinding {
	l := linter{rules: r, managed: managed}
	for i, x := range r.list {
		l.rule = x
		l.reached(r.list[:i])
		if !x.deny {
			l.strangers()
			l.managedWrites()
			l.secrets()
			l.special()
		}
	}
	return l.found
}

type linter struct {
	rules   *Rules
	managed []Key
	rule    *rule
	found   []AccessFinding
}

func (l *linter) report(kind, format string, args ...any) {
	l.found = append(l.found, AccessFinding{l.rule.line, l.rule.name, kind, fmt.Sprintf(format, args...)})
}

// reached finds rules of which nothing is left after the ones before them.
func (l *linter) reached(before []*rule) {
	x := l.rule
	var by []*rule
	for _, right := range AllRights() {
		if x.rights&right == 0 {
			continue
		}
		for _, t := range l.parts(&x.attributes) {
			at := slices.IndexFunc(before, func(b *rule) bool {
				return b.rights&right != 0 && b.attributes.has(t) && b.above(x)
			})
			if at < 0 {
				return // something is left
			}
			if !slices.Contains(by, before[at]) {
				by = append(by, before[at])
			}
		}
	}
	if len(by) == 0 {
		l.report("unreachable", "fits no attribute at all")
		return
	}
	slices.SortFunc(by, func(a, b *rule) int { return cmp.Compare(a.line, b.line) })
	kind, other := "redundant", false
	names := make([]string, len(by))
	for i, b := range by {
		names[i] = fmt.Sprintf("%q (line %d)", b.name, b.line)
		other = other || b.deny != x.deny
	}
	if other {
		kind = "shadowed"
	}
	l.report(kind, "never decides: all of it is decided before, by %s", strings.Join(names, " and "))
}

// parts are the attributes of a set; nil stands for the entry itself.
func (l *linter) parts(a *attributeSet) (out []*AttributeType) {
	if a.entry {
		out = append(out, nil)
	}
	for _, t := range l.rules.schema.attributeList {
		if a.has(t) {
			out = append(out, t)
		}
	}
	return out
}

// above reports whether a rule fits whatever the other does, as to identities,
// manner and entries.
func (x *rule) above(o *rule) bool {
	if !x.deny && o.deny && (x.query != nil || slices.ContainsFunc(x.who, func(s subject) bool { return s.kind == "filter" })) {
		return false // where a filter cannot be decided, the one refuses and the other does not grant
	}
	return x.manner.above(&o.manner) && x.subjectScope.above(&o.subjectScope) &&
		!slices.ContainsFunc(o.who, func(s subject) bool { return !x.takes(&s) })
}

func (x *rule) takes(o *subject) bool {
	if slices.ContainsFunc(x.who, func(s subject) bool { return s.above(o) }) {
		return true
	}
	everyone := func(kind string) bool {
		return slices.ContainsFunc(x.who, func(s subject) bool { return s.kind == kind })
	}
	return o.kind == "anyone" && everyone("anonymous") && everyone("authenticated")
}

func (s *subject) above(o *subject) bool {
	switch {
	case s.kind == "anyone", s.kind == "authenticated" && o.kind != "anyone" && o.kind != "anonymous",
		s.kind == "selfSubtree" && o.kind == "self":
		return true
	case s.kind == "subtree" && (o.kind == "dn" || o.kind == "subtree"):
		return s.key.Contains(o.key)
	}
	return s.kind == o.kind && s.key == o.key && strings.EqualFold(s.name, o.name)
}

func (m *manner) above(o *manner) bool {
	if m.any() {
		return true
	}
	return m.strength <= o.strength && (len(m.by) == 0 || slices.Equal(m.by, o.by)) && (len(m.from) == 0 || slices.Equal(m.from, o.from))
}

func (s *subjectScope) above(o *subjectScope) bool {
	if s.all {
		return true
	}
	if s.query != nil && s.filter != o.filter {
		return false
	}
	switch {
	case !s.isScope:
		return true
	case !o.isScope:
		return false
	case s.scope == o.scope && s.base == o.base:
		return true
	case s.scope == "subtree":
		return s.base.Contains(o.base)
	case s.scope == "children":
		return s.base.Contains(o.base) && (s.base != o.base || o.scope == "one")
	case s.scope == "one":
		return o.scope == "entry" && o.base != "" && o.base.Parent() == s.base
	}
	return false
}

// strangers finds what anonymous clients are given besides the root DSE and
// what says of the server itself.
func (l *linter) strangers() {
	x := l.rule
	if !slices.ContainsFunc(x.who, func(s subject) bool { return s.kind == "anyone" || s.kind == "anonymous" }) {
		return
	}
	if x.isScope && x.scope == "entry" && (x.base == "" || strings.HasPrefix(string(x.base), "cn=subschema\x00")) &&
		x.rights&^(RightRead|RightSearch|RightCompare) == 0 {
		return
	}
	how := ""
	if len(x.from) > 0 {
		how = ", from where the rule says"
	}
	l.report("anonymous", "gives %s to clients that have not authenticated%s", x.rights, how)
}

// managedWrites finds rights to write where only issuance writes.
func (l *linter) managedWrites() {
	x := l.rule
	if x.rights&RightsWrite == 0 || !x.isScope {
		return
	}
	for _, m := range l.managed {
		if m.Contains(x.base) {
			l.report("managed", "gives %s in a managed subtree, where only issuance writes: it never works", x.rights&RightsWrite)
			return
		}
	}
}

// secretNames are attributes that are kept apart from entries.
var secretNames = []string{"userPassword", "authPassword", "pwdHistory"}

// secrets finds rules that mean to show secrets, which nothing does, or let
// many write them.
func (l *linter) secrets() {
	x := l.rule
	for _, name := range secretNames {
		t := l.rules.schema.Attribute(name)
		if t == nil {
			continue
		}
		if x.attributes.types[t] && x.rights&(RightRead|RightSearch|RightCompare) != 0 {
			l.report("secret", "names %s: no rule shows it to anybody; only writing it and the right replicate have a meaning", name)
		}
		if x.rights&RightModify != 0 && x.attributes.has(t) && x.many() {
			l.report("secret", "lets %s set %s of others", x.whom(), name)
			return
		}
	}
}

// special finds rights that are for few.
func (l *linter) special() {
	if given := l.rule.rights & (RightProxy | RightManage | RightReplicate); given != 0 && l.rule.many() {
		l.report("special", "gives %s to %s", given, l.rule.whom())
	}
}

// many reports whether the rule is for whoever has any name at all.
func (x *rule) many() bool { return x.whom() != "" }

func (x *rule) whom() string {
	for _, kind := range []string{"anyone", "anonymous", "authenticated"} {
		if slices.ContainsFunc(x.who, func(s subject) bool { return s.kind == kind }) {
			return kind
		}
	}
	return ""
}
