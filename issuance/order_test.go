package issuance_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/issuance"
	"cardinal/issuance/issuancetest"
)

const securityJob = "X9001"

// ward is a desk where one administrator stops two cards alone, with two
// administrators and four others.
type ward struct {
	*issuancetest.World
	first, second issuance.Operator
	firstCard     string
	secondCard    string
	cards         []string
}

func newWard(t *testing.T) *ward {
	t.Helper()
	return newWardOn(t, "")
}

func newWardOn(t *testing.T, url string) *ward {
	t.Helper()
	w := &ward{World: issuancetest.New(t, url)}
	w.Alone = 2
	w.Restart()
	_, one, hand := w.Holder("Sam", securityJob)
	_, two, other := w.Holder("Kim", securityJob)
	w.first, w.second, w.firstCard, w.secondCard = hand.Operator(), other.Operator(), one, two
	for i := range 4 {
		card, _ := w.Card(w.Person(fmt.Sprint("Alex", i), "Example"))
		w.cards = append(w.cards, card)
	}
	return w
}

func (w *ward) order(verb, id string, s issuance.Selection) (*issuance.Order, error) {
	o, _, err := w.Desk.PlaceOrder(w.Context(), w.first, issuance.OrderRequest{RequestID: "request-" + id, Verb: verb, Selection: s})
	return o, err
}

func (w *ward) work() {
	w.Helper()
	for {
		worked, err := w.Desk.WorkOrders(w.Context())
		if err != nil {
			w.Fatal(err)
		}
		if !worked {
			return
		}
	}
}

func (w *ward) state(card string) string {
	w.Helper()
	c, err := w.Desk.Card(w.Context(), w.first, card)
	if err != nil {
		w.Fatal(err)
	}
	return c.State
}

func (w *ward) status(card string) certs.Status {
	w.Helper()
	c, err := w.Desk.Card(w.Context(), w.Manager.Operator(), card)
	if err != nil {
		w.Fatal(err)
	}
	all, err := w.Desk.Certificates(w.Context(), w.Manager.Operator(), c.Signature.Serial)
	if err != nil {
		w.Fatal(err)
	}
	return all[0].Status
}

func named(cards ...string) issuance.Selection { return issuance.Selection{Names: cards} }

