package directory_test

import (
	"fmt"
	"strings"
	"testing"

	"cardinal/directory"
)

func TestLintFindsWhatIsHardlyMeant(t *testing.T) {
	t.Parallel()
	s := schema(t)
	people, err := s.ParseKey("ou=People,o=nhs")
	if err != nil {
		t.Fatal(err)
	}
	const first = "  - {name: first, who: [authenticated], subtree: o=nhs, attributes: [entry, mail, cn], rights: [read, search]}\n"
	for _, c := range []struct {
		name, rules string
		want        []string
	}{
		{"nothing", first + "  - {name: b, who: [authenticated], attributes: [entry, mail], rights: [read]}\n", nil},
		{"decided before", first + "  - {name: b, who: ['dn: cn=x,o=nhs'], children: 'ou=a,o=nhs', filter: '(cn=x)', attributes: [mail], rights: [read]}\n", []string{"b redundant"}},
		{"decided otherwise before", first + "  - {name: b, who: ['group: cn=x,o=nhs'], entry: 'ou=a,o=nhs', attributes: [cn, entry], rights: [read], deny: true}\n", []string{"b shadowed"}},
		{"decided by two", first + "  - {name: c, who: [authenticated], subtree: o=nhs, attributes: [sn], rights: [read]}\n" +
			"  - {name: b, who: [self], subtree: o=nhs, attributes: [cn, sn], rights: [read]}\n", []string{"b redundant"}},
		{"another right is left", first + "  - {name: b, who: [self], subtree: o=nhs, attributes: [mail], rights: [read, modify]}\n", nil},
		{"another place is left", first + "  - {name: b, who: [self], attributes: [mail], rights: [read]}\n", nil},
		{"a filter before leaves something", "  - {name: a, who: [anyone], filter: '(cn=x)', attributes: [mail], rights: [read], deny: true}\n" +
			"  - {name: b, who: [self], attributes: [mail], rights: [read]}\n", nil},
		{"a manner before leaves something", "  - {name: a, who: [authenticated], strength: tls, attributes: [mail], rights: [read]}\n" +
			"  - {name: b, who: [authenticated], attributes: [mail], rights: [read]}\n", nil},
		{"a weaker manner before", "  - {name: a, who: [authenticated], strength: tls, attributes: [mail], rights: [read]}\n" +
			"  - {name: b, who: [authenticated], strength: '128', attributes: [mail], rights: [read]}\n", []string{"b redundant"}},
		{"two halves of everyone", "  - {name: a, who: [anonymous, authenticated], attributes: [mail], rights: [read], deny: true}\n" +
			"  - {name: b, who: [anyone], attributes: [mail], rights: [read], deny: true}\n", []string{"b redundant"}},
		{"one level", "  - {name: a, who: [self], one: o=nhs, attributes: [mail], rights: [read]}\n" +
			"  - {name: b, who: [self], entry: 'ou=x,o=nhs', attributes: [mail], rights: [read]}\n" +
			"  - {name: c, who: [self], subtree: 'ou=x,o=nhs', attributes: [mail], rights: [read]}\n", []string{"b redundant"}},
		{"strangers", "  - {name: a, who: [anyone], entry: o=nhs, attributes: [entry], rights: [read]}\n", []string{"a anonymous"}},
		{"strangers who write the root", "  - {name: a, who: [anonymous], entry: '', attributes: ['*'], rights: [modify]}\n", []string{"a anonymous", "a secret"}},
		{"managed", "  - {name: a, who: [self], subtree: 'ou=People,o=nhs', attributes: [mail], rights: [modify]}\n", []string{"a managed"}},
		{"above managed", "  - {name: a, who: [self], subtree: o=nhs, attributes: [mail], rights: [modify]}\n", nil},
		{"secrets shown", "  - {name: a, who: [self], attributes: [userPassword], rights: [read, modify]}\n", []string{"a secret"}},
		{"secrets of others", "  - {name: a, who: [authenticated], attributes: ['*'], rights: [write]}\n", []string{"a secret"}},
		{"special rights for many", "  - {name: a, who: [authenticated], attributes: [entry], rights: [proxy, replicate]}\n", []string{"a special"}},
		{"no attribute", "  - {name: a, who: [self], attributes: [mail, '!mail'], rights: [read]}\n", []string{"a unreachable"}},
	} {
		r, err := s.ParseRules([]byte("rules:\n" + c.rules))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		var got []string
		for _, f := range r.Lint([]directory.Key{people}) {
			got = append(got, f.Rule+" "+f.Kind)
			if f.Line < 2 || f.Text == "" {
				t.Errorf("%s: %+v", c.name, f)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: found %v, want %v", c.name, got, c.want)
		}
	}
	r, err := s.ParseRules([]byte(directory.DefaultRules))
	if err != nil || len(r.Lint([]directory.Key{people})) > 0 {
		t.Errorf("the built-in rules: %v, %v", err, r.Lint(nil))
	}
}

// TestLintAgreesWithDecisions: what is called redundant or shadowed can be left
// out without any decision changing.
func TestLintAgreesWithDecisions(t *testing.T) {
	t.Parallel()
	s := schema(t)
	lines := []string{
		"{name: %s, who: [authenticated], subtree: o=nhs, attributes: [entry, cn], rights: [read], deny: true}",
		"{name: %s, who: [anyone], attributes: [cn], rights: [read, search]}",
		"{name: %s, who: [self], one: 'ou=People,o=nhs', attributes: [entry, '*'], rights: [read]}",
		"{name: %s, who: ['subtree: ou=People,o=nhs'], children: o=nhs, attributes: ['*', '!mail'], rights: [search], deny: true}",
		"{name: %s, who: ['dn: uid=1,ou=People,o=nhs'], entry: 'uid=1,ou=People,o=nhs', attributes: [cn], rights: [read, search]}",
	}
	checked := 0
	for n := range len(lines) * len(lines) * len(lines) {
		order := []string{lines[n%5], lines[n/5%5], lines[n/25]}
		text := "rules:\n"
		for i, line := range order {
			text += "  - " + fmt.Sprintf(line, fmt.Sprintf("r%d", i)) + "\n"
		}
		all, err := s.ParseRules([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range all.Lint(nil) {
			if f.Kind != "redundant" && f.Kind != "shadowed" {
				continue
			}
			left := strings.Split(text, "\n")
			left = append(left[:f.Line-1:f.Line-1], left[f.Line:]...)
			without, err := s.ParseRules([]byte(strings.Join(left, "\n")))
			if err != nil {
				t.Fatal(err)
			}
			checked++
			compareDecisions(t, s, all, without)
		}
	}
	if checked < 50 {
		t.Errorf("only %d rules were called useless", checked)
	}
}

func compareDecisions(t *testing.T, s *directory.Schema, a, b *directory.Rules) {
	t.Helper()
	for _, who := range append(accessNames(), "") {
		identity := directory.Identity{Key: parseKey(t, s, who)}
		for _, on := range accessNames() {
			dn, _ := directory.ParseDN(on)
			view, err := s.View(&directory.Entry{DN: dn})
			if err != nil {
				t.Fatal(err)
			}
			compareAccess(t, s, a.On(&identity, view, nil), b.On(&identity, view, nil))
		}
	}
}
