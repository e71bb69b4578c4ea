package issuance

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"fmt"

	"cardinal/policies"
)

// Attestation shows that both keys were made in one card and cannot leave it:
// the maker's intermediate certificate and one statement a slot, DER, in the
// form PIV cards of the market use: an X.509 certificate over the slot's key,
// signed by a key in the card that the maker certified.
type Attestation struct {
	Intermediate   []byte
	Authentication []byte
	Signature      []byte
}

// oidCardSerial is the extension with the card's serial number in an
// attestation statement (1.3.6.1.4.1.41482.3.7, INTEGER).
var oidCardSerial = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, 7}

// checkAttestation does nothing where the installation trusts no card maker.
func (d *Desk) checkAttestation(a *asked) error {
	if d.attestation == nil {
		return nil
	}
	if a.Attestation == nil {
		return attestationNone.in("attestation", "this installation takes keys of known cards only")
	}
	intermediate, err := x509.ParseCertificate(a.Attestation.Intermediate)
	if err != nil {
		return attestationBad.in("attestation.intermediate", "cannot be read")
	}
	first, err := d.statement("attestation.authentication", a.Attestation.Authentication, intermediate)
	if err != nil {
		return err
	}
	second, err := d.statement("attestation.signature", a.Attestation.Signature, intermediate)
	if err != nil {
		return err
	}
	switch {
	case policies.KeyDigest(first.PublicKey) != policies.KeyDigest(a.authentication):
		return attestationKey.in("attestation.authentication", "it is about another key than the request's")
	case policies.KeyDigest(second.PublicKey) != policies.KeyDigest(a.signature):
		return attestationKey.in("attestation.signature", "it is about another key than the request's")
	case !bytes.Equal(cardSerial(first), cardSerial(second)):
		return attestationCard.in("attestation", "the two keys are in two cards")
	}
	return nil
}

// statement verifies one attestation up to a trusted maker. Makers date their
// certificates for the life of the chip, so the time is judged like any other.
func (d *Desk) statement(field string, der []byte, intermediate *x509.Certificate) (*x509.Certificate, error) {
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, attestationBad.in(field, "cannot be read")
	}
	between := x509.NewCertPool()
	between.AddCert(intermediate)
	_, err = leaf.Verify(x509.VerifyOptions{Roots: d.attestation, Intermediates: between, CurrentTime: d.now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return nil, attestationBad.in(field, "%v", fmt.Errorf("no trusted card maker stands behind it: %w", err))
	}
	return leaf, nil
}

// cardSerial is the extension's value; nil when there is none.
func cardSerial(c *x509.Certificate) []byte {
	for _, e := range c.Extensions {
		if e.Id.Equal(oidCardSerial) {
			return e.Value
		}
	}
	return nil
}
