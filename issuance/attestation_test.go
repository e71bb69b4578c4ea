package issuance_test

import (
	"crypto/x509"
	"path/filepath"
	"testing"

	"cardinal/issuance"
	"cardinal/issuance/card"
	"cardinal/issuance/issuancetest"
)

func TestPairsOfUnknownCardsAreRefusedWhereMakersAreKnown(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w := issuancetest.New(t, "")
	maker, err := card.NewAttestationRoot()
	must(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(maker.Certificate())
	desk, err := issuance.New(issuance.Config{Ledger: w.Ledger, CA: w.Authority, Directory: w.Directory,
		Policies: w.Policies, Suffix: w.Suffix, Attestation: roots})
	must(t, err)
	other, err := card.NewAttestationRoot()
	must(t, err)
	known, again, unknown := prepared(t, maker), prepared(t, maker), prepared(t, other)
	c := w.Approved(w.Person("Alex", "Example"))
	mixed := known
	mixed.SignatureCSR, mixed.Attestation = again.SignatureCSR, &issuance.Attestation{Intermediate: known.Attestation.Intermediate,
		Authentication: known.Attestation.Authentication, Signature: unknown.Attestation.Signature}
	swapped := known
	swapped.SignatureCSR = again.SignatureCSR
	bare := known
	bare.Attestation = nil
	for rule, ask := range map[string]issuance.PairRequest{"attestation.missing": bare, "attestation-trust": unknown, "attestation-key": swapped} {
		_, _, err := desk.Issue(t.Context(), w.Manager.Operator(), c.ID, ask)
		wantRule(t, err, rule)
	}
	_, _, err = desk.Issue(t.Context(), w.Manager.Operator(), c.ID, mixed)
	wantRule(t, err, "attestation-trust")
	_, _, err = desk.Issue(t.Context(), w.Manager.Operator(), c.ID, known)
	must(t, err)
}

// prepared has a simulated card make its keys.
func prepared(t *testing.T, maker *card.AttestationRoot) issuance.PairRequest {
	t.Helper()
	c, err := card.OpenSimulated(filepath.Join(t.TempDir(), "card.json"), card.Options{Create: true, Root: maker})
	must(t, err)
	t.Cleanup(func() { c.Close() })
	e, err := card.Prepare(c, card.DefaultPIN, card.P256)
	must(t, err)
	return issuance.PairRequest{RequestID: "request-attested", AuthenticationCSR: e.Authentication.CSR, SignatureCSR: e.Signature.CSR,
		Attestation: &issuance.Attestation{Intermediate: e.Authentication.Attestation[1],
			Authentication: e.Authentication.Attestation[0], Signature: e.Signature.Attestation[0]}}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
