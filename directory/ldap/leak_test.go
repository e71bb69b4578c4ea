package ldap_test

import (
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"cardinal/directory"
	"cardinal/directory/ldap"
)

// mailHidden lets authenticated clients read everything but mail and common names.
const mailHidden = `rules:
  - {name: mail, who: [authenticated], attributes: [mail, cn], rights: [read, search, compare], deny: true}
  - {name: rest, who: [authenticated], attributes: ["entry", "*", "+"], rights: [read, search, compare]}
`

// TestAssertionAndCompareTellNothingHidden: RFC 4528 filters and compares of a
// supertype go by the same rules as a search filter.
func TestAssertionAndCompareTellNothingHidden(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, func(c *ldap.Config) {
		rules, err := c.Tree.Schema().ParseRules([]byte(mailHidden))
		must(t, err)
		c.Rules = rules
	})
	r.ldif(workforce)
	w := openWire(t, r.plain, r.schema)
	w.send(bind(1, reader, "reading"))
	if got := w.until(1, 10*time.Second); got != "#1 op61 code 0" {
		t.Fatal(got)
	}
	asserts := func(id int, filter string) string {
		f, err := directory.ParseFilter(filter)
		must(t, err)
		a := ask{base: alex, filter: "(objectClass=*)", attrs: []string{"1.1"}, controls: [][]byte{control("1.3.6.1.1.12", true, ldap.AppendFilter(nil, f))}}
		w.send(a.pdu(t, id))
		return w.until(id, 10*time.Second)
	}
	for i, filter := range []string{"(mail=alex@example.org)", "(!(mail=bo@example.org))", "(mail=*)", "(name=Alex Example)"} {
		if got, want := asserts(10+i, filter), fmt.Sprintf("#%d op65 code 122", 10+i); got != want {
			t.Errorf("assertion %s: got %s, want %s", filter, got, want)
		}
	}
	if got := asserts(20, "(sn=Example)"); got[len(got)-6:] != "code 0" {
		t.Errorf("an assertion about what may be searched: got %s", got)
	}
	w.send(compare(21, alex, "name", "Alex Example"), compare(22, alex, "name", "Example"))
	if got := w.until(21, 10*time.Second); got != "#21 op6F code 5" {
		t.Errorf("compare of a hidden subtype: got %s", got)
	}
	if got := w.until(22, 10*time.Second); got != "#22 op6F code 6" {
		t.Errorf("compare of a subtype that may be compared: got %s", got)
	}
}

// TestFiltersDoNotFindHiddenCertificates: who looks a holder up by the
// certificate he showed must not find him by one that is not good.
func TestFiltersDoNotFindHiddenCertificates(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, nil)
	r.ldif(workforce)
	card := r.pki.issue(pkix.Name{CommonName: "900000000058"})
	der := card.Certificate[0]
	r.ldif("dn: uid=900000000058,ou=People,o=nhs\nobjectClass: inetOrgPerson\nuid: 900000000058\ncn: Cy\nsn: Cy\nuserCertificate;binary:: " +
		base64.StdEncoding.EncodeToString(der) + "\n")
	r.cards.set(der, true)
	c := r.dial(rootDN, rootPassword)
	exact := fmt.Sprintf("%d$cn=Test CA", r.pki.serial)
	finds := func(want int) {
		t.Helper()
		for _, filter := range []string{"(userCertificate=" + exact + ")", "(userCertificate;binary=" + exact + ")", "(2.5.4.36=" + exact + ")",
			"(userCertificate;binary=*)", "(userCertificate:certificateExactMatch:=" + exact + ")"} {
			if got, err := search(c, "ou=People,o=nhs", filter, "1.1"); err != nil || len(got) != want {
				t.Errorf("%s: %d entries, want %d; %v", filter, len(got), want, err)
			}
		}
	}
	finds(1)
	same, err := c.Compare("uid=900000000058,ou=People,o=nhs", "userCertificate;binary", exact)
	if err != nil || !same {
		t.Errorf("compare: %v, %v", same, err)
	}
	r.cards.set(der, false)
	finds(0)
	_, err = c.Compare("uid=900000000058,ou=People,o=nhs", "userCertificate;binary", exact)
	wants(t, "compare with a certificate that is not good", err, 16)
}
