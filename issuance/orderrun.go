package issuance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/directory"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

func (d *Desk) wakeOrders() {
	select {
	case d.ordered <- struct{}{}:
	default: // it is awake
	}
}

// RunOrders works off what was ordered, one order at a time and block by block,
// until ctx ends. An order goes on where another process, or this one before it
// was killed, left it: how far it is stands in the transaction of each block.
// One process of a ledger should run it.
func (d *Desk) RunOrders(ctx context.Context) error {
	for {
		worked, err := d.WorkOrders(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			d.logger.Error("working off orders", "error", err)
		}
		if worked && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-d.ordered:
		case <-time.After(orderPoll):
		}
	}
}

// WorkOrders runs the oldest order that may run to its end, or to where it is
// stopped. It reports whether there was one.
func (d *Desk) WorkOrders(ctx context.Context) (bool, error) {
	id, err := d.nextOrder(ctx)
	if err != nil || id == "" {
		return false, err
	}
	w := &orderWork{d: d, id: id, size: blockFirst}
	for !w.ended {
		if err := w.block(ctx); err != nil {
			return true, fmt.Errorf("working off order %s: %w", id, err)
		}
	}
	_, err = d.ledger.Write(ctx, func(tx *ledger.Tx) error { // the last block could not know how long it would take
		tx.Defer(`UPDATE issuance_orders SET held = $1 WHERE id = $2 AND held < $1`, w.held.Microseconds(), id)
		return nil
	})
	return true, err
}

func (d *Desk) nextOrder(ctx context.Context) (id string, err error) {
	err = d.ledger.Read(ctx, func(tx *ledger.Tx) error {
		err := tx.QueryRow(`SELECT id FROM issuance_orders WHERE state = $1 ORDER BY placed, id LIMIT 1`, OrderRunning).Scan(&id)
		if noRow(err) {
			return nil
		}
		return err
	})
	return id, err
}

// orderWork is an order being worked off.
type orderWork struct {
	d     *Desk
	id    string
	size  int           // cards of the next block
	held  time.Duration // how long the last block held the head
	ended bool
	two   [2]journal.Position // of the last two blocks, the older first
}

// block does the next cards of the order in one transaction: cards, both
// certificates, directory and log together.
func (w *orderWork) block(ctx context.Context) error {
	w.pace(ctx)
	var began time.Time
	position, err := w.d.ledger.WriteBlock(ctx, func(tx *ledger.Tx) error {
		began, w.ended = time.Now(), false
		o, err := w.d.readOrder(tx, w.id)
		if err != nil {
			return err
		}
		if o.State != OrderRunning {
			w.ended = true
			return nil
		}
		return w.advance(tx, o)
	})
	if err != nil {
		return err
	}
	w.held = time.Since(began)
	w.size = nextSize(w.size, w.held)
	w.two = [2]journal.Position{w.two[1], position}
	return nil
}

// pace waits, for a while, until the copy has taken in the block before the last.
func (w *orderWork) pace(ctx context.Context) {
	if w.d.paced == nil || w.two[0] == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, paceLimit)
	defer cancel()
	if err := w.d.paced(ctx, w.two[0]); err != nil {
		w.d.logger.Warn("an order goes on before the copy has followed", "order", w.id, "error", err)
	}
}

// nextSize brings a block's time near holdAim, by no more than a factor of two.
func nextSize(size int, held time.Duration) int {
	fits := int(float64(size) * float64(holdAim) / float64(max(held, time.Microsecond)))
	return min(max(fits, size/2, blockLeast), size*2, blockMost)
}

func (w *orderWork) advance(tx *ledger.Tx, o *Order) error {
	d := w.d
	if err := d.stillMeant(tx, o); err != nil {
		var no *Refusal
		var policy *policies.Refusal
		if !errors.As(err, &no) && !errors.As(err, &policy) {
			return err
		}
		w.ended = true
		return d.moveOrder(tx, &actor{identity: deskDN}, "", orderStep{o, verbStop, OrderStopped, err.Error()})
	}
	cards, err := orderCardsWhere(tx, `i.order_id = $1 AND i.n > $2 AND i.n <= $3 ORDER BY i.n`, o.ID, o.Taken, o.Taken+int64(w.size))
	if err != nil {
		return err
	}
	b := &block{d: d, o: o, tx: tx, upTo: min(o.Taken+int64(w.size), o.Total)}
	if err := b.do(cards); err != nil {
		return err
	}
	return w.settle(tx, o, b)
}

// settle writes down how far the order is. Executed and not deferred, it has
// everything before it executed too, within the time that is measured.
func (w *orderWork) settle(tx *ledger.Tx, o *Order, b *block) error {
	o.Taken, o.Done, o.Left = b.upTo, o.Done+int64(len(b.cards)), o.Left+b.left
	o.Held = max(o.Held, w.held)
	if o.Started.IsZero() {
		o.Started = tx.Time()
	}
	if o.Taken >= o.Total {
		w.ended, o.Ended = true, tx.Time()
		if err := w.d.moveOrder(tx, &actor{identity: deskDN}, "", orderStep{o, verbFinish, OrderDone, ""}); err != nil {
			return err
		}
	}
	_, err := tx.Exec(`UPDATE issuance_orders SET cursor_at = $1, done = $2, left_out = $3, held = $4, started = $5, ended = $6 WHERE id = $7`,
		o.Taken, o.Done, o.Left, o.Held.Microseconds(), micros(o.Started), micros(o.Ended), o.ID)
	return err
}

