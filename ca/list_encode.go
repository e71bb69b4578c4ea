package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"cardinal/certs"
	"cardinal/certs/register"
)

// header is what a revocation list says besides its entries (RFC 5280 §5.1.2
// and §5.2). URL is the one place it may be fetched from, as its certificates
// name it: it stands in the critical issuingDistributionPoint, so that one
// shard's list cannot be passed off as another's. It is empty for an authority
// with a single list, whose scope is every certificate: openssl verify
// -crl_check_all looks up the root too, which names no list of its own.
type header struct {
	issuer       []byte // raw Name
	authorityKey []byte // subjectKeyIdentifier of the issuer
	url          string
	number       uint64
	thisUpdate   time.Time
	nextUpdate   time.Time
}

// entries walks the same entries in the same order each time it is called.
type entries func(yield func(register.Entry) error) error

// encoder writes a list without holding it: once over the entries to count
// octets, since DER puts lengths in front, then once to write, hash and sign.
type encoder struct {
	header
	signer  crypto.Signer
	entries entries
}

// size is what the first walk finds.
type size struct {
	entries int64 // how many
	octets  int64 // of their encodings together
}

func (e *encoder) measure() (size, error) {
	var s size
	var room []byte
	err := e.entries(func(entry register.Entry) error {
		room = appendEntry(room[:0], entry)
		s.entries++
		s.octets += int64(len(room))
		return nil
	})
	return s, err
}

// write writes the CertificateList. What it hashes, writes and signs is one
// stream; s must come from measure over the same snapshot.
func (e *encoder) write(w io.Writer, random io.Reader, s size) error {
	scheme, err := schemeOf(e.signer.Public())
	if err != nil {
		return err
	}
	front, err := e.front(scheme)
	if err != nil {
		return err
	}
	extensions, err := e.extensions()
	if err != nil {
		return err
	}
	var list []byte // header of revokedCertificates, absent when empty (RFC 5280 §5.1.2.6)
	if s.entries > 0 {
		list = derHeader(0x30, s.octets)
	}
	body := int64(len(front)) + int64(len(list)) + s.octets + int64(len(extensions))
	tbs := derHeader(0x30, body)
	tail := append([]byte{}, scheme.identifier...)
	tail = append(tail, derHeader(0x03, int64(scheme.signature+1))...)
	tail = append(tail, 0)
	whole := int64(len(tbs)) + body + int64(len(tail)+scheme.signature)

	digest := scheme.hash.New()
	signed := &counter{w: io.MultiWriter(w, digest)}
	if _, err := w.Write(derHeader(0x30, whole)); err != nil {
		return err
	}
	for _, part := range [][]byte{tbs, front, list} {
		if _, err := signed.Write(part); err != nil {
			return err
		}
	}
	if err := e.writeEntries(signed); err != nil {
		return err
	}
	if _, err := signed.Write(extensions); err != nil {
		return err
	}
	if signed.n != int64(len(tbs))+body {
		return errors.New("the entries changed between two walks")
	}
	signature, err := scheme.sign(e.signer, random, digest)
	if err != nil {
		return err
	}
	_, err = w.Write(append(tail, signature...))
	return err
}

// chunk is how much of the entries is written at a time.
const chunk = 32 << 10

func (e *encoder) writeEntries(w io.Writer) error {
	room := make([]byte, 0, chunk+256)
	err := e.entries(func(entry register.Entry) error {
		if room = appendEntry(room, entry); len(room) < chunk {
			return nil
		}
		_, err := w.Write(room)
		room = room[:0]
		return err
	})
	if err != nil {
		return err
	}
	_, err = w.Write(room)
	return err
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// front is version, signature, issuer, thisUpdate and nextUpdate.
func (e *encoder) front(s scheme) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1Int64(1) // v2
	b.AddBytes(s.identifier)
	b.AddBytes(e.issuer)
	b.AddBytes(appendTime(nil, e.thisUpdate))
	b.AddBytes(appendTime(nil, e.nextUpdate))
	return b.Bytes()
}

