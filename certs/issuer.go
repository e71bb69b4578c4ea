package certs

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// IssuerID names the key that signs: SHA-256 over the value of the
// subjectPublicKey BIT STRING (tag, length and unused-bits octet excluded),
// which is the issuerKeyHash of an OCSP CertID with SHA-256 (RFC 6960 §4.1.1).
// Status is counted by key and not by name, so that generations of one CA can
// overlap.
type IssuerID [32]byte

// IssuerIDOf is the identity of a CA whose certificate is c. It panics only
// when c was not made by x509.ParseCertificate.
func IssuerIDOf(c *x509.Certificate) IssuerID {
	id, err := IssuerIDFromSPKI(c.RawSubjectPublicKeyInfo)
	if err != nil {
		panic("certs: a parsed certificate without a public key")
	}
	return id
}

// IssuerIDFromSPKI takes a DER SubjectPublicKeyInfo (RFC 5280 §4.1.2.7).
func IssuerIDFromSPKI(spki []byte) (IssuerID, error) {
	in := cryptobyte.String(spki)
	var info, key cryptobyte.String
	if !in.ReadASN1(&info, cbasn1.SEQUENCE) || !in.Empty() ||
		!info.SkipASN1(cbasn1.SEQUENCE) ||
		!info.ReadASN1(&key, cbasn1.BIT_STRING) || !info.Empty() ||
		len(key) < 2 || key[0] != 0 {
		return IssuerID{}, fmt.Errorf("%w: subjectPublicKeyInfo", ErrDER)
	}
	return sha256.Sum256(key[1:]), nil
}

// IssuerIDFromBytes takes the 32 octets as a table row or a change holds them.
func IssuerIDFromBytes(b []byte) (IssuerID, error) {
	var id IssuerID
	if len(b) != len(id) {
		return id, fmt.Errorf("%w: issuer id of %d octets", ErrDER, len(b))
	}
	copy(id[:], b)
	return id, nil
}

// String is the identity in lower-case hex.
func (id IssuerID) String() string { return hex.EncodeToString(id[:]) }

// Ref names one certificate for ever: the key that signed it and its serial.
type Ref struct {
	Issuer IssuerID
	Serial Serial
}

// String is for logs and messages: eight octets of the issuer, the serial.
func (r Ref) String() string {
	return hex.EncodeToString(r.Issuer[:8]) + "/" + r.Serial.Hex()
}
