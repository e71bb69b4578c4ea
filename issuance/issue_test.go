package issuance_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/ledger"
	"cardinal/internal/ledger/pgtest"
	"cardinal/issuance"
	"cardinal/issuance/issuancetest"
)

// wantRule demands a refusal by this rule.
func wantRule(t *testing.T, err error, rule string) {
	t.Helper()
	var no *issuance.Refusal
	if !errors.As(err, &no) || no.Rule != rule {
		t.Errorf("got %v, want a refusal by %s", err, rule)
	}
}

// wantOnePair demands that of all the serials a card ever had, the pair's two
// are good and every other is revoked.
func wantOnePair(t *testing.T, w *issuancetest.World, p *issuance.Pair) {
	t.Helper()
	err := w.Ledger.Read(t.Context(), func(tx *ledger.Tx) error {
		all, err := register.ByCard(tx, p.Card)
		good := 0
		for _, c := range all {
			switch {
			case c.Status.State == certs.StateGood && (c.Ref == p.Authentication.Ref || c.Ref == p.Signature.Ref):
				good++
			case c.Status.State != certs.StateRevoked:
				t.Errorf("serial %s of card %s is %s and no part of its pair", c.Serial, p.Card, c.Status.State)
			}
		}
		if good != 2 {
			t.Errorf("card %s has %d good certificates", p.Card, good)
		}
		open, intents := register.OpenIntents(tx)
		if len(open) > 0 {
			t.Errorf("%d intents are open", len(open))
		}
		return errors.Join(err, intents)
	})
	if err != nil {
		t.Error(err)
	}
}

func TestStationsAtOnceIssueOnceOnSQLite(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	issueAtOnce(t, issuancetest.New(t, ""))
}

func TestStationsAtOnceIssueOnceOnPostgreSQL(t *testing.T) {
	t.Parallel()
	issueAtOnce(t, issuancetest.New(t, pgtest.URL(t)))
}

// issueAtOnce has two processes' desks race for one case.
func issueAtOnce(t *testing.T, w *issuancetest.World) {
	_, _, agent := w.Holder("Agnes", "R5090")
	here := w.Desk
	w.Restart()
	desks := []*issuance.Desk{here, w.Desk}

	same := w.Approved(w.Person("Alex", "Example"))
	ask, _ := issuancetest.Asking(t, "request-same")
	pairs := make([]*issuance.Pair, 8)
	atOnce(len(pairs), func(i int) {
		var err error
		if pairs[i], _, err = desks[i%2].Issue(t.Context(), w.Manager.Operator(), same.ID, ask); err != nil {
			t.Errorf("the same request: %v", err)
		}
	})
	if t.Failed() {
		return
	}
	for _, p := range pairs {
		if p.Authentication.Ref != pairs[0].Authentication.Ref || p.Signature.Ref != pairs[0].Signature.Ref {
			t.Errorf("the same request got %s and %s", p.Authentication.Serial, pairs[0].Authentication.Serial)
		}
	}
	wantOnePair(t, w, pairs[0])

	_, _, err := here.Issue(t.Context(), agent.Operator(), same.ID, ask)
	wantRule(t, err, "request.other-content")
	raceOperators(t, w, desks, agent)
}

// raceOperators has different requests race: one wins.
func raceOperators(t *testing.T, w *issuancetest.World, desks []*issuance.Desk, agent *issuancetest.Hand) {
	c := w.Approved(w.Person("Bo", "Example"))
	hands := []*issuancetest.Hand{w.Manager, agent}
	won := make([]*issuance.Pair, 6)
	atOnce(len(won), func(i int) {
		ask, _ := issuancetest.Asking(t, fmt.Sprintf("request-race-%d", i))
		p, _, err := desks[i/2%2].Issue(t.Context(), hands[i%2].Operator(), c.ID, ask)
		won[i] = p
		if err != nil {
			wantRule(t, err, "case.state")
		}
	})
	winners := 0
	for _, p := range won {
		if p != nil {
			winners++
			wantOnePair(t, w, p)
		}
	}
	if winners != 1 {
		t.Errorf("%d stations issued one case", winners)
	}
}

func atOnce(n int, fn func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { fn(i) })
	}
	wg.Wait()
}

var errKilled = errors.New("killed here")

// TestIssueSurvivesAFaultAtEveryWrite stops the process at every external write
// of an issue, before it and after it, starts again and asks again.
func TestIssueSurvivesAFaultAtEveryWrite(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w := issuancetest.New(t, "")
	for _, after := range []bool{false, true} {
		writes := 1
		for issueDespite(t, w, writes, after) {
			writes++
		}
		if writes < 4 {
			t.Errorf("an issue has only %d external writes", writes-1)
		}
	}
}

// issueDespite fails the nth write of an issue, starts again, asks again, and
// reports whether there was such a write.
func issueDespite(t *testing.T, w *issuancetest.World, n int, after bool) bool {
	c := w.Approved(w.Person(fmt.Sprintf("Alex%dx%t", n, after), "Example"))
	ask, _ := issuancetest.Asking(t, "request-"+c.ID)
	step := w.FailAt(n, after, errKilled, func() {
		w.Desk.Issue(t.Context(), w.Manager.Operator(), c.ID, ask)
	})
	w.Restart()
	pair, _, err := w.Desk.Issue(t.Context(), w.Manager.Operator(), c.ID, ask)
	if err != nil {
		t.Fatalf("asked again after a fault at write %d (%s, after it: %t): %v", n, step, after, err)
	}
	wantOnePair(t, w, pair)
	return step != ""
}
