package ldap_test

import (
	"strings"
	"testing"
	"time"

	"cardinal/directory/ldap"
)

// TestSearchesCostWhatTheirIdentityIsAllowed: the first allowance that fits
// decides; below its hard limits a client asks for what it likes.
func TestSearchesCostWhatTheirIdentityIsAllowed(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, func(c *ldap.Config) {
		who := func(list ...string) ldap.Allowance {
			s, err := c.Tree.Schema().ParseSubjects(list)
			must(t, err)
			return ldap.Allowance{Who: s}
		}
		group := who("group:cn=exports,ou=Services,o=nhs")
		group.Size, group.MaxSize, group.Paged = 3, ldap.Unlimited, 4
		people := who("subtree:ou=People,o=nhs")
		people.Size, people.MaxSize, people.Candidates, people.FilterNodes = 1, 2, 6, 3
		all := who("authenticated")
		all.Time, all.MaxTime, all.Size = time.Nanosecond, time.Nanosecond, 1000
		c.Allowances = []ldap.Allowance{group, people, all}
		c.Limits.Size = 2
		c.Rules = ruled(t, c.Tree.Schema(), `rules:
  - name: everything is read
    who: [anyone]
    attributes: [entry, "*", "+"]
    rights: [read, search, compare]
  - name: anybody acts for people
    who: [authenticated]
    subtree: ou=People,o=nhs
    attributes: [entry]
    rights: [proxy]
`)
	})
	exports := "\ndn: cn=exports,ou=Services,o=nhs\nobjectClass: groupOfNames\ncn: exports\nmember: " + reader + "\n"
	app := "\ndn: cn=app,ou=Services,o=nhs\nobjectClass: inetOrgPerson\ncn: app\nsn: app\nuserPassword: app\n"
	r.ldif(workforce + shelf + exports + app)
	asBo := control("2.16.840.1.113730.3.4.18", true, []byte("dn:"+bo))
	original := control("1.3.6.1.1.22", true, nil)
	const shelfOf, five = "ou=Shelf,o=nhs", "(cn=*)"
	parts := "(|" + strings.Repeat("(cn=*)", 3) + ")"
	for _, x := range []struct {
		name, who, password string
		ask                 ask
		entries             int
		want                string
	}{
		{"as everyone", "", "", ask{base: shelfOf}, 2, "code 4"},
		{"as everyone, asking for more", "", "", ask{base: shelfOf, size: 4}, 4, "code 4"},
		{"of a group", reader, "reading", ask{base: shelfOf}, 3, "code 4"},
		{"of a group, asking for more", reader, "reading", ask{base: shelfOf, size: 5}, 5, "code 0"},
		{"all pages together", reader, "reading", ask{base: shelfOf, controls: [][]byte{pages(10, "")}}, 4, "code 4"},
		{"soft limit of a subtree", alex, "alex's password", ask{base: shelfOf}, 1, "code 4"},
		{"asking for more than the hard limit", alex, "alex's password", ask{base: shelfOf, size: 9}, 2, "code 4"},
		{"pages no larger than the hard limit", alex, "alex's password", ask{base: shelfOf, controls: [][]byte{pages(9, "")}}, 2, "code 0 page 0 more=true"},
		{"candidates", alex, "alex's password", ask{base: "o=nhs", filter: "(postalCode>=0)"}, 0, "code 11"},
		{"parts of a filter", alex, "alex's password", ask{base: shelfOf, filter: parts}, 0, "code 11"},
		{"pieces of a substring", alex, "alex's password", ask{base: shelfOf, filter: "(cn=a*b*c*d*e)"}, 0, "code 11"},
		{"as many parts as allowed", alex, "alex's password", ask{base: shelfOf, filter: "(&(cn=a)(sn=*))"}, 1, "code 0"},
		{"acting for another", "cn=app,ou=Services,o=nhs", "app", ask{base: shelfOf, controls: [][]byte{asBo}}, 1, "code 4"},
		{"no time", "cn=app,ou=Services,o=nhs", "app", ask{base: shelfOf, controls: [][]byte{original}}, 0, "code 3"},
		{"by the root identity", rootDN, rootPassword, ask{base: shelfOf, filter: parts}, 5, "code 0"},
	} {
		w := openWire(t, r.plain, r.schema)
		if x.who != "" {
			w.bound(x.who, x.password)
		}
		if x.ask.scope = 1; x.ask.base == "o=nhs" {
			x.ask.scope = 2
		}
		if x.ask.filter == "" {
			x.ask.filter = five
		}
		x.ask.attrs = []string{"1.1"}
		got, _ := w.ordered(x.ask)
		at := strings.Index(got, "code")
		if n := len(strings.Fields(got[:at])); n != x.entries || got[at:] != x.want {
			t.Errorf("%s: %d entries and %s, want %d and %s", x.name, n, got[at:], x.entries, x.want)
		}
	}
}

// TestAllPagesTogetherAreBounded: the bound holds over the pages of a search,
// sorted or not.
func TestAllPagesTogetherAreBounded(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, func(c *ldap.Config) {
		s, err := c.Tree.Schema().ParseSubjects([]string{"anyone"})
		must(t, err)
		c.Allowances = []ldap.Allowance{{Who: s, Paged: 3}}
	})
	r.ldif(workforce + shelf)
	w := openWire(t, r.plain, r.schema).bound(reader, "reading")
	for _, order := range [][][]byte{nil, {sortBy(true, "cn:caseIgnoreOrderingMatch")}} {
		shown, cookie, codes := 0, "", ""
		for range 2 {
			var got string
			got, cookie = w.ordered(ask{base: "ou=Shelf,o=nhs", scope: 1, filter: "(cn=*)", attrs: []string{"1.1"}, controls: append(order[:len(order):len(order)], pages(2, cookie))})
			shown += strings.Count(got, "cn=")
			codes += got[strings.Index(got, "code "):][5:6]
		}
		if shown != 3 || codes != "04" {
			t.Errorf("%d entries on two pages with codes %s", shown, codes)
		}
	}
}
