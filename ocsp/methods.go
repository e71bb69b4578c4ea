package ocsp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// signatureMethod is a signature algorithm an answer may be signed with.
type signatureMethod struct {
	oid        string // contents
	identifier string // AlgorithmIdentifier: ECDSA without parameters (RFC 5758 §3.2), RSA with NULL (RFC 4055 §5)
	hash       crypto.Hash
}

const (
	oidECDSA256 = "\x2a\x86\x48\xce\x3d\x04\x03\x02" // 1.2.840.10045.4.3.2, ecdsa-with-SHA256
	oidECDSA384 = "\x2a\x86\x48\xce\x3d\x04\x03\x03"
	oidECDSA512 = "\x2a\x86\x48\xce\x3d\x04\x03\x04"
	oidRSA256   = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b" // 1.2.840.113549.1.1.11, sha256WithRSAEncryption
	oidRSA384   = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c"
	oidRSA512   = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d"
	oidECKey    = "\x2a\x86\x48\xce\x3d\x02\x01"         // 1.2.840.10045.2.1, id-ecPublicKey
	oidRSAKey   = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01" // 1.2.840.113549.1.1.1, rsaEncryption
	oidP256     = "\x2a\x86\x48\xce\x3d\x03\x01\x07"     // 1.2.840.10045.3.1.7
	oidP384     = "\x2b\x81\x04\x00\x22"                 // 1.3.132.0.34
)

// digest appends the hash of what is to be signed.
func (m *signatureMethod) digest(b, signed []byte) []byte {
	switch m.hash {
	case crypto.SHA384:
		sum := sha512.Sum384(signed)
		return append(b, sum[:]...)
	case crypto.SHA512:
		sum := sha512.Sum512(signed)
		return append(b, sum[:]...)
	}
	sum := sha256.Sum256(signed)
	return append(b, sum[:]...)
}

// keyKind is what a responder's key is, as a client may ask for it.
type keyKind struct {
	algorithm, curve string // object identifiers; curve of an elliptic key
	methods          []signatureMethod
}

// kindOf tells what a key can sign with, the usual method first; false for a key that no client is sure to verify.
func kindOf(pub crypto.PublicKey) (keyKind, bool) {
	ec := func(oid string, h crypto.Hash) signatureMethod {
		return signatureMethod{oid, "\x30\x0a\x06\x08" + oid, h}
	}
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		with256, with384, with512 := ec(oidECDSA256, crypto.SHA256), ec(oidECDSA384, crypto.SHA384), ec(oidECDSA512, crypto.SHA512)
		switch pub.Curve {
		case elliptic.P256():
			return keyKind{oidECKey, oidP256, []signatureMethod{with256, with384, with512}}, true
		case elliptic.P384():
			return keyKind{oidECKey, oidP384, []signatureMethod{with384, with256, with512}}, true
		}
	case *rsa.PublicKey:
		withNull := func(oid string, h crypto.Hash) signatureMethod {
			return signatureMethod{oid, "\x30\x0d\x06\x09" + oid + "\x05\x00", h}
		}
		return keyKind{oidRSAKey, "", []signatureMethod{withNull(oidRSA256, crypto.SHA256), withNull(oidRSA384, crypto.SHA384),
			withNull(oidRSA512, crypto.SHA512)}}, pub.N.BitLen() >= 2048
	}
	return keyKind{}, false
}

// choose is the first of the client's preferred algorithms (RFC 6960 §4.4.7.1) that the key can sign with, or else the
// usual one: a client that prefers what we do not have may yet accept what we have, and a hash that is broken is never used.
func (k *keyKind) choose(preferred cryptobyte.String) *signatureMethod {
	for !preferred.Empty() {
		var one, algorithm, key, oid cryptobyte.String
		var has bool
		if !preferred.ReadASN1(&one, asn1.SEQUENCE) || !one.ReadASN1(&algorithm, asn1.SEQUENCE) ||
			!algorithm.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) || !one.ReadOptionalASN1(&key, &has, asn1.SEQUENCE) {
			break
		}
		if has && !k.is(key) {
			continue
		}
		for i := range k.methods {
			if string(oid) == k.methods[i].oid {
				return &k.methods[i]
			}
		}
	}
	return &k.methods[0]
}

// is reports whether the key is of the kind an AlgorithmIdentifier names; parameters other than a curve are not compared.
func (k *keyKind) is(key cryptobyte.String) bool {
	var oid, curve cryptobyte.String
	if !key.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) || string(oid) != k.algorithm {
		return false
	}
	return !key.PeekASN1Tag(asn1.OBJECT_IDENTIFIER) || key.ReadASN1(&curve, asn1.OBJECT_IDENTIFIER) && string(curve) == k.curve
}
