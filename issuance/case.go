package issuance

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

// Kinds of case.
const (
	CaseFirst       = "first"
	CaseReplacement = "replacement"
)

// Case is one person's way to one card. Card is set aside when the case opens,
// so that whatever is reserved or signed on the way already bears its number.
type Case struct {
	ID        string
	Person    certs.UUID
	Kind      string
	State     string
	Card      string
	Replaces  string
	Decisions []Decision // oldest first
	opened    int64
}

// By is who took the newest decision with this verb, "" for nobody.
func (c *Case) By(verb string) string {
	by := ""
	for _, d := range c.Decisions {
		if d.Verb == verb {
			by = d.By
		}
	}
	return by
}

// at is when the newest decision with this verb was taken.
func (c *Case) at(verb string) (at time.Time) {
	for _, d := range c.Decisions {
		if d.Verb == verb {
			at = d.At
		}
	}
	return at
}

func (c *Case) hands() policies.Hands {
	return policies.Hands{Requester: c.By(verbRequest), Approver: c.By(verbApprove), Holder: string(c.Person)}
}

// RequestCase opens a person's way to a first card. The person is on record
// with full evidence, has no card that still counts, and no open case.
func (d *Desk) RequestCase(ctx context.Context, op Operator, uuid certs.UUID, reason string) (*Case, journal.Position, error) {
	if err := checkText("reason", reason, textMax); err != nil {
		return nil, 0, err
	}
	var opened *Case
	position, err := d.write(ctx, op, func(tx *ledger.Tx, by *actor) error {
		role, err := d.may(by, policies.CaseRequest, by.about(uuid))
		if err != nil {
			return err
		}
		opened, err = d.openCase(tx, by, role, opening{person: uuid, kind: CaseFirst, reason: reason})
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return opened, position, nil
}

type opening struct {
	person   certs.UUID
	kind     string
	replaces string
	reason   string
}

func (d *Desk) openCase(tx *ledger.Tx, by *actor, role policies.Role, o opening) (*Case, error) {
	if err := d.entitled(tx, o.person); err != nil {
		return nil, err
	}
	if err := d.noCardNorCase(tx, o.person); err != nil {
		return nil, err
	}
	number, err := freeCase(tx)
	if err != nil {
		return nil, err
	}
	c := &Case{ID: "R" + number, Card: "C" + number, Person: o.person, Kind: o.kind, State: CaseRequested, Replaces: o.replaces}
	tx.Defer(`INSERT INTO issuance_cases (id, person, kind, state, card, replaces, opened)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		c.ID, string(c.Person), c.Kind, c.State, c.Card, c.Replaces, tx.Time().UnixMicro())
	return c, d.decide(tx, by, role, decision{subject: c.ID, verb: verbRequest, to: c.State, reason: o.reason})
}

// entitled demands an active person whose identity was proved here.
func (d *Desk) entitled(tx *ledger.Tx, uuid certs.UUID) error {
	p, err := d.person(tx, uuid)
	if err != nil {
		return err
	}
	if !p.OnRecord {
		return personNotOnRecord.says("%s is in the directory alone: no identity evidence was ever recorded", uuid)
	}
	if p.Status != StatusActive {
		return personClosed.says("%s is closed", uuid)
	}
	docs, err := documentsOf(tx, uuid)
	if err != nil {
		return err
	}
	return completeEvidence(docs) // an identity once proved does not lapse with the document
}

func (d *Desk) noCardNorCase(tx *ledger.Tx, uuid certs.UUID) error {
	live, err := d.liveCard(tx, uuid)
	if err != nil {
		return err
	}
	if live != nil {
		return caseHasCard.says("%s has the card %s, which is %s", uuid, live.ID, live.State)
	}
	var open string
	err = tx.QueryRow(`SELECT id FROM issuance_cases WHERE person = $1 AND state IN ($2, $3) ORDER BY opened LIMIT 1`,
		string(uuid), CaseRequested, CaseApproved).Scan(&open)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for open cases of %s: %w", uuid, err)
	}
	return caseOpen.says("%s has the case %s open", uuid, open)
}

// freeCase draws ten digits no case has. They are random and not counted up: a
// ledger restored from a backup must not give a number on a card out again.
func freeCase(tx *ledger.Tx) (string, error) {
	for {
		drawn, err := rand.Int(rand.Reader, big.NewInt(10_000_000_000))
		if err != nil {
			return "", fmt.Errorf("drawing a case number: %w", err)
		}
		number := fmt.Sprintf("%010d", drawn)
		var known int64
		if err := tx.QueryRow(`SELECT COUNT(*) FROM issuance_cases WHERE id = $1`, "R"+number).Scan(&known); err != nil {
			return "", fmt.Errorf("looking for the case %s: %w", number, err)
		}
		if known == 0 {
			return number, nil
		}
	}
}

// ApproveCase is the sponsor's yes: somebody who neither asked, nor is the
// holder, nor could issue.
func (d *Desk) ApproveCase(ctx context.Context, op Operator, id, reason string) (*Case, journal.Position, error) {
	return d.judgeCase(ctx, op, judgement{id, verbApprove, policies.CaseApprove, reason})
}

// RefuseCase is the sponsor's no, or an agent's dropping of what was asked for
// in error; an approved case can still be refused.
func (d *Desk) RefuseCase(ctx context.Context, op Operator, id, reason string) (*Case, journal.Position, error) {
	return d.judgeCase(ctx, op, judgement{id, verbRefuse, policies.CaseRefuse, reason})
}

type judgement struct {
	id     string
	verb   string
	what   policies.Activity
	reason string
}

func (d *Desk) judgeCase(ctx context.Context, op Operator, j judgement) (*Case, journal.Position, error) {
	if err := checkText("reason", j.reason, textMax); err != nil {
		return nil, 0, err
	}
	var judged *Case
	position, err := d.write(ctx, op, func(tx *ledger.Tx, by *actor) error {
		c, err := readCase(tx, j.id)
		if err != nil {
			return err
		}
		role, err := d.may(by, j.what, by.about(c.Person))
		if err != nil {
			return err
		}
		to := CaseRefused
		if j.verb == verbApprove {
			to = CaseApproved
			if err := d.approvable(tx, by, c); err != nil {
				return err
			}
		}
		judged = c
		return d.moveCase(tx, by, role, step{c, j.verb, to, j.reason})
	})
	if err != nil {
		return nil, 0, err
	}
	return judged, position, nil
}

// approvable holds an approval against the rules. A case that is approved can
// be approved anew when its person changed since.
func (d *Desk) approvable(tx *ledger.Tx, by *actor, c *Case) error {
	hands := c.hands()
	hands.Approver = by.identity
	if err := policies.FourEyes(hands); err != nil {
		return turnedDown(KindRight, "", err)
	}
	if c.State == CaseApproved {
		changed, err := changedSince(tx, c.Person, c.at(verbApprove), verbUpdate, verbRename)
		if err != nil {
			return err
		}
		if !changed {
			return caseState.says("case %s is approved already", c.ID)
		}
	}
	return d.entitled(tx, c.Person)
}

// changedSince reports whether one of these verbs was done to a person after a
// moment, or in the same microsecond.
func changedSince(tx *ledger.Tx, uuid certs.UUID, moment time.Time, verbs ...string) (bool, error) {
	log, err := decisionsOn(tx, string(uuid))
	return slices.ContainsFunc(log, func(d Decision) bool {
		return slices.Contains(verbs, d.Verb) && !d.At.Before(moment)
	}), err
}

type step struct {
	of     *Case
	verb   string
	to     string
	reason string
}

// moveCase makes one transition of the table.
func (d *Desk) moveCase(tx *ledger.Tx, by *actor, role policies.Role, s step) error {
	c := s.of
	if !allowed(caseMoves(), s.verb, c.State, s.to) {
		return caseState.says("case %s is %s; %s starts from %v", c.ID, c.State, s.verb, starts(caseMoves(), s.verb))
	}
	from := c.State
	c.State = s.to
	tx.Defer(`UPDATE issuance_cases SET state = $1 WHERE id = $2`, s.to, c.ID)
	return d.decide(tx, by, role, decision{subject: c.ID, verb: s.verb, from: from, to: s.to, reason: s.reason})
}

const caseColumns = `id, person, kind, state, card, replaces, opened`

func scanCase(row scanner) (*Case, error) {
	var c Case
	var person string
	err := row.Scan(&c.ID, &person, &c.Kind, &c.State, &c.Card, &c.Replaces, &c.opened)
	c.Person = certs.UUID(person)
	return &c, err
}

// readCase gives a case with its decisions, or caseUnknown.
func readCase(tx *ledger.Tx, id string) (*Case, error) {
	c, err := scanCase(tx.QueryRow(`SELECT `+caseColumns+` FROM issuance_cases WHERE id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, caseUnknown.says("there is no case %s", id)
	}
	if err != nil {
		return nil, fmt.Errorf("reading case %s: %w", id, err)
	}
	c.Decisions, err = decisionsOn(tx, id)
	return c, err
}

// withdrawCases ends the open cases of a person who is closed.
func (d *Desk) withdrawCases(tx *ledger.Tx, by *actor, role policies.Role, uuid certs.UUID) error {
	open, err := casesWhere(tx, `person = $1 AND state IN ($2, $3)`, string(uuid), CaseRequested, CaseApproved)
	if err != nil {
		return err
	}
	for _, c := range open {
		if err := d.moveCase(tx, by, role, step{c, verbWithdraw, CaseWithdrawn, "person closed"}); err != nil {
			return err
		}
	}
	return nil
}

// casesWhere reads cases without their decisions.
func casesWhere(tx *ledger.Tx, condition string, args ...any) ([]*Case, error) {
	rows, err := tx.Query(`SELECT `+caseColumns+` FROM issuance_cases WHERE `+condition, args...)
	if err != nil {
		return nil, fmt.Errorf("reading cases: %w", err)
	}
	defer rows.Close()
	var all []*Case
	for rows.Next() {
		c, err := scanCase(rows)
		if err != nil {
			return nil, fmt.Errorf("reading a case: %w", err)
		}
		all = append(all, c)
	}
	return all, rows.Err()
}
