package issuance

import (
	"context"
	"errors"
	"fmt"

	"cardinal/ca"
	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

// errReplayed stops a recording because another process recorded the same
// request first; what was signed meanwhile is spoiled.
var errReplayed = errors.New("the request was answered meanwhile")

// making is a pair on its way: what is asked, for whom, on which card.
type making struct {
	*asked
	card   string
	person *Person
	record func(tx *ledger.Tx, by *actor, fresh *Card) error
}

// Issue makes the pair of an approved case: reserve, sign, and then in one
// transaction the certificates, the card, the directory entry and the decision.
// The operator's rights are read again in that transaction. Whoever approved,
// and the holder, cannot issue.
func (d *Desk) Issue(ctx context.Context, op Operator, id string, r PairRequest) (*Pair, journal.Position, error) {
	a, err := d.judgePair(id, r)
	if err != nil {
		return nil, 0, err
	}
	end, err := d.turns.take(ctx, id)
	if err != nil {
		return nil, 0, err
	}
	defer end()
	m := making{asked: a}
	look := func(tx *ledger.Tx, by *actor) error {
		c, _, err := d.mayIssue(tx, by, id)
		if err != nil {
			return err
		}
		m.card = c.Card
		m.person, err = readPerson(tx, c.Person)
		return err
	}
	m.record = func(tx *ledger.Tx, by *actor, fresh *Card) error { return d.recordIssue(tx, by, m, fresh) }
	return d.make(ctx, op, &m, look)
}

// mayIssue holds the case and the operator against every rule on issuing.
func (d *Desk) mayIssue(tx *ledger.Tx, by *actor, id string) (*Case, policies.Role, error) {
	c, err := readCase(tx, id)
	if err != nil {
		return nil, "", err
	}
	role, err := d.may(by, policies.CardIssue, by.about(c.Person))
	if err != nil {
		return nil, "", err
	}
	if !allowed(caseMoves(), verbIssue, c.State, CaseIssued) {
		return nil, "", caseState.says("case %s is %s; %s starts from %v", c.ID, c.State, verbIssue, starts(caseMoves(), verbIssue))
	}
	hands := c.hands()
	hands.Issuer = by.identity
	if err := policies.FourEyes(hands); err != nil {
		return nil, "", turnedDown(KindRight, "", err)
	}
	changed, err := changedSince(tx, c.Person, c.at(verbApprove), verbUpdate, verbRename)
	if err != nil {
		return nil, "", err
	}
	if changed {
		return nil, "", caseChanged.says("%s changed after case %s was approved: it must be approved anew", c.Person, c.ID)
	}
	if err := d.entitled(tx, c.Person); err != nil {
		return nil, "", err
	}
	live, err := d.liveCard(tx, c.Person)
	if err != nil {
		return nil, "", err
	}
	if live != nil {
		return nil, "", caseHasCard.says("%s has the card %s, which is %s", c.Person, live.ID, live.State)
	}
	return c, role, nil
}

// make looks first, so that what cannot be is refused before anything is
// reserved; has the pair signed; and records it, judging everything again.
func (d *Desk) make(ctx context.Context, op Operator, m *making, look func(*ledger.Tx, *actor) error) (*Pair, journal.Position, error) {
	before, at, err := d.lookFirst(ctx, op, m, look)
	if err != nil {
		return d.lastAnswer(ctx, op, m, err)
	}
	if before != nil {
		return before, at, nil
	}
	var made *Pair
	_, position, err := d.ca.Issue(ctx, m.orders(), func(tx *ledger.Tx, signed []ca.Issued) error {
		made = nil
		by, err := d.signIn(tx, op)
		if err != nil {
			return err
		}
		if tx.Head().Quarantine {
			return ledger.ErrQuarantine
		}
		switch earlier, err := m.replayed(tx, by); {
		case err != nil:
			return err
		case earlier != nil:
			return errReplayed
		}
		fresh, err := m.fresh(signed)
		if err != nil {
			return err
		}
		if err := m.record(tx, by, fresh); err != nil {
			return err
		}
		made = pairOf(fresh, signed)
		m.bind(tx, by, fresh)
		return d.publish(tx, m.person.UUID, signed[0].Certificate.Raw, signed[1].Certificate.Raw)
	})
	if errors.Is(err, errReplayed) {
		return d.lookFirst(ctx, op, m, look)
	}
	if err != nil {
		return nil, 0, turnedDown(KindRule, "", err)
	}
	return made, position, nil
}

// lookFirst gives the earlier answer to the same request, or nil when look
// found nothing against it.
func (d *Desk) lookFirst(ctx context.Context, op Operator, m *making, look func(*ledger.Tx, *actor) error) (*Pair, journal.Position, error) {
	var earlier *Pair
	var at journal.Position
	err := d.read(ctx, op, func(tx *ledger.Tx, by *actor) (err error) {
		if tx.Head().Quarantine {
			return ledger.ErrQuarantine
		}
		at = tx.Head().Position
		if earlier, err = m.replayed(tx, by); err != nil || earlier != nil {
			return err
		}
		if err := look(tx, by); err != nil {
			return err
		}
		return m.keysAreFree(tx, m.card)
	})
	return earlier, at, err
}

// lastAnswer gives a holder whose renewal was recorded, and whose answer was
// lost, the same answer again: by then the certificate he asks with has been
// superseded by what he asks for. Certificates are public; that he has the old
// key and the very same requests is enough.
func (d *Desk) lastAnswer(ctx context.Context, op Operator, m *making, no error) (*Pair, journal.Position, error) {
	var refusal *Refusal
	if !errors.As(no, &refusal) || refusal.Rule != operatorRevoked.name {
		return nil, 0, no
	}
	var earlier *Pair
	var at journal.Position
	err := d.ledger.Read(ctx, func(tx *ledger.Tx) error {
		held, err := certificateOf(tx, op.Certificate)
		if err != nil || held.Card != m.subject || held.Status.Reason != certs.ReasonSuperseded {
			return errors.Join(no, err)
		}
		at = tx.Head().Position
		earlier, err = m.replayed(tx, &actor{identity: held.Holder})
		if err == nil && earlier == nil {
			return no
		}
		return err
	})
	return earlier, at, err
}

// orders are for the two certificates; every name comes from the record.
func (m *making) orders() []ca.Order {
	subject := policies.Subject{UUID: string(m.person.UUID), Given: m.person.Given, Family: m.person.Family}
	login := subject
	login.UPN = m.person.UPN
	if m.person.Mail != "" {
		login.Mail = []string{m.person.Mail}
	}
	return []ca.Order{
		{Issuer: ca.Authentication, Card: m.card, RequestID: m.RequestID,
			Request: policies.Request{Profile: policies.ProfileAuthentication, Subject: login, PublicKey: m.authentication}},
		{Issuer: ca.Signing, Card: m.card, RequestID: m.RequestID,
			Request: policies.Request{Profile: policies.ProfileSignature, Subject: subject, PublicKey: m.signature}},
	}
}

// fresh is the card as the signed pair makes it.
func (m *making) fresh(signed []ca.Issued) (*Card, error) {
	first, second := signed[0].Certificate, signed[1].Certificate
	if !first.NotBefore.Equal(second.NotBefore) || !first.NotAfter.Equal(second.NotAfter) {
		return nil, fmt.Errorf("pairing %s and %s: their validity differs", signed[0].Serial, signed[1].Serial)
	}
	return &Card{ID: m.card, Person: m.person.UUID, Pair: 1, State: CardIssued,
		Authentication: signed[0].Ref, Signature: signed[1].Ref,
		NotBefore: first.NotBefore, NotAfter: first.NotAfter}, nil
}

func pairOf(c *Card, signed []ca.Issued) *Pair {
	return &Pair{Card: c.ID,
		Authentication: Certificate{Ref: signed[0].Ref, DER: signed[0].Certificate.Raw},
		Signature:      Certificate{Ref: signed[1].Ref, DER: signed[1].Certificate.Raw}}
}

// sameNames refuses what was signed for a name that changed meanwhile.
func (m *making) sameNames(tx *ledger.Tx) error {
	now, err := readPerson(tx, m.person.UUID)
	if err != nil {
		return err
	}
	if now.Given != m.person.Given || now.Family != m.person.Family || now.UPN != m.person.UPN || now.Mail != m.person.Mail {
		return pairNames.says("the names of %s changed meanwhile; ask again", now.UUID)
	}
	return nil
}

// recordIssue is the desk's part of the recording transaction.
func (d *Desk) recordIssue(tx *ledger.Tx, by *actor, m making, fresh *Card) error {
	c, role, err := d.mayIssue(tx, by, m.subject)
	if err != nil {
		return err
	}
	if err := m.sameNames(tx); err != nil {
		return err
	}
	if err := d.moveCase(tx, by, role, step{c, verbIssue, CaseIssued, ""}); err != nil {
		return err
	}
	if c.Replaces != "" {
		if err := d.replaceCard(tx, by, role, c); err != nil {
			return err
		}
	}
	tx.Defer(`INSERT INTO issuance_cards (id, person, case_id, state, before_hold, reason, replaces, replaced_by, pair, not_before, not_after)
		VALUES ($1, $2, $3, $4, '', '', $5, '', $6, $7, $8)`,
		fresh.ID, string(fresh.Person), c.ID, CardIssued, c.Replaces, fresh.Pair,
		fresh.NotBefore.UnixMicro(), fresh.NotAfter.UnixMicro())
	fresh.putPair(tx, m.asked)
	if err := d.putCard(tx, fresh); err != nil {
		return err
	}
	return d.decide(tx, by, role, decision{subject: fresh.ID, verb: verbIssue, to: CardIssued})
}

// replaceCard marks the cancelled card with its successor.
func (d *Desk) replaceCard(tx *ledger.Tx, by *actor, role policies.Role, c *Case) error {
	old, err := readCard(tx, c.Replaces)
	if err != nil {
		return err
	}
	old.ReplacedBy = c.Card
	return d.moveCard(tx, by, role, cardStep{of: old, verb: verbReplace, to: CardReplaced, reason: old.Reason})
}