func TestManyCardsNeedASecondAndABreakGlassSet(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w := newWard(t)
	ctx := t.Context()
	everybody := issuance.Selection{Filter: "(state=active)"}
	_, err := w.order(issuance.OrderSuspend, "a", everybody)
	wantRule(t, err, "order.break-glass")
	_, err = w.Desk.Spare(ctx, w.first, w.firstCard, "")
	wantRule(t, err, "role")
	for _, card := range []string{w.cards[0], w.secondCard} {
		if _, err := w.Desk.Spare(ctx, w.first, card, "for need"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Desk.Spare(ctx, w.second, w.firstCard, ""); err != nil {
		t.Fatal(err)
	}
	o, err := w.order(issuance.OrderSuspend, "b", everybody)
	if err != nil || o.State != issuance.OrderAwaiting || o.Spared != 3 || o.Total != 3 {
		t.Fatalf("%+v: %v", o, err)
	}
	w.work()
	if got := w.state(w.cards[1]); got != issuance.CardActive {
		t.Fatalf("before the second agreed a card is %s", got)
	}
	again, err := w.order(issuance.OrderSuspend, "b", everybody)
	if err != nil || again.ID != o.ID {
		t.Errorf("asked twice: %+v, %v", again, err)
	}
	_, err = w.order(issuance.OrderResume, "b", everybody)
	wantRule(t, err, "order.other-content")
	_, _, err = w.Desk.ConfirmOrder(ctx, w.first, o.ID, o.Content)
	wantRule(t, err, "order.same-person")
	_, _, err = w.Desk.ConfirmOrder(ctx, w.second, o.ID, journal.Hash{})
	wantRule(t, err, "order.content")
	_, _, err = w.Desk.ConfirmOrder(ctx, w.Sponsor.Operator(), o.ID, o.Content)
	wantRule(t, err, "role")
	if _, _, err := w.Desk.ConfirmOrder(ctx, w.second, o.ID, o.Content); err != nil {
		t.Fatal(err)
	}
	_, _, err = w.Desk.ConfirmOrder(ctx, w.second, o.ID, o.Content)
	wantRule(t, err, "order.state")
	w.work()
	for i, want := range []string{issuance.CardActive, issuance.CardSuspended, issuance.CardSuspended, issuance.CardSuspended} {
		if got := w.state(w.cards[i]); got != want {
			t.Errorf("card %d is %s, want %s", i, got, want)
		}
	}
	w.lift(o)
}

// lift takes the suspension back in the ways there are.
func (w *ward) lift(o *issuance.Order) {
	w.Helper()
	lifted, err := w.order(issuance.OrderResume, "c", named(w.cards[1], w.cards[2]))
	if err != nil || lifted.State != issuance.OrderAwaiting {
		w.Fatalf("resuming two: %+v: %v", lifted, err)
	}
	if _, _, err := w.Desk.ConfirmOrder(w.Context(), w.second, lifted.ID, lifted.Content); err != nil {
		w.Fatal(err)
	}
	// The second's card is cancelled before the work begins: it stops itself.
	if _, _, err := w.Desk.Cancel(w.Context(), w.Manager.Operator(), w.secondCard, issuance.Cancellation{Reason: "lost"}); err != nil {
		w.Fatal(err)
	}
	w.work()
	shown, err := w.Desk.Order(w.Context(), w.first, lifted.ID)
	if err != nil || shown.State != issuance.OrderStopped || w.state(w.cards[1]) != issuance.CardSuspended {
		w.Fatalf("a resumption whose second lost the card: %+v: %v", shown, err)
	}
	// What the order did can be undone, for a while: without a second, since few are left of it.
	if _, _, err := w.Desk.Resume(w.Context(), w.first, w.cards[3], ""); err != nil {
		w.Fatal(err)
	}
	undone, err := w.order(issuance.OrderResume, "d", issuance.Selection{Undoes: o.ID})
	if err != nil || undone.State != issuance.OrderRunning || undone.Total != 2 {
		w.Fatalf("undoing: %+v: %v", undone, err)
	}
	w.work()
	if got := w.state(w.cards[1]); got != issuance.CardActive {
		w.Errorf("after undoing it is %s", got)
	}
	w.Advance(2 * time.Hour)
	_, err = w.order(issuance.OrderResume, "e", issuance.Selection{Undoes: o.ID})
	var no *issuance.Refusal
	if !errors.As(err, &no) || no.Rule != "order.undo" {
		w.Errorf("undoing too late: %v", err)
	}
}

func TestOrdersThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w := newWard(t)
	for name, c := range map[string]struct {
		verb, rule string
		s          issuance.Selection
	}{
		"no verb":          {"burn", "order.verb", named(w.cards[0])},
		"nothing":          {issuance.OrderSuspend, "order.selection", issuance.Selection{}},
		"two ways":         {issuance.OrderSuspend, "order.selection", issuance.Selection{Names: w.cards, Filter: "(state=active)"}},
		"undo by suspend":  {issuance.OrderSuspend, "order.verb", issuance.Selection{Undoes: "O0000000000"}},
		"undo of nothing":  {issuance.OrderResume, "order.unknown", issuance.Selection{Undoes: "O0000000000"}},
		"unknown card":     {issuance.OrderSuspend, "card.unknown", named("C0000000000", w.cards[0])},
		"unknown serial":   {issuance.OrderSuspend, "certificate.unknown", named("7f01", w.cards[0])},
		"no name":          {issuance.OrderSuspend, "order.selection", named("somebody")},
		"no filter":        {issuance.OrderSuspend, "order.filter", issuance.Selection{Filter: "state=active)"}},
		"unknown field":    {issuance.OrderSuspend, "order.filter", issuance.Selection{Filter: "(nonsense=1)"}},
		"not comparable":   {issuance.OrderSuspend, "order.filter", issuance.Selection{Filter: "(issued=yester*)"}},
		"nobody":           {issuance.OrderSuspend, "order.nothing-chosen", issuance.Selection{Filter: "(card=C0000000000)"}},
		"cancel by nobody": {issuance.OrderCancel, "cancel-reason", named(w.cards[0])},
	} {
		_, err := w.order(c.verb, "refused", c.s)
		if err == nil {
			t.Errorf("%s: not refused", name)
			continue
		}
		t.Run(name, func(t *testing.T) { wantRule(t, err, c.rule) })
	}
	_, _, err := w.Desk.PlaceOrder(t.Context(), w.first, issuance.OrderRequest{RequestID: "request-f", Verb: issuance.OrderCancel, Selection: named(w.cards[0]),
		Cancellation: issuance.Cancellation{Reason: "stolen", PasscodeKnown: true}})
	wantRule(t, err, "cancel.signatures-fall")
	_, _, err = w.Desk.PlaceOrder(t.Context(), w.Sponsor.Operator(), issuance.OrderRequest{RequestID: "request-g", Verb: issuance.OrderSuspend, Selection: named(w.cards...)})
	wantRule(t, err, "role")
}

func TestAnOrderGoesOnWhereAKilledProcessLeftIt(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w := newWard(t)
	for _, after := range []bool{false, true} {
		for _, verb := range []string{issuance.OrderSuspend, issuance.OrderResume} {
			w.killedAt(verb, after)
		}
	}
}

// killedAt has the process die at the first write of an order's work.
func (w *ward) killedAt(verb string, after bool) {
	w.Helper()
	o, err := w.order(verb, fmt.Sprint(verb, after), named(w.cards[0], w.cards[1]))
	if err == nil && verb == issuance.OrderResume {
		_, _, err = w.Desk.ConfirmOrder(w.Context(), w.second, o.ID, o.Content)
	}
	if err != nil {
		w.Fatal(err)
	}
	w.FailAt(1, after, errors.New("killed"), func() { _, _ = w.Desk.WorkOrders(w.Context()) })
	w.Restart()
	w.work()
	shown, err := w.Desk.Order(w.Context(), w.first, o.ID)
	if err != nil || shown.State != issuance.OrderDone || shown.Done != 2 || shown.Left != 0 {
		w.Errorf("%s, killed after the write %t: %+v: %v", verb, after, shown, err)
	}
	c, err := w.Desk.Card(w.Context(), w.first, w.cards[0])
	if err != nil || c.Events[len(c.Events)-1].Verb != verb || c.Events[len(c.Events)-2].Verb == verb {
		w.Errorf("%s was done other than once: %+v: %v", verb, c.Events, err)
	}
}

func TestAHoldMadeFinalByAnOrderKeepsItsDate(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w := newWard(t)
	reported := w.Now().Add(-48 * time.Hour).Truncate(time.Second)
	_, _, err := w.Desk.PlaceOrder(t.Context(), w.first, issuance.OrderRequest{RequestID: "request-hold", Verb: issuance.OrderSuspend,
		Selection: named(w.cards[0], w.cards[1]), Cancellation: issuance.Cancellation{Since: reported}})
	if err != nil {
		t.Fatal(err)
	}
	w.work()
	held := w.status(w.cards[0])
	w.Advance(time.Hour)
	_, _, err = w.Desk.PlaceOrder(t.Context(), w.first, issuance.OrderRequest{RequestID: "request-final", Verb: issuance.OrderCancel,
		Selection: named(w.cards[0], w.cards[1]), Cancellation: issuance.Cancellation{Reason: "lost"}})
	if err != nil {
		t.Fatal(err)
	}
	w.work()
	final := w.status(w.cards[0])
	if held.State != certs.StateHeld || final.State != certs.StateRevoked || !final.At.Equal(held.At) || !final.Invalidity.Equal(reported) || final.Reason != certs.ReasonUnspecified {
		t.Errorf("held %+v, final %+v, reported %s", held, final, reported)
	}
}

func TestAnOrderNobodyConfirmsExpires(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w := newWard(t)
	o, err := w.order(issuance.OrderResume, "late", named(w.cards[0], w.cards[1]))
	if err != nil {
		t.Fatal(err)
	}
	w.Advance(25 * time.Hour)
	_, _, err = w.Desk.ConfirmOrder(t.Context(), w.second, o.ID, o.Content)
	wantRule(t, err, "order.expired")
	shown, err := w.Desk.Order(t.Context(), w.first, o.ID)
	if err != nil || shown.State != issuance.OrderExpired {
		t.Errorf("%+v: %v", shown, err)
	}
	for i := range 17 {
		if _, err = w.order(issuance.OrderResume, fmt.Sprint("many", i), named(w.cards[0], w.cards[1])); err != nil {
			break
		}
	}
	wantRule(t, err, "order.too-many-open")
}

func FuzzOrderMoved(f *testing.F) {
	m := issuance.OrderMoved{Order: "O0000000001", Verb: "suspend", State: "done", Cards: 3, Done: 2, Expires: time.Unix(1, 0).UTC()}
	f.Add(m.Append(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := issuance.ParseOrderMoved(body)
		if err == nil && string(m.Append(nil)) != string(body) {
			t.Errorf("%x reads as %+v, which is written otherwise", body, m)
		}
	})
}
