package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cardinal/certs"
	"cardinal/directory/register"
	"cardinal/issuance"
	"cardinal/issuance/issuancetest"
	"cardinal/tools/internal/workforce"
)

// seededWorld is a desk over an imported workforce whose cards were seeded from
// one that was issued.
func seededWorld(t *testing.T, people workforce.Options) *issuancetest.World {
	t.Helper()
	w, folder := issuancetest.New(t, ""), t.TempDir()
	var ldif bytes.Buffer
	if err := (&data{people: people, cards: true}).write(&ldif); err != nil {
		t.Fatal(err)
	}
	_, err := w.Directory.Load(t.Context(), register.LoadJob{Ledger: w.Ledger, Suffix: w.Suffix, Next: register.FromLDIF(&ldif)})
	if err != nil {
		t.Fatal(err)
	}
	id, _ := w.Card(w.Person("Model", "Example"))
	model, err := w.Desk.Card(t.Context(), w.Manager.Operator(), id)
	if err != nil {
		t.Fatal(err)
	}
	for file, ref := range map[string]certs.Ref{"authentication.pem": model.Authentication, "signature.pem": model.Signature} {
		all, err := w.Desk.Certificates(t.Context(), w.Manager.Operator(), ref.Serial)
		if err != nil {
			t.Fatal(err)
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: all[0].DER})
		if err := os.WriteFile(filepath.Join(folder, file), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n, err := (&seeding{people: people, pair: folder, block: 7}).write(t.Context(), w.Ledger)
	if err != nil || n != people.People {
		t.Fatalf("%d cards: %v", n, err)
	}
	return w
}

func TestSeededCardsAreSuspendedLikeIssuedOnes(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	people := workforce.Options{People: 20, Organisations: 3, Seed: 7, Suffix: "o=nhs"}
	w := seededWorld(t, people)
	_, _, hand := w.Holder("Sam", "X9001")
	by, ctx := hand.Operator(), t.Context()
	for i, person := range slices.Sorted(workforce.Numbers(people)) {
		card, err := w.Desk.Card(ctx, by, cardNumber(i))
		if err != nil || string(card.Person) != person || card.State != issuance.CardActive {
			t.Fatalf("card %d of %s: %+v: %v", i, person, card, err)
		}
		all, err := w.Desk.Certificates(ctx, by, card.Authentication.Serial)
		if err != nil || len(all) != 1 || all[0].Status.State != certs.StateGood {
			t.Fatalf("certificates of card %d: %+v: %v", i, all, err)
		}
		c, err := x509.ParseCertificate(all[0].DER)
		if err != nil || certs.Serial(c.SerialNumber.Bytes()) != card.Authentication.Serial || !strings.HasPrefix(c.Subject.CommonName, person) {
			t.Errorf("certificate of card %d is %v's: %v", i, c.Subject, err)
		}
	}
	o, _, err := w.Desk.PlaceOrder(ctx, by, issuance.OrderRequest{RequestID: "the-night", Verb: issuance.OrderSuspend,
		Selection: issuance.Selection{Filter: fmt.Sprintf("(&(case=R%s*)(uid=*))", cardNumber(0)[1:9])}})
	if err == nil {
		_, err = w.Desk.WorkOrders(ctx)
	}
	if err == nil {
		o, err = w.Desk.Order(ctx, by, o.ID)
	}
	if err != nil || o.Done != 20 || o.Left != 0 {
		t.Fatalf("%+v: %v", o, err)
	}
	if card, err := w.Desk.Card(ctx, by, cardNumber(19)); err != nil || card.State != issuance.CardSuspended || len(card.Events) != 2 {
		t.Errorf("%+v: %v", card, err)
	}
}
