package issuance_test

import (
	"testing"
	"time"

	"cardinal/ca"
	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/issuance"
	"cardinal/issuance/issuancetest"
)

const (
	ordinaryJob = "S8000:G8000:R8000"
	managerJob  = "R5080"
	sponsoring  = "B1300"
)

// positionAt is an ordinary role in an organisation.
func positionAt(organisation string) issuance.NewPosition {
	return issuance.NewPosition{Organisation: organisation, OrganisationName: "EXAMPLE", JobRole: "a job", JobRoleCode: ordinaryJob}
}

func TestNobodyMakesHisOwnRoleLastLonger(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w, ctx := issuancetest.New(t, ""), t.Context()
	mara := w.Person("Mara", "Example")
	soon := w.Now().AddDate(0, 1, 0).Format(time.DateOnly)
	lent, _, err := w.Desk.AddPosition(ctx, w.Manager.Operator(), mara, issuance.NewPosition{Organisation: "X99",
		OrganisationName: "EXAMPLE", JobRole: "RA Manager for a month", JobRoleCode: managerJob, Closes: soon})
	if err != nil {
		t.Fatal(err)
	}
	_, hand := w.Card(mara)
	_, err = w.Desk.ClosePosition(ctx, hand.Operator(), mara, issuance.Closing{Position: lent, On: "2999-01-01"})
	wantRule(t, err, "position.closes-later")
	sooner := w.Now().AddDate(0, 0, 7).Format(time.DateOnly)
	if _, err = w.Desk.ClosePosition(ctx, hand.Operator(), mara, issuance.Closing{Position: lent, On: sooner}); err != nil {
		t.Errorf("giving a role up sooner: %v", err)
	}
}

func TestSponsorsAssignWhereTheySponsor(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w, ctx := issuancetest.New(t, ""), t.Context()
	sponsor := w.Person("Simon", "Example")
	at := func(organisation string, activities ...string) {
		n := positionAt(organisation)
		n.Activities = activities
		if _, _, err := w.Desk.AddPosition(ctx, w.Manager.Operator(), sponsor, n); err != nil {
			t.Fatal(err)
		}
	}
	at("AAA", sponsoring)
	at("BBB")
	_, hand := w.Card(sponsor)
	other := w.Person("Bo", "Example")
	if _, _, err := w.Desk.AddPosition(ctx, hand.Operator(), other, positionAt("AAA")); err != nil {
		t.Errorf("where he sponsors: %v", err)
	}
	_, _, err := w.Desk.AddPosition(ctx, hand.Operator(), other, positionAt("BBB"))
	wantRule(t, err, "role")
}

func TestUserPrincipalNamesAreOnePersonsEach(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w, ctx := issuancetest.New(t, ""), t.Context()
	add := func(given, upn string) error {
		n := issuancetest.Newcomer(t, given, "Example")
		n.UPN = upn
		_, _, err := w.Desk.AddPerson(ctx, w.Manager.Operator(), n)
		return err
	}
	if err := add("Elan", "elan@ad.example"); err != nil {
		t.Fatal(err)
	}
	wantRule(t, add("Ella", "ELAN@ad.example"), "person.address-of-another")
	// The databases fold ASCII alone, and look-alikes fold nowhere.
	for _, upn := range []string{"Élan@ad.example", "el\u0430n@ad.example"} {
		wantRule(t, add("Emma", upn), "input.field")
	}
}

func TestAnotherLoginNameIsNotRenewedInto(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w, ctx := issuancetest.New(t, ""), t.Context()
	_, _, checker := w.Holder("Ida", ordinaryJob, "B0267")
	hal, card, hand := w.Holder("Hal", ordinaryJob)
	upn := "administrator@ad.example"
	if _, err := w.Desk.UpdatePerson(ctx, checker.Operator(), hal, issuance.PersonChange{UPN: &upn}); err != nil {
		t.Fatal(err)
	}
	shown, err := w.Desk.Card(ctx, hand.Operator(), card)
	if err != nil {
		t.Fatal(err)
	}
	w.Advance(shown.RenewFrom.Sub(w.Now()) + 24*time.Hour)
	ask, _ := issuancetest.Asking(t, "request-renew")
	_, _, err = w.Desk.Renew(ctx, hand.Operator(), card, ask)
	wantRule(t, err, "renew.name-changed")
}

func TestAlarmsAreForThoseWhoActOnThem(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w, ctx := issuancetest.New(t, ""), t.Context()
	_, _, holder := w.Holder("Hal", ordinaryJob)
	w.Advance(25 * 24 * time.Hour) // bootstrap operators end soon, lists have ended
	seen, err := w.Desk.Health(ctx, w.Manager.Operator())
	if err != nil || len(seen.Alarms) == 0 {
		t.Errorf("an RA manager sees %+v, %v", seen, err)
	}
	seen, err = w.Desk.Health(ctx, holder.Operator())
	if err != nil || len(seen.Alarms) > 0 {
		t.Errorf("a card holder sees %+v, %v", seen, err)
	}
}

