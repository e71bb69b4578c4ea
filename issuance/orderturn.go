package issuance

import (
	"context"
	"strconv"

	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

// turnOrder runs one verb on an order.
func (d *Desk) turnOrder(ctx context.Context, op Operator, id string, turn func(tx *ledger.Tx, by *actor, o *Order) error) (*Order, journal.Position, error) {
	var o *Order
	position, err := d.stop(ctx, op, func(tx *ledger.Tx, by *actor) (err error) {
		if o, err = d.readOrder(tx, id); err != nil {
			return err
		}
		return turn(tx, by, o)
	})
	if err != nil {
		return nil, 0, err
	}
	d.wakeOrders()
	return o, position, nil
}

// ConfirmOrder is the second administrator's yes, to exactly the content whose
// hash is given. It is another identity than the one that asked, with a right of
// its own.
func (d *Desk) ConfirmOrder(ctx context.Context, op Operator, id string, content journal.Hash) (*Order, journal.Position, error) {
	return d.turnOrder(ctx, op, id, func(tx *ledger.Tx, by *actor, o *Order) error {
		role, err := d.may(by, policies.CardConfirm, policies.Situation{})
		switch {
		case err != nil:
			return err
		case by.identity == o.By:
			return orderSame.says("%s asked for order %s; somebody else confirms it", by.identity, o.ID)
		case o.Verb == OrderResume && tx.Head().Quarantine:
			return ledger.ErrQuarantine
		case o.State == OrderAwaiting && d.moment(tx).After(o.Expires):
			return orderExpired.says("order %s waited until %s", o.ID, o.Expires.Format("2006-01-02T15:04:05Z07:00"))
		case o.State == OrderAwaiting && o.Content != content:
			return orderContent.in("content", "order %s is %x", o.ID, o.Content[:])
		}
		o.Second, o.Confirmed = by.identity, tx.Time()
		tx.Defer(`UPDATE issuance_orders SET second_identity = $1, second_role = $2, second_certificate = $3, confirmed = $4 WHERE id = $5`,
			by.identity, string(role), op.Certificate, micros(o.Confirmed), o.ID)
		return d.moveOrder(tx, by, role, orderStep{o, verbConfirm, OrderRunning, ""})
	})
}

// StopOrder has a running order halt after the block it is at.
func (d *Desk) StopOrder(ctx context.Context, op Operator, id, note string) (*Order, journal.Position, error) {
	return d.steer(ctx, op, id, orderStep{verb: verbStop, to: OrderStopped, note: note})
}

// ContinueOrder has a stopped order go on.
func (d *Desk) ContinueOrder(ctx context.Context, op Operator, id, note string) (*Order, journal.Position, error) {
	return d.steer(ctx, op, id, orderStep{verb: verbContinue, to: OrderRunning, note: note})
}

// WithdrawOrder ends an order that awaits confirmation, was stopped, or was left
// half placed. What it did stays done.
func (d *Desk) WithdrawOrder(ctx context.Context, op Operator, id, note string) (*Order, journal.Position, error) {
	o, position, err := d.steer(ctx, op, id, orderStep{verb: verbWithdraw, to: OrderWithdrawn, note: note})
	if err == nil && o.Total == 0 { // what was written down of its cards is of no order
		err = d.dropCards(ctx, o.ID)
	}
	return o, position, err
}

// steer is for those who may place such an order, and for whoever placed it.
func (d *Desk) steer(ctx context.Context, op Operator, id string, s orderStep) (*Order, journal.Position, error) {
	if err := checkText("reason", s.note, textMax); err != nil {
		return nil, 0, err
	}
	return d.turnOrder(ctx, op, id, func(tx *ledger.Tx, by *actor, o *Order) error {
		what := policies.CardOrder
		if by.identity == o.By {
			what = o.activity()
		}
		role, err := d.may(by, what, policies.Situation{})
		if err != nil {
			return err
		}
		if s.to != OrderRunning {
			o.Ended = tx.Time() // so that what it did can be undone
			tx.Defer(`UPDATE issuance_orders SET ended = $1 WHERE id = $2`, micros(o.Ended), o.ID)
		}
		s.of = o
		return d.moveOrder(tx, by, role, s)
	})
}

// Order shows one order with its history, to those who may read the record and
// to whoever placed it.
func (d *Desk) Order(ctx context.Context, op Operator, id string) (*Order, error) {
	var o *Order
	err := d.read(ctx, op, func(tx *ledger.Tx, by *actor) (err error) {
		if o, err = d.visibleOrder(tx, by, id); err != nil {
			return err
		}
		o.Events, err = decisionsOn(tx, id)
		return err
	})
	return o, err
}

func (d *Desk) visibleOrder(tx *ledger.Tx, by *actor, id string) (*Order, error) {
	o, err := d.readOrder(tx, id)
	if err != nil {
		return nil, err
	}
	if o.By != by.identity {
		if _, err := d.may(by, policies.RecordRead, policies.Situation{}); err != nil {
			return nil, err
		}
	}
	o.shown(d, tx)
	return o, nil
}

// shown is the state as people see it.
func (o *Order) shown(d *Desk, tx *ledger.Tx) {
	if o.over(d.moment(tx)) {
		o.State = OrderExpired
	}
	if !o.Ended.IsZero() { // all it did is at or before it
		o.Position = tx.Head().Position
	}
}

// Orders lists orders, newest first.
func (d *Desk) Orders(ctx context.Context, op Operator, state string, page Page) ([]*Order, string, error) {
	limit, err := page.limit()
	if err != nil {
		return nil, "", err
	}
	w := Wanted{State: state}
	if err := w.checkState(OrderPreparing, OrderAwaiting, OrderRunning, OrderStopped, OrderDone, OrderWithdrawn, OrderExpired); err != nil {
		return nil, "", err
	}
	placed, id, err := splitCursor(page.After)
	if err != nil {
		return nil, "", err
	}
	var all []*Order
	err = d.read(ctx, op, func(tx *ledger.Tx, by *actor) error {
		if _, err := d.may(by, policies.RecordRead, policies.Situation{}); err != nil {
			return err
		}
		query, args := `1 = 1`, []any(nil)
		if page.After != "" {
			query, args = `(placed < $1 OR (placed = $2 AND id > $3))`, []any{placed, placed, id}
		}
		query, args = narrowed(query, args, w, "")
		all, err = d.ordersWhere(tx, query+` ORDER BY placed DESC, id LIMIT `+strconv.Itoa(limit+1), args...)
		for _, o := range all {
			o.shown(d, tx)
		}
		return err
	})
	all, next := cut(all, limit, func(o *Order) string { return strconv.FormatInt(micros(o.Placed), 10) + "-" + o.ID })
	return all, next, err
}

// OrderCard is one card of an order and what became of it: done, waiting, or the
// rule that left it as it was.
type OrderCard struct {
	N       int64
	Card    string
	Outcome string
}

// Outcomes that are no rule.
const (
	OutcomeDone    = "done"
	OutcomeWaiting = "waiting"
)

// CardsWanted asks for the cards of an order; Left narrows to those a rule left
// as they were.
type CardsWanted struct {
	Order string
	Left  bool
}

// OrderCards lists an order's cards in its order.
func (d *Desk) OrderCards(ctx context.Context, op Operator, of CardsWanted, page Page) ([]OrderCard, string, error) {
	limit, err := page.limit()
	if err != nil {
		return nil, "", err
	}
	after := int64(0)
	if page.After != "" {
		if after, err = strconv.ParseInt(page.After, 10, 64); err != nil {
			return nil, "", inputField.in("after", "%q is no next of an earlier page", page.After)
		}
	}
	var all []OrderCard
	err = d.read(ctx, op, func(tx *ledger.Tx, by *actor) error {
		o, err := d.visibleOrder(tx, by, of.Order)
		if err != nil {
			return err
		}
		query := `SELECT n, card, outcome FROM issuance_order_cards WHERE order_id = $1 AND n > $2`
		if of.Left {
			query += ` AND outcome <> ''`
		}
		rows, err := tx.Query(query+` ORDER BY n LIMIT `+strconv.Itoa(limit+1), of.Order, after)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var c OrderCard
			if err := rows.Scan(&c.N, &c.Card, &c.Outcome); err != nil {
				return err
			}
			if c.Outcome == "" {
				c.Outcome = OutcomeDone
				if c.N > o.Taken {
					c.Outcome = OutcomeWaiting
				}
			}
			all = append(all, c)
		}
		return rows.Err()
	})
	all, next := cut(all, limit, func(c OrderCard) string { return strconv.FormatInt(c.N, 10) })
	return all, next, err
}
