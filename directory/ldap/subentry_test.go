package ldap_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"strings"
	"testing"
	"time"

	client "github.com/go-ldap/ldap/v3"

	"cardinal/directory"
	"cardinal/directory/ldap"
	"cardinal/internal/ber"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

const policies = `
dn: ou=Shelf,o=nhs
objectClass: organizationalUnit
ou: Shelf

dn: cn=policy,ou=Shelf,o=nhs
objectClass: subentry
objectClass: extensibleObject
cn: policy
subtreeSpecification: {}

dn: cn=plain,ou=Shelf,o=nhs
objectClass: inetOrgPerson
cn: plain
sn: plain
description: one
description: two
description;lang-en: three
title: one
`

// matchedBy makes a matched values control of items in text.
func matchedBy(t testing.TB, items ...string) []byte {
	t.Helper()
	var b []byte
	for _, f := range items {
		b = append(b, filterOf(t, f)...)
	}
	return control(oidMatched, true, ber.Append(nil, ber.Sequence, b))
}

// TestSubentriesAndMatchedValuesAreSlapds asks both servers for subentries
// (RFC 3672) and for matched values (RFC 3876).
func TestSubentriesAndMatchedValuesAreSlapds(t *testing.T) {
	t.Parallel()
	need(t, "/usr/sbin/slapd", "slapd")
	theirs := startSlapd(t, workforce+policies)
	r := newRig(t, nil)
	r.ldif(workforce + policies)
	var cases []exchange
	visibility := func(visible bool) []byte {
		return control(oidSubentry, true, ber.AppendBool(nil, ber.Boolean, visible))
	}
	for _, base := range []string{"ou=Shelf,o=nhs", "cn=policy,ou=Shelf,o=nhs", "cn=plain,ou=Shelf,o=nhs"} {
		for scope := range int64(4) {
			for name, controls := range map[string][][]byte{"": nil, "visible": {visibility(true)}, "invisible": {visibility(false)}} {
				cases = append(cases, one(strings.Join([]string{base, "0123"[scope : scope+1], name}, " "),
					ask{base: base, scope: scope, filter: "(objectClass=*)", attrs: []string{"1.1"}, controls: controls}.pdu(t, 5)))
			}
		}
	}
	mv := func(name string, x exchange, items ...[]byte) {
		x.name = name
		x.pdus = [][]byte{ask{base: "cn=plain,ou=Shelf,o=nhs", filter: "(objectClass=*)", controls: items}.pdu(t, 5)}
		x.last = 5
		cases = append(cases, x)
	}
	for _, items := range [][]string{{"(description=one)"}, {"(description=ONE)", "(sn=*)"}, {"(description=t*)"}, {"(name=plain)"}, {"(description;lang-en=*)"},
		{"(description=*)"}, {"(unknown=x)", "(cn=plain)"}, {"(description:caseExactMatch:=two)"}, {"(:caseIgnoreMatch:=one)"}, {"(description>=p)"}, {"(description:unknownMatch:=x)"}} {
		mv("values "+strings.Join(items, " "), exchange{}, matchedBy(t, items...))
	}
	mv("values of classes", exchange{differ: "#5 entry cn=plain,ou=Shelf,o=nhs {objectClass=person}\n#5 op65 code 0"}, matchedBy(t, "(objectClass=person)")) // superclasses are values here
	mv("values alike", exchange{differ: "#5 entry cn=plain,ou=Shelf,o=nhs {title=one}\n#5 op65 code 0"}, matchedBy(t, "(title~=one)"))                       // approximate is equal here
	mv("joined values", exchange{differ: "#5 op65 code 2"}, matchedBy(t, "(&(cn=a)(sn=b))"))                                                                 // RFC 3876 §2 has no such item
	mv("negated values", exchange{differ: "#5 op65 code 2"}, matchedBy(t, "(!(cn=a))"))
	mv("values twice", exchange{}, matchedBy(t, "(cn=a)"), matchedBy(t, "(cn=a)"))
	mv("values of octets that are none", exchange{differ: "#5 op65 code 2"}, control(oidMatched, true, []byte{4, 0}))
	mv("subentries twice", exchange{}, visibility(true), visibility(true))
	mv("subentries without a value", exchange{}, control(oidSubentry, true, nil))
	mv("subentries with more", exchange{differ: "#5 op65 code 2"}, control(oidSubentry, true, []byte{1, 1, 0xFF, 5, 0}))
	for _, x := range cases {
		want := x.differ
		if want == "" {
			want = x.run(t, theirs, r.schema, time.Second)
		}
		if got := x.run(t, r.plain, r.schema, time.Second); got != want {
			t.Errorf("%s:\nours   %s\nslapd  %s", x.name, got, want)
		}
	}
}

