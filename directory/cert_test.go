package directory_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"cardinal/directory"
)

// certificate makes one with an e-mail address and an unknown type in its issuer.
func certificate(t testing.TB, serial int64) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	name := pkix.Name{Country: []string{"GB"}, Organization: []string{"Example, Ltd"}, CommonName: "Test  CA",
		ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: "ca@example.org"},
			{Type: asn1.ObjectIdentifier{2, 5, 4, 97}, Value: "NTRGB-1"}}}
	c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: name, SubjectKeyId: []byte{1, 2, 3},
		NotBefore: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2029, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestCertificateAssertions(t *testing.T) {
	t.Parallel()
	s := schema(t)
	der := certificate(t, 4711)
	e := &directory.Entry{DN: mustDN(t, "cn=a"), Attributes: []directory.Attribute{{Type: "userCertificate;binary", Values: [][]byte{der}}}}
	const issuer = `2.5.4.97=NTRGB-1,EMAIL=CA@example.org,cn=test ca,o=Example\, Ltd,c=gb`
	quoted := strings.ReplaceAll(issuer, `"`, `""`)
	for _, c := range []struct {
		attr, value string
		want        directory.Truth
	}{
		{"userCertificate", "4711$" + issuer, T},
		{"userCertificate;binary", "4711$" + strings.Replace(issuer, "EMAIL", "emailAddress", 1), T},
		{"userCertificate", "4711$" + strings.Replace(issuer, "EMAIL", "1.2.840.113549.1.9.1", 1), T},
		{"userCertificate", "4712$" + issuer, F},
		{"userCertificate", "4711$cn=test ca", F},
		{"userCertificate", `{ serialNumber 4711, issuer "` + quoted + `" }`, T},
		{"userCertificate", `{ serialNumber 4711, issuer rdnSequence:"` + quoted + `" }`, T},
		{"userCertificate", `{issuer rdnSequence:"` + quoted + `",serialNumber 4711}`, T},
		{"userCertificate", `{ serialNumber 4712, issuer rdnSequence:"` + quoted + `" }`, F},
		{"userCertificate", `{ serialNumber '02'H, issuer "` + quoted + `" }`, U},
		{"userCertificate", `{ serialNumber 4711 }`, U},
		{"userCertificate", string(der), T},
		{"userCertificate", string(certificate(t, 4712)), F},
		{"userCertificate", "x", U},
		{"userCertificate", "", U},
		{"userCertificate:certificateMatch:", `{ serialNumber 4711 }`, T},
		{"userCertificate:certificateMatch:", `{ subject rdnSequence:"` + quoted + `", subjectKeyIdentifier '010203'H }`, T},
		{"userCertificate:certificateMatch:", `{ subjectKeyIdentifier '010204'H }`, F},
		{"userCertificate:certificateMatch:", `{ certificateValid utcTime:"270101000000Z" }`, T},
		{"userCertificate:certificateMatch:", `{ certificateValid generalizedTime:"20300101000000Z" }`, F},
		{"userCertificate:certificateMatch:", `{ keyUsage { digitalSignature } }`, T},
		{"userCertificate:certificateMatch:", string(der), T},
	} {
		var v strings.Builder
		for i := range len(c.value) {
			fmt.Fprintf(&v, `\%02x`, c.value[i])
		}
		f, err := directory.ParseFilter("(" + c.attr + "=" + v.String() + ")")
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Match(f, e); got != c.want {
			t.Errorf("%s=%.60q: got %v, want %v", c.attr, c.value, got, c.want)
		}
	}
}

func TestNameOfDERReadsSubjects(t *testing.T) {
	t.Parallel()
	c, err := x509.ParseCertificate(certificate(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	d, err := directory.NameOfDER(c.RawSubject)
	if err != nil || d.String() != `2.5.4.97=NTRGB-1,1.2.840.113549.1.9.1=ca@example.org,2.5.4.3=Test  CA,2.5.4.10=Example\, Ltd,2.5.4.6=GB` {
		t.Errorf("%s %v", d, err)
	}
}

func TestCertificateListAssertions(t *testing.T) {
	t.Parallel()
	s := schema(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{Subject: pkix.Name{CommonName: "CA"}, RawSubject: nil, KeyUsage: x509.KeyUsageCRLSign, SubjectKeyId: []byte{1}}
	crl, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1),
		ThisUpdate: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), NextUpdate: time.Date(2026, 2, 2, 3, 4, 5, 0, time.UTC)}, ca, key)
	if err != nil {
		t.Fatal(err)
	}
	r := s.Rule("certificateListExactMatch")
	v, err := r.Normalize(crl)
	if err != nil {
		t.Fatal(err)
	}
	for assertion, want := range map[string]directory.Truth{
		`{ issuer rdnSequence:"CN=ca", thisUpdate utcTime:"260102030405Z" }`: directory.True,
		`cn=CA$20260102030405Z`: directory.True,
		`cn=CA$20260102030406Z`: directory.False,
		string(crl):             directory.True,
	} {
		a, err := r.NormalizeAssertion([]byte(assertion))
		if err != nil || r.Matches(v, a) != want {
			t.Errorf("%.50q: %v", assertion, err)
		}
	}
}

func FuzzCertificateSyntax(f *testing.F) {
	f.Add(certificate(f, 1))
	f.Fuzz(func(t *testing.T, v []byte) {
		s := schema(t)
		for _, name := range []string{"userCertificate", "certificateRevocationList", "crossCertificatePair"} {
			a := s.Attribute(name)
			if a.Syntax.Validate(v) == nil {
				if _, err := a.Equality.Normalize(v); err != nil {
					t.Fatalf("%s: valid but without a form: %v", name, err)
				}
			}
		}
		_, _ = directory.NameOfDER(v)
	})
}
