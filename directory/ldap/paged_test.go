package ldap_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	client "github.com/go-ldap/ldap/v3"

	"cardinal/directory/ldap"
)

// reverse is the words of a text in reverse order.
func reverse(s string) string {
	f := strings.Fields(s)
	slices.Sort(f)
	slices.Reverse(f)
	return strings.Join(f, " ")
}

// TestPagesGoTogetherWithOtherControls: pages of subentries, of sorted
// results, and of another identity's sight, each and all at once, while
// entries come and go.
func TestPagesGoTogetherWithOtherControls(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, func(c *ldap.Config) {
		c.Rules = ruled(t, c.Tree.Schema(), `rules:
  - name: the reader acts for bo
    who: ["dn:cn=reader,ou=Services,o=nhs"]
    subtree: ou=People,o=nhs
    attributes: [entry]
    rights: [proxy]
  - name: bo sees the shelf
    who: ["dn:`+bo+`"]
    subtree: ou=Shelf,o=nhs
    attributes: [entry, "*", "+"]
    rights: [read, search]
`)
	})
	policies := ""
	for i := range 5 {
		policies += fmt.Sprintf("\ndn: cn=policy%d,ou=Shelf,o=nhs\nobjectClass: subentry\nobjectClass: extensibleObject\ncn: policy%[1]d\nsubtreeSpecification: {}\nsn: s%d\n", i, 9-i)
	}
	r.ldif(workforce + shelf + policies)
	root := r.dial(rootDN, rootPassword)
	asBo := control("2.16.840.1.113730.3.4.18", true, []byte("dn:"+bo))
	hers := control(oidSubentry, true, []byte{1, 1, 0xFF})
	order := sortBy(true, "-cn:caseIgnoreOrderingMatch")
	const plain, sub = "cn=b cn=a cn=d cn=c cn=e", "cn=policy0 cn=policy1 cn=policy2 cn=policy3 cn=policy4"
	for n, x := range []struct {
		who, password string
		controls      [][]byte
		want          string
	}{
		{rootDN, rootPassword, [][]byte{order}, reverse(plain)}, {rootDN, rootPassword, [][]byte{hers}, sub},
		{rootDN, rootPassword, [][]byte{hers, order}, reverse(sub)}, {reader, "reading", [][]byte{asBo}, plain},
		{reader, "reading", [][]byte{asBo, order}, reverse(plain)}, {reader, "reading", [][]byte{hers, asBo}, sub},
		{reader, "reading", [][]byte{order, hers, asBo}, reverse(sub)},
	} {
		w := openWire(t, r.plain, r.schema).bound(x.who, x.password)
		var shown []string
		cookie := ""
		for page := 0; page == 0 || cookie != ""; page++ {
			var got string
			got, cookie = w.ordered(ask{base: "ou=Shelf,o=nhs", scope: 1, filter: "(cn=*)", attrs: []string{"1.1"}, controls: append(x.controls[:len(x.controls):len(x.controls)], pages(2, cookie))})
			names, _, _ := strings.Cut(got, "code 0")
			shown = append(shown, strings.Fields(names)...)
			extra := fmt.Sprintf("cn=extra%d-%d,ou=Shelf,o=nhs", n, page)
			add := client.NewAddRequest(extra, nil)
			add.Attribute("objectClass", []string{"device"})
			must(t, root.Add(add))
			must(t, root.Del(client.NewDelRequest(extra, nil)))
			if page > 9 {
				t.Fatalf("%d pages of %v", page, shown)
			}
		}
		if got := strings.Join(shown, " "); got != x.want {
			t.Errorf("case %d: %s, want %s", n, got, x.want)
		}
	}
	// A cookie is of one sight: the same reader without the other's rights has no use for it.
	w := openWire(t, r.plain, r.schema).bound(reader, "reading")
	_, cookie := w.ordered(ask{base: "ou=Shelf,o=nhs", scope: 1, filter: "(cn=*)", attrs: []string{"1.1"}, controls: [][]byte{asBo, pages(2, "")}})
	if got, _ := w.ordered(ask{base: "ou=Shelf,o=nhs", scope: 1, filter: "(cn=*)", attrs: []string{"1.1"}, controls: [][]byte{pages(2, cookie)}}); got != "code 2" {
		t.Errorf("another's cookie: %s", got)
	}
}

// TestPrefixWithASizeLimitStopsEarly: what is not returned is not tested.
func TestPrefixWithASizeLimitStopsEarly(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, func(c *ldap.Config) { c.Limits.Candidates = 30 })
	r.many(400)
	w := openWire(t, r.plain, r.schema).bound(reader, "reading")
	for filter, want := range map[string]string{"(sn=sec*)": "code 4", "(uid=80*)": "code 4", "(&(objectClass=person)(uid=800000*))": "code 4"} {
		got, _ := w.ordered(ask{base: "ou=People,o=nhs", scope: 2, size: 20, filter: filter, attrs: []string{"1.1"}})
		if !strings.HasSuffix(got, want) || strings.Count(got, "uid=8") != 20 {
			t.Errorf("%s: %s", filter, got)
		}
	}
}

// TestSortsWaitForNobody: without a place a search that sorts much comes
// unsorted, or not at all; pages that began in order end rather than begin
// again. Out of time, none comes.
func TestSortsWaitForNobody(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, func(c *ldap.Config) {
		s, err := c.Tree.Schema().ParseSubjects([]string{"dn:" + rootDN})
		must(t, err)
		c.Allowances = []ldap.Allowance{{Who: s, Time: 1, MaxTime: 1}}
	})
	r.many(400)
	w := openWire(t, r.plain, r.schema).bound(reader, "reading")
	find := func(w *wire, controls ...[]byte) (string, string) {
		got, cookie := w.ordered(ask{base: "ou=People,o=nhs", scope: 1, filter: "(sn=secret)", attrs: []string{"1.1"}, controls: controls})
		_, got, _ = strings.Cut(got, "code ")
		return got, cookie
	}
	order := func(critical bool) []byte { return sortBy(critical, "-uid:caseIgnoreOrderingMatch") }
	first, cookie := find(w, order(false), pages(2, ""))
	if first != "0 sort 0 page 400 more=true" {
		t.Errorf("first page: %s", first)
	}
	leave := ldap.HoldSorts(r.server)
	for _, x := range []struct {
		want     string
		controls [][]byte
	}{
		{"0 sort 51", [][]byte{order(false)}}, {"12 sort 51", [][]byte{order(true)}}, {"51 sort 51", [][]byte{order(false), pages(2, cookie)}},
		{"76 sort 51 view 0/0 60", [][]byte{order(false), viewAt(0, 1, 1, 0)}},
	} {
		if got, _ := find(w, x.controls...); got != x.want {
			t.Errorf("without a place: %s, want %s", got, x.want)
		}
	}
	leave()
	if second, _ := find(w, order(false), pages(2, cookie)); second != "0 sort 0 page 400 more=true" {
		t.Errorf("second page: %s", second)
	}
	if got, _ := find(openWire(t, r.plain, r.schema).bound(rootDN, rootPassword), order(false)); got != "3 sort 3" {
		t.Errorf("out of time: %s", got)
	}
}
