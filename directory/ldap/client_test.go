package ldap_test

import (
	"crypto/tls"
	"crypto/x509/pkix"
	"slices"
	"strings"
	"testing"

	client "github.com/go-ldap/ldap/v3"

	"cardinal/directory/ldap"
)

const (
	alex   = "uid=900000000017,ou=People,o=nhs"
	bo     = "uid=900000000041,ou=People,o=nhs"
	reader = "cn=reader,ou=Services,o=nhs"
)

func search(c *client.Conn, base, filter string, attrs ...string) ([]*client.Entry, error) {
	r, err := c.Search(client.NewSearchRequest(base, client.ScopeWholeSubtree, client.NeverDerefAliases, 0, 0, false, filter, attrs, nil))
	if r == nil {
		return nil, err
	}
	return r.Entries, err
}

func names(entries []*client.Entry) (out []string) {
	for _, e := range entries {
		out = append(out, e.DN)
	}
	slices.Sort(out)
	return out
}

// wants demands a result code; 0 is success.
func wants(t *testing.T, what string, err error, code uint16) {
	t.Helper()
	if code == 0 && err == nil || code != 0 && client.IsErrorWithCode(err, code) {
		return
	}
	t.Errorf("%s: got %v, want code %d", what, err, code)
}

func TestBindTakesTheRightPasswordAlone(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, nil)
	r.ldif(workforce)
	c := r.dial("", "")
	wants(t, "right", c.Bind(alex, "alex's password"), 0)
	wants(t, "again, remembered", c.Bind(alex, "alex's password"), 0)
	if who, err := c.WhoAmI(nil); err != nil || who.AuthzID != "dn:"+alex {
		t.Errorf("got %+v, %v", who, err)
	}
	wants(t, "wrong", c.Bind(alex, "alex's passwort"), 49)
	if who, err := c.WhoAmI(nil); err != nil || who.AuthzID != "" {
		t.Errorf("after a failed bind: %+v, %v", who, err)
	}
	wants(t, "unknown", c.Bind("uid=1,ou=People,o=nhs", "x"), 49)
	wants(t, "no password there", c.Bind("ou=People,o=nhs", "x"), 49)
	wants(t, "no password given", c.UnauthenticatedBind(alex), 53)
	wants(t, "bad name", c.Bind("nonsense", "x"), 34)
	wants(t, "root", c.Bind(rootDN, rootPassword), 0)
	wants(t, "root, wrong", c.Bind(rootDN, "x"), 49)
	wants(t, "spelled otherwise", c.Bind(" UID = 900000000017 , OU=people,o=NHS", "alex's password"), 0)
}

func TestPasswordsTravelOverTLSOnly(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, func(c *ldap.Config) { c.AllowPlaintextBind = false })
	r.ldif(workforce)
	c := r.dial("", "")
	wants(t, "plain", c.Bind(alex, "alex's password"), 13)
	must(t, c.StartTLS(tlsConfig(r.pki, nil)))
	wants(t, "StartTLS", c.Bind(alex, "alex's password"), 0)
	s, err := client.DialURL("ldaps://"+r.secure, client.DialWithTLSConfig(tlsConfig(r.pki, nil)))
	must(t, err)
	defer s.Close()
	wants(t, "LDAPS", s.Bind(alex, "alex's password"), 0)
}

