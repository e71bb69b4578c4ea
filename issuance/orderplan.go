package issuance

import (
	"context"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

// Plan is what an order would do now. Nothing was written for it.
type Plan struct {
	Verb, Choice   string
	Chosen         int64            // cards the selection finds
	Would          int64            // of them those that change
	Leaves         map[string]int64 // the others, by the rule that leaves them
	Spared         int64            // break-glass cards among those it leaves
	BreakGlass     int              // break-glass cards that are active; counted for mass orders alone
	Short          bool             // too few of them: the order would be refused
	Second         bool             // another administrator would have to confirm
	Own            bool             // the card of whoever asks is among those that change
	Authentication certs.Status     // what the certificates would become
	Signature      certs.Status
	Sample         []PlannedCard
	Verifiers      []VerifierSays
}

// PlannedCard is one card of a plan; Leaves is the rule that leaves it, "" when
// it would change.
type PlannedCard struct {
	Card, Person, State, Leaves string
}

// VerifierSays is what a kind of verifier makes of it.
type VerifierSays struct {
	Verifier string
	Says     string // of sign-ins and of signatures by the two certificates
	Citation string
}

// PlanOrder judges an order without placing it, for whoever might place it.
func (d *Desk) PlanOrder(ctx context.Context, op Operator, r OrderRequest) (*Plan, error) {
	r.SignaturesFall = true // a plan says that they would
	r.RequestID = "plan-only"
	if err := d.checkOrder(&r); err != nil {
		return nil, err
	}
	o := &Order{Verb: r.Verb, Choice: r.words(), Undoes: r.Undoes, Why: r.Cancellation}
	var by *actor
	var keep map[string]bool
	p := &Plan{Verb: r.Verb, Choice: o.Choice, Leaves: map[string]int64{}}
	err := d.read(ctx, op, func(tx *ledger.Tx, who *actor) (err error) {
		by, o.By = who, who.identity
		if o.Role, err = d.mayOrder(who, o, &r); err != nil {
			return err
		}
		if err := d.mayUndo(tx, o); err != nil {
			return err
		}
		if keep, err = spared(tx); err != nil {
			return err
		}
		p.BreakGlass, err = d.sparedActive(tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	k := &planning{d: d, o: o, p: p, keep: keep, by: by}
	cards, err := d.choose(ctx, r.Selection, k.add)
	if err != nil {
		return nil, err
	}
	k.finish(len(cards))
	return p, nil
}

// planning counts what an order would do.
type planning struct {
	d    *Desk
	o    *Order
	p    *Plan
	keep map[string]bool
	by   *actor

	stopped []PlannedCard // break-glass cards that would change
}

func (k *planning) add(tx *ledger.Tx, c *Card) error {
	one := PlannedCard{Card: c.ID, Person: string(c.Person), State: c.shown(k.d.moment(tx))}
	if no := k.d.judged(k.o, c, k.d.moment(tx)); no != nil {
		one.Leaves = no.Rule
	}
	switch {
	case one.Leaves != "":
		k.p.Leaves[one.Leaves]++
	case k.keep[c.ID]:
		k.stopped = append(k.stopped, one)
	default:
		k.change(one)
	}
	if len(k.p.Sample) < mostSample {
		k.p.Sample = append(k.p.Sample, one)
	}
	return nil
}

func (k *planning) change(one PlannedCard) {
	k.p.Would++
	k.p.Own = k.p.Own || k.by.card == one.Card
}

// finish knows how many were chosen, by which break-glass cards are spared.
func (k *planning) finish(chosen int) {
	p := k.p
	p.Chosen = int64(chosen)
	mass := chosen > k.d.alone
	for _, one := range k.stopped {
		if mass && k.o.stops() {
			p.Spared++
			p.Leaves[orderSpared.name]++
			continue
		}
		k.change(one)
	}
	p.Short = mass && k.o.stops() && p.BreakGlass < LeastBreakGlass
	p.Second = mass || p.Verb == OrderResume && chosen > 1 && k.o.Undoes == ""
	b := &block{d: k.d, o: k.o}
	p.Authentication, p.Signature = b.statusesOf()
	for _, v := range k.d.policies.Events().Verifiers {
		p.Verifiers = append(p.Verifiers, said(v, p.Verb, p.Signature))
	}
}

// said picks what a verifier makes of a verb, by the signature certificate's
// fate: it is the one whose past is at stake.
func said(v policies.Verifier, verb string, signature certs.Status) VerifierSays {
	says := VerifierSays{Verifier: v.Name, Says: v.Revoked, Citation: v.Citation}
	switch {
	case verb == OrderSuspend:
		says.Says = v.Held
	case verb == OrderResume:
		says.Says = v.Released
	case signature.Reason == certs.ReasonKeyCompromise:
		says.Says = v.Compromised
	}
	return says
}

// BreakGlassCard is a card that mass orders leave working.
type BreakGlassCard struct {
	Card, Person, State string
	Since               Decision
}

// BreakGlass lists the set, for those who may read the record.
func (d *Desk) BreakGlass(ctx context.Context, op Operator) ([]BreakGlassCard, error) {
	var all []BreakGlassCard
	err := d.read(ctx, op, func(tx *ledger.Tx, by *actor) error {
		if _, err := d.may(by, policies.RecordRead, policies.Situation{}); err != nil {
			return err
		}
		cards, err := cardsWhere(tx, `k.id IN (SELECT card FROM issuance_break_glass) ORDER BY k.id`)
		if err != nil {
			return err
		}
		for _, c := range cards {
			one := BreakGlassCard{Card: c.ID, Person: string(c.Person), State: c.shown(d.moment(tx))}
			log, err := decisionsOn(tx, c.ID)
			if err != nil {
				return err
			}
			for _, was := range log {
				if was.Verb == verbSpare {
					one.Since = was
				}
			}
			all = append(all, one)
		}
		return nil
	})
	return all, err
}

// Spare puts an active card into the break-glass set.
func (d *Desk) Spare(ctx context.Context, op Operator, id, note string) (*Card, error) {
	return d.setSpared(ctx, op, sparing{id, note, true})
}

// Unspare takes a card out of the break-glass set.
func (d *Desk) Unspare(ctx context.Context, op Operator, id, note string) (*Card, error) {
	return d.setSpared(ctx, op, sparing{id, note, false})
}

type sparing struct {
	id, note string
	spare    bool
}

func (d *Desk) setSpared(ctx context.Context, op Operator, s sparing) (*Card, error) {
	id, note, spare := s.id, s.note, s.spare
	if err := checkText("reason", note, textMax); err != nil {
		return nil, err
	}
	var c *Card
	_, err := d.write(ctx, op, func(tx *ledger.Tx, by *actor) (err error) {
		if c, err = readCard(tx, id); err != nil {
			return err
		}
		role, err := d.may(by, policies.BreakGlassChange, by.about(c.Person))
		if err != nil {
			return err
		}
		all, err := spared(tx)
		switch {
		case err != nil || all[id] == spare:
			return err
		case !spare:
			tx.Defer(`DELETE FROM issuance_break_glass WHERE card = $1`, id)
			return d.decide(tx, by, role, decision{subject: id, verb: verbUnspare, from: c.State, to: c.State, reason: note})
		case len(all) >= mostBreakGlass:
			return breakGlassLast.says("%d cards are in the break-glass set, at most %d", len(all), mostBreakGlass)
		}
		if err := d.signsIn(tx, c); err != nil {
			return err
		}
		tx.Defer(`INSERT INTO issuance_break_glass (card, since, by_identity, note) VALUES ($1, $2, $3, $4)`,
			id, tx.Time().UnixMicro(), by.identity, note)
		return d.decide(tx, by, role, decision{subject: id, verb: verbSpare, from: c.State, to: c.State, reason: note})
	})
	return c, err
}

// signsIn refuses a card that would be no help in need.
func (d *Desk) signsIn(tx *ledger.Tx, c *Card) error {
	if state := c.shown(tx.Time()); state != CardActive {
		return breakGlassCard.says("card %s is %s; what is kept for need must work now", c.ID, state)
	}
	status, err := register.JudgedOf(tx, c.Authentication)
	if err != nil || status.State != certs.StateGood {
		return errorsOr(err, breakGlassCard.says("the certificate %s is %s", c.Authentication.Serial, status.State))
	}
	return nil
}
