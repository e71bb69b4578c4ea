package directory_test

import (
	"strings"
	"testing"

	"cardinal/directory"
)

const rules = `rules:
  - name: no mail
    who: [anyone]
    subtree: ou=People,o=nhs
    attributes: [mail]
    rights: [read, search, compare]
    deny: true
  - name: hidden people
    who: [authenticated]
    subtree: ou=People,o=nhs
    filter: (nhsIDCode=X99)
    attributes: [entry]
    rights: [read]
    deny: true
  - name: self
    who: [self]
    attributes: [description]
    rights: [write]
  - name: operators
    who: ["group: cn=ops,o=nhs", "name: relying-system"]
    children: o=nhs
    attributes: [entry, "*", "!jpegPhoto"]
    rights: [read, search]
  - name: names
    who: [anonymous]
    entry: o=nhs
    attributes: [entry, "@organization"]
    rights: [read]
`

func viewOf(t *testing.T, ldif string) directory.EntryView {
	t.Helper()
	v, err := schema(t).View(entry(t, ldif))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestRulesDecideInOrder(t *testing.T) {
	t.Parallel()
	s := schema(t)
	r, err := s.ParseRules([]byte(rules))
	if err != nil {
		t.Fatal(err)
	}
	key := func(dn string) directory.Key { k, _ := s.ParseKey(dn); return k }
	view := func(ldif string) directory.EntryView { return viewOf(t, ldif) }
	alexView := view(alex)
	other := view("dn: uid=1,ou=People,o=nhs\nnhsIDCode: Y1\nmail: a@b\n")
	coded := view("dn: uid=2,ou=People,o=nhs\nuid: 2\n")
	top := view("dn: o=nhs\no: nhs\n")
	nobody := &directory.Identity{}
	ops := &directory.Identity{Key: key("uid=9,o=nhs"), Groups: []directory.Key{key("CN=ops,o=NHS")}}
	relying := &directory.Identity{Name: "relying-system"}
	for _, c := range []struct {
		who   *directory.Identity
		on    directory.EntryView
		attr  string
		right directory.Right
		want  bool
		by    string
	}{
		{nobody, alexView, "cn", directory.RightRead, false, "no rule: refused by default"},
		{nobody, top, "entry", directory.RightRead, true, "names"},
		{nobody, top, "telephoneNumber", directory.RightRead, true, "names"},
		{nobody, top, "telephoneNumber", directory.RightSearch, false, "no rule: refused by default"},
		{nobody, top, "dc", directory.RightRead, false, "no rule: refused by default"},
		{ops, alexView, "entry", directory.RightRead, false, "hidden people"},
		{ops, other, "entry", directory.RightRead, true, "operators"},
		{ops, other, "mail", directory.RightRead, false, "no mail"},
		{ops, other, "rfc822Mailbox", directory.RightSearch, false, "no mail"},
		{ops, other, "cn;lang-en", directory.RightRead, true, "operators"},
		{ops, other, "jpegPhoto", directory.RightRead, false, "no rule: refused by default"},
		{ops, other, "createTimestamp", directory.RightRead, false, "no rule: refused by default"},
		{ops, top, "o", directory.RightRead, false, "no rule: refused by default"},
		{relying, other, "cn", directory.RightSearch, true, "operators"},
		{&directory.Identity{Key: key("uid=1,ou=people,o=nhs")}, other, "description", directory.RightModify, true, "self"},
		{ops, other, "description", directory.RightModify, false, "no rule: refused by default"},
		{ops, other, "nosuch", directory.RightRead, false, "unknown attribute"},
		{&directory.Identity{Root: true}, other, "mail", directory.RightModify, true, "root identity"},
		{ops, coded, "entry", directory.RightRead, true, "operators"},
	} {
		got, by := r.Allows(c.who, c.on, c.attr, c.right)
		if got != c.want || by != c.by {
			t.Errorf("%s %s on %q: %v by %q, want %v by %q", c.right, c.attr, c.on.Key(), got, by, c.want, c.by)
		}
		at := s.Attribute(c.attr)
		if a := r.On(c.who, c.on, nil); (at != nil || c.attr == directory.EntryPart) && a.Allows(at, c.right) != c.want {
			t.Errorf("%s %s on %q: decided otherwise at once", c.right, c.attr, c.on.Key())
		}
	}
	decision, steps := r.Explain(ops, alexView, "entry", directory.RightRead)
	if decision != (directory.Decision{Rule: "hidden people", Line: 8}) || len(steps) != 5 || steps[0].Why != "another attribute" ||
		steps[1].Why != "decides: refused" || steps[3].Why != "would fit, but is not reached" {
		t.Errorf("%+v %+v", decision, steps)
	}
}

func TestRulesFailClosed(t *testing.T) {
	t.Parallel()
	s := schema(t)
	_, err := s.ParseRules([]byte("rules:\n  - {name: a, who: [anyone], filter: (mailPreferenceOption>=3), attributes: ['*'], rights: [read], deny: true}\n" +
		"  - {name: b, who: [anyone], attributes: ['*'], rights: [read]}\n"))
	if err == nil {
		t.Fatal("a filter without its rule was taken")
	}
	r, err := s.ParseRules([]byte(directory.DefaultRules))
	if err != nil {
		t.Fatal(err)
	}
	root, _ := s.View(&directory.Entry{})
	some, _ := s.View(entry(t, alex))
	if ok, _ := r.Allows(&directory.Identity{}, root, "namingContexts", directory.RightRead); !ok {
		t.Error("nobody reads the root DSE")
	}
	if ok, _ := r.Allows(&directory.Identity{}, some, "cn", directory.RightRead); ok {
		t.Error("anonymous clients read people")
	}
}

func TestRulesRefuseMistakes(t *testing.T) {
	t.Parallel()
	s := schema(t)
	for text, want := range map[string]string{
		"rules:\n  - {name: a, whom: [anyone]}":                                                               "whom",
		"rules:\n  - {name: a, who: [someone], attributes: ['*'], rights: [read]}":                            `unknown who "someone"`,
		"rules:\n  - {name: a, who: [anyone], attributes: [nosuch], rights: [read]}":                          `unknown attribute "nosuch"`,
		"rules:\n  - {name: a, who: [anyone], attributes: ['@nosuch'], rights: [read]}":                       `unknown object class "nosuch"`,
		"rules:\n  - {name: a, who: [anyone], attributes: ['*'], rights: [fly]}":                              `unknown right "fly"`,
		"rules:\n  - {name: a, who: [anyone], attributes: ['*'], rights: [read], filter: '(x'}":               "filter",
		"rules:\n  - {name: a, who: [anyone], attributes: ['*'], rights: [read], filter: '(nosuch=1)'}":       "can match nothing",
		"rules:\n  - {name: a, who: [anyone], attributes: ['*'], rights: [read], entry: o=a, subtree: o=b}":   "more than one",
		"rules:\n  - {name: a, who: ['dn: x'], attributes: ['*'], rights: [read]}":                            "invalidDNSyntax",
		"rules:\n  - {name: a, who: [anyone], attributes: ['*'], rights: [read]}\n  - {name: a, who: [self]}": "a name of its own",
		"rules:\n  - {name: a}": "who is missing",
	} {
		if _, err := s.ParseRules([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
