package issuance

import (
	"context"
	"errors"
	"fmt"
	"time"

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
	defer w.leave()
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
	own   ledger.Span         // what the last block appended
	next  *ahead              // the block being read while the one before is written
	ready *block              // the one to be written
}

// block does the next cards of the order in one transaction: cards, both
// certificates, directory and log together. They were read before it began.
func (w *orderWork) block(ctx context.Context) error {
	w.ready = w.take(ctx)
	w.pace(ctx)
	w.begin(ctx)
	var began time.Time
	var before journal.Position
	position, err := w.d.ledger.WriteBlock(ctx, func(tx *ledger.Tx) error {
		began, before, w.ended = time.Now(), tx.Head().Position, false
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
	w.two, w.own = [2]journal.Position{w.two[1], position}, ledger.Span{After: before, To: position}
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
	b, err := w.current(tx, o)
	if err != nil {
		return err
	}
	if err := b.write(); err != nil {
		return err
	}
	return w.settle(tx, o, b)
}

// settle writes down how far the order is. Executed and not deferred, it has
// everything before it executed too, within the time that is measured.
func (w *orderWork) settle(tx *ledger.Tx, o *Order, b *block) error {
	o.Taken, o.Done, o.Left = b.upTo, o.Done+int64(len(b.cards)), o.Left+int64(len(b.left))
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
