package ldap_test

import (
	"fmt"
	"strings"
	"testing"

	client "github.com/go-ldap/ldap/v3"

	"cardinal/directory/ldap"
	"cardinal/internal/ber"
)

const (
	oidSort     = "1.2.840.113556.1.4.473"
	oidView     = "2.16.840.1.113730.3.4.9"
	oidPages    = "1.2.840.113556.1.4.319"
	oidSubentry = "1.3.6.1.4.1.4203.1.10.1"
	oidMatched  = "1.2.826.0.1.3344810.2.3"
)

// shelf holds entries with something to sort, apart from the people.
const shelf = `
dn: ou=Shelf,o=nhs
objectClass: organizationalUnit
ou: Shelf

dn: cn=b,ou=Shelf,o=nhs
objectClass: inetOrgPerson
cn: b
sn: Beispiel
employeeNumber: 7
description: zz
description: mm
uid: 3

dn: cn=a,ou=Shelf,o=nhs
objectClass: inetOrgPerson
cn: a
sn: aldous
employeeNumber: 12
description: ca
uid: 1

dn: cn=d,ou=Shelf,o=nhs
objectClass: inetOrgPerson
cn: d
sn: ZORRO
uid: 2

dn: cn=c,ou=Shelf,o=nhs
objectClass: inetOrgPerson
cn: c
sn: example
employeeNumber: 7
description: Öl
uid: 4

dn: cn=e,ou=Shelf,o=nhs
objectClass: inetOrgPerson
cn: e
sn: beispiel
description: b
uid: 5
`

// sortBy makes a sort control of keys like "sn", "-sn:rule".
func sortBy(critical bool, keys ...string) []byte {
	var list []byte
	for _, k := range keys {
		name, reverse := strings.CutPrefix(k, "-")
		name, rule, ruled := strings.Cut(name, ":")
		b := octets(name)
		if ruled {
			b = ber.AppendString(b, 0x80, rule)
		}
		if reverse {
			b = ber.AppendBool(b, 0x81, true)
		}
		list = append(list, ber.Append(nil, ber.Sequence, b)...)
	}
	return control(oidSort, critical, ber.Append(nil, ber.Sequence, list))
}

// viewAt and viewFrom make virtual list view controls.
func viewAt(before, after, offset, count int64) []byte {
	b := ber.AppendInt(ber.AppendInt(nil, ber.Integer, before), ber.Integer, after)
	at := ber.AppendInt(ber.AppendInt(nil, ber.Integer, offset), ber.Integer, count)
	return control(oidView, true, ber.Append(nil, ber.Sequence, ber.Append(b, 0xA0, at)))
}

func viewFrom(before, after int64, value string) []byte {
	b := ber.AppendInt(ber.AppendInt(nil, ber.Integer, before), ber.Integer, after)
	return control(oidView, true, ber.Append(nil, ber.Sequence, ber.AppendString(b, 0x81, value)))
}

func pages(size int64, cookie string) []byte {
	return control(oidPages, true, ber.Append(nil, ber.Sequence, append(ber.AppendInt(nil, ber.Integer, size), octets(cookie)...)))
}

// ordered sends a search and shows the names in the order they come, the
// result code and the response controls. cookie is that of the last page.
func (w *wire) ordered(a ask) (shown, cookie string) {
	w.t.Helper()
	w.send(a.pdu(w.t, 9))
	var out []string
	for {
		m := w.raw(wireWait)
		r := ber.NewReader(m)
		seq, err := r.Enter(ber.Sequence)
		must(w.t, err)
		_, err = seq.Int(ber.Integer)
		must(w.t, err)
		tag, body, err := seq.Next()
		must(w.t, err)
		in := ber.NewReader(body)
		if tag == 0x64 {
			dn, err := in.Expect(ber.OctetString)
			must(w.t, err)
			first, _, _ := strings.Cut(string(dn), ",")
			out = append(out, first)
			continue
		}
		if tag == 0x73 {
			uri, err := in.Expect(ber.OctetString)
			must(w.t, err)
			out = append(out, "→"+string(uri))
			continue
		}
		code, err := in.Int(ber.Enumerated)
		must(w.t, err)
		out = append(out, fmt.Sprintf("code %d", code))
		controls, _, err := seq.Optional(0xA0)
		must(w.t, err)
		text, cookie := w.showControls(ber.NewReader(controls))
		return strings.Join(append(out, text...), " "), cookie
	}
}

