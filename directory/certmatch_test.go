package directory_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"cardinal/directory"
)

// matches asks a matching rule by its name; an assertion it does not take is
// Undefined.
func matches(t *testing.T, rule string, value []byte, assertion string) directory.Truth {
	t.Helper()
	r := schema(t).Rule(rule)
	v, err := r.Normalize(value)
	if err != nil {
		t.Fatalf("%s: %v", rule, err)
	}
	a, err := r.NormalizeAssertion([]byte(assertion))
	if err != nil {
		return U
	}
	return r.Matches(v, a)
}

func TestCertificateMatchDecidesEachComponent(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	period, err := asn1.Marshal(struct {
		From time.Time `asn1:"generalized,tag:0"`
		To   time.Time `asn1:"generalized,tag:1"`
	}{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	policy, err := x509.ParseOID("1.3.6.1.4.1.99999.1")
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(4711), Subject: pkix.Name{CommonName: "900000000017"},
		NotBefore: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2029, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment, EmailAddresses: []string{"a@example.org"},
		Policies: []x509.OID{policy}, AuthorityKeyId: []byte{7}, SubjectKeyId: []byte{8},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 16}, Value: period}}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	plain := certificate(t, 4712) // no extension but the key identifier
	for _, x := range []struct {
		assertion   string
		want, plain directory.Truth
	}{
		{`{ keyUsage { digitalSignature } }`, T, T}, // nothing limits the other
		{`{ keyUsage { digitalSignature, nonRepudiation } }`, T, T},
		{`{ keyUsage '11'B }`, T, T},
		{`{ keyUsage { keyCertSign } }`, F, T},
		{`{ keyUsage '000001'B }`, F, T},
		{`{ keyUsage { somethingElse } }`, U, U},
		{`{ subjectAltName builtinNameForm:rfc822Name }`, T, F},
		{`{ subjectAltName builtinNameForm:dNSName }`, F, F},
		{`{ subjectAltName otherNameForm:1.3.6.1.4.1.311.20.2.3 }`, F, F},
		{`{ subjectAltName rfc822Name:"a@example.org" }`, U, U},
		{`{ policy { 1.3.6.1.4.1.99999.1 } }`, T, F},
		{`{ policy { 1.2.3, 1.3.6.1.4.1.99999.1 } }`, T, F},
		{`{ policy { 1.2.3 } }`, F, F},
		{`{ policy { 2.5.29.32.0 } }`, T, F},
		{`{ subjectPublicKeyAlgID 1.2.840.10045.2.1 }`, T, T},
		{`{ subjectPublicKeyAlgID 1.2.840.113549.1.1.1 }`, F, F},
		{`{ privateKeyValid "20260601000000Z" }`, T, T},
		{`{ privateKeyValid "20280101000000Z" }`, F, T},
		{`{ authorityKeyIdentifier { keyIdentifier '07'H } }`, T, F},
		{`{ serialNumber 4711, keyUsage { digitalSignature } }`, T, F},
		{`{ pathToName rdnSequence:"cn=x" }`, U, U},
		{`{ serialNumber 4711, 4712 }`, U, U},
		{`{}`, U, U},
	} {
		if got := matches(t, "certificateMatch", der, x.assertion); got != x.want {
			t.Errorf("%s: %v, want %v", x.assertion, got, x.want)
		}
		if got := matches(t, "certificateMatch", plain, x.assertion); got != x.plain {
			t.Errorf("%s of a certificate without extensions: %v, want %v", x.assertion, got, x.plain)
		}
	}
}

func TestCertificatePairMatchAsksEachHalf(t *testing.T) {
	t.Parallel()
	pair, err := asn1.Marshal(struct {
		To, By asn1.RawValue
	}{asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: certificate(t, 1)},
		asn1.RawValue{Class: 2, Tag: 1, IsCompound: true, Bytes: certificate(t, 2)}})
	if err != nil {
		t.Fatal(err)
	}
	half, err := asn1.Marshal(struct{ To asn1.RawValue }{asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: certificate(t, 1)}})
	if err != nil {
		t.Fatal(err)
	}
	for assertion, want := range map[string][2]directory.Truth{
		`{ issuedToThisCAAssertion { serialNumber 1 } }`:                                             {T, T},
		`{ issuedToThisCAAssertion { serialNumber 2 } }`:                                             {F, F},
		`{ issuedByThisCAAssertion { serialNumber 2 } }`:                                             {T, F},
		`{ issuedToThisCAAssertion { serialNumber 1 }, issuedByThisCAAssertion { serialNumber 2 } }`: {T, F},
		`{ issuedToThisCAAssertion { serialNumber 1 }, issuedByThisCAAssertion { serialNumber 1 } }`: {F, F},
		`{ issuedToThisCAAssertion { nameConstraints { } } }`:                                        {U, U},
		`{ serialNumber 1 }`: {U, U},
		string(pair):         {T, F},
	} {
		for i, value := range [][]byte{pair, half} {
			if got := matches(t, "certificatePairMatch", value, assertion); got != want[i] {
				t.Errorf("%.90s of pair %d: %v, want %v", assertion, i, got, want[i])
			}
		}
	}
}

