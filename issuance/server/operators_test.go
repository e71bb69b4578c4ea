package server_test

import (
	"testing"
	"time"

	"cardinal/ca"
	"cardinal/certs"
	"cardinal/directory"
	"cardinal/directory/register"
	"cardinal/internal/ledger"
	"cardinal/issuance/api"
	"cardinal/issuance/issuancetest"
	"cardinal/policies"
)

const (
	ordinaryJob = "S8000:G8000:R8000"
	agentJob    = "S0000:G0000:R5090"
	managerJob  = "S0000:G0000:R5080"
	adminJob    = "X9001"
	auditorJob  = "X9002"
	sponsoring  = "B1300"
)

func TestFourEyesHoldWhateverRolesSomebodyHas(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	o, ctx := open(t), t.Context()
	agentID, _, agentHand := o.Holder("Agnes", agentJob)
	sponsorID, _, sponsorHand := o.Holder("Simon", ordinaryJob, sponsoring)
	agent, sponsor := o.as(agentHand), o.as(sponsorHand)
	request := func(by *api.Client, name string) string {
		opened, err := by.RequestCase(ctx, api.NewCase{Person: string(o.Person(name, "Example"))})
		must(t, err)
		return opened.Case
	}
	asked, byAgent := request(sponsor, "Cleo"), request(agent, "Dora")
	o.refuse(t, []refusal{
		{"sponsor approves what he asked for", 403, "four-eyes", func() error { return failed(sponsor.ApproveCase(ctx, asked, api.Reason{})) }},
		{"agent approves", 403, "role", func() error { return failed(agent.ApproveCase(ctx, byAgent, api.Reason{})) }},
		{"sponsor issues", 403, "role", func() error { return o.issue(sponsor, byAgent) }},
		{"issued before it was approved", 409, "case.state", func() error { return o.issue(agent, byAgent) }},
		{"bootstrap manager approves", 403, "role", func() error { return failed(o.manager.ApproveCase(ctx, byAgent, api.Reason{})) }},
		{"agent's own replacement", 403, "role", func() error { return failed(agent.Replace(ctx, o.cardOf(agentID), api.CancelCard{})) }},
		{"agent gives himself a role", 403, "role", func() error { return failed(agent.AddPosition(ctx, string(agentID), position(ordinaryJob))) }},
		{"agent makes somebody agent", 403, "position.registration-role", func() error { return failed(agent.AddPosition(ctx, string(sponsorID), position(agentJob))) }},
		{"sponsor becomes agent", 422, "position.approves-and-issues", func() error { return failed(o.manager.AddPosition(ctx, string(sponsorID), position(agentJob))) }},
	})
	_, err := sponsor.ApproveCase(ctx, byAgent, api.Reason{})
	must(t, err)

	// Somebody writes both roles past the desk: together they are worth neither.
	o.sneak(sponsorID, agentJob)
	o.refuse(t, []refusal{
		{"both roles, approving", 403, "apart", func() error { return failed(sponsor.ApproveCase(ctx, asked, api.Reason{})) }},
		{"both roles, issuing", 403, "apart", func() error { return o.issue(sponsor, byAgent) }},
	})

	// Having approved as sponsor he becomes an agent and no sponsor: another role, the same person.
	o.closeRole(sponsorID, sponsoring)
	o.refuse(t, []refusal{{"the approver issues in another role", 403, "four-eyes", func() error { return o.issue(sponsor, byAgent) }}})
	must(t, o.issue(agent, byAgent))
}

func (o *office) issue(by *api.Client, id string) error {
	ask, _ := o.asking("request-" + id)
	return failed(by.Issue(o.Context(), id, ask))
}

func position(job string, activities ...string) api.NewPosition {
	return api.NewPosition{Organisation: "X99", OrganisationName: "EXAMPLE NHS TRUST", JobRole: "a job", JobRoleCode: job, Activities: activities}
}

func (o *office) cardOf(uuid certs.UUID) string {
	o.Helper()
	page, err := o.manager.Cards(o.Context(), api.CardFilter{Person: string(uuid)})
	must(o, err)
	return page.Cards[0].ID
}

