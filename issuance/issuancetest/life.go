package issuancetest

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"image"
	"image/png"
	"testing"

	"cardinal/certs"
	"cardinal/issuance"
)

// Photo is a PNG as small as a photograph can be.
func Photo(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 3, 4))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Documents are three that prove an identity; number tells people apart.
func Documents(number string) []issuance.Document {
	return []issuance.Document{
		{Kind: "passport", Number: "P" + number, Photo: true, Expires: "2999-01-01"},
		{Kind: "utility-bill", Address: true},
		{Kind: "birth-certificate", Number: "B" + number},
	}
}

// Newcomer is somebody to register whom nobody resembles.
func Newcomer(t testing.TB, given, family string) issuance.NewPerson {
	t.Helper()
	return issuance.NewPerson{Given: given, Family: family, Birth: "1980-02-29",
		Evidence: Documents(given + family), Photo: Photo(t)}
}

// Person registers somebody by the bootstrap manager.
func (w *World) Person(given, family string) certs.UUID {
	w.Helper()
	uuid, _, err := w.Desk.AddPerson(w.Context(), w.Manager.Operator(), Newcomer(w, given, family))
	w.must(err)
	return uuid
}

// Keys are a card's two keys.
type Keys struct{ Authentication, Signature crypto.Signer }

// Asking makes two fresh keys and the request for their certificates.
func Asking(t testing.TB, requestID string) (issuance.PairRequest, Keys) {
	t.Helper()
	keys := Keys{NewKey(t), NewKey(t)}
	return issuance.PairRequest{RequestID: requestID,
		AuthenticationCSR: CSR(t, keys.Authentication), SignatureCSR: CSR(t, keys.Signature)}, keys
}

// CSR is a certification request whose names nobody should look at.
func CSR(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "ignored"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// Approved opens a case and has it approved by the bootstrap sponsor.
func (w *World) Approved(uuid certs.UUID) *issuance.Case {
	w.Helper()
	c, _, err := w.Desk.RequestCase(w.Context(), w.Manager.Operator(), uuid, "")
	w.must(err)
	c, _, err = w.Desk.ApproveCase(w.Context(), w.Sponsor.Operator(), c.ID, "")
	w.must(err)
	return c
}

// Card gives a person an active card, all by the bootstrap operators.
func (w *World) Card(uuid certs.UUID) (string, *Hand) {
	w.Helper()
	c := w.Approved(uuid)
	ask, keys := Asking(w, "request-"+c.ID)
	pair, _, err := w.Desk.Issue(w.Context(), w.Manager.Operator(), c.ID, ask)
	w.must(err)
	_, _, err = w.Desk.HandOver(w.Context(), w.Manager.Operator(), pair.Card, "")
	w.must(err)
	return pair.Card, NewHand(w, keys.Authentication, pair.Authentication.DER)
}

// Give gives a person a role by the bootstrap manager: a job role code, or
// activity codes on an ordinary job.
func (w *World) Give(uuid certs.UUID, job string, activities ...string) string {
	w.Helper()
	id, _, err := w.Desk.AddPosition(w.Context(), w.Manager.Operator(), uuid, issuance.NewPosition{
		Organisation: "X99", OrganisationName: "EXAMPLE NHS TRUST", JobRoleCode: job,
		JobRole: fmt.Sprintf("%q", job), Activities: activities})
	w.must(err)
	return id
}

// Holder registers somebody, gives the role and an active card.
func (w *World) Holder(name, job string, activities ...string) (certs.UUID, string, *Hand) {
	w.Helper()
	uuid := w.Person(name, "Example")
	w.Give(uuid, job, activities...)
	card, hand := w.Card(uuid)
	return uuid, card, hand
}