func (w *wire) showControls(r ber.Reader) (out []string, cookie string) {
	w.t.Helper()
	for !r.Empty() {
		c, err := r.Enter(ber.Sequence)
		must(w.t, err)
		oid, err := c.Expect(ber.OctetString)
		must(w.t, err)
		value, err := c.Expect(ber.OctetString)
		must(w.t, err)
		top := ber.NewReader(value)
		in, err := top.Enter(ber.Sequence)
		must(w.t, err)
		switch string(oid) {
		case "1.2.840.113556.1.4.474":
			code, err := in.Int(ber.Enumerated)
			must(w.t, err)
			at, _, err := in.Optional(0x80)
			must(w.t, err)
			out = append(out, fmt.Sprintf("sort %d%s", code, at))
		case "2.16.840.1.113730.3.4.10":
			var n [3]int64
			for i, tag := range []ber.Tag{ber.Integer, ber.Integer, ber.Enumerated} {
				n[i], err = in.Int(tag)
				must(w.t, err)
			}
			out = append(out, fmt.Sprintf("view %d/%d %d", n[0], n[1], n[2]))
		case oidPages:
			size, err := in.Int(ber.Integer)
			must(w.t, err)
			b, err := in.Expect(ber.OctetString)
			must(w.t, err)
			cookie = string(b)
			out = append(out, fmt.Sprintf("page %d more=%t", size, cookie != ""))
		}
	}
	return out, cookie
}

func (w *wire) bound(dn, password string) *wire {
	w.t.Helper()
	w.send(bind(1, dn, password))
	if got := w.until(1, wireWait); got != "#1 op61 code 0" {
		w.t.Fatalf("bind: %s", got)
	}
	return w
}

