package issuance_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/ledger/pgtest"
	"cardinal/issuance"
)

// crowd adds n cards and spares three others.
func (w *ward) crowd(n int) {
	w.Helper()
	for i, by := range []issuance.Operator{w.first, w.first, w.second} {
		if _, err := w.Desk.Spare(w.Context(), by, []string{w.cards[0], w.secondCard, w.firstCard}[i], ""); err != nil {
			w.Fatal(err)
		}
	}
	model, err := w.Desk.Card(w.Context(), w.first, w.cards[1])
	if err != nil {
		w.Fatal(err)
	}
	multiply(w, w.World, model, n)
}

// confirmed places an order on the crowd and has the second agree.
func (w *ward) confirmed(verb, id string, s issuance.Selection) *issuance.Order {
	w.Helper()
	o, err := w.order(verb, id, s)
	if err == nil && o.State == issuance.OrderAwaiting {
		_, _, err = w.Desk.ConfirmOrder(w.Context(), w.second, o.ID, o.Content)
	}
	if err != nil {
		w.Fatal(err)
	}
	return o
}

func TestACancelIsCommittedBetweenTheBlocksOfAnOrder(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w := newWard(t)
	w.crowd(200)
	var waited []journal.Position
	var o *issuance.Order
	w.Paced = func(ctx context.Context, p journal.Position) error {
		waited = append(waited, p)
		if len(waited) > 1 {
			return errors.New("the copy hangs")
		}
		_, _, err := w.Desk.Cancel(ctx, w.Manager.Operator(), w.cards[2], issuance.Cancellation{Reason: "lost"})
		if err != nil {
			t.Error(err)
		}
		shown, err := w.Desk.Order(ctx, w.first, o.ID)
		if err != nil || shown.State != issuance.OrderRunning || shown.Taken == 0 || shown.Taken == shown.Total {
			t.Errorf("the cancellation came when the order was %+v: %v", shown, err)
		}
		return nil
	}
	w.Restart()
	o = w.confirmed(issuance.OrderSuspend, "crowd", issuance.Selection{Filter: "(case=RX*)"})
	w.work()
	shown, err := w.Desk.Order(t.Context(), w.first, o.ID)
	if err != nil || shown.State != issuance.OrderDone || shown.Done != 200 {
		t.Errorf("%+v: %v", shown, err)
	}
	if w.state(w.cards[2]) != issuance.CardCancelled || len(waited) == 0 {
		t.Errorf("the card is %s, the copy was waited for %d times", w.state(w.cards[2]), len(waited))
	}
	w.records(200)
}

// records demands that each block's entries come before its statuses, each set
// as few changes.
func (w *ward) records(cards int) {
	w.Helper()
	var kinds []journal.Kind
	blocks := 0
	for _, c := range w.Changes() {
		kinds = append(kinds, c.Kind)
		if !c.Last {
			continue
		}
		if kinds[0] == journal.KindEntriesModified {
			blocks++
			want := []journal.Kind{journal.KindEntriesModified, journal.KindStatusChanged, journal.KindStatusChanged}
			if len(kinds) > 4 || fmt.Sprint(kinds[:3]) != fmt.Sprint(want) {
				w.Errorf("a block of %d cards is recorded as %v", cards, kinds)
			}
		}
		kinds = nil
	}
	if blocks < 2 || blocks > cards/32+1 {
		w.Errorf("%d cards in %d blocks", cards, blocks)
	}
}