func TestAnonymousSeesOnlyRootAndSchema(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.ldif(workforce)
	c := r.dial("", "")
	_, err := search(c, "o=nhs", "(objectClass=*)")
	wants(t, "subtree", err, 32)
	_, err = search(c, alex, "(objectClass=*)")
	wants(t, "base", err, 32)
	_, err = search(c, "cn=x,"+alex, "(objectClass=*)")
	wants(t, "below what is hidden", err, 32)
	if e, ok := err.(*client.Error); ok && e.MatchedDN != "" {
		t.Errorf("matchedDN %q shows a hidden entry", e.MatchedDN)
	}
	_, err = c.Compare(alex, "sn", "Example")
	wants(t, "compare", err, 32)
	base := func(dn, filter string, attrs ...string) *client.Entry {
		got, err := c.Search(client.NewSearchRequest(dn, client.ScopeBaseObject, 0, 0, 0, false, filter, attrs, nil))
		must(t, err)
		if len(got.Entries) != 1 {
			t.Fatalf("%d entries at %q", len(got.Entries), dn)
		}
		return got.Entries[0]
	}
	root := base("", "(objectClass=*)", "namingContexts", "supportedSASLMechanisms", "supportedControl")
	if root.GetAttributeValue("namingContexts") != "o=nhs" || root.GetAttributeValue("supportedSASLMechanisms") != "PLAIN" {
		t.Errorf("root DSE: %v", root.Attributes)
	}
	if plain := base("", "(objectClass=*)"); len(plain.Attributes) != 1 {
		t.Errorf("the root DSE shows operational attributes unasked: %v", plain.Attributes)
	}
	schema := base("cn=Subschema", "(objectClass=subschema)", "attributeTypes", "objectClasses")
	if len(schema.GetAttributeValues("attributeTypes")) < 150 || len(schema.GetAttributeValues("objectClasses")) < 40 {
		t.Error("the schema is not published whole")
	}
}

func TestSearchSelectsAttributes(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.ldif(workforce)
	c := r.dial(reader, "reading")
	for list, want := range map[string]string{
		"":                  "cn cn;lang-en nhsPersonStatus objectClass sn uid",
		"*":                 "cn cn;lang-en nhsPersonStatus objectClass sn uid",
		"1.1":               "",
		"1.1 sn":            "sn",
		"CN cn 2.5.4.3":     "cn cn;lang-en",
		"cn;lang-en":        "cn;lang-en",
		"cn;lang-":          "cn;lang-en",
		"cn;binary":         "",
		"commonName":        "cn cn;lang-en",
		"name":              "cn cn;lang-en sn",
		"@person":           "cn cn;lang-en objectClass sn",
		"unknown uid":       "uid",
		"userPassword":      "",
		"hasSubordinates":   "hasSubordinates",
		"entryUUID entryDN": "entryDN entryUUID",
	} {
		got, err := search(c, bo, "(uid=900000000041)", strings.Fields(list)...)
		must(t, err)
		if len(got) != 1 {
			t.Fatalf("%q: %d entries", list, len(got))
		}
		var have []string
		for _, a := range got[0].Attributes {
			have = append(have, a.Name)
		}
		slices.Sort(have)
		if strings.Join(have, " ") != want {
			t.Errorf("%q: got %q, want %q", list, strings.Join(have, " "), want)
		}
	}
	plus, err := search(c, bo, "(uid=900000000041)", "+")
	must(t, err)
	for _, a := range []string{"entryUUID", "entryDN", "createTimestamp", "creatorsName", "modifyTimestamp", "structuralObjectClass", "subschemaSubentry", "hasSubordinates"} {
		if plus[0].GetAttributeValue(a) == "" {
			t.Errorf("+ does not show %s", a)
		}
	}
}