func TestSortedResultsAreInOrder(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, nil)
	r.ldif(workforce + shelf)
	w := openWire(t, r.plain, r.schema).bound(rootDN, rootPassword)
	const sn = "sn:caseIgnoreOrderingMatch"
	for _, x := range []struct {
		name     string
		want     string
		size     int64
		controls [][]byte
	}{
		{"by name of the rule", "cn=a cn=b cn=e cn=c cn=d code 0 sort 0", 0, [][]byte{sortBy(true, sn)}},
		{"by number of the rule", "cn=a cn=b cn=e cn=c cn=d code 0 sort 0", 0, [][]byte{sortBy(true, "2.5.4.4:2.5.13.3")}},
		{"reversed", "cn=d cn=c cn=b cn=e cn=a code 0 sort 0", 0, [][]byte{sortBy(true, "-"+sn)}},
		{"by case", "cn=b cn=d cn=a cn=e cn=c code 0 sort 0", 0, [][]byte{sortBy(true, "sn:caseExactOrderingMatch")}},
		{"by two keys", "cn=a cn=e cn=b cn=c cn=d code 0 sort 0", 0, [][]byte{sortBy(true, sn, "-cn:caseIgnoreOrderingMatch")}},
		{"without a value last", "cn=a cn=b cn=c cn=d cn=e code 0 sort 0", 0, [][]byte{sortBy(true, "employeeNumber:numericStringOrderingMatch")}},
		{"without a value first when reversed", "cn=d cn=e cn=b cn=c cn=a code 0 sort 0", 0, [][]byte{sortBy(true, "-employeeNumber:numericStringOrderingMatch", "cn:2.5.13.3")}},
		{"by the least of several values", "cn=e cn=a cn=b cn=c cn=d code 0 sort 0", 0, [][]byte{sortBy(true, "description:caseIgnoreOrderingMatch")}},
		{"by a computed attribute", "cn=b cn=a cn=d cn=c cn=e code 0 sort 0", 0, [][]byte{sortBy(true, "entryCSN")}},
		{"up to the size limit", "cn=a cn=b code 4 sort 0", 2, [][]byte{sortBy(true, sn)}},
		{"by an unknown attribute", "code 12 sort 16nosuch", 0, [][]byte{sortBy(true, "nosuch")}},
		{"by an unknown attribute, not critical", "cn=b cn=a cn=d cn=c cn=e code 0 sort 16nosuch", 0, [][]byte{sortBy(false, "nosuch")}},
		{"by an attribute without order", "code 12 sort 18jpegPhoto", 0, [][]byte{sortBy(true, "jpegPhoto")}},
		{"by an unknown rule", "cn=b cn=a cn=d cn=c cn=e code 0 sort 18sn", 0, [][]byte{sortBy(false, "sn:nosuchMatch")}},
		{"by a rule that orders nothing", "code 12 sort 18sn", 0, [][]byte{sortBy(true, "sn:caseIgnoreMatch")}},
		{"by a rule for something else", "code 12 sort 18jpegPhoto", 0, [][]byte{sortBy(true, "jpegPhoto:integerOrderingMatch")}},
		{"twice by the same", "code 12 sort 53sn", 0, [][]byte{sortBy(true, sn, "-"+sn)}},
		{"by too much", "code 12 sort 53", 0, [][]byte{sortBy(true, sn, "cn:2.5.13.3", "uid:2.5.13.3", "ou:2.5.13.3", "o:2.5.13.3", "l:2.5.13.3", "st:2.5.13.3", "title:2.5.13.3", "mail:2.5.13.3")}},
		{"by nothing", "code 2", 0, [][]byte{control(oidSort, false, []byte{0x30, 0})}},
		{"by octets that are none", "code 2", 0, [][]byte{control(oidSort, false, []byte{0x30, 2, 4, 0})}},
		{"two orders", "code 2", 0, [][]byte{sortBy(true, sn), sortBy(true, sn)}},
		{"first window", "cn=a cn=b cn=e code 0 sort 0 view 1/5 0", 0, [][]byte{sortBy(true, sn), viewAt(1, 2, 1, 0)}},
		{"window inside", "cn=b cn=e cn=c code 0 sort 0 view 3/5 0", 0, [][]byte{sortBy(true, sn), viewAt(1, 1, 3, 5)}},
		{"last window", "cn=c cn=d code 0 sort 0 view 5/5 0", 0, [][]byte{sortBy(true, sn), viewAt(1, 3, 9, 9)}},
		{"window in a list that was longer", "cn=b code 0 sort 0 view 2/5 0", 0, [][]byte{sortBy(true, sn), viewAt(0, 0, 4, 10)}},
		{"window behind the list", "code 76 view 0/5 61", 0, [][]byte{sortBy(true, sn), viewAt(0, 0, 6, 0)}},
		{"window at nothing", "code 76 view 0/0 61", 0, [][]byte{sortBy(true, sn), viewAt(0, 0, 0, 0)}},
		{"window at a value", "cn=e cn=c cn=d code 0 sort 0 view 4/5 0", 0, [][]byte{sortBy(true, sn), viewFrom(1, 1, "C")}},
		{"window at a value, reversed", "cn=b cn=e code 0 sort 0 view 3/5 0", 0, [][]byte{sortBy(true, "-"+sn), viewFrom(0, 1, "c")}},
		{"window behind every value", "cn=d code 0 sort 0 view 6/5 0", 0, [][]byte{sortBy(true, sn), viewFrom(1, 1, "zz")}},
		{"window at a value that is none", "code 76 view 0/0 18", 0, [][]byte{sortBy(true, "createTimestamp"), viewFrom(0, 1, "x")}},
		{"window without an order", "code 76 view 0/0 60", 0, [][]byte{viewAt(0, 1, 1, 0)}},
		{"window on a list that cannot be sorted", "code 76 sort 16nosuch view 0/0 60", 0, [][]byte{sortBy(false, "nosuch"), viewAt(0, 1, 1, 0)}},
		{"window and pages", "code 53", 0, [][]byte{sortBy(true, sn), viewAt(0, 1, 1, 0), pages(2, "")}},
		{"window below zero", "code 2", 0, [][]byte{sortBy(true, sn), viewAt(-1, 1, 1, 0)}},
	} {
		if got, _ := w.ordered(ask{base: "ou=Shelf,o=nhs", scope: 1, size: x.size, filter: "(objectClass=*)", attrs: []string{"1.1"}, controls: x.controls}); got != x.want {
			t.Errorf("%s:\ngot  %s\nwant %s", x.name, got, x.want)
		}
	}
}

