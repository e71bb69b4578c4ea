package issuance

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

// Certificate is a certificate of record.
type Certificate = register.Certificate

// Card is one card and its present pair.
type Card struct {
	ID             string
	Person         certs.UUID
	Case           string
	State          string // never CardExpired where the desk works; reading verbs show it
	Reason         string
	Replaces       string
	ReplacedBy     string
	Pair           int64 // 1 for the first, raised by each renewal
	Authentication certs.Ref
	Signature      certs.Ref
	NotBefore      time.Time
	NotAfter       time.Time
	RenewFrom      time.Time
	Events         []Decision // oldest first

	beforeHold string
}

// pair is both certificates: what happens to one happens to the other.
func (c *Card) refs() []certs.Ref { return []certs.Ref{c.Authentication, c.Signature} }

// ended reports whether the pair's time is over.
func (c *Card) ended(now time.Time) bool { return now.After(c.NotAfter) }

// shown is the state as people see it.
func (c *Card) shown(now time.Time) string {
	switch c.State {
	case CardIssued, CardActive, CardSuspended:
		if c.ended(now) {
			return CardExpired
		}
	}
	return c.State
}

// daysLeft counts whole days to the end, negative after it.
func (c *Card) daysLeft(now time.Time) int {
	if c.ended(now) {
		return -1
	}
	return int(c.NotAfter.Sub(now) / (24 * time.Hour))
}

const cardColumns = `k.id, k.person, k.case_id, k.state, k.before_hold, k.reason, k.replaces, k.replaced_by, k.pair,
	k.not_before, k.not_after, p.authentication_issuer, p.authentication_serial, p.signature_issuer, p.signature_serial
	FROM issuance_cards k JOIN issuance_pairs p ON p.card = k.id AND p.pair = k.pair`

func scanCard(row scanner) (*Card, error) {
	var c Card
	var person string
	var notBefore, notAfter int64
	var issuerA, serialA, issuerS, serialS []byte
	err := row.Scan(&c.ID, &person, &c.Case, &c.State, &c.beforeHold, &c.Reason, &c.Replaces, &c.ReplacedBy, &c.Pair,
		&notBefore, &notAfter, &issuerA, &serialA, &issuerS, &serialS)
	c.Person = certs.UUID(person)
	c.NotBefore, c.NotAfter = fromMicros(notBefore), fromMicros(notAfter)
	c.Authentication, c.Signature = refOf(issuerA, serialA), refOf(issuerS, serialS)
	return &c, err
}

// readCard gives a card without its history, or cardUnknown.
func readCard(tx *ledger.Tx, id string) (*Card, error) {
	c, err := scanCard(tx.QueryRow(`SELECT `+cardColumns+` WHERE k.id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, cardUnknown.says("there is no card %s", id)
	}
	if err != nil {
		return nil, fmt.Errorf("reading card %s: %w", id, err)
	}
	return c, nil
}

func cardsWhere(tx *ledger.Tx, condition string, args ...any) ([]*Card, error) {
	rows, err := tx.Query(`SELECT `+cardColumns+` WHERE `+condition, args...)
	if err != nil {
		return nil, fmt.Errorf("reading cards: %w", err)
	}
	defer rows.Close()
	var all []*Card
	for rows.Next() {
		c, err := scanCard(rows)
		if err != nil {
			return nil, fmt.Errorf("reading a card: %w", err)
		}
		all = append(all, c)
	}
	return all, rows.Err()
}

// liveCard is the one card of a person that still counts, nil for none.
func (d *Desk) liveCard(tx *ledger.Tx, uuid certs.UUID) (*Card, error) {
	cards, err := cardsWhere(tx, `k.person = $1 AND k.state IN ($2, $3, $4) ORDER BY k.id`,
		string(uuid), CardIssued, CardActive, CardSuspended)
	if err != nil {
		return nil, err
	}
	for _, c := range cards {
		if !c.ended(d.moment(tx)) {
			return c, nil
		}
	}
	return nil, nil
}

// cardStep is one transition of a card.
type cardStep struct {
	of     *Card
	verb   string
	to     string
	reason string // kept on the card where it ends or is held
	note   string // kept with the decision
}

// moveCard makes one transition of the table and writes it down.
func (d *Desk) moveCard(tx *ledger.Tx, by *actor, role policies.Role, s cardStep) error {
	c := s.of
	now := c.shown(tx.Time())
	if !allowed(cardMoves(), s.verb, now, s.to) {
		no := cardState
		if now == CardExpired {
			no = cardExpired
		}
		return no.says("card %s is %s; %s starts from %v", c.ID, now, s.verb, starts(cardMoves(), s.verb))
	}
	from := c.State
	c.State, c.Reason, c.beforeHold = s.to, s.reason, ""
	if s.to == CardSuspended {
		c.beforeHold = from
	}
	tx.Defer(`UPDATE issuance_cards SET state = $1, before_hold = $2, reason = $3, replaced_by = $4 WHERE id = $5`,
		c.State, c.beforeHold, c.Reason, c.ReplacedBy, c.ID)
	if s.verb != verbRenew && s.verb != verbReplace { // those show the card they make
		if err := d.showCard(tx, c); err != nil {
			return err
		}
	}
	return d.decide(tx, by, role, decision{subject: c.ID, verb: s.verb, from: from, to: s.to, reason: s.note})
}

// putPair writes a pair and makes it the card's present one.
func (c *Card) putPair(tx *ledger.Tx, a *asked) {
	tx.Defer(`INSERT INTO issuance_pairs (card, pair, authentication_issuer, authentication_serial, authentication_key,
		signature_issuer, signature_serial, signature_key, not_before, not_after)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		c.ID, c.Pair, journal.Hash(c.Authentication.Issuer), c.Authentication.Serial.Bytes(), journal.Hash(policies.KeyDigest(a.authentication)),
		journal.Hash(c.Signature.Issuer), c.Signature.Serial.Bytes(), journal.Hash(policies.KeyDigest(a.signature)),
		c.NotBefore.UnixMicro(), c.NotAfter.UnixMicro())
}

// bind ties the request id to what it got.
func (a *asked) bind(tx *ledger.Tx, by *actor, c *Card) {
	tx.Defer(`INSERT INTO issuance_requests (id, operator, subject, content, card, pair, recorded)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		a.RequestID, by.identity, a.subject, a.content[:], c.ID, c.Pair, tx.Time().UnixMicro())
}
