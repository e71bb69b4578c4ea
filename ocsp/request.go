package ocsp

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// ErrMalformed: bytes are no OCSPRequest, or one that must be refused (RFC 6960 §2.3, malformedRequest).
var ErrMalformed = errors.New("malformed OCSP request")

// HashAlgorithm is one of the hashes a CertID may be made with.
type HashAlgorithm uint8

// The hashes. HashOther is any this responder does not know; no issuer matches it.
const (
	HashOther HashAlgorithm = iota
	HashSHA1
	HashSHA256
	HashSHA384
	HashSHA512
)

// The contents of the object identifiers that requests carry.
const (
	oidSHA1   = "\x2b\x0e\x03\x02\x1a"                 // 1.3.14.3.2.26
	oidSHA256 = "\x60\x86\x48\x01\x65\x03\x04\x02\x01" // 2.16.840.1.101.3.4.2.1
	oidSHA384 = "\x60\x86\x48\x01\x65\x03\x04\x02\x02" // 2.16.840.1.101.3.4.2.2
	oidSHA512 = "\x60\x86\x48\x01\x65\x03\x04\x02\x03" // 2.16.840.1.101.3.4.2.3
	oidPKIX   = "\x2b\x06\x01\x05\x05\x07\x30\x01"     // 1.3.6.1.5.5.7.48.1, id-pkix-ocsp
	oidNonce  = "\x2b\x06\x01\x05\x05\x07\x30\x01\x02" // RFC 9654 §2.1
	oidBasic  = "\x2b\x06\x01\x05\x05\x07\x30\x01\x01" // RFC 6960 §4.2.1
	oidPrefer = "\x2b\x06\x01\x05\x05\x07\x30\x01\x08" // RFC 6960 §4.4.7, preferred signature algorithms
	oidCutoff = "\x2b\x06\x01\x05\x05\x07\x30\x01\x06" // RFC 6960 §4.4.4, archive cutoff
	oidExtRev = "\x2b\x06\x01\x05\x05\x07\x30\x01\x09" // RFC 6960 §4.4.8, extended revoke
	oidInval  = "\x55\x1d\x18"                         // 2.5.29.24, RFC 5280 §5.3.2, invalidity date
	oidHash   = "\x2b\x24\x08\x03\x0d"                 // 1.3.36.8.3.13, CertHash (Common PKI)
	oidSigned = "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02" // 1.2.840.113549.1.7.2, signedData
	oidData   = "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01" // 1.2.840.113549.1.7.1, data
)

// CertID asks about one certificate (RFC 6960 §4.1.1). The slices are parts of the request.
type CertID struct {
	Raw      []byte // the whole element, echoed in the answer
	Hash     HashAlgorithm
	NameHash []byte // of the issuer's name
	KeyHash  []byte // of the issuer's key
	Serial   []byte // big endian without leading zeros; nil when not positive
}

// Request is an OCSPRequest. The slices are parts of what was parsed.
type Request struct {
	CertIDs []CertID
	// Nonce is the value of the nonce extension exactly as it came, to be echoed; nil when there is none.
	Nonce []byte
	// Preferred are the PreferredSignatureAlgorithms (RFC 6960 §4.4.7.1) without the header; nil when there are none.
	Preferred []byte

	room [4]CertID // so that usual requests need no allocation
}

// ParseRequest reads an OCSPRequest (RFC 6960 §4.1) into r, replacing what it held. It accepts a requestorName and a
// signature without looking into them: who asks makes no difference to the answer. More than limit certificates, a nonce
// longer than 128 octets and an unknown critical extension are refused. Errors wrap ErrMalformed.
func (r *Request) ParseRequest(der []byte, limit int) error {
	r.CertIDs, r.Nonce, r.Preferred = r.room[:0], nil, nil
	in := cryptobyte.String(der)
	var request, tbs, list, extensions cryptobyte.String
	var has bool
	if !in.ReadASN1(&request, asn1.SEQUENCE) || !in.Empty() || !request.ReadASN1(&tbs, asn1.SEQUENCE) ||
		!request.SkipOptionalASN1(tagged(0)) || !request.Empty() {
		return fmt.Errorf("%w: OCSPRequest", ErrMalformed)
	}
	if !readVersion(&tbs) || !tbs.SkipOptionalASN1(tagged(1)) || !tbs.ReadASN1(&list, asn1.SEQUENCE) ||
		!tbs.ReadOptionalASN1(&extensions, &has, tagged(2)) || !tbs.Empty() {
		return fmt.Errorf("%w: TBSRequest", ErrMalformed)
	}
	misplaced, err := r.readList(list, limit)
	if err != nil {
		return err
	}
	if has {
		if r.Nonce, r.Preferred, err = readExtensions(extensions); err != nil {
			return err
		}
	}
	if r.Nonce == nil {
		r.Nonce = misplaced
	}
	return nil
}

// tagged is a constructed context-specific tag.
func tagged(n uint8) asn1.Tag { return asn1.Tag(n).Constructed().ContextSpecific() }

func readVersion(tbs *cryptobyte.String) bool {
	var wrapped cryptobyte.String
	var has bool
	if !tbs.ReadOptionalASN1(&wrapped, &has, tagged(0)) {
		return false
	}
	var v int
	return !has || wrapped.ReadASN1Integer(&v) && wrapped.Empty() && v == 0
}