// stillMeant asks before each block of a resumption whether both who stand for
// it still may: their cards may have been cancelled meanwhile. What makes cards
// useless goes on.
func (d *Desk) stillMeant(tx *ledger.Tx, o *Order) error {
	if o.stops() {
		return nil
	}
	if tx.Head().Quarantine {
		return ledger.ErrQuarantine
	}
	for _, one := range []struct {
		certificate []byte
		what        policies.Activity
	}{{o.certificate, policies.CardResume}, {o.secondCertificate, policies.CardConfirm}} {
		if len(one.certificate) == 0 {
			continue
		}
		by, err := d.signIn(tx, Operator{Certificate: one.certificate})
		if err != nil {
			return err
		}
		if _, err := d.may(by, one.what, policies.Situation{}); err != nil {
			return err
		}
	}
	return nil
}

// block is the part of an order one transaction does.
type block struct {
	d    *Desk
	o    *Order
	tx   *ledger.Tx
	upTo int64

	cards    []orderCard // those that are done
	left     int64
	statuses *register.Many
}

// do judges every card, then writes what becomes of those that pass, each table
// by few statements.
func (b *block) do(cards []orderCard) error {
	var refs []certs.Ref
	for _, c := range cards {
		refs = append(refs, c.refs()...)
	}
	var err error
	if b.statuses, err = register.ReadMany(b.tx, refs); err != nil {
		return err
	}
	if err := b.judge(cards); err != nil {
		return err
	}
	if len(b.cards) == 0 {
		return nil
	}
	b.writeCards()
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

func (b *block) judge(cards []orderCard) error {
	keep, err := spared(b.tx)
	if err != nil {
		return err
	}
	now := b.d.moment(b.tx)
	for _, c := range cards {
		no := b.d.judged(b.o, c.Card, now)
		if no == nil && b.o.Mass && b.o.stops() && keep[c.ID] {
			no = orderSpared.says("card %s is in the break-glass set", c.ID)
		}
		if no == nil && !b.allows(c.Card) {
			no = &Refusal{Rule: "certificate.status"}
		}
		if no == nil {
			b.cards = append(b.cards, c)
			continue
		}
		b.left++
		b.tx.Defer(`UPDATE issuance_order_cards SET outcome = $1 WHERE order_id = $2 AND n = $3`, no.Rule, b.o.ID, c.n)
	}
	return nil
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

// done are the cards of the block as a condition on issuance_cards: what judge
// left out has its outcome by then.
const done = ` IN (SELECT card FROM issuance_order_cards WHERE order_id = $1 AND n > $2 AND n <= $3 AND outcome = '')`

// writeCards writes the log before the states it tells of are replaced.
func (b *block) writeCards() {
	hash := b.d.policies.Hash()
	note := "order " + b.o.ID
	if b.o.Why.Note != "" {
		note += ": " + b.o.Why.Note
	}
	to, update := b.texts()
	b.tx.Defer(`INSERT INTO issuance_decisions (subject, n, verb, from_state, to_state, actor, role, at, policies, reason)
		SELECT k.id, 1 + (SELECT COUNT(*) FROM issuance_decisions e WHERE e.subject = k.id), $4, k.state, `+to+`, $5, $6, $7, $8, $9
		FROM issuance_cards k WHERE k.id`+done,
		b.o.ID, b.o.Taken, b.upTo, b.o.Verb, b.o.By, string(b.o.Role), b.tx.Time().UnixMicro(), hash[:], note)
	b.tx.Defer(`UPDATE issuance_cards SET `+update+`, reason = $4 WHERE id`+done, b.o.ID, b.o.Taken, b.upTo, b.reason())
}

// texts are, in SQL, the state a card moves to and how its row becomes so.
func (b *block) texts() (to, update string) {
	switch b.o.Verb {
	case OrderResume:
		return `k.before_hold`, `state = before_hold, before_hold = ''`
	case OrderCancel:
		return `'` + CardCancelled + `'`, `state = '` + CardCancelled + `', before_hold = ''`
	}
	return `'` + CardSuspended + `'`, `before_hold = state, state = '` + CardSuspended + `'`
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
	byState := map[string][]*Card{}
	for _, c := range b.cards {
		to := b.o.leadsTo(c.Card)
		byState[to] = append(byState[to], c.Card)
	}
	for state, cards := range byState {
		dns := make([]directory.DN, len(cards))
		for i, c := range cards {
			dns[i] = b.d.cardDN(c)
		}
		absent, err := b.d.directory.ModifyPresent(b.tx, desk(), dns, replacing(attrCardState, []byte(state)))
		if err != nil {
			return fmt.Errorf("changing the entries of %d cards: %w", len(dns), err)
		}
		for _, i := range absent {
			c := *cards[i]
			c.State = state
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
