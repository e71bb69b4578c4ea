package issuance_test

import (
	"testing"
	"time"

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
