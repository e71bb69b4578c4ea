package server_test

import (
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/issuance/api"
	"cardinal/issuance/issuancetest"
)

const oneDay = 24 * time.Hour

func TestHoldersRenewInTheLastNinetyDays(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	o, ctx := open(t), t.Context()
	_, card, hand := o.Holder("Alex", ordinaryJob)
	holder := o.as(hand)
	shown, err := holder.Card(ctx, card)
	must(t, err)
	ask, keys := o.asking("request-renew")
	renew := func() (*api.Issued, error) { return holder.Renew(ctx, card, ask) }
	o.Advance(shown.RenewFrom.Sub(o.Now()) - time.Hour)
	o.refuse(t, []refusal{{"a day too early", 422, "renew.too-early", func() error { return failed(renew()) }}})
	o.Advance(2 * time.Hour)
	renewed, err := renew()
	must(t, err)
	o.wantStatus(shown.Serials, certs.StateRevoked)
	o.wantStatus(renewed.Serials, certs.StateGood)

	// The answer was lost: the same card asks again with the old key, and gets the same.
	again, err := renew()
	must(t, err)
	if again.Serials != renewed.Serials {
		t.Errorf("asked twice, renewed %v and %v", renewed.Serials, again.Serials)
	}
	wantRule(t, failed(holder.Self(ctx)), 403, "operator.revoked")
	other, _ := o.asking("request-renew")
	wantRule(t, failed(holder.Renew(ctx, card, other)), 409, "request.other-content")

	fresh := o.as(o.hand(keys, renewed.Certificates.Authentication))
	after, err := fresh.Card(ctx, card)
	must(t, err)
	if after.Pair != 2 || after.State != api.CardActive || !after.NotAfter.After(shown.NotAfter.AddDate(2, 8, 0)) {
		t.Errorf("renewed card %+v", after)
	}
}

func TestExpiredCardsAreRenewedByAnAgentInPerson(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	o, ctx := open(t), t.Context()
	uuid, card, hand := o.Holder("Alex", ordinaryJob)
	_, agentCard, agentHand := o.Holder("Agnes", agentJob)
	agent := o.as(o.renewedOnTime(agentCard, agentHand))
	o.Advance(95 * oneDay)
	shown, err := agent.Card(ctx, card)
	must(t, err)
	if shown.State != api.CardExpired {
		t.Errorf("after its time the card is %s", shown.State)
	}
	expired, err := agent.Cards(ctx, api.CardFilter{State: api.CardExpired})
	must(t, err)
	if len(expired.Cards) != 1 || expired.Cards[0].Person != string(uuid) {
		t.Errorf("expired cards %+v", expired)
	}
	ask, _ := o.asking("request-late")
	o.refuse(t, []refusal{
		{"by its holder", 403, "operator.expired", func() error { return failed(o.as(hand).Renew(ctx, card, ask)) }},
		{"by an agent without the card", 422, "renew.proof", func() error { return failed(agent.Renew(ctx, card, ask)) }},
		{"suspended after its end", 409, "card.expired", func() error { return failed(agent.Suspend(ctx, card, api.Reason{})) }},
	})
	must(t, failed(agent.Renew(ctx, card, o.renewal("request-late", card, issuancetest.Keys{Authentication: hand.Key}))))
	wantRule(t, failed(o.as(hand).Self(ctx)), 403, "operator.revoked")
}

func TestExpiredCardsAreNotRenewedBesideANewOne(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	o, ctx := open(t), t.Context()
	uuid, old, hand := o.Holder("Alex", ordinaryJob)
	_, agentCard, agentHand := o.Holder("Agnes", agentJob)
	_, sponsorCard, sponsorHand := o.Holder("Simon", ordinaryJob, sponsoring)
	agent := o.as(o.renewedOnTime(agentCard, agentHand))
	sponsor := o.as(o.renewedOnTime(sponsorCard, sponsorHand))
	o.Advance(95 * oneDay)
	asked, err := agent.RequestCase(ctx, api.NewCase{Person: string(uuid)})
	must(t, err)
	must(t, failed(sponsor.ApproveCase(ctx, asked.Case, api.Reason{})))
	must(t, o.issue(agent, asked.Case))
	ask := o.renewal("request-late", old, issuancetest.Keys{Authentication: hand.Key})
	o.refuse(t, []refusal{{"the old card", 409, "case.card-exists", func() error { return failed(agent.Renew(ctx, old, ask)) }}})
}

// renewedOnTime turns the clock to where a holder may renew, has him do it, and
// gives him with the new pair.
func (o *office) renewedOnTime(card string, hand *issuancetest.Hand) *issuancetest.Hand {
	o.Helper()
	holder := o.as(hand)
	shown, err := holder.Card(o.Context(), card)
	must(o, err)
	o.Advance(shown.RenewFrom.Sub(o.Now()) + oneDay)
	ask, keys := o.asking("request-" + card + "-" + o.Now().Format(time.DateOnly))
	renewed, err := holder.Renew(o.Context(), card, ask)
	must(o, err)
	return o.hand(keys, renewed.Certificates.Authentication)
}

func TestIssuersThatEndAreAnAlarmAndThenARefusal(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	o, ctx := open(t), t.Context()
	_, card, hand := o.Holder("Mara", managerJob)
	for range 2 { // 5.5 years on
		hand = o.renewedOnTime(card, hand)
	}
	quiet := o.alarms(hand)
	o.Advance(300 * oneDay)
	loud := o.alarms(hand)
	if quiet["issuer-ending"] > 0 || loud["issuer-ending"] == 0 {
		t.Errorf("alarms %v, ten months later %v", quiet, loud)
	}
	shown, err := o.as(hand).Card(ctx, card)
	must(t, err)
	o.Advance(shown.RenewFrom.Sub(o.Now()) + oneDay)
	ask, _ := o.asking("request-beyond")
	wantRule(t, failed(o.as(hand).Renew(ctx, card, ask)), 422, "outlives-issuer")
}

// alarms counts what stands by name.
func (o *office) alarms(hand *issuancetest.Hand) map[string]int {
	o.Helper()
	health, err := o.as(hand).Health(o.Context())
	must(o, err)
	count := map[string]int{}
	for _, a := range health.Alarms {
		count[a.Name]++
	}
	return count
}
