package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"fmt"
	"hash"
	"io"
)

// scheme is how a key signs: the AlgorithmIdentifier, the hash, and the length
// of its signatures in octets.
type scheme struct {
	identifier []byte
	hash       crypto.Hash
	signature  int
}

func schemeOf(pub crypto.PublicKey) (scheme, error) {
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		switch pub.Curve.Params().BitSize {
		case 256: // ecdsa-with-SHA256, RFC 5758 §3.2
			return scheme{[]byte{0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02}, crypto.SHA256, 71}, nil
		case 384: // ecdsa-with-SHA384
			return scheme{[]byte{0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03}, crypto.SHA384, 103}, nil
		}
	case *rsa.PublicKey: // sha256WithRSAEncryption, RFC 4055 §5
		return scheme{[]byte{0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00}, crypto.SHA256, pub.Size()}, nil
	}
	return scheme{}, fmt.Errorf("no lists are signed with a %T", pub)
}

// maxSignings bounds the signatures made for one list.
const maxSignings = 100

// sign gives a signature of exactly the length that stands in front of it
// already. A DER ECDSA signature has the scheme's length every other time (one
// of its two numbers needs an octet for its sign), so it is made again until it
// fits: twice on average, and a hundred times without luck once in 2¹⁰⁰.
func (s scheme) sign(signer crypto.Signer, random io.Reader, digest hash.Hash) ([]byte, error) {
	sum := digest.Sum(nil)
	for range maxSignings {
		signature, err := signer.Sign(random, sum, s.hash)
		if err != nil {
			return nil, fmt.Errorf("signing a list: %w", err)
		}
		if len(signature) == s.signature {
			return signature, nil
		}
	}
	return nil, fmt.Errorf("signing a list: no signature of %d octets in %d", s.signature, maxSignings)
}

// verify checks a signature over a digest.
func (s scheme) verify(pub crypto.PublicKey, sum, signature []byte) bool {
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(pub, sum, signature)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(pub, s.hash, sum, signature) == nil
	}
	return false
}