// TestMatchedValuesChooseCertificates: a client picks one certificate of a
// person by its number and issuer, and sees none that is not good.
func TestMatchedValuesChooseCertificates(t *testing.T) {
	t.Parallel()
	need(t, "ldapsearch", "ldap-utils")
	r := newRig(t, nil)
	first, second, lost := r.pki.issue(pkix.Name{CommonName: "a"}), r.pki.issue(pkix.Name{CommonName: "b"}), r.pki.issue(pkix.Name{CommonName: "c"})
	r.cards.set(lost.Certificate[0], false)
	person := strings.Replace(workforce, "mail: alex", "userCertificate;binary:: "+base64Of(first)+"\nuserCertificate;binary:: "+base64Of(second)+
		"\nuserCertificate;binary:: "+base64Of(lost)+"\nmail: alex", 1)
	r.ldif(person)
	c := r.dial(reader, "reading")
	find := func(assertion string) [][]byte {
		mv := &client.ControlString{ControlType: oidMatched, Criticality: true,
			ControlValue: string(ber.Append(nil, ber.Sequence, filterOf(t, "(userCertificate:certificateExactMatch:="+assertion+")")))}
		got, err := c.Search(client.NewSearchRequest(alex, 0, 0, 0, 0, false, "(objectClass=*)", nil, []client.Control{mv}))
		must(t, err)
		if len(got.Entries) != 1 {
			t.Fatalf("%d entries", len(got.Entries))
		}
		if n := len(got.Entries[0].Attributes); n > 1 {
			t.Errorf("%d attributes come with the certificate", n)
		}
		return got.Entries[0].GetRawAttributeValues("userCertificate;binary")
	}
	for _, x := range []struct {
		assertion string
		want      [][]byte
	}{{"2$cn=Test CA", nil}, {serialOf(t, first), first.Certificate}, {serialOf(t, second), second.Certificate}, {serialOf(t, lost), nil}} {
		if got := find(x.assertion); len(got) != len(x.want) || len(got) == 1 && string(got[0]) != string(x.want[0]) {
			t.Errorf("%s: %d certificates", x.assertion, len(got))
		}
	}
	out, code := r.program(nil, "ldapsearch", "-x", "-LLL", "-H", "ldap://"+r.plain, "-D", reader, "-w", "reading", "-b", alex, "-s", "base",
		"-E", "!mv=(mail=alex*)", "(objectClass=*)")
	if code != 0 || strings.Count(out, "\n") != 3 || !strings.Contains(out, "mail: alex@example.org") {
		t.Errorf("exit %d:\n%s", code, out)
	}
}

// TestAnswersThatAreNoCopy: a node that writes answers when its copy has
// reached the entries of record, others say where to ask (RFC 6171).
func TestAnswersThatAreNoCopy(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	original := control("1.3.6.1.1.22", true, nil)
	for _, x := range []struct {
		name          string
		change        func(c *ldap.Config)
		find, compare string
	}{
		{"with the entries of record", nil, "code 0", "#5 op6F code 6"},
		{"with a referral", func(c *ldap.Config) { c.Original, c.Referrals = nil, []string{"ldap://other.example"} }, "code 10", "#5 op6F code 10 referral ldap://other.example"},
		{"with neither", func(c *ldap.Config) { c.Original = nil }, "code 53", "#5 op6F code 53"},
		{"with entries of record that cannot be reached", func(c *ldap.Config) { c.Original = headOf{nil} }, "code 52", "#5 op6F code 52"},
	} {
		r := newRig(t, x.change)
		r.ldif(workforce)
		w := openWire(t, r.plain, r.schema).bound(reader, "reading")
		got, _ := w.ordered(ask{base: alex, filter: "(objectClass=*)", attrs: []string{"1.1"}, controls: [][]byte{original}})
		if strings.TrimPrefix(got, "uid=900000000017 ") != x.find {
			t.Errorf("%s: search: %s, want %s", x.name, got, x.find)
		}
		w.send(withControls(compare(5, alex, "sn", "EXAMPLE"), original))
		if got := w.until(5, wireWait); got != x.compare {
			t.Errorf("%s: compare: %s, want %s", x.name, got, x.compare)
		}
		for _, bad := range [][][]byte{{control("1.3.6.1.1.22", true, []byte("x"))}, {original, original}} {
			if got, _ := w.ordered(ask{base: alex, filter: "(objectClass=*)", controls: bad}); got != "code 2" {
				t.Errorf("%s: malformed: %s", x.name, got)
			}
		}
	}
}

// filterOf is the BER form of a filter in text.
func filterOf(t testing.TB, text string) []byte {
	t.Helper()
	f, err := directory.ParseFilter(text)
	must(t, err)
	return ldap.AppendFilter(nil, f)
}

// serialOf asserts a certificate by its number and issuer.
func serialOf(t testing.TB, c *tls.Certificate) string {
	t.Helper()
	parsed, err := x509.ParseCertificate(c.Certificate[0])
	must(t, err)
	return parsed.SerialNumber.String() + "$cn=Test CA"
}

// headOf is how the program tells where the entries of record stand; without
// a ledger they cannot be reached.
type headOf struct{ ledger *ledger.Ledger }

func (h headOf) Head(ctx context.Context) (journal.Position, error) {
	if h.ledger == nil {
		return 0, errors.New("the ledger is gone")
	}
	head, err := h.ledger.Head(ctx)
	return head.Position, err
}
