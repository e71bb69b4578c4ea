package directory_test

import (
	"testing"

	"cardinal/directory"
)

// TestFixedAgreesWithOn compares the one look for a whole subtree with the
// look for each of its entries.
func TestFixedAgreesWithOn(t *testing.T) {
	t.Parallel()
	s, err := directory.DefaultSchema()
	if err != nil {
		t.Fatal(err)
	}
	rules, err := s.ParseRules([]byte(`rules:
  - {name: own, who: [self], attributes: [mail], rights: [write]}
  - {name: below, who: [selfSubtree], attributes: [cn], rights: [read]}
  - {name: secret, who: [anyone], children: "ou=Secret,o=nhs", attributes: [entry], rights: [read], deny: true}
  - {name: one, who: ["dn:cn=a,o=nhs"], entry: "ou=People,o=nhs", attributes: [sn], rights: [read]}
  - {name: level, who: [anyone], one: "o=nhs", attributes: [ou], rights: [read]}
  - {name: deep, who: [anyone], one: "ou=People,o=nhs", attributes: [ou], rights: [search]}
  - {name: active, who: ["subtree:ou=Services,o=nhs"], filter: "(title=x)", attributes: [title], rights: [read]}
  - {name: rest, who: [authenticated], subtree: "o=nhs", attributes: [entry, "*"], rights: [read, search]}
`))
	if err != nil {
		t.Fatal(err)
	}
	names := accessNames()
	fixed := 0
	for _, who := range append(names, "") {
		identity := directory.Identity{Key: parseKey(t, s, who)}
		for _, base := range names {
			if a, ok := rules.Fixed(&identity, parseKey(t, s, base), nil); ok {
				fixed++
				compareBelow(t, s, base, func(v directory.EntryView) { compareAccess(t, s, a, rules.On(&identity, v, nil)) })
			}
		}
	}
	if fixed < 20 {
		t.Errorf("only %d of the cases were fixed", fixed)
	}
}

func compareBelow(t *testing.T, s *directory.Schema, base string, compare func(directory.EntryView)) {
	t.Helper()
	for _, on := range accessNames() {
		dn, _ := directory.ParseDN(on)
		view, err := s.View(&directory.Entry{DN: dn})
		if err != nil {
			t.Fatal(err)
		}
		if parseKey(t, s, base).Contains(view.Key()) {
			compare(view)
		}
	}
}

func compareAccess(t *testing.T, s *directory.Schema, a, b *directory.Access) {
	t.Helper()
	for _, attr := range []string{"", "mail", "cn", "sn", "title", "ou"} {
		var typ *directory.AttributeType
		if attr != "" {
			typ = s.Attribute(attr)
		}
		for _, r := range []directory.Right{directory.RightRead, directory.RightSearch, directory.RightModify} {
			if a.Allows(typ, r) != b.Allows(typ, r) {
				t.Errorf("%s of %q: %v and %v", r, attr, a.Allows(typ, r), b.Allows(typ, r))
			}
		}
	}
}

func parseKey(t *testing.T, s *directory.Schema, dn string) directory.Key {
	t.Helper()
	k, err := s.ParseKey(dn)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func accessNames() []string {
	return []string{"o=nhs", "ou=People,o=nhs", "uid=1,ou=People,o=nhs", "ou=Secret,o=nhs", "cn=b,ou=Secret,o=nhs",
		"cn=a,o=nhs", "cn=r,ou=Services,o=nhs", "o=other"}
}
