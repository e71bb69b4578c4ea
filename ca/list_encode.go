package ca

import (
	"bytes"
	"crypto"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"cardinal/certs"
	"cardinal/certs/register"
)

// header is what a revocation list says besides its entries (RFC 5280 §5.1.2
// and §5.2).
type header struct {
	issuer       []byte // raw Name
	authorityKey []byte // subjectKeyIdentifier of the issuer
	// url is the one place its certificates may be looked for, as they name
	// it: it stands in the critical issuingDistributionPoint, so that one
	// shard's list cannot be passed off as another's. A delta has that of the
	// list it stands on. It is empty for a list that is about every
	// certificate of its issuer.
	url        string
	number     uint64
	base       uint64    // what a delta stands on (§5.2.4); 0: it is complete
	freshest   string    // where its delta is (§5.2.6); "" if there is none
	expired    time.Time // since when ended certificates are kept (X.509 §8.5.2.12); zero: they are not
	thisUpdate time.Time
	nextUpdate time.Time
	// Over how many shards the issuer's certificates are spread, and the only
	// one whose may be on the list, if it is about one.
	shards, shard uint16
	only          bool
}

// entries walks the entries in the order of register.Revoked, once.
type entries func(yield func(register.Entry) error) error

// encoder writes a list without holding it: the entries are encoded into a
// spool while they are walked, since DER puts lengths in front, and then
// copied, hashed and signed in one pass.
type encoder struct {
	header
	signer  crypto.Signer
	entries entries
	tempDir string // where a long spool goes
}

// encoded is the entries of a list, encoded. It must be closed.
type encoded struct {
	count int64
	spool
}

// collect walks the entries.
func (e *encoder) collect() (*encoded, error) {
	out := &encoded{spool: spool{dir: e.tempDir}}
	room := make([]byte, 0, chunk+256)
	err := e.entries(func(entry register.Entry) error {
		out.count++
		if room = appendEntry(room, entry); len(room) < chunk {
			return nil
		}
		_, err := out.Write(room)
		room = room[:0]
		return err
	})
	if err == nil {
		_, err = out.Write(room)
	}
	if err != nil {
		return nil, errors.Join(err, out.Close())
	}
	return out, nil
}

// chunk is how much of a list is handled at a time.
const chunk = 32 << 10

// write writes the CertificateList. What it hashes, writes and signs is one
// stream.
func (e *encoder) write(w io.Writer, random io.Reader, list *encoded) error {
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
	if list.count > 0 { // revokedCertificates is absent when empty (RFC 5280 §5.1.2.6)
		front = append(front, derHeader(0x30, list.size)...)
	}
	body := int64(len(front)) + list.size + int64(len(extensions))
	front = append(derHeader(0x30, body), front...)
	tail := append([]byte{}, scheme.identifier...)
	tail = append(tail, derHeader(0x03, int64(scheme.signature+1))...)
	tail = append(tail, 0)
	whole := int64(len(front)) + list.size + int64(len(extensions)+len(tail)+scheme.signature)

	content, err := list.reader()
	if err != nil {
		return err
	}
	digest := scheme.hash.New()
	signed := io.MultiWriter(w, digest)
	if _, err := w.Write(derHeader(0x30, whole)); err != nil {
		return err
	}
	if _, err := signed.Write(front); err != nil {
		return err
	}
	if n, err := io.CopyBuffer(signed, content, make([]byte, chunk)); err != nil || n != list.size {
		return errors.Join(err, fmt.Errorf("copying %d of %d octets of entries", n, list.size))
	}
	if _, err := signed.Write(extensions); err != nil {
		return err
	}
	signature, err := scheme.sign(e.signer, random, digest)
	if err != nil {
		return err
	}
	_, err = w.Write(append(tail, signature...))
	return err
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

// extensions is crlExtensions (RFC 5280 §5.2): authorityKeyIdentifier and
// cRLNumber always, the others as the list's kind has them.
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
			if e.base != 0 {
				addExtension(b, certs.OIDDeltaCRLIndicator, true, func(b *cryptobyte.Builder) { b.AddASN1Uint64(e.base) })
			}
			if e.url != "" {
				addExtension(b, certs.OIDIssuingDistribution, true, func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { addPointName(b, e.url) })
				})
			}
			if e.freshest != "" {
				addExtension(b, certs.OIDFreshestCRL, false, func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { addPointName(b, e.freshest) })
					})
				})
			}
			if !e.expired.IsZero() {
				addExtension(b, certs.OIDExpiredCertsOnCRL, false, func(b *cryptobyte.Builder) { b.AddASN1GeneralizedTime(e.expired.UTC()) })
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

// addPointName adds a DistributionPointName with one URI as fullName: the first
// field of an IssuingDistributionPoint and of a DistributionPoint.
func addPointName(b *cryptobyte.Builder, url string) {
	b.AddASN1(cbasn1.Tag(0).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.Tag(0).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.Tag(6).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes([]byte(url)) })
		})
	})
}

