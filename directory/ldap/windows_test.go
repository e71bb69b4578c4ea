package ldap_test

import (
	"fmt"
	"strings"
	"testing"

	client "github.com/go-ldap/ldap/v3"

	"cardinal/directory/ldap"
)

// TestOrderIsSlapds holds the same sorted searches with OpenLDAP's server.
// Values are chosen so that no two are equal: what stands behind equal ones is
// nobody's promise.
func TestOrderIsSlapds(t *testing.T) {
	t.Parallel()
	need(t, "/usr/sbin/slapd", "slapd")
	ldif := strings.ReplaceAll(workforce+shelf, "sn: beispiel", "sn: beispiele")
	theirs := startSlapd(t, ldif)
	r := newRig(t, nil)
	r.ldif(ldif)
	const sn = "sn:caseIgnoreOrderingMatch"
	for _, x := range []struct {
		name     string
		differ   string // what ours is instead, and why
		controls [][]byte
	}{
		{"one key", "", [][]byte{sortBy(true, sn)}},
		{"reversed", "", [][]byte{sortBy(true, "-"+sn)}},
		{"missing values", "", [][]byte{sortBy(true, "description:caseIgnoreOrderingMatch")}},
		{"missing values, reversed", "", [][]byte{sortBy(true, "-description:caseIgnoreOrderingMatch")}},
		{"two keys", "", [][]byte{sortBy(true, "employeeNumber:caseIgnoreOrderingMatch", "-"+sn)}},
		{"pages", "", [][]byte{sortBy(true, sn), pages(10, "")}},
		{"first window", "", [][]byte{sortBy(true, sn), viewAt(0, 2, 1, 0)}},
		{"window inside", "", [][]byte{sortBy(true, sn), viewAt(1, 1, 3, 5)}},
		{"last window", "", [][]byte{sortBy(true, sn), viewAt(2, 1, 7, 7)}},
		{"window in a list that was longer", "", [][]byte{sortBy(true, sn), viewAt(0, 1, 4, 10)}},
		{"window at a value", "", [][]byte{sortBy(true, sn), viewFrom(0, 1, "c")}},
		{"window around a value", "", [][]byte{sortBy(true, sn), viewFrom(1, 1, "c")}},
		// The draft's numbers; slapd has others of its own.
		{"window behind the list", "code 76 view 0/5 61", [][]byte{sortBy(true, sn), viewAt(0, 0, 9, 0)}},
		{"window without an order", "code 76 view 0/0 60", [][]byte{viewAt(0, 0, 1, 0)}},
		// RFC 2891 §2: what cannot be sorted comes unsorted, or not at all where the order is critical.
		{"unknown attribute", "code 12 sort 16nosuch", [][]byte{sortBy(true, "nosuch")}},
		{"no ordering rule", "code 12 sort 18sn", [][]byte{sortBy(true, "sn")}},
	} {
		request := ask{base: "ou=Shelf,o=nhs", scope: 1, filter: "(objectClass=*)", attrs: []string{"1.1"}, controls: x.controls}
		got, _ := openWire(t, r.plain, r.schema).bound(rootDN, rootPassword).ordered(request)
		want := x.differ
		if want == "" {
			want, _ = openWire(t, theirs, r.schema).bound(rootDN, rootPassword).ordered(request)
			want = strings.ReplaceAll(want, "page 0", "page 5") // slapd tells how many are left
		}
		if got != want {
			t.Errorf("%s:\nours   %s\nslapd  %s", x.name, got, want)
		}
	}
}

// TestClientsBrowseSortedLists lets ldapsearch and go-ldap sort, page and
// scroll.
func TestClientsBrowseSortedLists(t *testing.T) {
	t.Parallel()
	need(t, "ldapsearch", "ldap-utils")
	r := newRig(t, func(c *ldap.Config) { c.Limits.Size = 3 })
	r.ldif(workforce + shelf)
	args := []string{"-x", "-LLL", "-H", "ldap://" + r.plain, "-D", reader, "-w", "reading", "-b", "ou=Shelf,o=nhs", "-s", "one"}
	for _, x := range []struct {
		name, shows, names string
		code               int
		args               []string
	}{
		{"sorted", "sortResult: (0) Success", "a b e", 4, []string{"-E", "!sss=sn:2.5.13.3"}},
		{"reversed", "sortResult: (0) Success", "d c b", 4, []string{"-E", "!sss=-sn:2.5.13.3"}},
		{"sorted pages", "pagedresults: estimate=5", "a b e c d", 0, []string{"-E", "sss=sn:2.5.13.3", "-E", "pr=2/noprompt"}},
		// ldapsearch asks for one window after the other, until one is behind the end.
		{"window", "vlvResultpos=4 count=5", "b e e c c d d", 76, []string{"-E", "sss=sn:2.5.13.3", "-E", "vlv=0/1/2/5"}},
		{"window at a value", "vlvResultpos=4 count=5", "e c", 76, []string{"-E", "sss=sn:2.5.13.3", "-E", "vlv=1/0:c"}},
		{"no such attribute", "No such attribute", "", 12, []string{"-E", "!sss=nosuch"}},
	} {
		out, code := r.program(nil, "ldapsearch", append(append(args[:len(args):len(args)], x.args...), "(cn=*)", "1.1")...)
		var names []string
		for line := range strings.Lines(out) {
			if name, ok := strings.CutPrefix(line, "dn: cn="); ok {
				names = append(names, name[:1])
			}
		}
		if strings.Join(names, " ") != x.names || !strings.Contains(out, x.shows) || code != x.code {
			t.Errorf("%s: exit %d, want %d, %q, want %q, showing %q:\n%s", x.name, code, x.code, names, x.names, x.shows, out)
		}
	}
	c := r.dial(reader, "reading")
	by := client.NewControlServerSideSortingWithSortKeys([]*client.SortKey{{AttributeType: "sn", MatchingRule: "2.5.13.3", Reverse: true}})
	got, err := c.SearchWithPaging(client.NewSearchRequest("ou=Shelf,o=nhs", client.ScopeSingleLevel, 0, 0, 0, false, "(cn=*)", []string{"1.1"}, []client.Control{by}), 2)
	must(t, err)
	var order strings.Builder
	for _, e := range got.Entries {
		fmt.Fprint(&order, e.DN[3:4])
	}
	if order.String() != "dcbea" {
		t.Errorf("go-ldap pages through %s", order.String())
	}
}
