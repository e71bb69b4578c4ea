package issuance_test

import (
	"testing"

	"cardinal/issuance"
	"cardinal/issuance/issuancetest"
)

func TestCardLivesFromRequestToReplacement(t *testing.T) {
	t.Parallel()
	w := issuancetest.New(t, "")
	uuid := w.Person("Alex", "Example")
	card, _ := w.Card(uuid)
	c, err := w.Desk.Card(w.Context(), w.Manager.Operator(), card)
	if err != nil {
		t.Fatal(err)
	}
	if c.State != issuance.CardActive {
		t.Errorf("state %s", c.State)
	}
}
