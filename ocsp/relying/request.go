// Package relying asks an OCSP responder the question a relying system asks at a login, and judges
// the answer as one must: RFC 6960 §3.2 in full, with nothing taken on trust.
//
// It owns the client side of the protocol and shares no code with the responder, so that the two
// check each other. An answer counts only when it names the certificate that was asked about, is
// signed by the issuer or by a responder the issuer delegated to (id-kp-OCSPSigning, signed by that
// very issuer, inside its validity), is fresh, and echoes the nonce. Everything else is an error:
// a relying system that cannot be sure refuses the login.
package relying

import (
	"crypto"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var (
	oidSHA1   = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	oidSHA256 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidNonce  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}
	oidBasic  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}
)

// NonceLength is the octets of a nonce made by NewQuery: the length RFC 9654 §2.1 recommends.
const NonceLength = 32

// Query is one question about one certificate. It may be encoded any number of times; it is not
// changed by encoding or judging.
type Query struct {
	Leaf   *x509.Certificate
	Issuer *x509.Certificate
	Hash   crypto.Hash // of the CertID: SHA1 or SHA256 (RFC 9919 asks for SHA-256 support)
	Nonce  []byte      // nil asks without one; then an answer may come from a cache
}

// NewQuery returns a question with SHA-256 names and a fresh nonce.
func NewQuery(leaf, issuer *x509.Certificate) (Query, error) {
	nonce := make([]byte, NonceLength)
	if _, err := rand.Read(nonce); err != nil {
		return Query{}, fmt.Errorf("drawing a nonce: %w", err)
	}
	return Query{Leaf: leaf, Issuer: issuer, Hash: crypto.SHA256, Nonce: nonce}, nil
}

// Encode returns the DER of the OCSPRequest (RFC 6960 §4.1.1).
func (q Query) Encode() ([]byte, error) {
	id, err := q.certID()
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(request *cryptobyte.Builder) {
		request.AddASN1(casn1.SEQUENCE, func(tbs *cryptobyte.Builder) {
			tbs.AddASN1(casn1.SEQUENCE, func(list *cryptobyte.Builder) {
				list.AddASN1(casn1.SEQUENCE, func(one *cryptobyte.Builder) { one.AddBytes(id) })
			})
			if q.Nonce != nil {
				tbs.AddASN1(contextTag(2), q.addNonce)
			}
		})
	})
	return b.Bytes()
}

func (q Query) addNonce(b *cryptobyte.Builder) {
	b.AddASN1(casn1.SEQUENCE, func(extensions *cryptobyte.Builder) {
		extensions.AddASN1(casn1.SEQUENCE, func(extension *cryptobyte.Builder) {
			extension.AddASN1ObjectIdentifier(oidNonce)
			extension.AddASN1(casn1.OCTET_STRING, func(value *cryptobyte.Builder) {
				value.AddASN1OctetString(q.Nonce)
			})
		})
	})
}

// certID returns the DER of the CertID of the question (RFC 6960 §4.1.1).
func (q Query) certID() ([]byte, error) {
	key, err := publicKeyBits(q.Issuer)
	if err != nil {
		return nil, err
	}
	var oid asn1.ObjectIdentifier
	var name, keyHash []byte
	switch q.Hash {
	case crypto.SHA1:
		n, k := sha1.Sum(q.Issuer.RawSubject), sha1.Sum(key)
		oid, name, keyHash = oidSHA1, n[:], k[:]
	case crypto.SHA256:
		n, k := sha256.Sum256(q.Issuer.RawSubject), sha256.Sum256(key)
		oid, name, keyHash = oidSHA256, n[:], k[:]
	default:
		return nil, fmt.Errorf("asking about a certificate: no CertID hash %v", q.Hash)
	}
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(id *cryptobyte.Builder) {
		id.AddASN1(casn1.SEQUENCE, func(algorithm *cryptobyte.Builder) {
			algorithm.AddASN1ObjectIdentifier(oid)
			algorithm.AddASN1NULL()
		})
		id.AddASN1OctetString(name)
		id.AddASN1OctetString(keyHash)
		id.AddASN1BigInt(q.Leaf.SerialNumber)
	})
	return b.Bytes()
}

// publicKeyBits returns the value of the subjectPublicKey BIT STRING, which is what a CertID hashes.
func publicKeyBits(c *x509.Certificate) ([]byte, error) {
	spki := cryptobyte.String(c.RawSubjectPublicKeyInfo)
	var body, algorithm cryptobyte.String
	var bits asn1.BitString
	if !spki.ReadASN1(&body, casn1.SEQUENCE) || !body.ReadASN1(&algorithm, casn1.SEQUENCE) || !body.ReadASN1BitString(&bits) {
		return nil, fmt.Errorf("reading the public key of %s: not a SubjectPublicKeyInfo", c.Subject)
	}
	return bits.RightAlign(), nil
}

func contextTag(n uint8) casn1.Tag { return casn1.Tag(n).ContextSpecific().Constructed() }
