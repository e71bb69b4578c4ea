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
	return append([]byte{0xa2, 22, 0x04, 20}, keyHash[:]...)
}

func nameID(rawName []byte) responderID {
	return append(appendHeader(nil, 0xa1, len(rawName)), rawName...)
}

// Elements are written forwards: begin leaves one octet for the length, and end puts it in, moving the contents where the
// length needs more. Nothing is allocated that way, and all parts are ours or were parsed, so it cannot fail.

func begin(b []byte, tag byte) (_ []byte, at int) { return append(b, tag, 0), len(b) }

func end(b []byte, at int) []byte {
	n := len(b) - at - 2
	extra := header(n) - 2
	for range extra {
		b = append(b, 0)
	}
	if extra > 0 {
		copy(b[at+2+extra:], b[at+2:at+2+n])
	}
	appendHeader(b[:at], b[at], n)
	return b
}

// append appends the DER of d, to be signed, and says where the first CertID stands.
func (d *data) append(b []byte) (_ []byte, idAt, idTo int) {
	b, whole := begin(b, 0x30)
	b = append(b, d.responder...)
	b = appendTime(b, d.producedAt)
	b, list := begin(b, 0x30)
	for i := range d.singles {
		b = d.singles[i].append(b)
	}
	b = end(b, list)
	if d.nonce != nil || d.extended {
		b = d.appendExtensions(b)
	}
	b = end(b, whole)
	idAt = headerAt(b, whole)
	idAt += whole + len(d.responder) + 17 // producedAt
	idAt += headerAt(b, idAt)             // of the list
	idAt += headerAt(b, idAt)             // of the SingleResponse
	return b, idAt, idAt + len(d.singles[0].id)
}

// headerAt is how long the header of the element at an offset is.
func headerAt(der []byte, at int) int {
	if l := der[at+1]; l >= 0x80 {
		return 2 + int(l&0x7f)
	}
	return 2
}

func (d *data) appendExtensions(b []byte) []byte {
	b, tagged := begin(b, 0xa1)
	b, list := begin(b, 0x30)
	if d.nonce != nil {
		b = appendExtension(b, oidNonce, d.nonce)
	}
	if d.extended {
		b = appendExtension(b, oidExtRev, []byte{5, 0})
	}
	return end(end(b, list), tagged)
}

// appendExtension appends one that is not critical: none in an answer ever is, since clients refuse what they do not know.
func appendExtension(b []byte, oid string, value []byte) []byte {
	b, extension := begin(b, 0x30)
	b = append(appendHeader(b, 0x06, len(oid)), oid...)
	b = append(appendHeader(b, 0x04, len(value)), value...)
	return end(b, extension)
}

// appendTime appends a GeneralizedTime in whole seconds, 17 octets (RFC 5280 §4.1.2.5.2).
func appendTime(b []byte, t time.Time) []byte {
	year, month, day := t.UTC().Date()
	hour, minute, second := t.UTC().Clock()
	b = append(b, 0x18, 15)
	for _, two := range [...]int{year / 100, year % 100, int(month), day, hour, minute, second} {
		b = appendTwo(b, two)
	}
	return append(b, 'Z')
}

func (s *single) append(b []byte) []byte {
	b, whole := begin(b, 0x30)
	b = append(b, s.id...)
	b = s.appendStatus(b)
	b = appendTime(b, s.thisUpdate)
	b = appendTime(append(b, 0xa0, 17), s.nextUpdate)
	if s.digest != (journal.Hash{}) || !s.cutoff.IsZero() || !s.status.Invalidity.IsZero() {
		b = s.appendExtensions(b)
	}
	return end(b, whole)
}

// appendStatus appends the CertStatus: good [0], revoked [1], unknown [2].
func (s *single) appendStatus(b []byte) []byte {
	switch {
	case !s.known:
		return append(b, 0x82, 0)
	case s.status.State == certs.StateGood:
		return append(b, 0x80, 0)
	}
	b, revoked := begin(b, 0xa1)
	b = appendTime(b, s.status.At)
	if s.status.Reason != certs.ReasonUnspecified { // RFC 5280 §5.3.1: left out rather than 0
		b = append(b, 0xa0, 3, 0x0a, 1, byte(s.status.Reason))
	}
	return end(b, revoked)
}

func (s *single) appendExtensions(b []byte) []byte {
	b, tagged := begin(b, 0xa1)
	b, list := begin(b, 0x30)
	if !s.cutoff.IsZero() {
		b = appendExtension(b, oidCutoff, appendTime(nil, s.cutoff))
	}
	if !s.status.Invalidity.IsZero() { // a CRL entry extension, allowed here by RFC 6960 §4.4.5
		b = appendExtension(b, oidInval, appendTime(nil, s.status.Invalidity))
	}
	if s.digest != (journal.Hash{}) {
		b = appendExtension(b, oidHash, certHash(s.digest))
	}
	return end(end(b, list), tagged)
}

// certHash is the CertHash of Common PKI 2.0, part 4, §3.1.2: hash algorithm and hash of the certificate.
func certHash(digest journal.Hash) []byte {
	b := append([]byte{0x30, 0, 0x30, byte(4 + len(oidSHA256)), 0x06, byte(len(oidSHA256))}, oidSHA256...)
	b = append(b, 5, 0)
	return end(append(append(b, 0x04, byte(len(digest))), digest[:]...), 0)
}

// appendResponse wraps a signed ResponseData into a successful OCSPResponse.
func (a *answer) appendResponse(b []byte) []byte {
	signature := a.bytes[a.signed:]
	bits := len(signature) + 1 // one octet says that no bits are unused
	basic := a.signed + len(a.method.identifier) + header(bits) + bits + len(a.signer.tail)
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
	b = append(b, a.bytes[:a.signed]...)
	b = append(b, a.method.identifier...)
	b = append(appendHeader(b, 0x03, bits), 0)
	b = append(b, signature...)
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

func addOID(b *cryptobyte.Builder, contents string) {
	b.AddASN1(asn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(contents)) })
}