func TestUpdatesShowAtOnceAndManagedSubtreesStand(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, nil)
	r.ldif(workforce)
	c := r.dial(rootDN, rootPassword)
	service := "uniqueIdentifier=123456789012,ou=Services,o=nhs"
	add := client.NewAddRequest("cn=one,ou=Services,o=nhs", nil)
	add.Attribute("objectClass", []string{"device"})
	must(t, c.Add(add))
	wants(t, "again", c.Add(add), 68)
	mod := client.NewModifyRequest("cn=one,ou=Services,o=nhs", nil)
	mod.Add("description", []string{"first", "second"})
	must(t, c.Modify(mod))
	if got, err := search(c, "o=nhs", "(description=second)"); err != nil || len(got) != 1 {
		t.Errorf("the update is not found: %v, %v", names(got), err)
	}
	wants(t, "value there", c.Modify(mod), 20)
	wants(t, "move", c.ModifyDN(client.NewModifyDNRequest("cn=one,ou=Services,o=nhs", "cn=two", true, "o=nhs")), 0)
	if ok, err := c.Compare("cn=two,o=nhs", "cn", "TWO"); err != nil || !ok {
		t.Errorf("after the move: %v, %v", ok, err)
	}
	wants(t, "delete", c.Del(client.NewDelRequest("cn=two,o=nhs", nil)), 0)
	wants(t, "delete again", c.Del(client.NewDelRequest("cn=two,o=nhs", nil)), 32)
	wants(t, "not a leaf", c.Del(client.NewDelRequest("ou=People,o=nhs", nil)), 53)
	person := client.NewModifyRequest(alex, nil)
	person.Replace("sn", []string{"Other"})
	wants(t, "managed", c.Modify(person), 53)
	nobody := r.dial("", "")
	wants(t, "anonymous", nobody.Del(client.NewDelRequest(service, nil)), 8)
	low := r.dial(reader, "reading")
	wants(t, "no right", low.Del(client.NewDelRequest(reader, nil)), 50)
	if _, err := low.PasswordModify(client.NewPasswordModifyRequest("", "reading", "writing")); !client.IsErrorWithCode(err, 50) {
		t.Errorf("changing a password without the right: %v", err)
	}
}

func TestPagesCoverTheSearchOnce(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, nil)
	r.ldif(workforce)
	c := r.dial(reader, "reading")
	got, err := c.SearchWithPaging(client.NewSearchRequest("o=nhs", client.ScopeWholeSubtree, 0, 0, 0, false, "(objectClass=*)", nil, nil), 3)
	must(t, err)
	all, err := search(c, "o=nhs", "(objectClass=*)")
	must(t, err)
	if len(all) != 8 || !slices.Equal(names(got.Entries), names(all)) {
		t.Errorf("got %q\nwant %q", names(got.Entries), names(all))
	}
	paging := client.NewControlPaging(2)
	request := client.NewSearchRequest("o=nhs", client.ScopeWholeSubtree, 0, 0, 0, false, "(objectClass=*)", nil, []client.Control{paging})
	first, err := c.Search(request)
	must(t, err)
	paging.SetCookie(client.FindControl(first.Controls, client.ControlTypePaging).(*client.ControlPaging).Cookie)
	request.Filter = "(objectClass=top)"
	_, err = c.Search(request)
	wants(t, "another filter", err, 2)
	other := r.dial(alex, "alex's password")
	request.Filter = "(objectClass=*)"
	_, err = other.Search(request)
	wants(t, "another identity", err, 2)
	_, err = c.Search(request)
	wants(t, "the same", err, 0)
}

// TestPageOfNothingEndsTheSearch: a size of zero gives a paged search up (RFC 2696 §3).
func TestPageOfNothingEndsTheSearch(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, nil)
	r.ldif(workforce)
	c := r.dial(reader, "reading")
	paging := client.NewControlPaging(2)
	request := client.NewSearchRequest("o=nhs", client.ScopeWholeSubtree, 0, 0, 0, false, "(objectClass=*)", nil, []client.Control{paging})
	first, err := c.Search(request)
	must(t, err)
	paging.SetCookie(client.FindControl(first.Controls, client.ControlTypePaging).(*client.ControlPaging).Cookie)
	paging.PagingSize = 0
	last, err := c.Search(request)
	must(t, err)
	if cookie := client.FindControl(last.Controls, client.ControlTypePaging).(*client.ControlPaging).Cookie; len(last.Entries) != 0 || len(cookie) != 0 {
		t.Errorf("%d entries and cookie %x after giving up", len(last.Entries), cookie)
	}
}