func TestCertificateListMatchDecidesEachComponent(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const uri = "http://status.example.org/crl/authentication/7.crl"
	point := append([]byte{0x30, byte(len(uri) + 6 + 4), 0xA0, byte(len(uri) + 4), 0xA0, byte(len(uri) + 2), 0x86, byte(len(uri))}, uri...)
	point = append(point, 0x83, 0x02, 0x06, 0x40) // onlySomeReasons: keyCompromise
	ca := &x509.Certificate{Subject: pkix.Name{CommonName: "CA"}, KeyUsage: x509.KeyUsageCRLSign, SubjectKeyId: []byte{1}}
	list := &x509.RevocationList{Number: big.NewInt(17), ThisUpdate: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		NextUpdate: time.Date(2026, 2, 2, 3, 4, 5, 0, time.UTC)}
	plain, err := x509.CreateRevocationList(rand.Reader, list, ca, key)
	if err != nil {
		t.Fatal(err)
	}
	list.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: point}}
	shard, err := x509.CreateRevocationList(rand.Reader, list, ca, key)
	if err != nil {
		t.Fatal(err)
	}
	for assertion, want := range map[string][2]directory.Truth{
		`{ issuer rdnSequence:"CN=ca" }`:                                               {T, T},
		`{ issuer rdnSequence:"CN=cb" }`:                                               {F, F},
		`{ minCRLNumber 17, maxCRLNumber 17 }`:                                         {T, T},
		`{ minCRLNumber 18 }`:                                                          {F, F},
		`{ maxCRLNumber 16 }`:                                                          {F, F},
		`{ reasonFlags { keyCompromise } }`:                                            {T, T},
		`{ reasonFlags { certificateHold } }`:                                          {F, T},
		`{ dateAndTime utcTime:"260115000000Z" }`:                                      {T, T},
		`{ dateAndTime generalizedTime:"20260202030405Z" }`:                            {F, F},
		`{ dateAndTime utcTime:"260101000000Z" }`:                                      {F, F},
		`{ distributionPoint fullName:{ uniformResourceIdentifier:"` + uri + `" } }`:   {T, F},
		`{ distributionPoint fullName:{ uniformResourceIdentifier:"http://other/" } }`: {F, F},
		`{ distributionPoint nameRelativeToCRLIssuer:"cn=x" }`:                         {U, U},
		`{ authorityKeyIdentifier { keyIdentifier '01'H } }`:                           {T, T},
		`{ thisUpdate utcTime:"260102030405Z" }`:                                       {U, U},
		string(shard):                                                                  {T, F},
	} {
		for i, value := range [][]byte{shard, plain} {
			if got := matches(t, "certificateListMatch", value, assertion); got != want[i] {
				t.Errorf("%.90s of list %d: %v, want %v", assertion, i, got, want[i])
			}
		}
	}
}

func FuzzCertificateAssertions(f *testing.F) {
	der := certificate(f, 1)
	f.Add(der, `{ serialNumber 1, keyUsage { digitalSignature }, subjectAltName builtinNameForm:rfc822Name }`)
	f.Add(der, `{ issuedToThisCAAssertion { policy { 1.2.3 } }, issuedByThisCAAssertion { keyUsage '01'B } }`)
	f.Add(der, `{ distributionPoint fullName:{ uniformResourceIdentifier:"x" }, reasonFlags { unused } }`)
	f.Fuzz(func(t *testing.T, value []byte, assertion string) {
		for _, name := range []string{"certificateMatch", "certificatePairMatch", "certificateListMatch", "certificateExactMatch",
			"certificateListExactMatch", "certificatePairExactMatch", "algorithmIdentifierMatch"} {
			r := schema(t).Rule(name)
			v, err := r.Normalize(value)
			if err != nil {
				continue
			}
			if a, err := r.NormalizeAssertion([]byte(assertion)); err == nil {
				_ = r.Matches(v, a)
			}
		}
	})
}
