package issuance

import (
	"context"
	"errors"
	"fmt"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/ledger"
)

// Regained is what became of a certificate after the backup a ledger was
// restored from, as a copy has it that saw more.
type Regained struct {
	certs.Ref
	Status certs.Status
}

// Regains counts what Regain changed.
type Regains struct {
	Revoked int // certificates
	Held    int
	Cards   int
}

// ErrNoQuarantine: what a copy knows is merged into a ledger in quarantine alone.
var ErrNoQuarantine = errors.New("the ledger is not in quarantine")

// restorer is who the log says did it: no operator decides what had happened.
const restorer = "restore"

// Regain makes certificates as strict as a copy has them, all or none, and the
// cards whose present pair they are follow. A pair belongs into one call. What
// is as strict already stays as it is, so it may be repeated. It works only in
// quarantine, else ErrNoQuarantine; certs.ErrUnknownSerial for what was never
// recorded. The time of a status is the transaction's.
func (d *Desk) Regain(ctx context.Context, all []Regained) (Regains, error) {
	var done Regains
	_, err := d.ledger.Write(ctx, func(tx *ledger.Tx) error {
		done = Regains{}
		if !tx.Head().Quarantine {
			return ErrNoQuarantine
		}
		var cards []string
		seen := map[string]bool{}
		for _, one := range all {
			c, err := register.CertificateOf(tx, one.Ref)
			if err != nil {
				return err
			}
			if err := done.make(tx, c.Ref, c.Status, one.Status); err != nil {
				return err
			}
			if c.Card != "" && !seen[c.Card] {
				seen[c.Card] = true
				cards = append(cards, c.Card)
			}
		}
		for _, id := range cards {
			if err := d.followPair(tx, id, &done); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Regains{}, fmt.Errorf("merging what a copy knew: %w", err)
	}
	return done, nil
}

// make sets a status where it is stricter than the one there is.
func (r *Regains) make(tx *ledger.Tx, ref certs.Ref, from, to certs.Status) error {
	if !to.StricterThan(from) {
		return nil
	}
	if to.State == certs.StateRevoked {
		r.Revoked++
	} else {
		r.Held++
	}
	return register.SetStatus(tx, []certs.Ref{ref}, to)
}

// followPair brings a card into the state its present pair is in. Where only
// one certificate of it changed the other follows: the card is the unit.
func (d *Desk) followPair(tx *ledger.Tx, id string, done *Regains) error {
	c, err := readCard(tx, id)
	var no *Refusal
	if errors.As(err, &no) && no.Rule == cardUnknown.name {
		return nil // its serials were spoiled before there was a card
	}
	if err != nil {
		return err
	}
	var statuses [2]certs.Status
	for i, ref := range c.refs() {
		if statuses[i], err = register.StatusOf(tx, ref); err != nil {
			return err
		}
	}
	worst := statuses[0]
	if statuses[1].State > worst.State {
		worst = statuses[1]
	}
	for i, ref := range c.refs() {
		if statuses[i].State == worst.State {
			continue
		}
		if err := done.make(tx, ref, statuses[i], worst); err != nil {
			return err
		}
	}
	return d.followStatus(tx, c, worst, done)
}

func (d *Desk) followStatus(tx *ledger.Tx, c *Card, status certs.Status, done *Regains) error {
	s := cardStep{of: c, verb: verbRestore, to: CardCancelled, reason: status.Reason.String(), note: "as a copy of the ledger had it"}
	switch {
	case status.State == certs.StateGood, c.State == CardCancelled, c.State == CardReplaced:
		return nil // it was about an earlier pair, or the card followed before
	case status.State == certs.StateHeld && c.State == CardSuspended:
		return nil
	case status.State == certs.StateHeld:
		s.to, s.reason = CardSuspended, "suspended"
	}
	by := &actor{identity: restorer}
	if err := d.moveCard(tx, by, "", s); err != nil {
		return err
	}
	done.Cards++
	if s.to != CardCancelled {
		return nil
	}
	return d.endCase(tx, by, "", c)
}

// RegainOperators ends the bootstrap operators, as a copy has them ended, and
// gives how many certificates that revoked. It leaves them, and gives 0, where
// no RA manager holds an active card here: those who made them superfluous may
// have got their cards after the backup, and then nobody else could ever sign
// in. The rule of two managers ends them later. As Regain, in quarantine alone.
func (d *Desk) RegainOperators(ctx context.Context) (int, error) {
	ended := 0
	_, err := d.ledger.Write(ctx, func(tx *ledger.Tx) error {
		ended = 0
		if !tx.Head().Quarantine {
			return ErrNoQuarantine
		}
		open, err := operatorsWhere(tx, `ended = 0`)
		if err != nil {
			return err
		}
		managers, err := knownManagers(tx)
		if err != nil {
			return err
		}
		for _, uuid := range managers {
			manages, err := d.managesWithCard(tx, uuid)
			if err != nil {
				return err
			}
			if manages {
				ended = len(open)
				return d.endBootstrap(tx, open, restorer, "as a copy of the ledger had it")
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("ending the bootstrap operators: %w", err)
	}
	return ended, nil
}
