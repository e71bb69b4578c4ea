package ocsp

import (
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"cardinal/certs"
	"cardinal/internal/journal"
)

// ResponseStatus is an OCSPResponseStatus (RFC 6960 §4.2.1).
type ResponseStatus uint8

// The statuses.
const (
	Successful       ResponseStatus = 0
	MalformedRequest ResponseStatus = 1
	InternalError    ResponseStatus = 2
	TryLater         ResponseStatus = 3
	Unauthorized     ResponseStatus = 6
)

// append appends an OCSPResponse without responseBytes.
func (s ResponseStatus) append(b []byte) []byte { return append(b, 0x30, 3, 0x0a, 1, byte(s)) }

// single is what one SingleResponse says.
type single struct {
	id         []byte // the CertID as asked
	known      bool
	status     certs.Status
	digest     journal.Hash // of the certificate, for CertHash; zero when not to be told
	thisUpdate time.Time
	nextUpdate time.Time
	cutoff     time.Time // archive cutoff; zero for none
}

// data is a ResponseData (RFC 6960 §4.2.1).
type data struct {
	responder  responderID
	producedAt time.Time
	singles    []single
	nonce      []byte
	extended   bool // the extended-revoke extension stands in the answer
}

// responderID is the encoded CHOICE: byName [1] or byKey [2].
type responderID []byte

func keyID(keyHash [20]byte) responderID {
	var b cryptobyte.Builder
	b.AddASN1(tagged(2), func(b *cryptobyte.Builder) { b.AddASN1OctetString(keyHash[:]) })
	return b.BytesOrPanic()
}

func nameID(rawName []byte) responderID {
	var b cryptobyte.Builder
	b.AddASN1(tagged(1), func(b *cryptobyte.Builder) { b.AddBytes(rawName) })
	return b.BytesOrPanic()
}

// encode returns the DER of d, to be signed. All its parts are ours or were parsed, so it cannot fail.
func (d *data) encode() []byte {
	b := cryptobyte.NewBuilder(make([]byte, 0, 320))
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(d.responder)
		addTime(b, asn1.GeneralizedTime, d.producedAt)
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for i := range d.singles {
				d.singles[i].add(b)
			}
		})
		if d.nonce != nil || d.extended {
			b.AddASN1(tagged(1), func(b *cryptobyte.Builder) { b.AddASN1(asn1.SEQUENCE, d.addExtensions) })
		}
	})
	return b.BytesOrPanic()
}

func (d *data) addExtensions(b *cryptobyte.Builder) {
	if d.nonce != nil {
		addExtension(b, oidNonce, d.nonce)
	}
	if d.extended {
		addExtension(b, oidExtRev, []byte{5, 0})
	}
}

// addExtension adds one that is not critical: none in an answer ever is, since clients refuse what they do not know.
func addExtension(b *cryptobyte.Builder, oid string, value []byte) {
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		addOID(b, oid)
		b.AddASN1OctetString(value)
	})
}

func addOID(b *cryptobyte.Builder, contents string) {
	b.AddASN1(asn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(contents)) })
}

// addTime adds a GeneralizedTime in whole seconds (RFC 5280 §4.1.2.5.2).
func addTime(b *cryptobyte.Builder, tag asn1.Tag, t time.Time) {
	b.AddASN1(tag, func(b *cryptobyte.Builder) {
		var room [15]byte
		b.AddBytes(t.UTC().AppendFormat(room[:0], "20060102150405Z"))
	})
}

func (s *single) add(b *cryptobyte.Builder) {
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(s.id)
		s.addStatus(b)
		addTime(b, asn1.GeneralizedTime, s.thisUpdate)
		b.AddASN1(tagged(0), func(b *cryptobyte.Builder) { addTime(b, asn1.GeneralizedTime, s.nextUpdate) })
		if s.digest != (journal.Hash{}) || !s.cutoff.IsZero() || !s.status.Invalidity.IsZero() {
			b.AddASN1(tagged(1), func(b *cryptobyte.Builder) { b.AddASN1(asn1.SEQUENCE, s.addExtensions) })
		}
	})
}

