package stamp

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// accuracy is what genTime is promised to, in seconds.
const accuracy = 3

func oidSignedData() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2} }
func oidTSTInfo() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
}
func oidContentType() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3} }
func oidMessageDigest() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
}
func oidSigningCertificateV2() asn1.ObjectIdentifier { // RFC 5035 §3
	return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
}
func oidSHA256() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1} }
func oidECDSAWithSHA256() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
}

// Identity is a key with its certificate and those above it, its issuer first.
// The key is ECDSA on P-256.
type Identity struct {
	Key   crypto.Signer
	Leaf  *x509.Certificate
	Chain []*x509.Certificate
}

// info is the TSTInfo (RFC 3161 §2.4.2).
func info(r *Request, policy asn1.ObjectIdentifier, at time.Time) ([]byte, error) {
	serial := make([]byte, 16)
	if _, err := rand.Read(serial); err != nil {
		return nil, err
	}
	serial[0] = serial[0]&0x7f | 0x40 // positive, and always as long
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1ObjectIdentifier(policy)
		b.AddBytes(r.Imprint)
		b.AddASN1BigInt(new(big.Int).SetBytes(serial))
		b.AddASN1GeneralizedTime(at.UTC().Truncate(time.Second))
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1Int64(accuracy) })
		b.AddBytes(r.Nonce)
	})
	return b.Bytes()
}

// token signs content as a TimeStampToken: SignedData over TSTInfo (RFC 5652
// §5, RFC 3161 §2.4.2) with the certificate named by its hash (RFC 5816).
func (id *Identity) token(content []byte, withCertificates bool) ([]byte, error) {
	attributes, err := id.attributes(content)
	if err != nil {
		return nil, err
	}
	var set cryptobyte.Builder // what is signed carries the tag of a SET (RFC 5652 §5.4)
	set.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(attributes) })
	signed, err := set.Bytes()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(signed)
	signature, err := id.Key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("signing a time stamp: %w", err)
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidSignedData())
		b.AddASN1(explicit(0), func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(3)
				b.AddASN1(cbasn1.SET, addSHA256)
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(oidTSTInfo())
					b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { b.AddASN1OctetString(content) })
				})
				id.addCertificates(b, withCertificates)
				b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { id.addSigner(b, attributes, signature) })
			})
		})
	})
	return b.Bytes()
}

func explicit(n uint8) cbasn1.Tag { return cbasn1.Tag(n).Constructed().ContextSpecific() }

func addSHA256(b *cryptobyte.Builder) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidSHA256()) })
}

// addCertificates adds the certificates but the root's, when they are asked for
// (RFC 3161 §2.4.1, certReq).
func (id *Identity) addCertificates(b *cryptobyte.Builder, wanted bool) {
	if !wanted {
		return
	}
	all := [][]byte{id.Leaf.Raw}
	for _, c := range id.Chain {
		if !bytes.Equal(c.RawSubject, c.RawIssuer) {
			all = append(all, c.Raw)
		}
	}
	b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { b.AddBytes(inOrder(all)) })
}

func (id *Identity) addSigner(b *cryptobyte.Builder, attributes, signature []byte) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(id.Leaf.RawIssuer)
			b.AddASN1BigInt(id.Leaf.SerialNumber)
		})
		addSHA256(b)
		b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { b.AddBytes(attributes) })
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidECDSAWithSHA256()) })
		b.AddASN1OctetString(signature)
	})
}

// attributes are the signed ones, in the order DER wants of a set.
func (id *Identity) attributes(content []byte) ([]byte, error) {
	sum, leaf := sha256.Sum256(content), sha256.Sum256(id.Leaf.Raw)
	var all [][]byte
	for _, a := range []struct {
		kind  asn1.ObjectIdentifier
		value func(*cryptobyte.Builder)
	}{
		{oidContentType(), func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidTSTInfo()) }},
		{oidMessageDigest(), func(b *cryptobyte.Builder) { b.AddASN1OctetString(sum[:]) }},
		{oidSigningCertificateV2(), func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1OctetString(leaf[:]) })
				})
			})
		}},
	} {
		var b cryptobyte.Builder
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(a.kind)
			b.AddASN1(cbasn1.SET, a.value)
		})
		der, err := b.Bytes()
		if err != nil {
			return nil, err
		}
		all = append(all, der)
	}
	return inOrder(all), nil
}

// inOrder puts the elements of a SET OF together (X.690 §11.6).
func inOrder(all [][]byte) []byte {
	slices.SortFunc(all, bytes.Compare)
	return slices.Concat(all...)
}
