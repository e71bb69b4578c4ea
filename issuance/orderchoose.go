package issuance

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

// chosen is a card an order is about, with what puts orders in order: cards
// made one after another lie beside each other in the tables.
type chosen struct {
	id   string
	made int64
}

// choose finds the cards of a selection, each once, in the order they were
// made. Reading goes in pages, each a snapshot of its own: what changes
// meanwhile is judged again when its turn comes. about is called for each card.
func (d *Desk) choose(ctx context.Context, s Selection, about func(tx *ledger.Tx, c *Card) error) ([]chosen, error) {
	var all []chosen
	take := func(tx *ledger.Tx, c *Card) error {
		all = append(all, chosen{c.ID, c.NotBefore.UnixMicro()})
		return about(tx, c)
	}
	var err error
	switch {
	case s.Undoes != "":
		err = d.chooseUndone(ctx, s.Undoes, take)
	case s.Filter != "":
		err = d.chooseFitting(ctx, s.Filter, take)
	default:
		err = d.chooseNamed(ctx, s.Names, take)
	}
	slices.SortFunc(all, func(a, b chosen) int { return cmp.Or(cmp.Compare(a.made, b.made), cmp.Compare(a.id, b.id)) })
	return all, err
}

type taking func(tx *ledger.Tx, c *Card) error

