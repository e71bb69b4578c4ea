package issuance

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

// Verbs of an order.
const (
	OrderSuspend = verbSuspend
	OrderResume  = verbResume
	OrderCancel  = verbCancel
)

// OrderRequest asks for one verb on many cards. RequestID is chosen by whoever
// asks, 8 to 64 of [A-Za-z0-9._-]: the same again is the same order.
type OrderRequest struct {
	RequestID string
	Verb      string
	Selection
	Cancellation // of OrderCancel; of the others the note counts, and since of a suspension
}

// Selection chooses cards: by name (of a card, of a person for the card that
// counts, or the serial of a certificate in hex), by a filter over cards and
// their holders, or what an earlier suspension stopped. Exactly one is given.
type Selection struct {
	Names  []string
	Filter string
	Undoes string // the order whose suspensions are lifted
}

// words is the selection as people read it.
func (s Selection) words() string {
	switch {
	case s.Undoes != "":
		return "what order " + s.Undoes + " suspended"
	case s.Filter != "":
		return "filter " + s.Filter
	case len(s.Names) <= mostSample:
		return strings.Join(s.Names, " ")
	}
	return fmt.Sprintf("a list of %d", len(s.Names))
}

// Order is one verb on many cards, from asking to its end. Content is the hash
// of all that a second administrator confirms: verb, reason, dates, flags and
// every card, in order.
type Order struct {
	ID, Verb, State string
	Choice          string // Selection in words
	Undoes          string
	Why             Cancellation
	By, Second      string // identities; Second is empty until somebody confirmed
	Role            policies.Role
	Placed          time.Time
	Confirmed       time.Time
	Expires         time.Time // while it awaits confirmation
	UndoUntil       time.Time // of a suspension that ended
	Content         journal.Hash
	Mass            bool  // above what one administrator does alone
	Total           int64 // cards
	Taken           int64 // of them so far
	Done            int64
	Left            int64 // left as they were; each says why
	Spared          int64 // break-glass cards that were not taken into the order
	Started, Ended  time.Time
	Held            time.Duration    // the longest a block held the journal's head
	Position        journal.Position // once it ended: where a copy has seen all of it
	Events          []Decision

	certificate, secondCertificate []byte
	request                        string
	asked                          journal.Hash
}

const orderColumns = `id, request, asked, verb, state, selection, undoes, reason, note, since, passcode_known, signatures_fall,
	by_identity, by_role, by_certificate, placed, second_identity, second_certificate, confirmed, expires, content, mass,
	total, cursor_at, done, left_out, spared, started, ended, held FROM issuance_orders`

func (d *Desk) scanOrder(row scanner) (*Order, error) {
	var o Order
	var role string
	var asked, content []byte
	var since, known, fall, placed, confirmed, expires, mass, started, ended, held int64
	err := row.Scan(&o.ID, &o.request, &asked, &o.Verb, &o.State, &o.Choice, &o.Undoes, &o.Why.Reason, &o.Why.Note, &since, &known, &fall,
		&o.By, &role, &o.certificate, &placed, &o.Second, &o.secondCertificate, &confirmed, &expires, &content, &mass,
		&o.Total, &o.Taken, &o.Done, &o.Left, &o.Spared, &started, &ended, &held)
	o.Role, o.Why.Since, o.Why.PasscodeKnown, o.Why.SignaturesFall = policies.Role(role), fromMicros(since), known != 0, fall != 0
	o.Placed, o.Confirmed, o.Expires = fromMicros(placed), fromMicros(confirmed), fromMicros(expires)
	o.Started, o.Ended, o.Held = fromMicros(started), fromMicros(ended), time.Duration(held)*time.Microsecond
	o.Mass = mass != 0
	copy(o.asked[:], asked)
	copy(o.Content[:], content)
	if o.Verb == OrderSuspend && !o.Ended.IsZero() {
		o.UndoUntil = o.Ended.Add(d.undo)
	}
	return &o, err
}