func TestOrdersWorkOnPostgreSQL(t *testing.T) {
	t.Parallel()
	w := newWardOn(t, pgtest.URL(t))
	for _, after := range []bool{false, true} {
		for _, verb := range []string{issuance.OrderSuspend, issuance.OrderResume} {
			w.killedAt(verb, after)
		}
	}
	w.crowd(40)
	o := w.confirmed(issuance.OrderSuspend, "crowd", issuance.Selection{Filter: "(state=active)"})
	if o.Spared != 3 || o.Total != 43 {
		t.Fatalf("%+v", o)
	}
	w.work()
	if held := w.status(w.cards[1]); held.State != certs.StateHeld || w.state("C9000000039") != issuance.CardSuspended || w.state(w.cards[0]) != issuance.CardActive {
		t.Errorf("after suspending: %+v, %s, %s", held, w.state("C9000000039"), w.state(w.cards[0]))
	}
	ended, _, err := w.Desk.PlaceOrder(t.Context(), w.first, issuance.OrderRequest{RequestID: "request-ended", Verb: issuance.OrderCancel,
		Selection: issuance.Selection{Filter: "(&(case=RX*)(!(card=C9000000038)))"}, Cancellation: issuance.Cancellation{Reason: "lost"}})
	if err != nil || ended.Total != 39 {
		t.Fatalf("%+v: %v", ended, err)
	}
	if _, _, err := w.Desk.ConfirmOrder(t.Context(), w.second, ended.ID, ended.Content); err != nil {
		t.Fatal(err)
	}
	w.work()
	undone := w.confirmed(issuance.OrderResume, "undone", issuance.Selection{Undoes: o.ID})
	if undone.Total != 4 {
		t.Errorf("of what was suspended %d can be undone, want the 4 that were not cancelled", undone.Total)
	}
	w.work()
	if good := w.status(w.cards[1]); good.State != certs.StateGood || w.state("C9000000039") != issuance.CardCancelled || w.state(w.cards[1]) != issuance.CardActive {
		t.Errorf("at the end: %+v, %s, %s", good, w.state("C9000000039"), w.state(w.cards[1]))
	}
	for _, s := range []issuance.Selection{{Filter: "(cn=*x*)"}, {Filter: "(&(issued>=2020-01-01)(!(state=cancelled)))"}} {
		if _, err := w.Desk.PlanOrder(t.Context(), w.first, issuance.OrderRequest{Verb: issuance.OrderSuspend, Selection: s}); err != nil {
			t.Errorf("%s: %v", s.Filter, err)
		}
	}
	all, _, err := w.Desk.OrderCards(t.Context(), w.first, issuance.CardsWanted{Order: o.ID, Left: true}, issuance.Page{})
	list, _, listErr := w.Desk.Orders(t.Context(), w.first, "", issuance.Page{Limit: 2})
	if err := errors.Join(err, listErr); err != nil || len(all) != 0 || len(list) != 2 {
		t.Errorf("%d left, %d orders: %v", len(all), len(list), err)
	}
}

// halfPlaced has the process die while it writes an order's cards down.
func (w *ward) halfPlaced(id string) *issuance.Order {
	w.Helper()
	for n := 1; ; n++ {
		name := fmt.Sprint(id, n)
		if w.FailAt(n, true, errors.New("killed"), func() { _, _ = w.order(issuance.OrderSuspend, name, named(w.cards[0], w.cards[1])) }) == "" {
			w.Fatal("no order was left half placed")
		}
		w.Restart()
		all, _, err := w.Desk.Orders(w.Context(), w.first, issuance.OrderPreparing, issuance.Page{})
		if err != nil {
			w.Fatal(err)
		}
		if len(all) == 0 {
			continue
		}
		again, err := w.order(issuance.OrderResume, name, named(w.cards[0]))
		wantRule(w.TB.(*testing.T), err, "order.other-content")
		if again != nil {
			w.Errorf("other content took it up: %+v", again)
		}
		all[0].Choice = name // for the caller
		return all[0]
	}
}

func TestAnOrderLeftHalfPlacedIsTakenUpWithdrawnOrExpires(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w := newWard(t)
	ctx := t.Context()
	half := w.halfPlaced("taken")
	w.work()
	if got := w.state(w.cards[0]); got != issuance.CardActive {
		t.Fatalf("a half placed order made a card %s", got)
	}
	o, err := w.order(issuance.OrderSuspend, half.Choice, named(w.cards[0], w.cards[1]))
	if err != nil || o.ID != half.ID || o.State != issuance.OrderRunning || o.Total != 2 {
		t.Fatalf("asked again: %+v: %v", o, err)
	}
	w.work()
	if got := w.state(w.cards[1]); got != issuance.CardSuspended {
		t.Errorf("the order that was taken up left a card %s", got)
	}
	w.confirmed(issuance.OrderResume, "lifted", named(w.cards[0], w.cards[1]))
	w.work()

	half = w.halfPlaced("withdrawn")
	if o, _, err = w.Desk.WithdrawOrder(ctx, w.first, half.ID, "not needed"); err != nil || o.State != issuance.OrderWithdrawn {
		t.Fatalf("withdrawing: %+v: %v", o, err)
	}
	left, _, err := w.Desk.OrderCards(ctx, w.first, issuance.CardsWanted{Order: half.ID}, issuance.Page{})
	if err != nil || len(left) != 0 {
		t.Errorf("of a withdrawn order that was half placed %d cards are kept: %v", len(left), err)
	}

	half = w.halfPlaced("expired")
	w.Advance(16 * time.Minute)
	if o, err = w.Desk.Order(ctx, w.first, half.ID); err != nil || o.State != issuance.OrderExpired {
		t.Errorf("later: %+v: %v", o, err)
	}
	if _, err = w.order(issuance.OrderSuspend, "next", named(w.cards[0])); err != nil {
		t.Error(err)
	}
	if o, err = w.order(issuance.OrderSuspend, half.Choice, named(w.cards[0], w.cards[1])); err != nil || o.State != issuance.OrderExpired {
		t.Errorf("asked for again after it expired: %+v: %v", o, err)
	}
}
