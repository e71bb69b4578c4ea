package card

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"fmt"
)

// Enrolment is what a card says about its two new keys: enough to ask for a
// pair, nothing that must be kept secret. It encodes as JSON.
type Enrolment struct {
	Serial         string  `json:"serial"`
	Authentication Request `json:"authentication"`
	Signature      Request `json:"signature"`
}

// Request is one key: its certification request (DER, RFC 2986, empty subject)
// and the attestation, leaf first (DER).
type Request struct {
	CSR         []byte   `json:"csr"`
	Attestation [][]byte `json:"attestation"`
}

// Prepare makes both keys on the card, which ends whatever pair it held, and
// proves them. The PIN is verified first, so that a wrong one costs no key.
func Prepare(c Card, pin string, algorithm Algorithm) (Enrolment, error) {
	serial, err := c.Serial()
	if err != nil {
		return Enrolment{}, fmt.Errorf("reading the card's serial number: %w", err)
	}
	if err := c.VerifyPIN(pin); err != nil {
		return Enrolment{}, fmt.Errorf("verifying the PIN of card %s: %w", serial, err)
	}
	e := Enrolment{Serial: serial}
	if e.Authentication, err = prepare(c, SlotAuthentication, pin, algorithm); err != nil {
		return Enrolment{}, err
	}
	e.Signature, err = prepare(c, SlotSignature, pin, algorithm)
	return e, err
}

func prepare(c Card, slot Slot, pin string, algorithm Algorithm) (Request, error) {
	if _, err := c.GenerateKey(slot, algorithm); err != nil {
		return Request{}, fmt.Errorf("making the key of slot %s: %w", slot, err)
	}
	signer, err := c.Signer(slot, pin)
	if err != nil {
		return Request{}, fmt.Errorf("using the key of slot %s: %w", slot, err)
	}
	var r Request
	if r.CSR, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, signer); err != nil {
		return Request{}, fmt.Errorf("proving the key of slot %s: %w", slot, err)
	}
	chain, err := c.Attest(slot)
	if err != nil {
		return Request{}, fmt.Errorf("attesting the key of slot %s: %w", slot, err)
	}
	for _, certificate := range chain {
		r.Attestation = append(r.Attestation, certificate.Raw)
	}
	return r, nil
}

// Complete writes both certificates, after checking that each is for the key
// the enrolment proved, and reads them back.
func Complete(c Card, e Enrolment, authentication, signature []byte) error {
	parts := []struct {
		slot Slot
		csr  []byte
		der  []byte
	}{{SlotAuthentication, e.Authentication.CSR, authentication}, {SlotSignature, e.Signature.CSR, signature}}
	for _, p := range parts {
		if err := sameKey(p.csr, p.der); err != nil {
			return fmt.Errorf("taking the certificate of slot %s: %w", p.slot, err)
		}
	}
	for _, p := range parts {
		if err := c.PutCertificate(p.slot, p.der); err != nil {
			return fmt.Errorf("writing the certificate of slot %s: %w", p.slot, err)
		}
		back, err := c.Certificate(p.slot)
		if err != nil {
			return fmt.Errorf("reading back the certificate of slot %s: %w", p.slot, err)
		}
		if !bytes.Equal(back, p.der) {
			return fmt.Errorf("reading back the certificate of slot %s: it is another", p.slot)
		}
	}
	return nil
}

func sameKey(csr, der []byte) error {
	request, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	if !bytes.Equal(request.RawSubjectPublicKeyInfo, certificate.RawSubjectPublicKeyInfo) {
		return fmt.Errorf("certificate %x is for another key", certificate.SerialNumber)
	}
	return nil
}

// Enrol is the whole way: keys, requests, issue, certificates. issue sends the
// requests to whoever issues and gives back both certificates; if it fails the
// card keeps its new keys and no certificates for them.
func Enrol(ctx context.Context, c Card, o Order, issue func(context.Context, Enrolment) (authentication, signature []byte, err error)) (Enrolment, error) {
	e, err := Prepare(c, o.PIN, o.Algorithm)
	if err != nil {
		return Enrolment{}, err
	}
	authentication, signature, err := issue(ctx, e)
	if err != nil {
		return e, fmt.Errorf("issuing the pair of card %s: %w", e.Serial, err)
	}
	return e, Complete(c, e, authentication, signature)
}

// Order is what Enrol needs beside the card.
type Order struct {
	PIN       string
	Algorithm Algorithm
}