// chooseFitting looks at every card by number.
func (d *Desk) chooseFitting(ctx context.Context, filter string, take taking) error {
	s, err := d.newSieve(filter)
	if err != nil {
		return err
	}
	after, read := "", scanPage
	for read == scanPage {
		err := d.ledger.Read(ctx, func(tx *ledger.Tx) error {
			if s.names == nil {
				if err := s.learn(tx); err != nil {
					return err
				}
			}
			page, err := cardsWhere(tx, `k.id > $1 ORDER BY k.id LIMIT $2`, after, scanPage)
			if read = len(page); err != nil || read == 0 {
				return err
			}
			after = page[read-1].ID
			return d.sift(tx, s, page, take)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *Desk) sift(tx *ledger.Tx, s *sieve, page []*Card, take taking) error {
	now := d.moment(tx)
	for _, c := range page {
		stored := c.State
		c.State = c.shown(now)
		fits, err := s.fits(tx, c)
		c.State = stored
		if err != nil {
			return err
		}
		if !fits {
			continue
		}
		if err := take(tx, c); err != nil {
			return err
		}
	}
	return nil
}

// chooseUndone finds what an order suspended and nobody has touched since.
func (d *Desk) chooseUndone(ctx context.Context, order string, take taking) error {
	after, read := int64(0), scanPage
	for read == scanPage {
		err := d.ledger.Read(ctx, func(tx *ledger.Tx) error {
			page, err := orderCardsWhere(tx, `i.order_id = $1 AND i.n > $2 ORDER BY i.n LIMIT $3`, order, after, scanPage)
			if read = len(page); err != nil || read == 0 {
				return err
			}
			after = page[read-1].n
			page = slices.DeleteFunc(page, func(i orderCard) bool {
				return i.State != CardSuspended || i.Reason != order || i.outcome != ""
			})
			for _, i := range page {
				if err := take(tx, i.Card); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// chooseNamed finds the card of each name. Names that mean one card count once.
func (d *Desk) chooseNamed(ctx context.Context, names []string, take taking) error {
	seen := make(map[string]bool, len(names))
	for part := range slices.Chunk(names, scanPage) {
		err := d.ledger.Read(ctx, func(tx *ledger.Tx) error {
			for _, name := range part {
				c, err := d.named(tx, name)
				if err != nil {
					return err
				}
				if seen[c.ID] {
					continue
				}
				seen[c.ID] = true
				if err := take(tx, c); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// named finds the card a name means: its own number, its holder's for the card
// that counts, or the serial of any certificate it ever had.
func (d *Desk) named(tx *ledger.Tx, name string) (*Card, error) {
	name = strings.TrimSpace(name)
	if isCardNumber(name) {
		return readCard(tx, name)
	}
	if uuid, err := certs.ParseUUID(name); err == nil {
		return d.cardOf(tx, uuid)
	}
	serial, err := certs.ParseSerial(strings.ToLower(name))
	if err != nil {
		return nil, orderSelection.in("names", "%q is no card, person or serial", name)
	}
	found, err := register.BySerial(tx, serial)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(found, func(c register.Certificate) bool { return c.Card != "" })
	if at < 0 {
		return nil, certificateUnknown.in("names", "no card has a certificate with the serial %s", serial)
	}
	return readCard(tx, found[at].Card)
}

// cardOf is a person's card: the one that counts, else the last they had.
func (d *Desk) cardOf(tx *ledger.Tx, uuid certs.UUID) (*Card, error) {
	live, err := d.liveCard(tx, uuid)
	if err != nil || live != nil {
		return live, err
	}
	cards, err := cardsWhere(tx, `k.person = $1 ORDER BY k.not_before DESC, k.id LIMIT 1`, string(uuid))
	if err != nil {
		return nil, err
	}
	if len(cards) == 0 {
		return nil, cardUnknown.in("names", "%s has no card", uuid)
	}
	return cards[0], nil
}

func isCardNumber(text string) bool {
	return len(text) == 11 && text[0] == 'C' && !strings.ContainsFunc(text[1:], func(r rune) bool { return r < '0' || r > '9' })
}

// orderCard is a card of an order.
type orderCard struct {
	*Card
	n       int64
	outcome string
}

func orderCardsWhere(tx *ledger.Tx, condition string, args ...any) ([]orderCard, error) {
	rows, err := tx.Query(`SELECT i.n, i.outcome, `+cardColumns+` JOIN issuance_order_cards i ON i.card = k.id WHERE `+condition, args...)
	if err != nil {
		return nil, fmt.Errorf("reading an order's cards: %w", err)
	}
	defer rows.Close()
	var all []orderCard
	for rows.Next() {
		var i orderCard
		if i.Card, err = scanCard(prefixed{rows, []any{&i.n, &i.outcome}}); err != nil {
			return nil, fmt.Errorf("reading a card of an order: %w", err)
		}
		all = append(all, i)
	}
	return all, rows.Err()
}

// prefixed scans some columns before those it is asked for.
type prefixed struct {
	scanner
	first []any
}

// Scan implements scanner.
func (p prefixed) Scan(into ...any) error {
	return p.scanner.Scan(append(slices.Clone(p.first), into...)...)
}

// judged is what an order would do with one card: nothing to say, or the rule
// that leaves it as it is.
func (d *Desk) judged(o *Order, c *Card, now time.Time) *Refusal {
	state := c.shown(now)
	to := o.leadsTo(c)
	switch {
	case !allowed(d.cardMoves, o.Verb, state, to) && state == CardExpired:
		return cardExpired.says("card %s is %s", c.ID, state)
	case !allowed(d.cardMoves, o.Verb, state, to):
		return cardState.says("card %s is %s", c.ID, state)
	case o.Undoes != "" && c.Reason != o.Undoes:
		return orderUndo.says("card %s was touched since", c.ID)
	case !d.policies.Matrix().Allows(o.Role, o.activity(), policies.Situation{Own: o.By == string(c.Person)}):
		return notYours.says("card %s is %s's own", c.ID, o.By)
	}
	return nil
}

// leadsTo is the state the order's verb leads a card to.
func (o *Order) leadsTo(c *Card) string {
	switch {
	case o.Verb == OrderCancel:
		return CardCancelled
	case o.Verb == OrderSuspend:
		return CardSuspended
	case c.beforeHold != "":
		return c.beforeHold
	}
	return CardActive // not suspended: the table says no
}

// spared are the cards of the break-glass set.
func spared(tx *ledger.Tx) (map[string]bool, error) {
	rows, err := tx.Query(`SELECT card FROM issuance_break_glass`)
	if err != nil {
		return nil, fmt.Errorf("reading the break-glass set: %w", err)
	}
	defer rows.Close()
	all := map[string]bool{}
	for rows.Next() {
		var card string
		if err := rows.Scan(&card); err != nil {
			return nil, fmt.Errorf("reading a break-glass card: %w", err)
		}
		all[card] = true
	}
	return all, rows.Err()
}

// sparedActive counts the break-glass cards that sign in now.
func (d *Desk) sparedActive(tx *ledger.Tx) (n int, err error) {
	cards, err := cardsWhere(tx, `k.id IN (SELECT card FROM issuance_break_glass)`)
	if err != nil {
		return 0, err
	}
	for _, c := range cards {
		if c.shown(d.moment(tx)) == CardActive {
			n++
		}
	}
	return n, nil
}

// noRow reports that a query found nothing.
func noRow(err error) bool { return errors.Is(err, sql.ErrNoRows) }
