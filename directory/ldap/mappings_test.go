package ldap_test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"regexp"
	"testing"

	client "github.com/go-ldap/ldap/v3"

	"cardinal/directory"
	"cardinal/directory/ldap"
)

// TestCertificatesLeadToEntriesByTheirParts goes through the ways a client
// certificate can be mapped, each for the issuers it names.
func TestCertificatesLeadToEntriesByTheirParts(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	partner := newPKI(t)
	services, err := directory.ParseDN("ou=Services,o=nhs")
	must(t, err)
	var fingerprint *tls.Certificate
	r := newRig(t, func(c *ldap.Config) {
		fingerprint = partner.issue(pkix.Name{CommonName: "anything"})
		sum := sha256.Sum256(fingerprint.Certificate[0])
		c.TLS.ClientCAs.AddCert(partner.ca)
		trusted := [][]byte{partner.ca.Raw}
		c.Certificates = []ldap.Mapping{
			{From: ldap.FromFingerprint, Match: regexp.MustCompile("^" + hex.EncodeToString(sum[:]) + "$"), To: reader, Issuers: trusted},
			{From: ldap.FromAttribute, Attribute: "serialNumber", Find: "uid", Issuers: trusted},
			{From: ldap.FromAttribute, Attribute: "ou", Match: regexp.MustCompile("^svc-(.+)$"), Find: "cn", Base: services, Issuers: trusted},
			{From: ldap.FromCommonName, Match: regexp.MustCompile("^[0-9]{12}$"), To: "uid=$0,ou=People,o=nhs"},
			{From: ldap.FromSubject},
		}
	})
	r.ldif(workforce)
	r.ldif("dn: cn=two,ou=Services,o=nhs\nobjectClass: device\ncn: two\n\ndn: cn=deep,cn=two,ou=Services,o=nhs\nobjectClass: device\ncn: deep\ncn: two\n")
	for _, c := range []struct {
		name string
		by   *pki
		make func(*pki) *tls.Certificate
		want string // "": refused
	}{
		{"fingerprint", partner, func(*pki) *tls.Certificate { return fingerprint }, "dn:" + reader},
		{"an attribute that one entry holds", partner, func(p *pki) *tls.Certificate {
			return p.issue(pkix.Name{CommonName: "x", SerialNumber: "900000000041"})
		}, "dn:" + bo},
		{"an attribute that several hold", partner, func(p *pki) *tls.Certificate {
			return p.issue(pkix.Name{CommonName: "x", SerialNumber: "900000000017"})
		}, ""},
		{"a part of an attribute", partner, func(p *pki) *tls.Certificate {
			return p.issue(pkix.Name{CommonName: "x", OrganizationalUnit: []string{"svc-reader"}})
		}, "dn:" + reader},
		{"the same for two entries", partner, func(p *pki) *tls.Certificate {
			return p.issue(pkix.Name{CommonName: "x", OrganizationalUnit: []string{"svc-two"}})
		}, ""},
		{"two values of the attribute", partner, func(p *pki) *tls.Certificate {
			return p.issue(pkix.Name{CommonName: "x", OrganizationalUnit: []string{"svc-reader", "svc-two"}})
		}, ""},
		{"a card's name by another CA", partner, func(p *pki) *tls.Certificate { return p.issue(pkix.Name{CommonName: "900000000017"}) }, ""},
		{"a card of ours", r.pki, func(p *pki) *tls.Certificate { return p.issue(pkix.Name{CommonName: "900000000017"}) }, "dn:" + alex},
		{"the partner's attribute in a certificate of ours", r.pki, func(p *pki) *tls.Certificate {
			return p.issue(pkix.Name{CommonName: "x", SerialNumber: "900000000041"})
		}, "dn:serialNumber=900000000041,cn=x"},
	} {
		cert := c.make(c.by)
		if c.by == r.pki {
			r.cards.set(cert.Certificate[0], true)
		}
		conn, err := client.DialURL("ldaps://"+r.secure, client.DialWithTLSConfig(tlsConfig(r.pki, cert)))
		must(t, err)
		err = conn.ExternalBind()
		switch {
		case c.want == "":
			wants(t, c.name, err, 49)
		case err != nil:
			t.Errorf("%s: %v", c.name, err)
		default:
			if who, err := conn.WhoAmI(nil); err != nil || who.AuthzID != c.want {
				t.Errorf("%s: %+v, %v, want %s", c.name, who, err, c.want)
			}
		}
		_ = conn.Close()
	}
}

func TestWrongMappingsAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for name, m := range map[string]ldap.Mapping{
		"no such part":           {From: "shoe"},
		"no such attribute":      {From: ldap.FromAttribute, Attribute: "nosuch", To: reader},
		"found by what has none": {From: ldap.FromCommonName, Find: "jpegPhoto"},
		"both ways":              {From: ldap.FromCommonName, Find: "cn", To: reader},
		"nowhere":                {From: ldap.FromUPN},
		"a strange issuer":       {From: ldap.FromSubject, Issuers: [][]byte{{1}}},
	} {
		if _, err := ldap.New(ldap.Config{Tree: r.tree, Replica: r.replica, Certificates: []ldap.Mapping{m}}); err == nil {
			t.Errorf("taken: %s", name)
		}
	}
}

// TestAnonymousBindsTakeTheCertificate: a client that presents a certificate
// and binds anonymously, or not at all, is its holder where so configured, as
// long as the certificate is good.
func TestAnonymousBindsTakeTheCertificate(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	for _, configured := range []bool{true, false} {
		r := newRig(t, func(c *ldap.Config) { c.BindByCertificate = configured })
		r.ldif(workforce)
		card := r.pki.issue(pkix.Name{CommonName: "900000000017"})
		r.cards.set(card.Certificate[0], true)
		conn, err := client.DialURL("ldaps://"+r.secure, client.DialWithTLSConfig(tlsConfig(r.pki, card)))
		must(t, err)
		defer conn.Close()
		want := map[bool]string{true: "dn:" + alex, false: ""}[configured]
		for _, bound := range []bool{false, true} {
			if bound {
				must(t, conn.UnauthenticatedBind(""))
			}
			if who, err := conn.WhoAmI(nil); err != nil || who.AuthzID != want {
				t.Errorf("configured %v, bound %v: %+v, %v", configured, bound, who, err)
			}
		}
		wants(t, "a password is asked all the same", conn.Bind(bo, "x"), 49)
		if who, err := conn.WhoAmI(nil); err != nil || who.AuthzID != "" {
			t.Errorf("after a failed bind: %+v, %v", who, err)
		}
		if !configured {
			continue
		}
		must(t, conn.UnauthenticatedBind(""))
		r.cards.set(card.Certificate[0], false)
		eventually(t, "a lost card ends the session", func() bool { _, err := conn.WhoAmI(nil); return err != nil })
		again, err := client.DialURL("ldaps://"+r.secure, client.DialWithTLSConfig(tlsConfig(r.pki, card)))
		must(t, err)
		if who, err := again.WhoAmI(nil); err != nil || who.AuthzID != "" {
			t.Errorf("a lost card is still %+v, %v", who, err)
		}
		_ = again.Close()
	}
}

// TestPrincipalNamesAreMapped reads the user principal name out of the subject
// alternative name.
func TestPrincipalNamesAreMapped(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, func(c *ldap.Config) {
		c.Certificates = []ldap.Mapping{{From: ldap.FromUPN, Match: regexp.MustCompile(`^([a-z]+)@nhs\.example$`), To: "cn=$1,ou=Services,o=nhs"}}
	})
	r.ldif(workforce)
	name, err := asn1.Marshal(struct {
		Type  asn1.ObjectIdentifier
		Value string `asn1:"utf8,explicit,tag:0"`
	}{asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}, "reader@nhs.example"})
	must(t, err)
	name[0] = 0xA0 // otherName, implicit
	names, err := asn1.Marshal([]asn1.RawValue{{FullBytes: name}})
	must(t, err)
	card := r.pki.issueWith(func(c *x509.Certificate) {
		c.IPAddresses = nil
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: names}}
	})
	r.cards.set(card.Certificate[0], true)
	conn, err := client.DialURL("ldaps://"+r.secure, client.DialWithTLSConfig(tlsConfig(r.pki, card)))
	must(t, err)
	defer conn.Close()
	must(t, conn.ExternalBind())
	if who, err := conn.WhoAmI(nil); err != nil || who.AuthzID != "dn:"+reader {
		t.Errorf("%+v, %v", who, err)
	}
}