// readList reads the requestList and returns a nonce found in a place where none belongs.
func (r *Request) readList(list cryptobyte.String, limit int) (misplaced []byte, err error) {
	for !list.Empty() {
		var one, extensions cryptobyte.String
		var has bool
		if len(r.CertIDs) == limit {
			return nil, fmt.Errorf("%w: more than %d certificates", ErrMalformed, limit)
		}
		if !list.ReadASN1(&one, asn1.SEQUENCE) {
			return nil, fmt.Errorf("%w: Request %d", ErrMalformed, len(r.CertIDs))
		}
		id, ok := readCertID(&one)
		if !ok || !one.ReadOptionalASN1(&extensions, &has, tagged(0)) || !one.Empty() {
			return nil, fmt.Errorf("%w: CertID %d", ErrMalformed, len(r.CertIDs))
		}
		r.CertIDs = append(r.CertIDs, id)
		if !has {
			continue
		}
		nonce, _, err := readExtensions(extensions)
		if err != nil {
			return nil, err
		}
		if misplaced == nil {
			misplaced = nonce
		}
	}
	if len(r.CertIDs) == 0 {
		return nil, fmt.Errorf("%w: no certificate", ErrMalformed)
	}
	return misplaced, nil
}

func readCertID(in *cryptobyte.String) (CertID, bool) {
	var element, id, algorithm, oid, name, key, serial cryptobyte.String
	if !in.ReadASN1Element(&element, asn1.SEQUENCE) {
		return CertID{}, false
	}
	c := CertID{Raw: element}
	if !element.ReadASN1(&id, asn1.SEQUENCE) || !id.ReadASN1(&algorithm, asn1.SEQUENCE) ||
		!algorithm.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) || !readNoParameters(&algorithm) ||
		!id.ReadASN1(&name, asn1.OCTET_STRING) || !id.ReadASN1(&key, asn1.OCTET_STRING) ||
		!id.ReadASN1(&serial, asn1.INTEGER) || !id.Empty() {
		return CertID{}, false
	}
	if len(name) > 64 || len(key) > 64 || len(serial) == 0 || len(serial) > maxSerial {
		return CertID{}, false
	}
	c.Hash, c.NameHash, c.KeyHash = hashByOID(oid), name, key
	if serial[0]&0x80 == 0 { // a negative number is nobody's serial
		c.Serial = bytes.TrimLeft(serial, "\x00")
	}
	return c, true
}

// readNoParameters takes the NULL that most clients write behind a hash's identifier, or nothing.
func readNoParameters(algorithm *cryptobyte.String) bool {
	var null cryptobyte.String
	var has bool
	return algorithm.ReadOptionalASN1(&null, &has, asn1.NULL) && len(null) == 0 && algorithm.Empty()
}

func hashByOID(oid []byte) HashAlgorithm {
	switch string(oid) {
	case oidSHA1:
		return HashSHA1
	case oidSHA256:
		return HashSHA256
	case oidSHA384:
		return HashSHA384
	case oidSHA512:
		return HashSHA512
	}
	return HashOther
}

// readExtensions looks for the nonce and the preferred signature algorithms. Every other OCSP extension may be ignored; an
// unknown one that is critical may not (RFC 6960 §4.4).
func readExtensions(wrapped cryptobyte.String) (nonce, preferred []byte, err error) {
	var list cryptobyte.String
	if !wrapped.ReadASN1(&list, asn1.SEQUENCE) || !wrapped.Empty() {
		return nil, nil, fmt.Errorf("%w: Extensions", ErrMalformed)
	}
	for !list.Empty() {
		var extension, oid, value cryptobyte.String
		var critical bool
		if !list.ReadASN1(&extension, asn1.SEQUENCE) || !extension.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) ||
			extension.PeekASN1Tag(asn1.BOOLEAN) && !extension.ReadASN1Boolean(&critical) ||
			!extension.ReadASN1(&value, asn1.OCTET_STRING) || !extension.Empty() {
			return nil, nil, fmt.Errorf("%w: Extension", ErrMalformed)
		}
		switch {
		case string(oid) == oidNonce:
			if nonce != nil || !goodNonce(value) {
				return nil, nil, fmt.Errorf("%w: nonce", ErrMalformed)
			}
			nonce = value
		case string(oid) == oidPrefer:
			var algorithms cryptobyte.String
			if !value.ReadASN1(&algorithms, asn1.SEQUENCE) || !value.Empty() {
				return nil, nil, fmt.Errorf("%w: preferred signature algorithms", ErrMalformed)
			}
			preferred = algorithms
		case critical && !bytes.HasPrefix(oid, []byte(oidPKIX)):
			return nil, nil, fmt.Errorf("%w: unknown critical extension", ErrMalformed)
		}
	}
	return nonce, preferred, nil
}

// goodNonce checks the length of a nonce: of what the inner OCTET STRING holds or, where a client left that out, of the
// value itself.
func goodNonce(value []byte) bool {
	in := cryptobyte.String(value)
	var inner cryptobyte.String
	if in.ReadASN1(&inner, asn1.OCTET_STRING) && in.Empty() {
		value = inner
	}
	return len(value) >= 1 && len(value) <= maxNonce
}
