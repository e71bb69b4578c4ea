package directory_test

import (
	"net/netip"
	"strings"
	"testing"

	"cardinal/directory"
)

const manners = `rules:
  - name: nobody from outside
    who: ["filter:(nhsIDCode=X99)"]
    from: [192.0.2.0/24]
    attributes: [entry]
    rights: [read]
    deny: true
  - name: cards
    who: [authenticated]
    by: [certificate]
    attributes: [entry]
    rights: [read, manage]
  - name: near
    who: [anyone]
    from: ["127.0.0.1", "2001:db8::/32"]
    one: ou=People,o=nhs
    attributes: [entry]
    rights: [read]
  - name: staff
    who: ["filter:(nhsIDCode=X99)"]
    strength: "128"
    attributes: [entry, mail]
    rights: [add, proxy]
  - name: scripts
    who: ["name: job"]
    by: [plain]
    strength: tls
    attributes: [entry, description]
    rights: [write]
`

func TestRulesAskHowAnIdentityCame(t *testing.T) {
	t.Parallel()
	s := schema(t)
	r, err := s.ParseRules([]byte(manners))
	if err != nil {
		t.Fatal(err)
	}
	on := viewOf(t, "dn: uid=1,ou=People,o=nhs\nuid: 1\n")
	below := viewOf(t, "dn: uid=2,uid=1,ou=People,o=nhs\nuid: 2\n")
	key, _ := s.ParseKey("uid=9,o=nhs")
	staff := func(change func(*directory.Identity)) *directory.Identity {
		i := &directory.Identity{Key: key, Method: "simple", Strength: 128, Peer: netip.MustParseAddr("10.0.0.1"),
			Facts: r.Facts(viewOf(t, "dn: uid=9,o=nhs\nuid: 9\nnhsIDCode: X99\n"))}
		change(i)
		return i
	}
	peer := func(text string) func(*directory.Identity) {
		return func(i *directory.Identity) { i.Peer = netip.MustParseAddr(text) }
	}
	for _, c := range []struct {
		name  string
		who   *directory.Identity
		on    directory.EntryView
		right directory.Right
		by    string
	}{
		{"a filter that fits", staff(func(*directory.Identity) {}), on, directory.RightAdd, "staff"},
		{"no other right", staff(func(*directory.Identity) {}), on, directory.RightModify, ""},
		{"proxy", staff(func(*directory.Identity) {}), on, directory.RightProxy, "staff"},
		{"too weak", staff(func(i *directory.Identity) { i.Strength = 127 }), on, directory.RightAdd, ""},
		{"a filter that does not fit", staff(func(i *directory.Identity) { i.Facts = r.Facts(on) }), on, directory.RightAdd, ""},
		{"a filter nobody asked grants nothing", staff(func(i *directory.Identity) { i.Facts = nil }), on, directory.RightAdd, ""},
		{"by certificate", staff(func(i *directory.Identity) { i.Certified = true }), on, directory.RightManage, "cards"},
		{"from a network that is refused", staff(peer("192.0.2.7")), on, directory.RightRead, "nobody from outside"},
		{"from an address", staff(peer("127.0.0.1")), on, directory.RightRead, "near"},
		{"from a mapped address", staff(peer("::ffff:127.0.0.1")), on, directory.RightRead, "near"},
		{"from IPv6", staff(peer("2001:db8::5")), on, directory.RightRead, "near"},
		{"one level, not two", staff(peer("127.0.0.1")), below, directory.RightRead, ""},
		{"a filter nobody asked refuses", &directory.Identity{Key: key, Peer: netip.MustParseAddr("192.0.2.1"), Certified: true}, on, directory.RightRead, "nobody from outside"},
		{"anonymous is no filter's", &directory.Identity{Peer: netip.MustParseAddr("192.0.2.1")}, on, directory.RightRead, ""},
		{"write is four", &directory.Identity{Name: "JOB", Method: "PLAIN", Strength: 256}, on, directory.RightRename, "scripts"},
		{"another method", &directory.Identity{Name: "job", Method: "simple", Strength: 256}, on, directory.RightRename, ""},
	} {
		allowed, by := r.Allows(c.who, c.on, directory.EntryPart, c.right)
		want := c.by != "" && c.by != "nobody from outside"
		if c.by == "" {
			by = strings.TrimPrefix(by, "no rule: refused by default")
		}
		if allowed != want || by != c.by {
			t.Errorf("%s: %v by %q, want %v by %q", c.name, allowed, by, want, c.by)
		}
		if got := r.On(c.who, c.on, nil).Allows(nil, c.right); got != want {
			t.Errorf("%s: decided otherwise at once", c.name)
		}
		if a, ok := r.Fixed(c.who, c.on.Key(), nil); ok && a.Allows(nil, c.right) != want {
			t.Errorf("%s: decided otherwise for the subtree", c.name)
		}
	}
}

func TestRulesRefuseMistakenManners(t *testing.T) {
	t.Parallel()
	s := schema(t)
	for text, want := range map[string]string{
		"who: [anyone], by: [magic]":                         "magic",
		"who: [anyone], from: [nowhere]":                     "neither an address nor a network",
		"who: [anyone], from: [10.0.0.1/8]":                  "begins at 10.0.0.0/8",
		"who: [anyone], strength: weak":                      "neither tls nor a number",
		"who: [anyone], strength: 0":                         "neither tls nor a number",
		"who: ['filter:']":                                   "needs a filter",
		"who: ['filter:(nosuch=1)']":                         "can match nothing",
		"who: [anyone], one: o=nhs, entry: o=nhs":            "more than one",
		"who: [anyone], attributes: [entry], rights: [rule]": "line 2: access rule 1 (a): unknown right",
	} {
		rest := ", attributes: [entry], rights: [read]"
		if strings.Contains(text, "rights") {
			rest = ""
		}
		if _, err := s.ParseRules([]byte("rules:\n  - {name: a, " + text + rest + "}\n")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, r := range directory.AllRights() {
		if back, ok := directory.ParseRight(r.String()); !ok || back != r {
			t.Errorf("%d is written %q", r, r)
		}
	}
	if directory.RightsWrite.String() != "write" {
		t.Error(directory.RightsWrite)
	}
}
