package issuance

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

// check judges what needs no register.
func (d *Desk) checkOrder(r *OrderRequest) error {
	if !isRequestID(r.RequestID) {
		return requestID.in("request_id", "want 8 to 64 of A-Z a-z 0-9 . _ -")
	}
	if !slices.Contains([]string{OrderSuspend, OrderResume, OrderCancel}, r.Verb) {
		return orderVerb.in("verb", "%q is none of suspend, resume and cancel", r.Verb)
	}
	ways := 0
	for _, given := range []bool{len(r.Names) > 0, r.Filter != "", r.Undoes != ""} {
		if given {
			ways++
		}
	}
	switch {
	case ways != 1:
		return orderSelection.in("selection", "want exactly one of names, filter and undoes")
	case len(r.Names) > mostNamed:
		return orderSelection.in("names", "%d names, at most %d", len(r.Names), mostNamed)
	case r.Undoes != "" && r.Verb != OrderResume:
		return orderVerb.in("verb", "only resume undoes an order")
	}
	if err := r.Cancellation.check(d.now()); err != nil {
		return err
	}
	if r.Verb == OrderCancel {
		_, err := d.reasons(r.Cancellation)
		return err
	}
	r.Reason, r.PasscodeKnown, r.SignaturesFall = "", false, false
	if r.Filter != "" {
		_, err := d.newSieve(r.Filter)
		return err
	}
	return nil
}

// digest is what was asked for, to tell the same request from another under
// its id.
func (r *OrderRequest) digest() journal.Hash {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %q %q %d %t %t", r.Verb, r.Filter, r.Undoes, r.Reason, r.Note, micros(r.Since), r.PasscodeKnown, r.SignaturesFall)
	for _, name := range r.Names {
		fmt.Fprintf(h, " %q", name)
	}
	return journal.Hash(h.Sum(nil))
}

// contentOf is what a second administrator confirms.
func (o *Order) contentOf(cards []chosen) journal.Hash {
	h := sha256.New()
	fmt.Fprintf(h, "cardinal order 1\n%s %q %q %d %t %t %q\n", o.Verb, o.Why.Reason, o.Why.Note, micros(o.Why.Since), o.Why.PasscodeKnown, o.Why.SignaturesFall, o.Undoes)
	for _, c := range cards {
		h.Write([]byte(c.id + "\n"))
	}
	return journal.Hash(h.Sum(nil))
}

// mayOrder is who may ask for a verb on so many: on a few whoever has the verb,
// on many, and by filter, those who answer for all.
func (d *Desk) mayOrder(by *actor, o *Order, r *OrderRequest) (policies.Role, error) {
	role, err := d.may(by, o.activity(), policies.Situation{})
	if err != nil || len(r.Names) > 0 && len(r.Names) <= d.alone {
		return role, err
	}
	if _, err := d.may(by, policies.CardOrder, policies.Situation{}); err != nil {
		return "", err
	}
	return role, nil
}

// PlaceOrder asks for one verb on many cards. When it returns, the order is
// durable: it runs, or it awaits a second administrator, which it does above
// 100 cards and for every resumption of more than one card that is not one's own
// undoing of a few. Asked twice with the same content it is the same order.
func (d *Desk) PlaceOrder(ctx context.Context, op Operator, r OrderRequest) (*Order, journal.Position, error) {
	if err := d.checkOrder(&r); err != nil {
		return nil, 0, err
	}
	end, err := d.turns.take(ctx, "order "+r.RequestID)
	if err != nil {
		return nil, 0, err
	}
	defer end()
	o, position, err := d.openOrder(ctx, op, &r)
	if err != nil || o.State != OrderPreparing {
		return o, position, err
	}
	cards, err := d.cardsOf(ctx, o, r.Selection)
	if err == nil {
		err = d.storeCards(ctx, o.ID, cards)
	}
	if err != nil {
		return nil, 0, errors.Join(err, d.forgetOrder(context.WithoutCancel(ctx), o.ID))
	}
	o.Content, o.Total = o.contentOf(cards), int64(len(cards))
	return d.settleOrder(ctx, op, o, &r)
}

// forgetOrder removes an order that never counted.
func (d *Desk) forgetOrder(ctx context.Context, id string) error {
	if err := d.dropCards(ctx, id); err != nil {
		return err
	}
	_, err := d.ledger.Write(ctx, func(tx *ledger.Tx) error {
		tx.Defer(`DELETE FROM issuance_orders WHERE id = $1 AND state = $2`, id, OrderPreparing)
		return nil
	})
	return err
}

