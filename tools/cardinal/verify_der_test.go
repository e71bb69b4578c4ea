package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"cardinal/certs"
)

// ownVectors are a certificate and two lists, one without entries, and the certificate of who signed all.
func ownVectors(t testing.TB) (certificate, list, empty []byte, by *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2049, 12, 31, 0, 0, 0, 0, time.UTC) // the end is a GeneralizedTime
	ca := &x509.Certificate{SerialNumber: big.NewInt(1 << 40), Subject: pkix.Name{CommonName: "A"}, NotBefore: start, NotAfter: start.AddDate(3, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte{1}}
	if certificate, err = x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key); err != nil {
		t.Fatal(err)
	}
	if by, err = x509.ParseCertificate(certificate); err != nil {
		t.Fatal(err)
	}
	template := &x509.RevocationList{Number: big.NewInt(7), ThisUpdate: start, NextUpdate: start.AddDate(1, 0, 0)}
	if empty, err = x509.CreateRevocationList(rand.Reader, template, by, key); err != nil {
		t.Fatal(err)
	}
	template.RevokedCertificateEntries = []x509.RevocationListEntry{
		{SerialNumber: big.NewInt(200), RevocationTime: start}, {SerialNumber: big.NewInt(3), RevocationTime: start.AddDate(1, 0, 0), ReasonCode: 4}}
	if list, err = x509.CreateRevocationList(rand.Reader, template, by, key); err != nil {
		t.Fatal(err)
	}
	return certificate, list, empty, by
}

func TestTheVerifiersReaderAgreesWithTheLibrary(t *testing.T) {
	t.Parallel()
	certificate, list, empty, by := ownVectors(t)
	if !sameCertificate(t, certificate) || !sameList(t, list) || !sameList(t, empty) {
		t.Error("what is as it should be cannot be read")
	}
	for _, der := range [][]byte{list, empty} {
		own, err := readOwnList(der)
		if err != nil {
			t.Fatal(err)
		}
		if err := own.checkSignature(by); err != nil {
			t.Errorf("a good signature: %v", err)
		}
		for at := range own.signed.element { // every octet that is signed counts, entries too
			own.signed.element[at] ^= 1
			if own.checkSignature(by) == nil {
				t.Errorf("octet %d may be another", at)
			}
			own.signed.element[at] ^= 1
		}
	}
}

// FuzzOwnReader holds the verifier's reader against the library's: what both read is the same.
func FuzzOwnReader(f *testing.F) {
	certificate, list, empty, _ := ownVectors(f)
	f.Add(certificate)
	f.Add(list)
	f.Add(empty)
	f.Fuzz(func(t *testing.T, der []byte) {
		sameCertificate(t, der)
		sameList(t, der)
	})
}

func sameCertificate(t *testing.T, der []byte) (read bool) {
	own, err := readOwnCertificate(der)
	if err != nil {
		return false
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return false
	}
	if string(own.serial) != string(c.SerialNumber.Bytes()) || !own.notBefore.Equal(c.NotBefore) || !own.notAfter.Equal(c.NotAfter) ||
		string(own.issuer) != string(c.RawIssuer) || string(own.subject) != string(c.RawSubject) || own.keyID() != certs.IssuerIDOf(c) {
		t.Errorf("read %+v of %x", own, der)
	}
	return true
}

func sameList(t *testing.T, der []byte) (read bool) {
	own, err := readOwnList(der)
	if err != nil {
		return false
	}
	var entries []ownListEntry
	if own.each(func(e ownListEntry) { entries = append(entries, e) }) != nil {
		return false
	}
	l, err := x509.ParseRevocationList(der)
	if err != nil {
		return false
	}
	if l.Number.Cmp(new(big.Int).SetUint64(own.number)) != 0 || !own.thisUpdate.Equal(l.ThisUpdate) || !own.nextUpdate.Equal(l.NextUpdate) ||
		len(entries) != len(l.RevokedCertificateEntries) {
		t.Fatalf("read %+v and %d entries of %x", own, len(entries), der)
	}
	for i, e := range l.RevokedCertificateEntries {
		if string(entries[i].serial) != string(e.SerialNumber.Bytes()) || !entries[i].at.Equal(e.RevocationTime) || int(entries[i].reason) != e.ReasonCode {
			t.Errorf("read %+v where there is %+v", entries[i], e)
		}
	}
	return true
}