// extensions is crlExtensions: authorityKeyIdentifier, cRLNumber and the
// critical issuingDistributionPoint (RFC 5280 §5.2.1, §5.2.3, §5.2.5).
func (e *encoder) extensions() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.Tag(0).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addExtension(b, certs.OIDAuthorityKeyID, false, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(e.authorityKey) })
				})
			})
			addExtension(b, certs.OIDCRLNumber, false, func(b *cryptobyte.Builder) { b.AddASN1Uint64(e.number) })
			if e.url != "" {
				addExtension(b, certs.OIDIssuingDistribution, true, func(b *cryptobyte.Builder) { b.AddBytes(distributionPoint(e.url)) })
			}
		})
	})
	return b.Bytes()
}

func addExtension(b *cryptobyte.Builder, oid string, critical bool, value func(*cryptobyte.Builder)) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(certs.OID(oid))
		if critical {
			b.AddASN1Boolean(true)
		}
		b.AddASN1(cbasn1.OCTET_STRING, value)
	})
}

// distributionPoint is an IssuingDistributionPoint with one URI as fullName.
func distributionPoint(url string) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.Tag(0).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.Tag(0).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.Tag(6).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes([]byte(url)) })
			})
		})
	})
	return b.BytesOrPanic() // lengths under 2³², no other way to fail
}

// appendEntry appends one element of revokedCertificates: the serial, the
// revocation date and, as extensions, the reason unless it is unspecified
// (RFC 5280 §5.3.1) and the invalidity date when there is one (§5.3.2).
func appendEntry(b []byte, e register.Entry) []byte {
	var room [96]byte
	inner := room[:0]
	if e.Serial[0]&0x80 != 0 {
		inner = append(inner, 0x02, byte(len(e.Serial)+1), 0)
	} else {
		inner = append(inner, 0x02, byte(len(e.Serial)))
	}
	inner = append(inner, e.Serial...)
	inner = appendTime(inner, e.Status.At)
	inner = append(inner, entryExtensions(e.Status)...)
	b = append(b, 0x30, byte(len(inner))) // at most 22 + 17 + 39 octets
	return append(b, inner...)
}

func entryExtensions(s certs.Status) []byte {
	var room [64]byte
	list := room[:0]
	if s.Reason != certs.ReasonUnspecified {
		list = append(list, 0x30, 0x0a, 0x06, 0x03, 0x55, 0x1d, 0x15, 0x04, 0x03, 0x0a, 0x01, byte(s.Reason))
	}
	if !s.Invalidity.IsZero() {
		list = append(list, 0x30, 0x18, 0x06, 0x03, 0x55, 0x1d, 0x18, 0x04, 0x11, 0x18, 0x0f)
		list = s.Invalidity.UTC().AppendFormat(list, "20060102150405Z") // always GeneralizedTime
	}
	if len(list) == 0 {
		return nil
	}
	return append([]byte{0x30, byte(len(list))}, list...)
}

// appendTime writes UTCTime through 2049 and GeneralizedTime after (RFC 5280 §5.1.2.4).
func appendTime(b []byte, t time.Time) []byte {
	if t = t.UTC(); t.Year() < 2050 {
		return t.AppendFormat(append(b, 0x17, 13), "060102150405Z")
	}
	return t.AppendFormat(append(b, 0x18, 15), "20060102150405Z")
}

// derHeader is a tag and a definite length.
func derHeader(tag byte, n int64) []byte {
	if n < 0x80 {
		return []byte{tag, byte(n)}
	}
	length := binary.BigEndian.AppendUint64(nil, uint64(n))
	for length[0] == 0 {
		length = length[1:]
	}
	return append([]byte{tag, 0x80 | byte(len(length))}, length...)
}

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