// openOrder writes down that an order is being made, or finds the one of an
// earlier request.
func (d *Desk) openOrder(ctx context.Context, op Operator, r *OrderRequest) (o *Order, position journal.Position, err error) {
	asked := r.digest()
	position, err = d.orderWrite(r.Verb)(ctx, op, func(tx *ledger.Tx, by *actor) error {
		same, err := d.ordersWhere(tx, `request = $1`, r.RequestID)
		switch {
		case err != nil:
			return err
		case len(same) == 1 && (same[0].asked != asked || same[0].By != by.identity):
			return orderOther.in("request_id", "%s was used for another order", r.RequestID)
		case len(same) == 1:
			o = same[0]
			return nil
		}
		o = &Order{Verb: r.Verb, State: OrderPreparing, Choice: r.words(), Undoes: r.Undoes, Why: r.Cancellation, By: by.identity, Placed: tx.Time(), certificate: op.Certificate, request: r.RequestID, asked: asked}
		if o.Role, err = d.mayOrder(by, o, r); err != nil {
			return err
		}
		if err := d.mayUndo(tx, o); err != nil {
			return err
		}
		open, err := d.ordersWhere(tx, `state IN ($1, $2, $3, $4)`, OrderPreparing, OrderAwaiting, OrderRunning, OrderStopped)
		if err != nil {
			return err
		}
		if open, err = d.unexpired(tx, open); err != nil || len(open) >= mostOrders {
			return errorsOr(err, orderMany.says("%d orders are open, at most %d", len(open), mostOrders))
		}
		if o.ID, err = freeOrder(tx); err != nil {
			return err
		}
		o.insert(tx)
		return nil
	})
	return o, position, err
}

// orderWrite is the kind of write a verb needs: what makes cards useless works
// in quarantine too.
func (d *Desk) orderWrite(verb string) func(context.Context, Operator, func(*ledger.Tx, *actor) error) (journal.Position, error) {
	if verb == OrderResume {
		return d.write
	}
	return d.stop
}

func errorsOr(err, or error) error {
	if err != nil {
		return err
	}
	return or
}

// mayUndo judges that the order to undo is a suspension that ended and whose
// window is open.
func (d *Desk) mayUndo(tx *ledger.Tx, o *Order) error {
	if o.Undoes == "" {
		return nil
	}
	undone, err := d.readOrder(tx, o.Undoes)
	switch {
	case err != nil:
		return err
	case undone.Verb != OrderSuspend || undone.Ended.IsZero():
		return orderUndo.says("order %s is %s of %s; what ended and suspended can be undone", undone.ID, undone.State, undone.Verb)
	case d.moment(tx).After(undone.UndoUntil):
		return orderUndo.says("order %s could be undone until %s; resume the cards by a list or filter", undone.ID, undone.UndoUntil.Format("2006-01-02T15:04:05Z07:00"))
	}
	return nil
}

// unexpired drops orders whose time to be confirmed, or to be placed, is over,
// and writes that down.
func (d *Desk) unexpired(tx *ledger.Tx, all []*Order) ([]*Order, error) {
	var still []*Order
	for _, o := range all {
		if !o.over(d.moment(tx)) {
			still = append(still, o)
			continue
		}
		why := "nobody confirmed it"
		if o.State == OrderPreparing {
			why = "the server ended while it was placed, and nobody asked for it again"
		}
		if err := d.moveOrder(tx, &actor{identity: deskDN}, "", orderStep{o, verbExpire, OrderExpired, why}); err != nil {
			return nil, err
		}
	}
	return still, nil
}

// over tells orders that wait no longer: for the second administrator, or for a
// process that died while it placed them.
func (o *Order) over(now time.Time) bool {
	return o.State == OrderAwaiting && now.After(o.Expires) || o.State == OrderPreparing && now.After(o.Placed.Add(placing))
}

func freeOrder(tx *ledger.Tx) (string, error) {
	for {
		drawn, err := rand.Int(rand.Reader, big.NewInt(10_000_000_000))
		if err != nil {
			return "", fmt.Errorf("drawing an order's number: %w", err)
		}
		id := fmt.Sprintf("O%010d", drawn)
		var known int64
		if err := tx.QueryRow(`SELECT COUNT(*) FROM issuance_orders WHERE id = $1`, id).Scan(&known); err != nil {
			return "", fmt.Errorf("looking for the order %s: %w", id, err)
		}
		if known == 0 {
			return id, nil
		}
	}
}

func (o *Order) insert(tx *ledger.Tx) {
	tx.Defer(`INSERT INTO issuance_orders (id, request, asked, verb, state, selection, undoes, reason, note, since, passcode_known, signatures_fall,
		by_identity, by_role, by_certificate, placed, second_identity, second_role, second_certificate, confirmed, expires, content, mass,
		total, cursor_at, done, left_out, spared, started, ended, held)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, '', '', $17, 0, 0, $17, 0,
		0, 0, 0, 0, 0, 0, 0, 0)`,
		o.ID, o.request, o.asked, o.Verb, o.State, o.Choice, o.Undoes, o.Why.Reason, o.Why.Note, micros(o.Why.Since), o.Why.PasscodeKnown, o.Why.SignaturesFall,
		o.By, string(o.Role), o.certificate, o.Placed.UnixMicro(), []byte{})
}

// cardsOf chooses an order's cards; a mass order that stops cards spares the
// break-glass set, which must be there.
func (d *Desk) cardsOf(ctx context.Context, o *Order, s Selection) ([]chosen, error) {
	cards, err := d.choose(ctx, s, func(*ledger.Tx, *Card) error { return nil })
	if err != nil {
		return nil, err
	}
	o.Mass = len(cards) > d.alone
	if !o.stops() || !o.Mass {
		return cards, nil
	}
	err = d.ledger.Read(ctx, func(tx *ledger.Tx) error {
		all, err := d.breakGlass(tx)
		before := len(cards)
		cards = slices.DeleteFunc(cards, func(c chosen) bool { return all[c.id] })
		o.Spared = int64(before - len(cards))
		return err
	})
	return cards, err
}