// What is not there and what is another's are answered alike, to the letter.
func TestHoldersDoNotLearnWhatIsThere(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w, ctx := issuancetest.New(t, ""), t.Context()
	other, otherCard, _ := w.Holder("Ada", ordinaryJob)
	_, _, hand := w.Holder("Hal", ordinaryJob)
	of := w.Approved(w.Person("Bo", "Example"))
	hal := hand.Operator()
	for name, ask := range map[string]func(card, of string, person certs.UUID) error{
		"card":    func(card, _ string, _ certs.UUID) error { _, err := w.Desk.Card(ctx, hal, card); return err },
		"case":    func(_, of string, _ certs.UUID) error { _, err := w.Desk.Case(ctx, hal, of); return err },
		"person":  func(_, _ string, p certs.UUID) error { _, err := w.Desk.Person(ctx, hal, p); return err },
		"roles":   func(_, _ string, p certs.UUID) error { _, err := w.Desk.Positions(ctx, hal, p); return err },
		"suspend": func(card, _ string, _ certs.UUID) error { _, _, err := w.Desk.Suspend(ctx, hal, card, ""); return err },
		"cancel": func(card, _ string, _ certs.UUID) error {
			_, _, err := w.Desk.Cancel(ctx, hal, card, issuance.Cancellation{Reason: "lost"})
			return err
		},
		"replace": func(card, _ string, _ certs.UUID) error {
			_, _, _, err := w.Desk.Replace(ctx, hal, card, issuance.Cancellation{})
			return err
		},
		"renew": func(card, _ string, _ certs.UUID) error {
			ask, _ := issuancetest.Asking(t, "request-probe")
			_, _, err := w.Desk.Renew(ctx, hal, card, ask)
			return err
		},
		"issue": func(_, of string, _ certs.UUID) error {
			ask, _ := issuancetest.Asking(t, "request-probe")
			_, _, err := w.Desk.Issue(ctx, hal, of, ask)
			return err
		},
		"approve": func(_, of string, _ certs.UUID) error { _, _, err := w.Desk.ApproveCase(ctx, hal, of, ""); return err },
		"change": func(_, _ string, p certs.UUID) error {
			_, err := w.Desk.UpdatePerson(ctx, hal, p, issuance.PersonChange{})
			return err
		},
	} {
		there, missing := ask(otherCard, of.ID, other), ask("no-such-card", "no-such-case", "999999999999")
		wantRule(t, there, "role")
		if there == nil || missing == nil || there.Error() != missing.Error() {
			t.Errorf("%s: another's is answered %v, none %v", name, there, missing)
		}
	}
}

// The second manager's role begins on a day, and no verb runs on it.
func TestBootstrapOperatorsEndOnTheDayASecondManagersRoleBegins(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w, ctx := issuancetest.New(t, ""), t.Context()
	_, _, _ = w.Holder("Mara", managerJob)
	second := w.Person("Nora", "Example")
	_, _, err := w.Desk.AddPosition(ctx, w.Manager.Operator(), second, issuance.NewPosition{Organisation: "X99",
		OrganisationName: "EXAMPLE NHS TRUST", JobRole: "a job", JobRoleCode: managerJob,
		Opens: w.Now().AddDate(0, 0, 3).Format("2006-01-02")})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Card(second)
	if _, err := w.Desk.Self(ctx, w.Manager.Operator()); err != nil {
		t.Fatalf("before that day: %v", err)
	}
	w.Advance(4 * 24 * time.Hour)
	if err := w.Ledger.Heartbeat(ctx); err != nil {
		t.Fatal(err)
	}
	_, err = w.Desk.Self(ctx, w.Manager.Operator())
	wantRule(t, err, "operator.ended")
	_, _, err = w.Desk.AddPerson(ctx, w.Sponsor.Operator(), issuancetest.Newcomer(t, "X", "Y"))
	wantRule(t, err, "operator.ended")
}

// The authority is revoked, not the card: connections that stand go on asking.
func TestACardBelowARevokedAuthoritySignsInAtNoDesk(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w, ctx := issuancetest.New(t, ""), t.Context()
	_, _, hand := w.Holder("Mara", managerJob)
	if _, err := w.Desk.Self(ctx, hand.Operator()); err != nil {
		t.Fatal(err)
	}
	_, err := w.Ledger.Write(ctx, func(tx *ledger.Tx) error {
		return register.StopIssuer(tx, certs.IssuerIDOf(w.Issuers[ca.Authentication].Certificate), register.StoppedRevoked, journal.Hash{})
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Desk.Self(ctx, hand.Operator())
	wantRule(t, err, "operator.revoked")
	if _, err := w.Desk.Self(ctx, w.Manager.Operator()); err != nil { // whose CA stands
		t.Error(err)
	}
}

func TestACardNotHandedOverSignsInAtNoDeskAndCanBeHeld(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w, ctx := issuancetest.New(t, ""), t.Context()
	c := w.Approved(w.Person("Alex", "Example"))
	ask, keys := issuancetest.Asking(t, "request-alex")
	pair, _, err := w.Desk.Issue(ctx, w.Manager.Operator(), c.ID, ask)
	if err != nil {
		t.Fatal(err)
	}
	alex := issuancetest.NewHand(t, keys.Authentication, pair.Authentication.DER).Operator()
	_, err = w.Desk.Self(ctx, alex)
	wantRule(t, err, "operator.card-not-active")
	if _, _, err := w.Desk.Suspend(ctx, w.Manager.Operator(), pair.Card, "sent by post"); err != nil {
		t.Fatal(err)
	}
	_, err = w.Desk.Self(ctx, alex)
	wantRule(t, err, "operator.suspended")
	if k, _, err := w.Desk.Resume(ctx, w.Manager.Operator(), pair.Card, "arrived"); err != nil || k.State != issuance.CardIssued {
		t.Errorf("resumed to %+v: %v", k, err)
	}
	if _, _, err := w.Desk.HandOver(ctx, w.Manager.Operator(), pair.Card, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Desk.Self(ctx, alex); err != nil {
		t.Errorf("handed over: %v", err)
	}
}
