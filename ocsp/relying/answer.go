package relying

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"cardinal/certs"
)

// ClockTolerance is how far a responder's clock may be ahead of ours before its answer is refused.
// Hosts here keep time within 2 s of each other; 5 s leaves room for a slow link.
const ClockTolerance = 5 * time.Second

// Answer is a judged answer: its signature, its signer's authority, its certificate and its nonce
// have been checked. Known is false when the responder has never heard of the serial; a relying
// system refuses that as it refuses a revoked one.
type Answer struct {
	Known      bool
	Status     certs.Status
	ThisUpdate time.Time
	NextUpdate time.Time // zero: the responder always has newer information (RFC 6960 §4.2.2.1)
	ProducedAt time.Time
	Signer     string // subject of the certificate that signed
}

// Good reports whether the certificate may be relied on: known, and neither revoked nor on hold.
func (a Answer) Good() bool { return a.Known && a.Status.State == certs.StateGood }

// ResponseError is an answer without a status: the responder's own OCSPResponseStatus
// (RFC 6960 §4.2.1).
type ResponseError struct{ Status int }

func (e *ResponseError) Error() string {
	names := map[int]string{1: "malformedRequest", 2: "internalError", 3: "tryLater", 5: "sigRequired", 6: "unauthorized"}
	if name, ok := names[e.Status]; ok {
		return "responder answered " + name
	}
	return fmt.Sprintf("responder answered status %d", e.Status)
}

// Errors of an answer that must not be believed.
var (
	ErrMalformed    = errors.New("OCSP answer is not well formed")
	ErrNonce        = errors.New("OCSP answer does not echo the nonce")
	ErrOther        = errors.New("OCSP answer is about another certificate")
	ErrNotDelegated = errors.New("OCSP answer is signed by nobody the issuer trusts")
	ErrNotFresh     = errors.New("OCSP answer is not fresh")
)

// Judge checks the DER of an OCSPResponse against the question at the time now and returns what it
// says. It returns *ResponseError for an answer without a status, and one of the sentinels above,
// wrapped, for one that must not be believed.
func (q Query) Judge(der []byte, now time.Time) (Answer, error) {
	basic, err := unwrapBasic(der)
	if err != nil {
		return Answer{}, err
	}
	response, err := parseBasic(basic)
	if err != nil {
		return Answer{}, err
	}
	signer, err := q.verify(response, now)
	if err != nil {
		return Answer{}, err
	}
	if q.Nonce != nil && !bytes.Equal(response.nonce, q.Nonce) {
		return Answer{}, ErrNonce
	}
	answer, err := q.find(response)
	if err != nil {
		return Answer{}, err
	}
	answer.ProducedAt, answer.Signer = response.producedAt, signer.Subject.String()
	return answer, answer.fresh(now)
}

func (a Answer) fresh(now time.Time) error {
	switch {
	case a.ThisUpdate.After(now.Add(ClockTolerance)):
		return fmt.Errorf("%w: thisUpdate %s is in the future", ErrNotFresh, a.ThisUpdate.Format(time.RFC3339))
	case a.ThisUpdate.After(a.ProducedAt):
		return fmt.Errorf("%w: thisUpdate is after producedAt", ErrNotFresh)
	case !a.NextUpdate.IsZero() && now.After(a.NextUpdate):
		return fmt.Errorf("%w: nextUpdate %s has passed", ErrNotFresh, a.NextUpdate.Format(time.RFC3339))
	}
	return nil
}

// find returns the single answer about the certificate that was asked about.
func (q Query) find(r *basicResponse) (Answer, error) {
	id, err := q.certID()
	if err != nil {
		return Answer{}, err
	}
	want, ok := certIDValue(id)
	if !ok {
		return Answer{}, ErrMalformed
	}
	for _, single := range r.singles {
		got, ok := certIDValue(single.id)
		if ok && got == want {
			return single.answer, nil
		}
	}
	return Answer{}, ErrOther
}

// certIDValue returns the fields of a CertID that identify the certificate, so that an algorithm
// identifier with and without NULL parameters compare equal (RFC 4055 §2.1 allows both).
func certIDValue(der []byte) (value [4]string, ok bool) {
	s := cryptobyte.String(der)
	var id, algorithm, name, key cryptobyte.String
	var oid asn1.ObjectIdentifier
	var serial cryptobyte.String
	ok = s.ReadASN1(&id, casn1.SEQUENCE) && id.ReadASN1(&algorithm, casn1.SEQUENCE) &&
		algorithm.ReadASN1ObjectIdentifier(&oid) && id.ReadASN1(&name, casn1.OCTET_STRING) &&
		id.ReadASN1(&key, casn1.OCTET_STRING) && id.ReadASN1(&serial, casn1.INTEGER)
	return [4]string{oid.String(), string(name), string(key), string(serial)}, ok
}

// verify returns the certificate that signed the answer, once its authority is proved: the issuer
// itself, or one the issuer delegated to (RFC 6960 §4.2.2.2).
func (q Query) verify(r *basicResponse, now time.Time) (*x509.Certificate, error) {
	if err := q.Issuer.CheckSignature(r.algorithm, r.tbs, r.signature); err == nil {
		return q.Issuer, nil
	}
	for _, der := range r.certificates {
		signer, err := x509.ParseCertificate(der)
		if err != nil || !q.delegated(signer, now) {
			continue
		}
		if signer.CheckSignature(r.algorithm, r.tbs, r.signature) == nil {
			return signer, nil
		}
	}
	return nil, ErrNotDelegated
}

func (q Query) delegated(signer *x509.Certificate, now time.Time) bool {
	if now.Before(signer.NotBefore) || now.After(signer.NotAfter) {
		return false
	}
	if !bytes.Equal(signer.RawIssuer, q.Issuer.RawSubject) || signer.CheckSignatureFrom(q.Issuer) != nil {
		return false
	}
	for _, usage := range signer.ExtKeyUsage {
		if usage == x509.ExtKeyUsageOCSPSigning {
			return true
		}
	}
	return false
}
