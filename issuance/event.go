package issuance

import (
	"context"
	"fmt"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

// Event is one change that says which certificates may be relied on: those of
// one issuer that got one status in one transaction, or the step of an order on
// many cards.
type Event struct {
	Position journal.Position
	At       time.Time
	Issuer   string // its name
	Status   certs.Status
	Serials  []certs.Serial
	Order    *OrderMoved // instead of the three before
}

// eventPage is how many changes are looked through at a time.
const eventPage = 500

// Events gives the events after a position, oldest first, and the position up to
// which the journal was looked through; there may be more. Whoever asks is
// judged anew each time.
func (d *Desk) Events(ctx context.Context, op Operator, after journal.Position) ([]Event, journal.Position, error) {
	names := map[certs.IssuerID]string{}
	err := d.read(ctx, op, func(tx *ledger.Tx, by *actor) error {
		if _, err := d.may(by, policies.EventRead, policies.Situation{}); err != nil {
			return err
		}
		if head := tx.Head().Position; after > head {
			return positionAhead.in("from", "the journal is at %d", head)
		}
		issuers, err := register.Issuers(tx)
		for _, i := range issuers {
			names[i.ID] = i.Name
		}
		return err
	})
	if err != nil {
		return nil, after, err
	}
	changes, err := d.ledger.Feed().Read(ctx, after, eventPage)
	if err != nil {
		return nil, after, fmt.Errorf("reading events: %w", err)
	}
	var all []Event
	for i := range changes {
		e, err := eventOf(&changes[i], names)
		if err != nil {
			return all, after, fmt.Errorf("reading the change at %d: %w", changes[i].Position, err)
		}
		if e != nil {
			all = append(all, *e)
		}
		after = changes[i].Position
	}
	return all, after, nil
}

func eventOf(c *journal.Change, names map[certs.IssuerID]string) (*Event, error) {
	e := &Event{Position: c.Position, At: c.Time}
	switch {
	case c.Erased:
		return nil, nil
	case c.Kind == journal.KindStatusChanged:
		s, err := certs.ParseStatusChange(c.Body)
		e.Issuer, e.Status, e.Serials = names[s.Issuer], s.Status, s.Serials
		return e, err
	case c.Kind == journal.KindOrderMoved:
		m, err := ParseOrderMoved(c.Body)
		e.Order = &m
		return e, err
	}
	return nil, nil
}

// AwaitEvents returns once the journal has moved on from a position, or after a
// heartbeat.
func (d *Desk) AwaitEvents(ctx context.Context, after journal.Position) error {
	return d.ledger.Feed().Wait(ctx, after)
}

// Head is where the journal is now.
func (d *Desk) Head(ctx context.Context) (journal.Head, error) { return d.ledger.Head(ctx) }

// CommittedAt is when a position was committed, for those who may read events or
// stop somebody's card; the zero time when it is not known.
func (d *Desk) CommittedAt(ctx context.Context, op Operator, p journal.Position) (at time.Time, err error) {
	err = d.read(ctx, op, func(tx *ledger.Tx, by *actor) error {
		_, reads := d.may(by, policies.EventRead, policies.Situation{})
		if _, stops := d.may(by, policies.CardSuspend, policies.Situation{}); reads != nil && stops != nil {
			return stops
		}
		if head := tx.Head().Position; p > head {
			return positionAhead.in("position", "the journal is at %d", head)
		}
		return nil
	})
	if err != nil || p == 0 {
		return at, err
	}
	changes, err := d.ledger.Feed().Read(ctx, p-1, 1)
	if err == nil && len(changes) > 0 {
		at = changes[0].Time
	}
	return at, err
}
