package issuance_test

import (
	"context"
	"fmt"
	"testing"

	"cardinal/certs"
	"cardinal/directory"
	"cardinal/directory/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/issuance"
)

// meanwhile is what happens to a card after its block was read and before it is
// written, and what must become of it.
type meanwhile struct {
	verb   string
	happen func(w *ward, card string) error
	left   int64
	state  string
	check  func(w *ward, card string, e *directory.Entry)
}

func (w *ward) crowdEntry(card string) directory.DN {
	return w.Suffix.Child(directory.RDN{{Type: "ou", Value: []byte("People")}}).
		Child(directory.RDN{{Type: "uid", Value: []byte("900" + card[2:])}}).
		Child(directory.RDN{{Type: "uniqueIdentifier", Value: []byte(card)}})
}

// write does something beside the desk.
func (w *ward) write(fn func(tx *ledger.Tx) error) error {
	_, err := w.Ledger.Write(w.Context(), fn)
	return err
}

func changesMeanwhile() []meanwhile {
	by := register.Author{DN: "cn=other", Issuance: true}
	return []meanwhile{
		{issuance.OrderSuspend, func(w *ward, card string) error {
			_, _, err := w.Desk.Suspend(w.Context(), w.first, card, "lost?")
			return err
		}, 1, issuance.CardSuspended, func(w *ward, card string, _ *directory.Entry) {
			if c, err := w.Desk.Card(w.Context(), w.first, card); err != nil || c.Reason != "suspended" || len(c.Events) != 1 {
				w.Errorf("the card that somebody suspended first: %+v, %v", c, err)
			}
		}},
		{issuance.OrderResume, func(w *ward, card string) error {
			return w.write(func(tx *ledger.Tx) error {
				return w.Directory.Modify(tx, by, w.crowdEntry(card), []directory.Modification{{Op: directory.ModReplace,
					Attribute: directory.Attribute{Type: "cardNotAfter", Values: directory.Values("20400101000000Z")}}})
			})
		}, 0, issuance.CardActive, func(w *ward, card string, e *directory.Entry) {
			if got := e.First("cardNotAfter"); got != "20400101000000Z" {
				w.Errorf("what was modified meanwhile is %q", got)
			}
		}},
		{issuance.OrderSuspend, func(w *ward, card string) error { // as a card is handed over that has no entry
			return w.write(func(tx *ledger.Tx) error {
				tx.Defer(`UPDATE issuance_cards SET state = 'issued' WHERE id = $1`, card)
				return nil
			})
		}, 0, issuance.CardSuspended, func(w *ward, card string, _ *directory.Entry) {
			c, err := w.Desk.Card(w.Context(), w.first, card)
			if err != nil || c.Events[len(c.Events)-1].From != issuance.CardIssued {
				w.Errorf("%+v: %v", c, err)
			}
			if _, _, err := w.Desk.Resume(w.Context(), w.first, card, ""); err != nil || w.state(card) != issuance.CardIssued {
				w.Errorf("the card goes back to %s: %v", w.state(card), err)
			}
		}},
		{issuance.OrderResume, func(w *ward, card string) error {
			return w.write(func(tx *ledger.Tx) error { return w.Directory.Delete(tx, by, w.crowdEntry(card)) })
		}, 0, issuance.CardActive, nil},
		{issuance.OrderSuspend, func(w *ward, card string) error {
			_, err := w.Desk.Spare(w.Context(), w.first, card, "")
			return err
		}, 1, issuance.CardActive, nil},
	}
}

func TestWhatChangesBesideABlockThatWasReadAheadCounts(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w := newWard(t)
	w.crowd(220)
	var o *issuance.Order
	var happen func(card string) error
	card := ""
	w.Paced = func(ctx context.Context, _ journal.Position) error { // the block was read by now
		if card != "" {
			return nil
		}
		shown, err := w.Desk.Order(ctx, w.first, o.ID)
		if err == nil {
			var page []issuance.OrderCard
			page, _, err = w.Desk.OrderCards(ctx, w.first, issuance.CardsWanted{Order: o.ID}, issuance.Page{After: fmt.Sprint(shown.Taken), Limit: 1})
			card = page[0].Card
		}
		if err == nil {
			err = happen(card)
		}
		if err != nil {
			t.Error(err)
		}
		return err
	}
	w.Restart()
	for i, m := range changesMeanwhile() {
		card, happen = "", func(card string) error { return m.happen(w, card) }
		filter := map[string]string{issuance.OrderSuspend: "(&(case=RX*)(state=active))", issuance.OrderResume: "(&(case=RX*)(state=suspended))"}[m.verb]
		o = w.confirmed(m.verb, fmt.Sprint("meanwhile", i), issuance.Selection{Filter: filter})
		w.work()
		shown, err := w.Desk.Order(t.Context(), w.first, o.ID)
		if err != nil || shown.State != issuance.OrderDone || shown.Left != m.left || shown.Done != shown.Total-m.left || shown.Total < 200 {
			t.Fatalf("%d: %s, %d of %d done, %d left: %v", i, shown.State, shown.Done, shown.Total, shown.Left, err)
		}
		if card == "" || w.state(card) != m.state {
			t.Fatalf("%d: card %q is not %s", i, card, m.state)
		}
		w.shows(o, m.check, card)
	}
}

// shows demands that the directory shows every card of an order as it is, and
// its certificates are so.
func (w *ward) shows(o *issuance.Order, check func(*ward, string, *directory.Entry), card string) {
	w.Helper()
	all, _, err := w.Desk.OrderCards(w.Context(), w.first, issuance.CardsWanted{Order: o.ID}, issuance.Page{Limit: 200})
	if err != nil {
		w.Fatal(err)
	}
	for _, c := range all {
		var e *directory.Entry
		err := w.Ledger.Read(w.Context(), func(tx *ledger.Tx) (err error) {
			e, err = w.Directory.Get(tx, w.crowdEntry(c.Card))
			return err
		})
		state := w.state(c.Card)
		if err != nil || e.First("cardState") != state {
			w.Fatalf("card %s is %s and shown as %v: %v", c.Card, state, e, err)
		}
		held := w.status(c.Card).State == certs.StateHeld
		if held != (state == issuance.CardSuspended) {
			w.Fatalf("card %s is %s, its certificate held: %v", c.Card, state, held)
		}
		if c.Card == card && check != nil {
			check(w, card, e)
		}
	}
}
