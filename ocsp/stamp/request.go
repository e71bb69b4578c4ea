package stamp

import (
	"crypto"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Failure is why no stamp is given (RFC 3161 §2.4.2, PKIFailureInfo): the number
// of its bit.
type Failure uint8

// The failures.
const (
	BadAlg              Failure = 0  // an imprint by a hash that is not accepted
	BadRequest          Failure = 2  // a transaction that is not supported
	BadDataFormat       Failure = 5  // not a request
	TimeNotAvailable    Failure = 14 // the time is in doubt
	UnacceptedPolicy    Failure = 15 // another policy was asked for
	UnacceptedExtension Failure = 16 // an extension was asked for, and there are none
	SystemFailure       Failure = 25
)

// Limits: a request with a 64-octet imprint takes about 150 octets; a nonce has 8.
const (
	maxRequest = 4 << 10
	maxNonce   = 64
)

// The hash algorithms taken, as values of OBJECT IDENTIFIERs.
const (
	sha256OID = "\x60\x86\x48\x01\x65\x03\x04\x02\x01"
	sha384OID = "\x60\x86\x48\x01\x65\x03\x04\x02\x02"
	sha512OID = "\x60\x86\x48\x01\x65\x03\x04\x02\x03"
)

// Error is a failure as an error.
func (f Failure) Error() string {
	names := map[Failure]string{BadAlg: "the hash algorithm is not accepted", BadRequest: "the request is not supported",
		BadDataFormat: "not a time-stamp request", TimeNotAvailable: "the time is in doubt", UnacceptedPolicy: "the policy is not ours",
		UnacceptedExtension: "there are no extensions", SystemFailure: "system failure"}
	if text := names[f]; text != "" {
		return text
	}
	return fmt.Sprintf("failure %d", uint8(f))
}

// Request is a TimeStampReq (RFC 3161 §2.4.1). Imprint and Nonce point into what
// was parsed; they are as they stood there, so that the answer repeats them.
type Request struct {
	Hash    crypto.Hash
	Imprint []byte // the whole messageImprint
	Policy  []byte // the value of reqPolicy, nil when none is asked for
	Nonce   []byte // the INTEGER with its header, nil when there is none
	CertReq bool
}

// ParseRequest reads a TimeStampReq in DER. The error is a Failure.
func ParseRequest(der []byte) (Request, error) {
	var r Request
	if len(der) > maxRequest {
		return r, BadDataFormat
	}
	in := cryptobyte.String(der)
	var body cryptobyte.String
	var version int64
	if !in.ReadASN1(&body, asn1.SEQUENCE) || !in.Empty() || !body.ReadASN1Integer(&version) {
		return r, BadDataFormat
	}
	if version != 1 {
		return r, BadRequest
	}
	if err := r.readImprint(&body); err != nil {
		return r, err
	}
	return r, r.readOptions(&body)
}

func (r *Request) readImprint(body *cryptobyte.String) error {
	whole := *body
	var element, imprint, algorithm, oid, digest cryptobyte.String
	if !whole.ReadASN1Element(&element, asn1.SEQUENCE) || !body.ReadASN1(&imprint, asn1.SEQUENCE) ||
		!imprint.ReadASN1(&algorithm, asn1.SEQUENCE) || !algorithm.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) ||
		!algorithm.SkipOptionalASN1(asn1.NULL) || !algorithm.Empty() ||
		!imprint.ReadASN1(&digest, asn1.OCTET_STRING) || !imprint.Empty() {
		return BadDataFormat
	}
	switch string(oid) {
	case sha256OID:
		r.Hash = crypto.SHA256
	case sha384OID:
		r.Hash = crypto.SHA384
	case sha512OID:
		r.Hash = crypto.SHA512
	default: // SHA-1 too: whoever can make collisions could have had another document stamped
		return BadAlg
	}
	if len(digest) != r.Hash.Size() {
		return BadDataFormat
	}
	r.Imprint = element
	return nil
}

func (r *Request) readOptions(body *cryptobyte.String) error {
	if body.PeekASN1Tag(asn1.OBJECT_IDENTIFIER) {
		var policy cryptobyte.String
		if !body.ReadASN1(&policy, asn1.OBJECT_IDENTIFIER) || len(policy) == 0 {
			return BadDataFormat
		}
		r.Policy = policy
	}
	if body.PeekASN1Tag(asn1.INTEGER) {
		var nonce cryptobyte.String
		whole := *body
		if !whole.ReadASN1Element(&nonce, asn1.INTEGER) || !body.ReadASN1Integer(new(big.Int)) || len(nonce) > maxNonce {
			return BadDataFormat
		}
		r.Nonce = nonce
	}
	if body.PeekASN1Tag(asn1.BOOLEAN) && !body.ReadASN1Boolean(&r.CertReq) {
		return BadDataFormat
	}
	if body.PeekASN1Tag(asn1.Tag(0).Constructed().ContextSpecific()) {
		return UnacceptedExtension
	}
	if !body.Empty() {
		return BadDataFormat
	}
	return nil
}
