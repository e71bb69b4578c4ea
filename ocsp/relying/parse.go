package relying

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"cardinal/certs"
)

// Limits of a BasicOCSPResponse. A responder of one issuer sends one status and one certificate;
// the bounds keep a hostile one from making us work.
const (
	MaxResponse     = 64 << 10
	maxSingles      = 64
	maxCertificates = 8
)

type basicResponse struct {
	tbs          []byte
	producedAt   time.Time
	singles      []single
	nonce        []byte
	algorithm    x509.SignatureAlgorithm
	signature    []byte
	certificates [][]byte
}

type single struct {
	id     []byte // DER of the CertID
	answer Answer
}

// unwrapBasic returns the BasicOCSPResponse inside an OCSPResponse (RFC 6960 §4.2.1).
func unwrapBasic(der []byte) (cryptobyte.String, error) {
	input := cryptobyte.String(der)
	var outer, explicit, body, content cryptobyte.String
	var status int
	if len(der) > MaxResponse || !input.ReadASN1(&outer, casn1.SEQUENCE) || !input.Empty() || !outer.ReadASN1Enum(&status) {
		return nil, fmt.Errorf("%w: OCSPResponse", ErrMalformed)
	}
	if status != 0 {
		return nil, &ResponseError{Status: status}
	}
	var kind asn1.ObjectIdentifier
	if !outer.ReadASN1(&explicit, contextTag(0)) || !explicit.ReadASN1(&body, casn1.SEQUENCE) ||
		!body.ReadASN1ObjectIdentifier(&kind) || !kind.Equal(oidBasic) || !body.ReadASN1(&content, casn1.OCTET_STRING) {
		return nil, fmt.Errorf("%w: responseBytes", ErrMalformed)
	}
	return content, nil
}

func parseBasic(input cryptobyte.String) (*basicResponse, error) {
	var outer, tbs cryptobyte.String
	if !input.ReadASN1(&outer, casn1.SEQUENCE) || !input.Empty() || !outer.ReadASN1Element(&tbs, casn1.SEQUENCE) {
		return nil, fmt.Errorf("%w: BasicOCSPResponse", ErrMalformed)
	}
	r := &basicResponse{tbs: tbs}
	if err := r.parseSignature(&outer); err != nil {
		return nil, err
	}
	return r, r.parseData(tbs)
}

func (r *basicResponse) parseSignature(outer *cryptobyte.String) error {
	var algorithm, list cryptobyte.String
	var bits asn1.BitString
	if !outer.ReadASN1Element(&algorithm, casn1.SEQUENCE) || !outer.ReadASN1BitString(&bits) {
		return fmt.Errorf("%w: signature", ErrMalformed)
	}
	var identifier pkix.AlgorithmIdentifier
	if rest, err := asn1.Unmarshal(algorithm, &identifier); err != nil || len(rest) > 0 {
		return fmt.Errorf("%w: signatureAlgorithm", ErrMalformed)
	}
	r.algorithm, r.signature = signatureAlgorithm(identifier.Algorithm), bits.RightAlign()
	var present bool
	if !outer.ReadOptionalASN1(&list, &present, contextTag(0)) || !outer.Empty() {
		return fmt.Errorf("%w: certs", ErrMalformed)
	}
	if !present {
		return nil
	}
	var sequence cryptobyte.String
	if !list.ReadASN1(&sequence, casn1.SEQUENCE) {
		return fmt.Errorf("%w: certs", ErrMalformed)
	}
	for !sequence.Empty() {
		var der cryptobyte.String
		if len(r.certificates) == maxCertificates || !sequence.ReadASN1Element(&der, casn1.SEQUENCE) {
			return fmt.Errorf("%w: certs", ErrMalformed)
		}
		r.certificates = append(r.certificates, der)
	}
	return nil
}

// parseData reads ResponseData (RFC 6960 §4.2.1).
func (r *basicResponse) parseData(tbs cryptobyte.String) error {
	var data, list cryptobyte.String
	if !tbs.ReadASN1(&data, casn1.SEQUENCE) || !data.SkipOptionalASN1(contextTag(0)) {
		return fmt.Errorf("%w: ResponseData", ErrMalformed)
	}
	var id cryptobyte.String
	var tag casn1.Tag
	if !data.ReadAnyASN1Element(&id, &tag) || (tag != contextTag(1) && tag != contextTag(2)) {
		return fmt.Errorf("%w: responderID", ErrMalformed)
	}
	if !data.ReadASN1GeneralizedTime(&r.producedAt) || !data.ReadASN1(&list, casn1.SEQUENCE) {
		return fmt.Errorf("%w: producedAt and responses", ErrMalformed)
	}
	for !list.Empty() {
		one, err := parseSingle(&list)
		if err != nil || len(r.singles) == maxSingles {
			return fmt.Errorf("%w: SingleResponse %d", ErrMalformed, len(r.singles))
		}
		r.singles = append(r.singles, one)
	}
	return r.parseExtensions(data)
}

