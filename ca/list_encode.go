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

// collect walks the entries, and stores beside it what is encoded.
func (e *encoder) collect() (*encoded, error) {
	out := &encoded{spool: spool{dir: e.tempDir}}
	dates := &calendar{}
	store := behind{w: out}
	var room []byte
	err := e.entries(func(entry register.Entry) (err error) {
		out.count++
		if len(room) > chunk-maxEntry {
			room, err = store.next(room)
		}
		room = dates.appendEntry(room, &entry)
		return err
	})
	if stored := store.end(room); err == nil {
		err = stored
	}
	if err != nil {
		return nil, errors.Join(err, out.Close())
	}
	return out, nil
}

// write writes the CertificateList. What it hashes, writes and signs is one
// stream; the digest is made beside the writing.
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
	front = append(derHeader(0x30, int64(len(front)+len(extensions))+list.size), front...)
	signed := int64(len(front)+len(extensions)) + list.size
	tail := append([]byte{}, scheme.identifier...)
	tail = append(tail, derHeader(0x03, int64(scheme.signature+1))...)
	tail = append(tail, 0)

	content, err := list.reader()
	if err != nil {
		return err
	}
	if _, err := w.Write(derHeader(0x30, signed+int64(len(tail)+scheme.signature))); err != nil {
		return err
	}
	digest := scheme.hash.New()
	n, err := copyHashed(w, digest, io.MultiReader(bytes.NewReader(front), content, bytes.NewReader(extensions)))
	if err == nil && n != signed {
		err = fmt.Errorf("the entries are cut short: %d of %d octets", n, signed)
	}
	if err != nil {
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
	var dates calendar
	b.AddASN1Int64(1) // v2
	b.AddBytes(s.identifier)
	b.AddBytes(e.issuer)
	b.AddBytes(dates.appendTime(nil, e.thisUpdate))
	b.AddBytes(dates.appendTime(nil, e.nextUpdate))
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

// derHeader is a tag and a definite length.
func derHeader(tag byte, n int64) []byte {
	if n < 0x80 {
		return []byte{tag, byte(n)}
	}
	length := bytes.TrimLeft(binary.BigEndian.AppendUint64(nil, uint64(n)), "\x00")
	return append([]byte{tag, 0x80 | byte(len(length))}, length...)
}