func TestSizeLimitIsMetExactly(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, nil)
	r.ldif(workforce)
	c := r.dial(reader, "reading")
	for limit, code := range map[int]uint16{8: 0, 7: 4, 1: 4} {
		got, err := c.Search(client.NewSearchRequest("o=nhs", client.ScopeWholeSubtree, 0, limit, 0, false, "(objectClass=*)", nil, nil))
		wants(t, "limit", err, code)
		if got == nil || len(got.Entries) != limit {
			t.Errorf("limit %d: %v", limit, got)
		}
	}
}

func TestCertificatesBindWhileGood(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, nil)
	r.ldif(workforce)
	card := r.pki.issue(pkix.Name{CommonName: "900000000017"})
	r.cards.set(card.Certificate[0], true)
	bind := func(cert *tls.Certificate) (*client.Conn, error) {
		c, err := client.DialURL("ldaps://"+r.secure, client.DialWithTLSConfig(tlsConfig(r.pki, cert)))
		must(t, err)
		t.Cleanup(func() { _ = c.Close() })
		return c, c.ExternalBind()
	}
	c, err := bind(card)
	wants(t, "good", err, 0)
	if who, err := c.WhoAmI(nil); err != nil || who.AuthzID != "dn:"+alex {
		t.Errorf("got %+v, %v", who, err)
	}
	r.cards.set(card.Certificate[0], false)
	_, err = bind(card)
	wants(t, "revoked", err, 49)
	_, err = bind(nil)
	wants(t, "none", err, 7)
	stranger := r.pki.issue(pkix.Name{CommonName: "900000000017"})
	_, err = bind(stranger)
	wants(t, "not issued here", err, 49)
	service := r.pki.issue(pkix.Name{CommonName: "gp system", Organization: []string{"nhs"}})
	r.cards.set(service.Certificate[0], true)
	c, err = bind(service)
	wants(t, "service", err, 0)
	if who, err := c.WhoAmI(nil); err != nil || who.AuthzID != "dn:cn=gp system,o=nhs" {
		t.Errorf("got %+v, %v", who, err)
	}
}

func TestAnonymousBindTakesTheCertificateIfConfigured(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, func(c *ldap.Config) { c.BindByCertificate = true })
	r.ldif(workforce)
	card := r.pki.issue(pkix.Name{CommonName: "900000000017"})
	r.cards.set(card.Certificate[0], true)
	c, err := client.DialURL("ldaps://"+r.secure, client.DialWithTLSConfig(tlsConfig(r.pki, card)))
	must(t, err)
	defer c.Close()
	got, err := search(c, alex, "(objectClass=nhsOrgPersonRole)")
	if err != nil || len(got) != 1 {
		t.Errorf("without a bind: %v, %v", names(got), err)
	}
	must(t, c.UnauthenticatedBind(""))
	if got, err := search(c, alex, "(objectClass=nhsOrgPersonRole)"); err != nil || len(got) != 1 {
		t.Errorf("after an anonymous bind: %v, %v", names(got), err)
	}
}

func TestCertificatesThatAreNotGoodAreHidden(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, nil)
	good, bad, foreign := r.pki.issue(pkix.Name{CommonName: "a"}), r.pki.issue(pkix.Name{CommonName: "b"}), r.pki.issue(pkix.Name{CommonName: "c"})
	r.cards.set(good.Certificate[0], true)
	r.cards.set(bad.Certificate[0], false)
	r.ldif(strings.Replace(workforce, "mail: alex", "userCertificate;binary:: "+base64Of(good)+"\nuserCertificate;binary:: "+base64Of(bad)+
		"\nuserCertificate;binary:: "+base64Of(foreign)+"\nmail: alex", 1))
	c := r.dial(reader, "reading")
	got, err := search(c, alex, "(uid=900000000017)", "userCertificate")
	must(t, err)
	values := got[0].GetRawAttributeValues("userCertificate;binary")
	if len(values) != 2 || string(values[0]) != string(good.Certificate[0]) || string(values[1]) != string(foreign.Certificate[0]) {
		t.Errorf("%d certificates are shown", len(values))
	}
}
