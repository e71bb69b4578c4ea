package issuance_test

import (
	"errors"
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/ledger"
	"cardinal/issuance"
	"cardinal/issuance/issuancetest"
)

// regain merges statuses in quarantine and demands that it may be repeated.
func regain(t *testing.T, w *issuancetest.World, all ...issuance.Regained) issuance.Regains {
	t.Helper()
	done, err := w.Desk.Regain(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := w.Desk.Regain(t.Context(), all); err != nil || again != (issuance.Regains{}) {
		t.Errorf("the second time: %+v, %v", again, err)
	}
	return done
}

// issuedCard makes a card that is not handed over.
func issuedCard(t *testing.T, w *issuancetest.World) (*issuance.Case, *issuance.Pair) {
	t.Helper()
	given := w.Approved(w.Person("Cleo", "Example"))
	ask, _ := issuancetest.Asking(t, "request-given")
	issued, _, err := w.Desk.Issue(t.Context(), w.Manager.Operator(), given.ID, ask)
	if err != nil {
		t.Fatal(err)
	}
	return given, issued
}

func revoked(reason certs.Reason) certs.Status {
	s := certs.Revoked(reason)
	s.Invalidity = time.Now().Add(-time.Hour)
	return s
}

// TestRegainBringsCardsIntoTheStateOfTheirPair: both certificates follow even
// where the copy had one alone, and a card on hold can be resumed.
func TestRegainBringsCardsIntoTheStateOfTheirPair(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w := issuancetest.New(t, "")
	lost, _ := w.Card(w.Person("Alex", "Example"))
	held, _ := w.Card(w.Person("Bo", "Example"))
	given, issued := issuedCard(t, w)
	var err error
	pairs := map[string]*issuance.Card{}
	for _, id := range []string{lost, held, issued.Card} {
		if pairs[id], err = w.Desk.Card(t.Context(), w.Manager.Operator(), id); err != nil {
			t.Fatal(err)
		}
	}
	one := issuance.Regained{Ref: pairs[lost].Authentication, Status: revoked(certs.ReasonKeyCompromise)}
	if _, err := w.Desk.Regain(t.Context(), []issuance.Regained{one}); !errors.Is(err, issuance.ErrNoQuarantine) {
		t.Fatalf("out of quarantine: %v", err)
	}
	if err := w.Ledger.SetQuarantine(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	done := regain(t, w, one,
		issuance.Regained{Ref: pairs[held].Authentication, Status: certs.Held()},
		issuance.Regained{Ref: pairs[held].Signature, Status: certs.Held()},
		issuance.Regained{Ref: issued.Authentication.Ref, Status: revoked(certs.ReasonSuperseded)},
		issuance.Regained{Ref: issued.Signature.Ref, Status: revoked(certs.ReasonSuperseded)})
	if done != (issuance.Regains{Revoked: 4, Held: 2, Cards: 3}) {
		t.Errorf("regained %+v", done)
	}
	if err := w.Ledger.SetQuarantine(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{lost: issuance.CardCancelled, held: issuance.CardSuspended, issued.Card: issuance.CardCancelled} {
		c, err := w.Desk.Card(t.Context(), w.Manager.Operator(), id)
		if err != nil || c.State != want || c.Events[len(c.Events)-1].By != "restore" {
			t.Errorf("card %s: %+v, %v, want %s", id, c, err, want)
		}
	}
	err = w.Ledger.Read(t.Context(), func(tx *ledger.Tx) error {
		s, err := register.StatusOf(tx, pairs[lost].Signature)
		if s.State != certs.StateRevoked || s.Reason != certs.ReasonKeyCompromise {
			t.Errorf("the other certificate of the pair is %+v", s)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if c, err := w.Desk.Case(t.Context(), w.Manager.Operator(), given.ID); err != nil || c.State != issuance.CaseWithdrawn {
		t.Errorf("the case of a card never handed over: %+v, %v", c, err)
	}
	if c, _, err := w.Desk.Resume(t.Context(), w.Manager.Operator(), held, ""); err != nil || c.State != issuance.CardActive {
		t.Errorf("resuming: %+v, %v", c, err)
	}
}

// TestRegainOperatorsLocksNobodyOut: without a manager who has a card here the
// bootstrap operators stay; with one they end.
func TestRegainOperatorsLocksNobodyOut(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w := issuancetest.New(t, "")
	if _, err := w.Desk.RegainOperators(t.Context()); !errors.Is(err, issuance.ErrNoQuarantine) {
		t.Errorf("out of quarantine: %v", err)
	}
	settle := func() int {
		t.Helper()
		if err := w.Ledger.SetQuarantine(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		n, err := w.Desk.RegainOperators(t.Context())
		if err := errors.Join(err, w.Ledger.SetQuarantine(t.Context(), false)); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := settle(); n != 0 {
		t.Errorf("nobody manages and %d operators ended", n)
	}
	_, id, manager := w.Holder("Agnes", "R5080")
	if n := settle(); n != 2 {
		t.Errorf("with a manager %d operators ended, want 2", n)
	}
	_, err := w.Desk.Card(t.Context(), w.Manager.Operator(), id)
	wantRule(t, err, "operator.ended")
	if _, err := w.Desk.Card(t.Context(), manager.Operator(), id); err != nil {
		t.Errorf("the manager: %v", err)
	}
}