// breakGlass is the set a mass order spares, refused while too few of it work.
func (d *Desk) breakGlass(tx *ledger.Tx) (map[string]bool, error) {
	active, err := d.sparedActive(tx)
	if err != nil {
		return nil, err
	}
	if active < LeastBreakGlass {
		return nil, orderSpared.says("%d break-glass cards are active, and at least %d must be before more than %d cards are stopped: nobody could lift it", active, LeastBreakGlass, d.alone)
	}
	return spared(tx)
}

// storeCards writes an order's cards down in blocks, in the place of what an
// earlier attempt left.
func (d *Desk) storeCards(ctx context.Context, order string, cards []chosen) error {
	if err := d.dropCards(ctx, order); err != nil {
		return err
	}
	n := 0
	for block := range slices.Chunk(cards, storeBlock) {
		_, err := d.ledger.Write(ctx, func(tx *ledger.Tx) error {
			at := n
			for part := range slices.Chunk(block, 50) {
				insertCards(tx, order, at, part)
				at += len(part)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("writing the cards of order %s: %w", order, err)
		}
		n += len(block)
	}
	return nil
}

func insertCards(tx *ledger.Tx, order string, at int, part []chosen) {
	var text strings.Builder
	text.WriteString(`INSERT INTO issuance_order_cards (order_id, n, card, outcome) VALUES `)
	args := []any{order}
	for i, c := range part {
		if i > 0 {
			text.WriteString(", ")
		}
		text.WriteString("($1, $" + strconv.Itoa(2*i+2) + ", $" + strconv.Itoa(2*i+3) + ", '')")
		args = append(args, at+i+1, c.id)
	}
	tx.Defer(text.String(), args...)
}

func (d *Desk) dropCards(ctx context.Context, order string) error {
	for dropped := int64(1); dropped > 0; {
		_, err := d.ledger.Write(ctx, func(tx *ledger.Tx) (err error) {
			dropped, err = tx.Exec(`DELETE FROM issuance_order_cards WHERE order_id = $1 AND n <= (
				SELECT MIN(n) + $2 FROM issuance_order_cards WHERE order_id = $3)`, order, storeBlock, order)
			return err
		})
		if err != nil {
			return fmt.Errorf("dropping the cards of order %s: %w", order, err)
		}
	}
	return nil
}

// settleOrder makes the order count. Whether one administrator is enough is
// decided by what was found.
func (d *Desk) settleOrder(ctx context.Context, op Operator, o *Order, r *OrderRequest) (*Order, journal.Position, error) {
	var settled *Order
	position, err := d.orderWrite(o.Verb)(ctx, op, func(tx *ledger.Tx, by *actor) error {
		role, err := d.mayOrder(by, o, r)
		if err != nil {
			return err
		}
		copied := *o // the function may run twice
		settled = &copied
		if err := whole(tx, o); err != nil {
			return err
		}
		if o.Total == 0 {
			tx.Defer(`DELETE FROM issuance_orders WHERE id = $1`, o.ID)
			settled = nil
			return nil
		}
		return d.beginOrder(tx, by, role, settled)
	})
	switch {
	case err != nil:
		return nil, 0, err
	case settled == nil:
		return nil, 0, orderNobody.says("no card is chosen by %s", o.Choice)
	}
	d.wakeOrders()
	return settled, position, nil
}

// whole refuses an order that was withdrawn while it was placed, or that another
// process placed, or dropped, at the same time.
func whole(tx *ledger.Tx, o *Order) error {
	var state string
	var last int64
	err := tx.QueryRow(`SELECT o.state, COALESCE((SELECT MAX(n) FROM issuance_order_cards WHERE order_id = o.id), 0)
		FROM issuance_orders o WHERE o.id = $1`, o.ID).Scan(&state, &last)
	switch {
	case noRow(err) || err == nil && (state != OrderPreparing || last != o.Total):
		return orderState.says("order %s was taken from under this request: ask again with the same request id", o.ID)
	case err != nil:
		return fmt.Errorf("reading order %s: %w", o.ID, err)
	}
	return nil
}

func (d *Desk) beginOrder(tx *ledger.Tx, by *actor, role policies.Role, o *Order) error {
	to := OrderRunning
	if o.Mass || o.Verb == OrderResume && o.Total > 1 && o.Undoes == "" {
		to, o.Expires = OrderAwaiting, tx.Time().Add(d.expiry)
	}
	tx.Defer(`UPDATE issuance_orders SET content = $1, mass = $2, total = $3, spared = $4, expires = $5 WHERE id = $6`,
		o.Content, o.Mass, o.Total, o.Spared, micros(o.Expires), o.ID)
	return d.moveOrder(tx, by, role, orderStep{o, verbOrder, to, o.Why.Note})
}
