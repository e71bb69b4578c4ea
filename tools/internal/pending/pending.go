// Package pending keeps what was asked of the CA for a card until the answer
// is on the card. A card has but the newest keys it made: from the moment they
// are made, only the same request can lead to a pair for them, so it is kept in
// a file of mode 0600 before it is sent and goes when the certificates are
// written.
package pending

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"

	"cardinal/issuance/api"
	"cardinal/issuance/card"
)

// Request is a request for a pair whose answer is not on the card yet.
type Request struct {
	RequestID string           `json:"request_id"`
	Subject   string           `json:"subject"` // the case, or the card for a renewal
	Enrolment card.Enrolment   `json:"enrolment"`
	Proof     *api.HolderProof `json:"proof,omitempty"`
}

// Order says what a new request is for.
type Order struct {
	Card      card.Card
	PIN       string
	Algorithm card.Algorithm
	RequestID string
	Subject   string
	Proven    time.Time // when not zero, the card's present key proves at this time that the card lies here
}

var errNoCertificate = errors.New("the answer holds no certificate")

// Make has the card make two keys, which ends those it had, and keeps the
// request for their pair at path. A wrong PIN is a *card.PINError and costs no
// key.
func Make(path string, o Order) (*Request, error) {
	r := &Request{RequestID: o.RequestID, Subject: o.Subject}
	if !o.Proven.IsZero() {
		if err := o.Card.VerifyPIN(o.PIN); err != nil {
			return nil, err
		}
		key, err := o.Card.Signer(card.SlotAuthentication, o.PIN)
		if err != nil {
			return nil, err
		}
		if r.Proof, err = api.NewHolderProof(key, o.Subject, o.RequestID, o.Proven); err != nil {
			return nil, err
		}
	}
	var err error
	if r.Enrolment, err = card.Prepare(o.Card, o.PIN, o.Algorithm); err != nil {
		return nil, err
	}
	data, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return nil, fmt.Errorf("keeping the request: %w", err)
	}
	return r, nil
}

// Read gives the request kept at path, nil when there is none. What is kept
// and cannot be read is an error: the keys it was about are on the card.
func Read(path string) (*Request, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	r := &Request{}
	if err == nil {
		err = json.Unmarshal(data, r)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the request kept in %s: %w", path, err)
	}
	return r, nil
}

// Pair is the request as the API takes it. The attestation goes along where
// both keys were attested below the same key of the card.
func (r *Request) Pair() api.PairRequest {
	asked := api.PairRequest{RequestID: r.RequestID, Proof: r.Proof,
		AuthenticationCSR: pemText("CERTIFICATE REQUEST", r.Enrolment.Authentication.CSR),
		SignatureCSR:      pemText("CERTIFICATE REQUEST", r.Enrolment.Signature.CSR)}
	first, second := r.Enrolment.Authentication.Attestation, r.Enrolment.Signature.Attestation
	if len(first) == 2 && len(second) == 2 && bytes.Equal(first[1], second[1]) {
		asked.Attestation = &api.Attestation{Intermediate: pemText("CERTIFICATE", first[1]),
			Authentication: pemText("CERTIFICATE", first[0]), Signature: pemText("CERTIFICATE", second[0])}
	}
	return asked
}

// Complete writes the pair to the card after checking that it is for the keys
// that were asked about. The caller removes the file when he is content.
func (r *Request) Complete(c card.Card, pair api.Certificates) error {
	authentication, err := certificateDER(pair.Authentication)
	if err != nil {
		return err
	}
	signature, err := certificateDER(pair.Signature)
	if err != nil {
		return err
	}
	return card.Complete(c, r.Enrolment, authentication, signature)
}

func pemText(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func certificateDER(text string) ([]byte, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errNoCertificate
	}
	return block.Bytes, nil
}