// TestSortedPagesSurviveChanges: entries that come, go and change between two
// pages neither repeat nor hide others.
func TestSortedPagesSurviveChanges(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, nil)
	r.ldif(workforce + shelf)
	w := openWire(t, r.plain, r.schema).bound(rootDN, rootPassword)
	page := func(cookie string, more ...[]byte) (string, string) {
		return w.ordered(ask{base: "ou=Shelf,o=nhs", scope: 1, filter: "(objectClass=*)", attrs: []string{"1.1"},
			controls: append([][]byte{sortBy(true, "sn:caseIgnoreOrderingMatch"), pages(2, cookie)}, more...)})
	}
	first, cookie := page("")
	if first != "cn=a cn=b code 0 sort 0 page 5 more=true" {
		t.Fatalf("first page: %s", first)
	}
	c := r.dial(rootDN, rootPassword)
	wants(t, "delete the last one shown", c.Del(client.NewDelRequest("cn=b,ou=Shelf,o=nhs", nil)), 0)
	for _, sn := range []string{"Aaa", "Beispielhaft"} {
		add := client.NewAddRequest("cn="+sn+",ou=Shelf,o=nhs", nil)
		add.Attribute("objectClass", []string{"inetOrgPerson"})
		add.Attribute("sn", []string{sn})
		must(t, c.Add(add))
	}
	second, after := page(cookie)
	if second != "cn=e cn=Beispielhaft code 0 sort 0 page 6 more=true" {
		t.Errorf("second page: %s", second)
	}
	if third, rest := page(after); third != "cn=c cn=d code 0 sort 0 page 6 more=false" || rest != "" {
		t.Errorf("third page: %s", third)
	}
	if again, _ := page(cookie); again != second {
		t.Errorf("second page again: %s", again)
	}
	if got, _ := w.ordered(ask{base: "ou=Shelf,o=nhs", scope: 1, filter: "(objectClass=*)", attrs: []string{"1.1"},
		controls: [][]byte{sortBy(true, "cn:caseIgnoreOrderingMatch"), pages(2, cookie)}}); got != "code 2" {
		t.Errorf("a cookie of another order: %s", got)
	}
	if got, _ := page(cookie, control(oidSubentry, true, []byte{1, 1, 0})); got != "code 2" {
		t.Errorf("a cookie of another search: %s", got)
	}
	give, _ := w.ordered(ask{base: "ou=Shelf,o=nhs", scope: 1, filter: "(objectClass=*)", attrs: []string{"1.1"},
		controls: [][]byte{sortBy(true, "sn:caseIgnoreOrderingMatch"), pages(0, cookie)}})
	if give != "code 0 sort 0 page 6 more=false" {
		t.Errorf("giving up: %s", give)
	}
}