// appendEntry appends one element of revokedCertificates: the serial, the
// revocation date and, as extensions, the reason unless it is unspecified
// (RFC 5280 §5.3.1) and the invalidity date when there is one (§5.3.2). What
// was released is removeFromCRL, which deltas alone say.
func appendEntry(b []byte, e register.Entry) []byte {
	start := len(b)
	b = append(b, 0x30, 0) // at most 22 + 17 + 39 octets follow
	if e.Serial[0]&0x80 != 0 {
		b = append(b, 0x02, byte(len(e.Serial)+1), 0)
	} else {
		b = append(b, 0x02, byte(len(e.Serial)))
	}
	b = append(b, e.Serial...)
	b = appendTime(b, e.Status.At)
	b = appendEntryExtensions(b, e.Status)
	b[start+1] = byte(len(b) - start - 2)
	return b
}

func appendEntryExtensions(b []byte, s certs.Status) []byte {
	reason := s.Reason
	if s.State == certs.StateGood {
		reason = certs.ReasonRemoveFromCRL
	}
	n := 0
	if reason != certs.ReasonUnspecified {
		n = 12
	}
	if !s.Invalidity.IsZero() {
		n += 26
	}
	if n == 0 {
		return b
	}
	b = append(b, 0x30, byte(n))
	if reason != certs.ReasonUnspecified {
		b = append(b, 0x30, 0x0a, 0x06, 0x03, 0x55, 0x1d, 0x15, 0x04, 0x03, 0x0a, 0x01, byte(reason))
	}
	if !s.Invalidity.IsZero() {
		b = append(b, 0x30, 0x18, 0x06, 0x03, 0x55, 0x1d, 0x18, 0x04, 0x11, 0x18, 0x0f)
		b = appendClock(b, s.Invalidity.UTC(), true) // always GeneralizedTime
	}
	return b
}

// appendTime writes UTCTime through 2049 and GeneralizedTime after (RFC 5280 §5.1.2.4).
func appendTime(b []byte, t time.Time) []byte {
	if t = t.UTC(); t.Year() < 2050 {
		return appendClock(append(b, 0x17, 13), t, false)
	}
	return appendClock(append(b, 0x18, 15), t, true)
}

// appendClock writes [YY]YYMMDDHHMMSSZ: by hand, since a list of a million
// entries has two million times.
func appendClock(b []byte, t time.Time, century bool) []byte {
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	if century {
		b = appendTwo(b, year/100)
	}
	for _, n := range [...]int{year % 100, int(month), day, hour, minute, second} {
		b = appendTwo(b, n)
	}
	return append(b, 'Z')
}

func appendTwo(b []byte, n int) []byte { return append(b, byte('0'+n/10%10), byte('0'+n%10)) }

// derHeader is a tag and a definite length.
func derHeader(tag byte, n int64) []byte {
	if n < 0x80 {
		return []byte{tag, byte(n)}
	}
	length := bytes.TrimLeft(binary.BigEndian.AppendUint64(nil, uint64(n)), "\x00")
	return append([]byte{tag, 0x80 | byte(len(length))}, length...)
}