// sneak writes a role profile into the register as only the desk should.
func (o *office) sneak(uuid certs.UUID, job string) {
	o.Helper()
	held, err := o.manager.Positions(o.Context(), string(uuid))
	must(o, err)
	dn, err := directory.ParseDN("uniqueIdentifier=999999999999,uniqueIdentifier=" + held.Positions[0].OrgPerson + ",uid=" + string(uuid) + ",ou=People,o=nhs")
	must(o, err)
	e := &directory.Entry{DN: dn}
	e.PutString("objectClass", "top", "nhsOrgPersonRole")
	e.PutString("uniqueIdentifier", "999999999999")
	e.PutString("nhsJobRole", "sneaked")
	e.PutString("nhsJobRoleCode", job)
	_, err = o.Ledger.Write(o.Context(), func(tx *ledger.Tx) error {
		return o.Directory.Add(tx, register.Author{DN: "cn=test", Issuance: true}, e)
	})
	must(o, err)
}

func (o *office) closeRole(uuid certs.UUID, activity string) {
	o.Helper()
	held, err := o.manager.Positions(o.Context(), string(uuid))
	must(o, err)
	for _, p := range held.Positions {
		if len(p.Activities) == 1 && p.Activities[0] == activity {
			_, err := o.manager.ClosePosition(o.Context(), string(uuid), p.ID, api.ClosePosition{})
			must(o, err)
		}
	}
}

func TestOperatorCertificatesAreJudgedPerRequest(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	o, ctx := open(t), t.Context()
	_, card, hand := o.Holder("Agnes", agentJob)
	agent := o.as(hand) // one connection for all that follows
	_, err := agent.Self(ctx)
	must(t, err)
	self := func(c *api.Client) func() error { return func() error { return failed(c.Self(ctx)) } }

	must(t, failed(o.manager.Suspend(ctx, card, api.Reason{})))
	o.refuse(t, []refusal{{"suspended", 403, "operator.suspended", self(agent)}})
	must(t, failed(o.manager.Resume(ctx, card, api.Reason{})))
	must(t, self(agent)())

	ready := o.Approved(o.Person("Bo", "Example"))
	ask, keys := o.asking("request-bo")
	made, err := o.manager.Issue(ctx, ready.ID, ask)
	must(t, err)
	o.refuse(t, []refusal{
		{"card not handed over", 403, "operator.card-not-active", self(o.as(o.hand(keys, made.Certificates.Authentication)))},
		{"a station's certificate", 403, "operator.profile", self(o.as(o.station()))},
		{"a certificate of others", 401, "operator.certificate", self(o.as(stranger(o)))},
	})

	must(t, failed(o.manager.Cancel(ctx, card, api.CancelCard{Reason: "left"})))
	o.refuse(t, []refusal{{"cancelled", 403, "operator.revoked", self(agent)}})
	o.Advance(31 * 24 * time.Hour)
	o.refuse(t, []refusal{{"bootstrap certificate over", 403, "operator.expired", self(o.manager)}})
}

// station is a hand with a certificate for machines.
func (o *office) station() *issuancetest.Hand {
	o.Helper()
	key := issuancetest.NewKey(o)
	issued, _, err := o.Authority.Issue(o.Context(), []ca.Order{{Issuer: ca.Services, Request: policies.Request{
		Profile: policies.ProfileClient, PublicKey: key.Public(), Subject: policies.Subject{CommonName: "station-1"}}}}, nil)
	must(o, err)
	return issuancetest.NewHand(o, key, issued[0].Certificate.Raw)
}

// stranger has a certificate of another house.
func stranger(o *office) *issuancetest.Hand {
	return issuancetest.New(o, "").Manager
}

func TestBootstrapOperatorsEndWhenTwoManagersHoldCards(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	o, ctx := open(t), t.Context()
	first, _, firstHand := o.Holder("Mara", managerJob)
	second := o.Person("Nora", "Example")
	o.Give(second, managerJob)
	c := o.Approved(second)
	ask, keys := issuancetest.Asking(t, "request-nora")
	pair, _, err := o.Desk.Issue(ctx, o.Manager.Operator(), c.ID, ask)
	must(t, err)
	must(t, failed(o.manager.Self(ctx)))
	must(t, failed(o.as(firstHand).HandOver(ctx, pair.Card, api.Reason{})))
	nora := o.as(issuancetest.NewHand(t, keys.Authentication, pair.Authentication.DER))
	o.refuse(t, []refusal{
		{"manager", 403, "operator.ended", func() error { return failed(o.manager.Self(ctx)) }},
		{"sponsor", 403, "operator.ended", func() error { return failed(o.sponsor.Self(ctx)) }},
	})
	listed, err := nora.Operators(ctx)
	must(t, err)
	for _, op := range listed.Operators {
		if op.Ended == nil || op.Why == "" {
			t.Errorf("operator %+v", op)
		}
		status, err := o.as(firstHand).Certificates(ctx, op.Serial)
		must(t, err)
		if got := status.Certificates[0].Status; got.State != "revoked" || got.Reason != "cessationOfOperation" {
			t.Errorf("certificate of %s is %+v", op.Name, got)
		}
	}
	if len(listed.Operators) != 2 || first == second {
		t.Errorf("operators %+v", listed.Operators)
	}
}