// TestSortingIsBounded: more entries than may be sorted come unsorted, or not
// at all where the order is critical; pages of them go on as they began.
func TestSortingIsBounded(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, func(c *ldap.Config) { c.Limits.Sorted = 4 })
	r.ldif(workforce + shelf)
	w := openWire(t, r.plain, r.schema).bound(reader, "reading")
	find := func(filter string, controls ...[]byte) (string, string) {
		return w.ordered(ask{base: "ou=Shelf,o=nhs", scope: 1, filter: filter, attrs: []string{"1.1"}, controls: controls})
	}
	const sn = "sn:caseIgnoreOrderingMatch"
	for _, x := range []struct {
		filter, want string
		controls     [][]byte
	}{
		{"(!(cn=d))", "cn=a cn=b cn=e cn=c code 0 sort 0", [][]byte{sortBy(true, sn)}},
		{"(cn=*)", "code 12 sort 11", [][]byte{sortBy(true, sn)}},
		{"(cn=*)", "cn=b cn=a cn=d cn=c cn=e code 0 sort 11", [][]byte{sortBy(false, sn)}},
		{"(cn=*)", "code 76 sort 11 view 0/0 60", [][]byte{sortBy(false, sn), viewAt(0, 1, 1, 0)}},
	} {
		if got, _ := find(x.filter, x.controls...); got != x.want {
			t.Errorf("%s: %s, want %s", x.filter, got, x.want)
		}
	}
	first, cookie := find("(cn=*)", sortBy(false, sn), pages(3, ""))
	if first != "cn=b cn=a cn=d code 0 sort 11 page 0 more=true" {
		t.Errorf("first page: %s", first)
	}
	must(t, r.dial(rootDN, rootPassword).Del(client.NewDelRequest("cn=a,ou=Shelf,o=nhs", nil)))
	if second, _ := find("(cn=*)", sortBy(false, sn), pages(3, cookie)); second != "cn=c cn=e code 0 sort 11 page 0 more=false" {
		t.Errorf("second page: %s", second)
	}
}

// TestOrderShowsNothingHidden: what a reader may not read does not tell by the
// order, and entries he may not see are neither counted nor given a place.
func TestOrderShowsNothingHidden(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, func(c *ldap.Config) {
		c.Rules = ruled(t, c.Tree.Schema(), `rules:
  - name: one is hidden
    who: [anyone]
    entry: cn=c,ou=Shelf,o=nhs
    attributes: [entry, "*", "+"]
    rights: [read, search, compare]
    deny: true
  - name: names of some are not read
    who: [anyone]
    subtree: ou=Shelf,o=nhs
    filter: (employeeNumber=12)
    attributes: [sn]
    rights: [read]
    deny: true
  - name: numbers are not searched
    who: [anyone]
    attributes: [employeeNumber]
    rights: [search]
    deny: true
  - name: the rest
    who: [authenticated]
    attributes: [entry, "*", "+"]
    rights: [read, search, compare]
`)
	})
	r.ldif(workforce + shelf)
	w := openWire(t, r.plain, r.schema).bound(reader, "reading")
	for _, x := range []struct {
		want     string
		controls [][]byte
	}{
		{"cn=b cn=e cn=d cn=a code 0 sort 0", [][]byte{sortBy(true, "sn:caseIgnoreOrderingMatch")}},
		{"cn=b cn=a cn=d cn=e code 0 sort 0", [][]byte{sortBy(true, "employeeNumber:numericStringOrderingMatch")}},
		{"cn=d code 0 sort 0 view 3/4 0", [][]byte{sortBy(true, "sn:caseIgnoreOrderingMatch"), viewFrom(0, 0, "d")}},
		{"cn=b cn=e code 0 sort 0 page 4 more=true", [][]byte{sortBy(true, "sn:caseIgnoreOrderingMatch"), pages(2, "")}},
	} {
		if got, _ := w.ordered(ask{base: "ou=Shelf,o=nhs", scope: 1, filter: "(cn=*)", attrs: []string{"1.1"}, controls: x.controls}); got != x.want {
			t.Errorf("got  %s\nwant %s", got, x.want)
		}
	}
}