// parseExtensions reads the nonce and refuses any other critical extension (RFC 5280 §4.2).
func (r *basicResponse) parseExtensions(data cryptobyte.String) error {
	if data.Empty() {
		return nil
	}
	var wrapped, list cryptobyte.String
	if !data.ReadASN1(&wrapped, contextTag(1)) || !data.Empty() || !wrapped.ReadASN1(&list, casn1.SEQUENCE) {
		return fmt.Errorf("%w: responseExtensions", ErrMalformed)
	}
	for !list.Empty() {
		var extension, value cryptobyte.String
		var oid asn1.ObjectIdentifier
		var critical bool
		if !list.ReadASN1(&extension, casn1.SEQUENCE) || !extension.ReadASN1ObjectIdentifier(&oid) ||
			!extension.ReadOptionalASN1Boolean(&critical, casn1.BOOLEAN, false) || !extension.ReadASN1(&value, casn1.OCTET_STRING) {
			return fmt.Errorf("%w: responseExtensions", ErrMalformed)
		}
		switch {
		case oid.Equal(oidNonce):
			var nonce cryptobyte.String
			if !value.ReadASN1(&nonce, casn1.OCTET_STRING) {
				return fmt.Errorf("%w: nonce", ErrMalformed)
			}
			r.nonce = nonce
		case critical:
			return fmt.Errorf("%w: unknown critical extension %s", ErrMalformed, oid)
		}
	}
	return nil
}

func parseSingle(list *cryptobyte.String) (single, error) {
	var body, id, status cryptobyte.String
	var tag casn1.Tag
	if !list.ReadASN1(&body, casn1.SEQUENCE) || !body.ReadASN1Element(&id, casn1.SEQUENCE) || !body.ReadAnyASN1(&status, &tag) {
		return single{}, ErrMalformed
	}
	one := single{id: id}
	switch tag {
	case casn1.Tag(0).ContextSpecific():
		one.answer.Known = true
	case contextTag(1):
		one.answer.Known = true
		if err := parseRevoked(status, &one.answer.Status); err != nil {
			return single{}, err
		}
	case casn1.Tag(2).ContextSpecific():
	default:
		return single{}, ErrMalformed
	}
	var next cryptobyte.String
	var present bool
	if !body.ReadASN1GeneralizedTime(&one.answer.ThisUpdate) || !body.ReadOptionalASN1(&next, &present, contextTag(0)) {
		return single{}, ErrMalformed
	}
	if present && !next.ReadASN1GeneralizedTime(&one.answer.NextUpdate) {
		return single{}, ErrMalformed
	}
	return one, nil
}

// parseRevoked reads RevokedInfo; certificateHold is a hold, every other reason is for good.
func parseRevoked(info cryptobyte.String, status *certs.Status) error {
	if !info.ReadASN1GeneralizedTime(&status.At) {
		return ErrMalformed
	}
	var wrapped cryptobyte.String
	var present bool
	if !info.ReadOptionalASN1(&wrapped, &present, contextTag(0)) {
		return ErrMalformed
	}
	status.State = certs.StateRevoked
	if !present {
		return nil
	}
	var reason int
	if !wrapped.ReadASN1Enum(&reason) || reason < 0 || reason > 10 {
		return ErrMalformed
	}
	status.Reason = certs.Reason(reason)
	if status.Reason == certs.ReasonCertificateHold {
		status.State = certs.StateHeld
	}
	return nil
}

// signatureAlgorithm names the algorithms a responder here may use; others verify as unknown and
// the answer is refused.
func signatureAlgorithm(oid asn1.ObjectIdentifier) x509.SignatureAlgorithm {
	switch oid.String() {
	case "1.2.840.10045.4.3.2":
		return x509.ECDSAWithSHA256
	case "1.2.840.10045.4.3.3":
		return x509.ECDSAWithSHA384
	case "1.2.840.10045.4.3.4":
		return x509.ECDSAWithSHA512
	case "1.2.840.113549.1.1.11":
		return x509.SHA256WithRSA
	case "1.2.840.113549.1.1.12":
		return x509.SHA384WithRSA
	case "1.2.840.113549.1.1.13":
		return x509.SHA512WithRSA
	case "1.3.101.112":
		return x509.PureEd25519
	}
	return x509.UnknownSignatureAlgorithm
}