func TestBootstrapOperatorsStayWhileManagersCannotSignIn(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	o, ctx := open(t), t.Context()
	_, card, _ := o.Holder("Mara", managerJob)
	must(t, failed(o.manager.Suspend(ctx, card, api.Reason{})))
	_, _, _ = o.Holder("Nora", managerJob)
	must(t, failed(o.manager.Self(ctx))) // one active card, one on hold
	must(t, failed(o.manager.Resume(ctx, card, api.Reason{})))
	wantRule(t, failed(o.manager.Self(ctx)), 403, "operator.ended")
}

func TestRolesReachAsFarAsTheMatrixSays(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	o, ctx := open(t), t.Context()
	adminID, adminCard, adminHand := o.Holder("Ada", adminJob)
	_, _, auditorHand := o.Holder("Aud", auditorJob)
	holderID, holderCard, holderHand := o.Holder("Hal", ordinaryJob)
	admin, auditor, holder := o.as(adminHand), o.as(auditorHand), o.as(holderHand)
	asked, err := o.manager.RequestCase(ctx, api.NewCase{Person: string(o.Person("Bo", "Example"))})
	must(t, err)
	o.refuse(t, []refusal{
		{"security admin cancels his own card", 403, "role", func() error { return failed(admin.Cancel(ctx, adminCard, api.CancelCard{Reason: "lost"})) }},
		{"security admin resumes his own card", 403, "role", func() error { return failed(admin.Resume(ctx, adminCard, api.Reason{})) }},
		{"security admin approves", 403, "role", func() error { return failed(admin.ApproveCase(ctx, asked.Case, api.Reason{})) }},
		{"security admin issues", 403, "role", func() error { return o.issue(admin, asked.Case) }},
		{"auditor registers", 403, "role", func() error { return failed(auditor.AddPerson(ctx, o.newcomer("X", "Y"))) }},
		{"auditor cancels", 403, "role", func() error { return failed(auditor.Cancel(ctx, holderCard, api.CancelCard{Reason: "lost"})) }},
		{"holder reads another", 403, "role", func() error { return failed(holder.Person(ctx, string(adminID))) }},
		{"holder lists everybody", 403, "role", func() error { return failed(holder.Persons(ctx, api.PersonFilter{})) }},
		{"holder publishes lists", 403, "role", func() error { return failed(holder.PublishLists(ctx, api.PublishLists{})) }},
		{"holder lists operators", 403, "role", func() error { return failed(holder.Operators(ctx)) }},
	})
	must(t, failed(auditor.Card(ctx, holderCard)))
	must(t, failed(auditor.Cases(ctx, api.CaseFilter{})))
	must(t, failed(holder.Person(ctx, string(holderID))))
	must(t, failed(holder.Card(ctx, holderCard)))
	must(t, failed(holder.Cards(ctx, api.CardFilter{Person: string(holderID)})))
	must(t, failed(holder.UpdatePerson(ctx, string(holderID), api.PersonChange{Phone: text("0100 000000")})))
	must(t, failed(admin.Cancel(ctx, holderCard, api.CancelCard{Reason: "stolen", PasscodeKnown: true, SignaturesFall: true})))
	lists, err := admin.PublishLists(ctx, api.PublishLists{Issuer: "signing"})
	must(t, err)
	if len(lists.Lists) != ca.Shards+1 || !lists.Visible { // and the archive
		t.Errorf("%d lists, visible %t", len(lists.Lists), lists.Visible)
	}
}

func text(s string) *string { return &s }