// readOrder gives an order without its history, or orderUnknown.
func (d *Desk) readOrder(tx *ledger.Tx, id string) (*Order, error) {
	o, err := d.scanOrder(tx.QueryRow(`SELECT `+orderColumns+` WHERE id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, orderUnknown.says("there is no order %s", id)
	}
	if err != nil {
		return nil, fmt.Errorf("reading order %s: %w", id, err)
	}
	return o, nil
}

// ordersWhere reads orders; the condition ends with its order.
func (d *Desk) ordersWhere(tx *ledger.Tx, condition string, args ...any) ([]*Order, error) {
	rows, err := tx.Query(`SELECT `+orderColumns+` WHERE `+condition, args...)
	if err != nil {
		return nil, fmt.Errorf("reading orders: %w", err)
	}
	defer rows.Close()
	var all []*Order
	for rows.Next() {
		o, err := d.scanOrder(rows)
		if err != nil {
			return nil, fmt.Errorf("reading an order: %w", err)
		}
		all = append(all, o)
	}
	return all, rows.Err()
}

// activity is what the verb is called in the matrix, for each card.
func (o *Order) activity() policies.Activity {
	switch o.Verb {
	case OrderResume:
		return policies.CardResume
	case OrderCancel:
		return policies.CardCancel
	}
	return policies.CardSuspend
}

// stops tells verbs that make cards useless from the one that does not.
func (o *Order) stops() bool { return o.Verb != OrderResume }

// moveOrder makes one transition of the table, and writes it down in the log and
// in the journal.
func (d *Desk) moveOrder(tx *ledger.Tx, by *actor, role policies.Role, s orderStep) error {
	o := s.of
	if !allowed(orderMoves(), s.verb, o.State, s.to) {
		return orderState.says("order %s is %s; %s starts from %v", o.ID, o.State, s.verb, starts(orderMoves(), s.verb))
	}
	from := o.State
	o.State = s.to
	tx.Defer(`UPDATE issuance_orders SET state = $1 WHERE id = $2`, o.State, o.ID)
	moved := OrderMoved{Order: o.ID, Verb: o.Verb, State: o.State, Content: o.Content, Cards: uint64(o.Total), Done: uint64(o.Done), Expires: o.Expires}
	tx.Append(journal.KindOrderMoved, OrderMovedVersion, moved.Append(nil))
	return d.decide(tx, by, role, decision{subject: o.ID, verb: s.verb, from: from, to: s.to, reason: s.note})
}

// orderStep is one transition of an order.
type orderStep struct {
	of   *Order
	verb string
	to   string
	note string
}

// OrderMovedVersion is the version of an OrderMoved's body.
const OrderMovedVersion = 1

// OrderMoved is the change that says where an order on many cards has come to.
// It names nobody: who asked and who confirmed stands in the log of decisions.
type OrderMoved struct {
	Order, Verb, State string
	Content            journal.Hash
	Cards, Done        uint64
	Expires            time.Time
}

// Append appends the body to b.
func (m *OrderMoved) Append(b []byte) []byte {
	e := journal.NewEncoder(b)
	e.AppendString(m.Order)
	e.AppendString(m.Verb)
	e.AppendString(m.State)
	e.AppendHash(m.Content)
	e.AppendUint(m.Cards)
	e.AppendUint(m.Done)
	e.AppendTime(m.Expires)
	return e.Bytes()
}

// ParseOrderMoved reads a body of version 1. Errors wrap journal.ErrMalformed.
func ParseOrderMoved(body []byte) (OrderMoved, error) {
	d := journal.NewDecoder(body)
	m := OrderMoved{Order: d.String(), Verb: d.String(), State: d.String(), Content: d.Hash(), Cards: d.Uint(), Done: d.Uint(), Expires: d.Time()}
	return m, d.End()
}
