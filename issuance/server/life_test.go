package server_test

import (
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/internal/ledger/pgtest"
	"cardinal/issuance/api"
)

func TestCardLivesOverTLSOnSQLite(t *testing.T) {
	t.Parallel()
	live(t, open(t))
}

func TestCardLivesOverTLSOnPostgreSQL(t *testing.T) {
	t.Parallel()
	live(t, openOn(t, pgtest.URL(t)))
}

// live takes one person through everything a card can meet.
func live(t *testing.T, o *office) {
	ctx := t.Context()
	person, err := o.manager.AddPerson(ctx, o.newcomer("Ælfgifu", "Ó Briain-Example"))
	must(t, err)
	if !person.Visible || person.Position == 0 {
		t.Errorf("registering: %+v", person)
	}
	opened, err := o.manager.RequestCase(ctx, api.NewCase{Person: person.UUID, Reason: "starts on Monday"})
	must(t, err)
	_, err = o.sponsor.ApproveCase(ctx, opened.Case, api.Reason{})
	must(t, err)
	ask, keys := o.asking("request-1")
	issued, err := o.manager.Issue(ctx, opened.Case, ask)
	must(t, err)
	o.wantStatus(issued.Serials, certs.StateGood)
	again, err := o.manager.Issue(ctx, opened.Case, ask)
	must(t, err)
	if again.Serials != issued.Serials || again.Certificates != issued.Certificates {
		t.Errorf("asked twice, issued %v and %v", issued.Serials, again.Serials)
	}
	_, err = o.manager.HandOver(ctx, issued.Card, api.Reason{})
	must(t, err)

	held, err := o.manager.Suspend(ctx, issued.Card, api.Reason{Reason: "may turn up"})
	must(t, err)
	if held.State != api.CardSuspended {
		t.Errorf("suspended card is %s", held.State)
	}
	o.wantStatus(issued.Serials, certs.StateHeld)
	_, err = o.manager.Resume(ctx, issued.Card, api.Reason{})
	must(t, err)
	o.wantStatus(issued.Serials, certs.StateGood)

	renewal, newKeys := o.asking("request-2")
	renewal.Proof, err = api.NewHolderProof(keys.Authentication, issued.Card, "request-2", o.Now())
	must(t, err)
	renewed, err := o.manager.Renew(ctx, issued.Card, renewal)
	must(t, err)
	o.wantStatus(issued.Serials, certs.StateRevoked)
	o.wantStatus(renewed.Serials, certs.StateGood)
	if renewed.Card != issued.Card {
		t.Errorf("renewal made card %s of %s", renewed.Card, issued.Card)
	}

	holder := o.as(o.hand(newKeys, renewed.Certificates.Authentication))
	self, err := holder.Self(ctx)
	must(t, err)
	if self.Identity != person.UUID || self.Kind != "card" {
		t.Errorf("holder is taken for %+v", self)
	}
	_, err = o.manager.Cancel(ctx, issued.Card, api.CancelCard{Reason: "lost"})
	must(t, err)
	o.wantStatus(renewed.Serials, certs.StateRevoked)
	_, err = holder.Self(ctx)
	wantRule(t, err, 403, "operator.revoked")
	replaceLost(t, o, issued.Card)
}

func replaceLost(t *testing.T, o *office, lost string) {
	ctx := t.Context()
	replaced, err := o.manager.Replace(ctx, lost, api.CancelCard{})
	must(t, err)
	_, err = o.sponsor.ApproveCase(ctx, replaced.Case, api.Reason{})
	must(t, err)
	ask, _ := o.asking("request-3")
	successor, err := o.manager.Issue(ctx, replaced.Case, ask)
	must(t, err)
	old, err := o.manager.Card(ctx, lost)
	must(t, err)
	if old.State != api.CardReplaced || old.ReplacedBy != successor.Card || old.Reason != "lost" {
		t.Errorf("the lost card is %+v", old)
	}
	var verbs []string
	for _, e := range old.Events {
		verbs = append(verbs, e.Verb)
	}
	want := []string{"issue", "hand-over", "suspend", "resume", "renew", "cancel", "replace"}
	if len(verbs) != len(want) {
		t.Errorf("history %v, want %v", verbs, want)
	}
	of, err := o.manager.Case(ctx, replaced.Case)
	must(t, err)
	if of.Kind != api.CaseReplacement || of.Approved.By != "bootstrap-sponsor" || of.Issued.By != "bootstrap-manager" {
		t.Errorf("case %+v", of)
	}
}

// wantStatus asks the replica beside the server, at once.
func (o *office) wantStatus(s api.Serials, want certs.State) {
	o.Helper()
	for name, text := range map[string]string{"authentication": s.Authentication, "signing": s.Signature} {
		serial, err := certs.ParseSerial(text)
		must(o, err)
		issuer := o.table.Issuer(name)
		if issuer == nil {
			o.Fatalf("the replica knows no issuer %s", name)
		}
		got, err := o.table.Status(issuer.ID, serial)
		must(o, err)
		if got.State != want {
			o.Errorf("%s certificate is %s, want %s", name, got.State, want)
		}
	}
}

func TestAnswersAreVisibleWhenTheyCome(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	o := open(t)
	card, _ := o.Card(o.Person("Alex", "Example"))
	start := time.Now()
	cancelled, err := o.manager.Cancel(t.Context(), card, api.CancelCard{Reason: "stolen"})
	must(t, err)
	t.Logf("cancelling took %s", time.Since(start))
	if !cancelled.Visible {
		t.Error("the answer came before the replica had it")
	}
}
