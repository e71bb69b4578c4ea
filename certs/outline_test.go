package certs_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"testing"
	"time"

	"cardinal/certs"
)

func newCertificate(t testing.TB, serial *big.Int, notAfter time.Time) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Organization: []string{"Example"}, CommonName: "subject"},
		NotBefore: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), NotAfter: notAfter,
		DNSNames: []string{"host.example"},
	}
	parent := &x509.Certificate{Subject: pkix.Name{CommonName: "issuer"}, SubjectKeyId: []byte{9, 8, 7}}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func checkOutline(t testing.TB, c *x509.Certificate) {
	t.Helper()
	o, err := certs.OutlineOf(c.Raw)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(o.TBS, c.RawTBSCertificate) || !bytes.Equal(o.Issuer, c.RawIssuer) ||
		!bytes.Equal(o.Subject, c.RawSubject) || !bytes.Equal(o.SPKI, c.RawSubjectPublicKeyInfo) ||
		!bytes.Equal(o.AuthorityKeyID, c.AuthorityKeyId) {
		t.Error("raw fields differ from crypto/x509's")
	}
	if !o.NotBefore.Equal(c.NotBefore) || !o.NotAfter.Equal(c.NotAfter) || o.Serial.Big().Cmp(c.SerialNumber) != 0 {
		t.Errorf("serial %s, validity %s to %s", o.Serial, o.NotBefore, o.NotAfter)
	}
}

func TestOutlineAgreesWithX509(t *testing.T) {
	t.Parallel()
	serials := []*big.Int{big.NewInt(1), big.NewInt(0x80), new(big.Int).Lsh(big.NewInt(1), 158)}
	for _, serial := range serials {
		checkOutline(t, newCertificate(t, serial, time.Date(2029, 1, 2, 3, 4, 4, 0, time.UTC)))
	}
	checkOutline(t, newCertificate(t, serials[0], time.Date(2055, 1, 2, 3, 4, 4, 0, time.UTC)))
}

func TestOutlineRefusesEveryTruncation(t *testing.T) {
	t.Parallel()
	der := newCertificate(t, big.NewInt(77), time.Date(2029, 1, 1, 0, 0, 0, 0, time.UTC)).Raw
	for n := range der {
		if _, err := certs.OutlineOf(der[:n]); err == nil {
			t.Fatalf("%d of %d octets were accepted", n, len(der))
		}
	}
	if _, err := certs.OutlineOf(append(bytes.Clone(der), 0)); !errors.Is(err, certs.ErrDER) {
		t.Errorf("a trailing octet: %v", err)
	}
}

func TestIssuerIDIsSHA256OfTheKeyBits(t *testing.T) {
	t.Parallel()
	c := newCertificate(t, big.NewInt(5), time.Date(2029, 1, 1, 0, 0, 0, 0, time.UTC))
	point, err := c.PublicKey.(*ecdsa.PublicKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if id := certs.IssuerIDOf(c); id != sha256.Sum256(point) {
		t.Errorf("issuer id %s", id)
	}
	if _, err := certs.IssuerIDFromSPKI(c.RawSubjectPublicKeyInfo[:20]); !errors.Is(err, certs.ErrDER) {
		t.Errorf("a truncated key: %v", err)
	}
}

func FuzzOutline(f *testing.F) {
	f.Add(newCertificate(f, big.NewInt(3), time.Date(2029, 1, 1, 0, 0, 0, 0, time.UTC)).Raw)
	f.Add([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff})
	if text, err := os.ReadFile("testdata/certificate.pem"); err == nil {
		if block, _ := pem.Decode(text); block != nil {
			f.Add(block.Bytes)
		}
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		o, err := certs.OutlineOf(der)
		if err == nil && !o.Serial.Valid() {
			t.Fatal("an outline without a serial")
		}
		c, err := x509.ParseCertificate(der)
		if err != nil || c.SerialNumber.Sign() <= 0 || c.SerialNumber.BitLen() > 160 {
			return
		}
		checkOutline(t, c)
	})
}
