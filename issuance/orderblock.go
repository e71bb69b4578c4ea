package issuance

import (
	"errors"
	"fmt"
	"slices"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/directory"
	entries "cardinal/directory/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

// block is the part of an order one transaction does. It is read in the same
// transaction or in an earlier one, see orderahead.go.
type block struct {
	d          *Desk
	o          *Order
	tx         *ledger.Tx   // the one it is written in
	seen       journal.Head // as of which it was read
	from, upTo int64

	all      []orderCard
	cards    []orderCard // those that pass
	left     []leftCard  // the others
	statuses *register.Many
	shown    []shownCards
}

// leftCard is a card that stays as it is, by a rule.
type leftCard struct {
	n    int64
	rule string
}

// shownCards are cards whose entries are to show one state.
type shownCards struct {
	state string
	cards []*Card
	set   *entries.Prepared
}

// readBlock reads the next cards of an order and all that decides on them, and
// judges them as of the transaction it reads in.
func (d *Desk) readBlock(tx *ledger.Tx, o *Order, upTo int64) (*block, error) {
	b := &block{d: d, o: o, tx: tx, seen: tx.Head(), from: o.Taken, upTo: min(upTo, o.Total)}
	var err error
	if b.all, err = orderCardsWhere(tx, `i.order_id = $1 AND i.n > $2 AND i.n <= $3 ORDER BY i.n`, o.ID, b.from, b.upTo); err != nil {
		return nil, err
	}
	refs := make([]certs.Ref, 0, 2*len(b.all))
	for _, c := range b.all {
		refs = append(refs, c.Authentication, c.Signature)
	}
	if b.statuses, err = register.ReadMany(tx, refs); err != nil {
		return nil, err
	}
	if err := b.judge(); err != nil {
		return nil, err
	}
	return b, b.prepareEntries()
}

// judge parts the cards that pass from those a rule leaves as they are.
func (b *block) judge() error {
	keep, err := spared(b.tx)
	if err != nil {
		return err
	}
	b.cards, b.left = make([]orderCard, 0, len(b.all)), nil
	now := b.d.moment(b.tx)
	for _, c := range b.all {
		no := b.d.judged(b.o, c.Card, now)
		if no == nil && b.o.Mass && b.o.stops() && keep[c.ID] {
			no = orderSpared.says("card %s is in the break-glass set", c.ID)
		}
		if no == nil && !b.allows(c.Card) {
			no = &Refusal{Rule: "certificate.status"}
		}
		if no == nil {
			b.cards = append(b.cards, c)
		} else {
			b.left = append(b.left, leftCard{c.n, no.Rule})
		}
	}
	return nil
}

// prepareEntries makes ready what the entries of the cards become.
func (b *block) prepareEntries() error {
	for _, c := range b.cards {
		to := b.o.leadsTo(c.Card)
		i := slices.IndexFunc(b.shown, func(s shownCards) bool { return s.state == to })
		if i < 0 {
			i = len(b.shown)
			b.shown = append(b.shown, shownCards{state: to})
		}
		b.shown[i].cards = append(b.shown[i].cards, c.Card)
	}
	for i := range b.shown {
		s := &b.shown[i]
		dns := make([]directory.DN, len(s.cards))
		for n, c := range s.cards {
			dns[n] = b.d.cardDN(c)
		}
		var err error
		if s.set, err = b.d.directory.Prepare(b.tx, desk(), dns, replacing(attrCardState, []byte(s.state))); err != nil {
			return fmt.Errorf("reading the entries of %d cards: %w", len(dns), err)
		}
	}
	return nil
}

// write writes what becomes of the cards, each table by few statements.
func (b *block) write() error {
	for _, l := range b.left {
		b.tx.Defer(`UPDATE issuance_order_cards SET outcome = $1 WHERE order_id = $2 AND n = $3`, l.rule, b.o.ID, l.n)
	}
	if len(b.cards) == 0 {
		return nil
	}
	if err := b.writeCards(); err != nil {
		return err
	}
	// Entries first: a copy that takes in the statuses finds their entries changed
	// by the same transaction already.
	if err := b.writeEntries(); err != nil {
		return err
	}
	if err := b.writeStatuses(); err != nil {
		return err
	}
	return b.after()
}

// statusesOf are the statuses the order's verb gives a card's two certificates.
func (b *block) statusesOf() (authentication, signature certs.Status) {
	switch b.o.Verb {
	case OrderResume:
		return certs.Status{}, certs.Status{}
	case OrderSuspend:
		held := certs.Held()
		held.Invalidity = b.o.Why.Since
		return held, held
	}
	reasons, err := b.d.policies.Events().Cancel(b.o.Why.Reason, b.o.Why.PasscodeKnown)
	if err != nil { // a reason that went out of use since it was asked for: the plain one
		reasons = policies.PairReasons{}
	}
	authentication, signature = certs.Revoked(reasons.Authentication), certs.Revoked(reasons.Signature)
	authentication.Invalidity, signature.Invalidity = b.o.Why.Since, b.o.Why.Since
	return authentication, signature
}

func (b *block) allows(c *Card) bool {
	authentication, signature := b.statusesOf()
	return b.statuses.Allows(c.Authentication, authentication) && b.statuses.Allows(c.Signature, signature)
}

// stance is what of a card can have changed, since the block was read, without a
// word in the journal: a card that was handed over, or has another pair. Both go
// one way only, so that as many cards in each stance as there were are the same
// cards.
type stance struct {
	state, beforeHold string
	pair              int64
}

// errMoved: a card is not as it was read.
var errMoved = errors.New("a card changed while its block was made ready")

// writeCards writes the log before the states it tells of are replaced.
func (b *block) writeCards() error {
	count := map[stance]int64{}
	for _, c := range b.cards {
		count[stance{c.State, c.beforeHold, c.Pair}]++
	}
	for s, n := range count {
		b.decide(s, len(count) > 1)
		moved, err := b.tx.Exec(`UPDATE issuance_cards SET `+b.update()+`, reason = $4
			WHERE id IN (SELECT i.card FROM issuance_order_cards i`+taken+`) AND state = $5 AND before_hold = $6 AND pair = $7`,
			b.o.ID, b.from, b.upTo, b.reason(), s.state, s.beforeHold, s.pair)
		if err != nil {
			return fmt.Errorf("moving %d cards: %w", n, err)
		}
		if moved != n {
			return errMoved
		}
	}
	return nil
}

// decide writes the log of the cards of one stance; several tells that there are
// cards of another.
func (b *block) decide(s stance, several bool) {
	hash := b.d.policies.Hash()
	note := "order " + b.o.ID
	if b.o.Why.Note != "" {
		note += ": " + b.o.Why.Note
	}
	to := b.o.leadsTo(&Card{State: s.state, beforeHold: s.beforeHold})
	which := taken
	args := []any{b.o.ID, b.from, b.upTo, b.o.Verb, s.state, to, b.o.By, string(b.o.Role), b.tx.Time().UnixMicro(), hash[:], note}
	if several {
		which = ` JOIN issuance_cards k ON k.id = i.card` + taken + ` AND k.state = $12 AND k.before_hold = $13 AND k.pair = $14`
		args = append(args, s.state, s.beforeHold, s.pair)
	}
	b.tx.Defer(`INSERT INTO issuance_decisions (subject, n, verb, from_state, to_state, actor, role, at, policies, reason)
		SELECT i.card, 1 + (SELECT COUNT(*) FROM issuance_decisions e WHERE e.subject = i.card), $4, $5, $6, $7, $8, $9, $10, $11
		FROM issuance_order_cards i`+which, args...)
}

// taken are the rows i of the order's cards that are done: what judge left out has
// its outcome by then.
const taken = ` WHERE i.order_id = $1 AND i.n > $2 AND i.n <= $3 AND i.outcome = ''`

// update is, in SQL, how a card's row moves.
func (b *block) update() string {
	switch b.o.Verb {
	case OrderResume:
		return `state = before_hold, before_hold = ''`
	case OrderCancel:
		return `state = '` + CardCancelled + `', before_hold = ''`
	}
	return `before_hold = state, state = '` + CardSuspended + `'`
}

// reason is what a card shows: of a suspension the order, by which it can be
// undone.
func (b *block) reason() string {
	switch b.o.Verb {
	case OrderResume:
		return ""
	case OrderCancel:
		return b.o.Why.Reason
	}
	return b.o.ID
}

func (b *block) writeStatuses() error {
	var authentication, signature []certs.Ref
	for _, c := range b.cards {
		authentication, signature = append(authentication, c.Authentication), append(signature, c.Signature)
	}
	a, s := b.statusesOf()
	if err := b.statuses.Change(authentication, a); err != nil {
		return err
	}
	return b.statuses.Change(signature, s)
}

// writeEntries shows the new states in the directory. A card without an entry
// goes the way of a single card.
func (b *block) writeEntries() error {
	for _, s := range b.shown {
		absent, err := s.set.Write(b.tx)
		if err != nil {
			return fmt.Errorf("changing the entries of %d cards: %w", len(s.cards), err)
		}
		for _, i := range absent {
			c := *s.cards[i]
			c.State = s.state
			if err := b.d.showCard(b.tx, &c); err != nil {
				return err
			}
		}
	}
	return nil
}

// after does what follows from single cards: a cancelled card's open case ends,
// and managers who can sign in again end the bootstrap operators.
func (b *block) after() error {
	by := &actor{identity: b.o.By}
	for _, c := range b.cards {
		unissued := c.State == CardIssued || c.beforeHold == CardIssued
		if b.o.Verb == OrderCancel && unissued {
			if err := b.d.endCase(b.tx, by, b.o.Role, c.Card); err != nil {
				return err
			}
		}
	}
	if b.o.Verb != OrderResume {
		return nil
	}
	managers, err := knownManagers(b.tx)
	if err != nil {
		return err
	}
	known := map[certs.UUID]bool{}
	for _, m := range managers {
		known[m] = true
	}
	for _, c := range b.cards {
		if known[c.Person] {
			return b.d.settleBootstrap(b.tx, c.Person)
		}
	}
	return nil
}
