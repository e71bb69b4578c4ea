package issuance_test

import (
	"bytes"
	"testing"

	"cardinal/issuance"
	"cardinal/issuance/issuancetest"
)

// TestJournalCarriesNoEvidence looks for what must stay in the tables in the
// body of every change a person and a card make.
func TestJournalCarriesNoEvidence(t *testing.T) {
	t.Parallel()
	w := issuancetest.New(t, "")
	n := issuancetest.Newcomer(t, "Alex", "Example")
	n.Phone, n.Birth = "0999 123 456", "1971-12-31"
	n.Evidence[0].Number, n.Evidence[2].Number = "SECRETPASSPORT", "SECRETBIRTH"
	uuid, _, err := w.Desk.AddPerson(t.Context(), w.Manager.Operator(), n)
	if err != nil {
		t.Fatal(err)
	}
	w.Card(uuid)
	changes := w.Changes()
	for _, c := range changes {
		for _, secret := range []string{n.Phone, n.Birth, "SECRET", string(n.Photo[:32])} {
			if bytes.Contains(c.Body, []byte(secret)) {
				t.Errorf("change %d (%s) carries %q", c.Position, c.Kind, secret)
			}
		}
	}
	if len(changes) < 10 {
		t.Errorf("only %d changes were looked at", len(changes))
	}
	shown, err := w.Desk.Person(t.Context(), w.Manager.Operator(), uuid)
	if err != nil {
		t.Fatal(err)
	}
	want := issuance.Document{Kind: "passport", Number: "************RT", Photo: true, Expires: "2999-01-01"}
	if shown.Documents[0] != want {
		t.Errorf("document is shown as %+v", shown.Documents[0])
	}
}
