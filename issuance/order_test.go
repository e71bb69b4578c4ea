package issuance_test

import (
	"fmt"
	"testing"

	"cardinal/certs"
	"cardinal/issuance"
	"cardinal/issuance/issuancetest"
)

const securityJob = "X9001"

func TestFewCardsAreSuspendedAndUndone(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w, ctx := issuancetest.New(t, ""), t.Context()
	var cards []string
	for i := range 3 {
		card, _ := w.Card(w.Person(fmt.Sprint("Alex", i), "Example"))
		cards = append(cards, card)
	}
	o, _, err := w.Desk.PlaceOrder(ctx, w.Manager.Operator(), issuance.OrderRequest{RequestID: "order-0001", Verb: issuance.OrderSuspend, Selection: issuance.Selection{Names: cards}})
	if err != nil {
		t.Fatal(err)
	}
	if o.State != issuance.OrderRunning || o.Total != 3 {
		t.Fatalf("order %+v", o)
	}
	if _, err := w.Desk.WorkOrders(ctx); err != nil {
		t.Fatal(err)
	}
	for _, id := range cards {
		c, err := w.Desk.Card(ctx, w.Manager.Operator(), id)
		if err != nil || c.State != issuance.CardSuspended {
			t.Fatalf("%s is %s: %v", id, c.State, err)
		}
		for _, ref := range []certs.Ref{c.Authentication, c.Signature} {
			all, err := w.Desk.Certificates(ctx, w.Manager.Operator(), ref.Serial)
			if err != nil || all[0].Status.State != certs.StateHeld {
				t.Fatalf("%v %v", all, err)
			}
		}
		t.Log(c.Events)
	}
}
