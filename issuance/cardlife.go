package issuance

import (
	"context"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

// Cancellation ends a card. Since is when a key may have come into other hands,
// the zero time for not known; PasscodeKnown says that somebody else may know
// the passcode, and then what the card signed earlier is in doubt too.
type Cancellation struct {
	Reason        string // one of policies/events.yaml: lost, stolen, damaged, left, superseded, compromised
	Note          string
	Since         time.Time
	PasscodeKnown bool
	// SignaturesFall says that it is known and meant that signatures the card made
	// before count no longer; without it such a cancellation is refused.
	SignaturesFall bool
}

func (c Cancellation) check(now time.Time) error {
	if !c.Since.IsZero() && c.Since.After(now) {
		return cancelSince.in("since", "%s is in the future", c.Since.UTC().Format(time.RFC3339))
	}
	return checkText("note", c.Note, textMax)
}

// HandOver makes an issued card its holder's. Whoever calls it says that the
// holder stood at the desk and was looked at.
func (d *Desk) HandOver(ctx context.Context, op Operator, id, note string) (*Card, journal.Position, error) {
	return d.turnCard(ctx, op, turning{id: id, what: policies.CardHandOver, note: note,
		step: func(tx *ledger.Tx, c *Card) (cardStep, error) {
			return cardStep{of: c, verb: verbHandOver, to: CardActive}, nil
		},
		after: func(tx *ledger.Tx, by *actor, role policies.Role, c *Card) error {
			of, err := readCase(tx, c.Case)
			if err != nil {
				return err
			}
			if err := d.moveCase(tx, by, role, step{of, verbHandOver, CaseHandedOver, note}); err != nil {
				return err
			}
			return d.settleBootstrap(tx, c.Person)
		}})
}

// Suspend puts both certificates on hold (RFC 5280 §5.3.1 certificateHold).
func (d *Desk) Suspend(ctx context.Context, op Operator, id, note string) (*Card, journal.Position, error) {
	return d.turnCard(ctx, op, turning{id: id, what: policies.CardSuspend, note: note,
		step: func(tx *ledger.Tx, c *Card) (cardStep, error) {
			return cardStep{of: c, verb: verbSuspend, to: CardSuspended, reason: "suspended"}, nil
		},
		after: func(tx *ledger.Tx, by *actor, role policies.Role, c *Card) error {
			return register.SetStatus(tx, c.refs(), certs.Held())
		}})
}

// Resume ends a suspension; the card is again what it was before.
func (d *Desk) Resume(ctx context.Context, op Operator, id, note string) (*Card, journal.Position, error) {
	return d.turnCard(ctx, op, turning{id: id, what: policies.CardResume, note: note,
		step: func(tx *ledger.Tx, c *Card) (cardStep, error) {
			to := c.beforeHold
			if to == "" {
				to = CardActive // not suspended: the table says no
			}
			return cardStep{of: c, verb: verbResume, to: to}, nil
		},
		after: func(tx *ledger.Tx, by *actor, role policies.Role, c *Card) error {
			if err := register.Release(tx, c.refs()); err != nil {
				return err
			}
			return d.settleBootstrap(tx, c.Person)
		}})
}

// Cancel ends a card for good: both certificates, the card's state and the
// decision in one transaction. Each certificate gets the CRL reason the policy
// names for it.
func (d *Desk) Cancel(ctx context.Context, op Operator, id string, why Cancellation) (*Card, journal.Position, error) {
	return d.turnCard(ctx, op, turning{id: id, what: policies.CardCancel, note: why.Note,
		step: func(tx *ledger.Tx, c *Card) (cardStep, error) {
			if _, err := d.reasons(why); err != nil {
				return cardStep{}, err
			}
			return cardStep{of: c, verb: verbCancel, to: CardCancelled, reason: why.Reason}, why.check(tx.Time())
		},
		after: func(tx *ledger.Tx, by *actor, role policies.Role, c *Card) error {
			if err := d.revokePair(tx, c, why); err != nil {
				return err
			}
			return d.endCase(tx, by, role, c)
		}})
}

// turning is a verb on a card: how the state moves, and what goes with it.
type turning struct {
	id    string
	what  policies.Activity
	note  string
	step  func(tx *ledger.Tx, c *Card) (cardStep, error)
	after func(tx *ledger.Tx, by *actor, role policies.Role, c *Card) error
}

func (d *Desk) turnCard(ctx context.Context, op Operator, t turning) (*Card, journal.Position, error) {
	if err := checkText("reason", t.note, textMax); err != nil {
		return nil, 0, err
	}
	write := d.write
	if t.what == policies.CardSuspend || t.what == policies.CardCancel {
		write = d.stop
	}
	var turned *Card
	position, err := write(ctx, op, func(tx *ledger.Tx, by *actor) error {
		c, err := readCard(tx, t.id)
		if err != nil {
			return err
		}
		situation := by.about(c.Person)
		situation.InPerson = t.what == policies.CardHandOver
		role, err := d.may(by, t.what, situation)
		if err != nil {
			return err
		}
		s, err := t.step(tx, c)
		if err != nil {
			return err
		}
		s.note = t.note
		if err := d.moveCard(tx, by, role, s); err != nil {
			return err
		}
		turned = c
		return t.after(tx, by, role, c)
	})
	if err != nil {
		return nil, 0, err
	}
	return turned, position, nil
}

// reasons maps why a card ends to a CRL reason for each certificate.
func (d *Desk) reasons(why Cancellation) (policies.PairReasons, error) {
	reasons, err := d.policies.Events().Cancel(why.Reason, why.PasscodeKnown)
	if err == nil && reasons.SignaturesFall() && !why.SignaturesFall {
		return reasons, cancelFall.in("signatures_fall", "with %s the signature certificate is revoked as keyCompromise, and verifiers then hold every signature the card ever made void: say that this is meant", why.Reason)
	}
	return reasons, turnedDown(KindInput, "reason", err)
}

// revokePair revokes both certificates, each for its own reason.
func (d *Desk) revokePair(tx *ledger.Tx, c *Card, why Cancellation) error {
	reasons, err := d.reasons(why)
	if err != nil {
		return err
	}
	for _, one := range []struct {
		ref    certs.Ref
		reason certs.Reason
	}{{c.Authentication, reasons.Authentication}, {c.Signature, reasons.Signature}} {
		status := certs.Revoked(one.reason)
		status.Invalidity = why.Since
		if err := register.SetStatus(tx, []certs.Ref{one.ref}, status); err != nil {
			return err
		}
	}
	return nil
}

// cancelCards ends whatever card a closed person still has.
func (d *Desk) cancelCards(tx *ledger.Tx, by *actor, role policies.Role, uuid certs.UUID) error {
	cards, err := cardsWhere(tx, `k.person = $1 AND k.state IN ($2, $3, $4)`,
		string(uuid), CardIssued, CardActive, CardSuspended)
	if err != nil {
		return err
	}
	for _, c := range cards {
		s := cardStep{of: c, verb: verbCancel, to: CardCancelled, reason: "left", note: "person closed"}
		if err := d.moveCard(tx, by, role, s); err != nil {
			return err
		}
		if err := d.revokePair(tx, c, Cancellation{Reason: "left"}); err != nil {
			return err
		}
		if err := d.endCase(tx, by, role, c); err != nil {
			return err
		}
	}
	return nil
}

// endCase withdraws the case of a card that ended before it was handed over.
func (d *Desk) endCase(tx *ledger.Tx, by *actor, role policies.Role, c *Card) error {
	of, err := readCase(tx, c.Case)
	if err != nil || of.State != CaseIssued {
		return err
	}
	return d.moveCase(tx, by, role, step{of, verbWithdraw, CaseWithdrawn, "its card ended"})
}

// Replace ends a card that still counts and opens the case for its successor,
// which a sponsor approves and another person issues, as for a first card: one
// official alone must not turn somebody's card into a new one. A card that was
// cancelled before only gets the case. Without a reason a card that still
// counts is superseded.
func (d *Desk) Replace(ctx context.Context, op Operator, id string, why Cancellation) (*Card, *Case, journal.Position, error) {
	var replaced *Card
	var opened *Case
	position, err := d.write(ctx, op, func(tx *ledger.Tx, by *actor) error {
		c, err := readCard(tx, id)
		if err != nil {
			return err
		}
		role, err := d.may(by, policies.CardReplace, by.about(c.Person))
		if err != nil {
			return err
		}
		if c.State == CardReplaced {
			return cardState.says("card %s was replaced by %s", c.ID, c.ReplacedBy)
		}
		if c.State != CardCancelled {
			if err := d.endForSuccessor(tx, by, ending{c, role, why}); err != nil {
				return err
			}
		}
		replaced = c
		opened, err = d.openCase(tx, by, role, opening{person: c.Person, kind: CaseReplacement, replaces: c.ID, reason: why.Note})
		return err
	})
	if err != nil {
		return nil, nil, 0, err
	}
	return replaced, opened, position, nil
}

type ending struct {
	card *Card
	role policies.Role
	why  Cancellation
}

func (d *Desk) endForSuccessor(tx *ledger.Tx, by *actor, e ending) error {
	if e.why.Reason == "" {
		e.why.Reason = "superseded"
	}
	if _, err := d.reasons(e.why); err != nil {
		return err
	}
	if err := e.why.check(tx.Time()); err != nil {
		return err
	}
	s := cardStep{of: e.card, verb: verbCancel, to: CardCancelled, reason: e.why.Reason, note: e.why.Note}
	if err := d.moveCard(tx, by, e.role, s); err != nil {
		return err
	}
	if err := d.revokePair(tx, e.card, e.why); err != nil {
		return err
	}
	return d.endCase(tx, by, e.role, e.card)
}
