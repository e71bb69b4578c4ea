package issuance

import (
	"context"
	"errors"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

// Renew puts a new pair on the same card; the old pair is revoked as superseded
// in the same transaction. The holder may do it with the card itself in its
// last days; others by their role, with a proof by the card's key. Once the
// pair has ended only an agent may, in person, with that proof. A card that was
// suspended, cancelled or never handed over is not renewed, nor an ended one
// whose holder has another by now.
func (d *Desk) Renew(ctx context.Context, op Operator, id string, r PairRequest) (*Pair, journal.Position, error) {
	a, err := d.judgePair(id, r)
	if err != nil {
		return nil, 0, err
	}
	end, err := d.turns.take(ctx, id)
	if err != nil {
		return nil, 0, err
	}
	defer end()
	m := making{asked: a, card: id}
	look := func(tx *ledger.Tx, by *actor) error {
		c, _, err := d.mayRenew(tx, by, m.asked)
		if err != nil {
			return err
		}
		m.person, err = readPerson(tx, c.Person)
		return err
	}
	m.record = func(tx *ledger.Tx, by *actor, fresh *Card) error { return d.recordRenewal(tx, by, m, fresh) }
	return d.make(ctx, op, &m, look)
}

// mayRenew holds the card and the operator against every rule on renewing.
func (d *Desk) mayRenew(tx *ledger.Tx, by *actor, a *asked) (*Card, policies.Role, error) {
	c, err := readCard(tx, a.subject)
	if err != nil {
		return nil, "", err
	}
	situation := by.about(c.Person)
	situation.DaysLeft = c.daysLeft(d.moment(tx))
	what := policies.CardRenew
	if c.ended(d.moment(tx)) {
		what, situation.InPerson = policies.CardRenewExpired, true // checkProof below is what in person means
	}
	role, err := d.may(by, what, situation)
	if err != nil {
		return nil, "", d.perhapsEarly(by, c, situation, err)
	}
	if c.State != CardActive {
		return nil, "", cardState.says("card %s is %s; %s starts from %v", c.ID, c.shown(d.moment(tx)), verbRenew, []string{CardActive, CardExpired})
	}
	if by.card != c.ID {
		if err := a.checkProof(tx, c, d.moment(tx)); err != nil {
			return nil, "", err
		}
	}
	if err := sameNameSince(tx, c); err != nil {
		return nil, "", err
	}
	if err := d.onlyCard(tx, c); err != nil {
		return nil, "", err
	}
	return c, role, d.entitled(tx, c.Person)
}

// onlyCard refuses to bring an ended card back beside the one that came after it.
func (d *Desk) onlyCard(tx *ledger.Tx, c *Card) error {
	live, err := d.liveCard(tx, c.Person)
	if err != nil {
		return err
	}
	if live != nil && live.ID != c.ID {
		return caseHasCard.says("%s has the card %s, which is %s", c.Person, live.ID, live.State)
	}
	return nil
}

// sameNameSince refuses to renew into another name than the one two officials
// put on the card.
func sameNameSince(tx *ledger.Tx, c *Card) error {
	log, err := decisionsOn(tx, c.ID)
	if err != nil {
		return err
	}
	made := time.Time{}
	for _, line := range log {
		if line.Verb == verbIssue || line.Verb == verbRenew {
			made = line.At
		}
	}
	renamed, err := changedSince(tx, c.Person, made, verbRename)
	if err == nil && renamed {
		return renewRenamed.says("the name of %s changed since card %s was made: it must be replaced", c.Person, c.ID)
	}
	return err
}

// perhapsEarly says "too early" where only the day stands against it.
func (d *Desk) perhapsEarly(by *actor, c *Card, s policies.Situation, no error) error {
	var refusal *Refusal
	if s.DaysLeft <= 0 || !errors.As(no, &refusal) {
		return no
	}
	s.DaysLeft = 0
	if d.policies.Matrix().May(by.roles, policies.CardRenew, s) != nil {
		return no
	}
	return renewEarly.says("card %s ends on %s; its holder may renew it from %s", c.ID, day(c.NotAfter), day(d.renewFrom(c)))
}

// recordRenewal is the desk's part of the recording transaction.
func (d *Desk) recordRenewal(tx *ledger.Tx, by *actor, m making, fresh *Card) error {
	c, role, err := d.mayRenew(tx, by, m.asked)
	if err != nil {
		return err
	}
	if err := m.sameNames(tx); err != nil {
		return err
	}
	if err := d.moveCard(tx, by, role, cardStep{of: c, verb: verbRenew, to: CardActive}); err != nil {
		return err
	}
	if err := d.supersede(tx, c); err != nil {
		return err
	}
	fresh.Pair = c.Pair + 1
	fresh.putPair(tx, m.asked)
	tx.Defer(`UPDATE issuance_cards SET pair = $1, not_before = $2, not_after = $3 WHERE id = $4`,
		fresh.Pair, fresh.NotBefore.UnixMicro(), fresh.NotAfter.UnixMicro(), c.ID)
	c.NotAfter = fresh.NotAfter
	if err := d.showCard(tx, c); err != nil {
		return err
	}
	return d.settleBootstrap(tx, c.Person)
}

// supersede revokes a card's present pair.
func (d *Desk) supersede(tx *ledger.Tx, c *Card) error {
	reasons, err := d.policies.Events().Cancel("superseded", false)
	if err != nil {
		return err
	}
	if err := register.SetStatus(tx, []certs.Ref{c.Authentication}, certs.Revoked(reasons.Authentication)); err != nil {
		return err
	}
	return register.SetStatus(tx, []certs.Ref{c.Signature}, certs.Revoked(reasons.Signature))
}