// addStatus adds the CertStatus: good [0], revoked [1], unknown [2].
func (s *single) addStatus(b *cryptobyte.Builder) {
	switch {
	case !s.known:
		b.AddASN1(asn1.Tag(2).ContextSpecific(), func(*cryptobyte.Builder) {})
	case s.status.State == certs.StateGood:
		b.AddASN1(asn1.Tag(0).ContextSpecific(), func(*cryptobyte.Builder) {})
	default:
		b.AddASN1(tagged(1), func(b *cryptobyte.Builder) {
			addTime(b, asn1.GeneralizedTime, s.status.At)
			if s.status.Reason != certs.ReasonUnspecified { // RFC 5280 §5.3.1: left out rather than 0
				b.AddASN1(tagged(0), func(b *cryptobyte.Builder) { b.AddASN1Enum(int64(s.status.Reason)) })
			}
		})
	}
}

func (s *single) addExtensions(b *cryptobyte.Builder) {
	if !s.cutoff.IsZero() {
		addExtension(b, oidCutoff, timeValue(s.cutoff))
	}
	if !s.status.Invalidity.IsZero() { // a CRL entry extension, allowed here by RFC 6960 §4.4.5
		addExtension(b, oidInval, timeValue(s.status.Invalidity))
	}
	if s.digest != (journal.Hash{}) {
		addExtension(b, oidHash, certHash(s.digest))
	}
}

func timeValue(t time.Time) []byte {
	var b cryptobyte.Builder
	addTime(&b, asn1.GeneralizedTime, t)
	return b.BytesOrPanic()
}

// certHash is the CertHash of Common PKI 2.0, part 4, §3.1.2: hash algorithm and hash of the certificate.
func certHash(digest journal.Hash) []byte {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addOID(b, oidSHA256)
			b.AddASN1NULL()
		})
		b.AddASN1OctetString(digest[:])
	})
	return b.BytesOrPanic()
}

// appendResponse wraps a signed ResponseData into a successful OCSPResponse.
func (a *answer) appendResponse(b []byte) []byte {
	bits := len(a.signature) + 1 // one octet says that no bits are unused
	basic := len(a.tbs) + len(algorithm) + header(bits) + bits + len(a.signer.tail)
	octets := header(basic) + basic
	bytesLength := 2 + len(oidBasic) + header(octets) + octets
	sequence := header(bytesLength) + bytesLength
	b = appendHeader(b, 0x30, 3+header(sequence)+sequence)
	b = append(b, 0x0a, 1, byte(Successful))
	b = appendHeader(b, 0xa0, sequence)
	b = appendHeader(b, 0x30, bytesLength)
	b = appendHeader(b, 0x06, len(oidBasic))
	b = append(b, oidBasic...)
	b = appendHeader(b, 0x04, octets)
	b = appendHeader(b, 0x30, basic)
	b = append(b, a.tbs...)
	b = append(b, algorithm...)
	b = append(appendHeader(b, 0x03, bits), 0)
	b = append(b, a.signature...)
	return append(b, a.signer.tail...)
}

// header is how long tag and length of an element with n octets are; n is below 16 MiB.
func header(n int) int {
	switch {
	case n < 0x80:
		return 2
	case n < 0x100:
		return 3
	case n < 0x10000:
		return 4
	}
	return 5
}

func appendHeader(b []byte, tag byte, n int) []byte {
	switch header(n) {
	case 2:
		return append(b, tag, byte(n))
	case 3:
		return append(b, tag, 0x81, byte(n))
	case 4:
		return append(b, tag, 0x82, byte(n>>8), byte(n))
	}
	return append(b, tag, 0x83, byte(n>>16), byte(n>>8), byte(n))
}
