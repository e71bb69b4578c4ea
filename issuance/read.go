package issuance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

// pageMost is the most a page holds; pageUsual what it holds when nobody says.
const (
	pageMost  = 200
	pageUsual = 100
)

// Page asks for a part of a list. After is the Next of the page before.
type Page struct {
	After string
	Limit int // 0 = 100
}

func (p Page) limit() (int, error) {
	switch {
	case p.Limit == 0:
		return pageUsual, nil
	case p.Limit < 1 || p.Limit > pageMost:
		return 0, inputField.in("limit", "%d is not between 1 and %d", p.Limit, pageMost)
	}
	return p.Limit, nil
}

// person is the record, or what the directory alone knows.
func (d *Desk) person(tx *ledger.Tx, uuid certs.UUID) (*Person, error) {
	p, err := readPerson(tx, uuid)
	var no *Refusal
	if err == nil || !errors.As(err, &no) {
		return p, err
	}
	e, absent := d.entry(tx, d.personDN(uuid))
	if absent != nil {
		return nil, absent
	}
	if e == nil {
		return nil, err
	}
	p = &Person{UUID: uuid, Title: e.First("personalTitle"), Given: e.First("givenName"), Middle: e.First("nhsMiddleNames"),
		Family: e.First("sn"), Mail: e.First("mail"), Status: StatusClosed}
	if e.First(attrStatus) == statusActive {
		p.Status = StatusActive
	}
	return p, nil
}

// Person shows one person, with the documents masked and who registered him.
func (d *Desk) Person(ctx context.Context, op Operator, uuid certs.UUID) (*Person, error) {
	var p *Person
	err := d.read(ctx, op, func(tx *ledger.Tx, by *actor) error {
		if _, err := d.may(by, policies.PersonRead, by.about(uuid)); err != nil {
			return err
		}
		var err error
		if p, err = d.person(tx, uuid); err != nil {
			return err
		}
		if p.Documents, err = documentsOf(tx, uuid); err != nil {
			return err
		}
		log, err := decisionsOn(tx, string(uuid))
		if at := slices.IndexFunc(log, func(d Decision) bool { return d.Verb == verbRegister }); at >= 0 {
			p.Registered = &log[at]
		}
		return err
	})
	return p, err
}

// Persons lists who is on record by number; family narrows to a family name
// however it is spelled.
func (d *Desk) Persons(ctx context.Context, op Operator, family string, page Page) ([]*Person, string, error) {
	limit, err := page.limit()
	if err != nil {
		return nil, "", err
	}
	var all []*Person
	err = d.read(ctx, op, func(tx *ledger.Tx, by *actor) error {
		if _, err := d.may(by, policies.PersonRead, policies.Situation{}); err != nil {
			return err
		}
		query, args := ` WHERE uuid > $1`, []any{page.After}
		if family != "" {
			query, args = query+` AND family_key = $2`, append(args, lettersAndDigits(family))
		}
		rows, err := tx.Query(`SELECT `+personColumns+` FROM issuance_persons`+query+
			` ORDER BY uuid LIMIT `+strconv.Itoa(limit+1), args...)
		if err != nil {
			return fmt.Errorf("listing persons: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			p, err := scanPerson(rows)
			if err != nil {
				return fmt.Errorf("reading a person: %w", err)
			}
			all = append(all, p)
		}
		return rows.Err()
	})
	all, next := cut(all, limit, func(p *Person) string { return string(p.UUID) })
	return all, next, err
}

// cut keeps a page and names where the next begins.
func cut[T any](all []T, limit int, name func(T) string) ([]T, string) {
	if len(all) <= limit {
		return all, ""
	}
	return all[:limit], name(all[limit-1])
}

// Case shows one case with every decision.
func (d *Desk) Case(ctx context.Context, op Operator, id string) (*Case, error) {
	var c *Case
	err := d.read(ctx, op, func(tx *ledger.Tx, by *actor) (err error) {
		if c, err = readCase(tx, id); err != nil {
			return err
		}
		_, err = d.may(by, policies.CaseRead, by.about(c.Person))
		return err
	})
	return c, err
}

// Wanted narrows a list of cases or cards; empty fields do not.
type Wanted struct {
	Person certs.UUID
	State  string
}

// Cases lists cases, oldest first, each with its decisions.
func (d *Desk) Cases(ctx context.Context, op Operator, w Wanted, page Page) ([]*Case, string, error) {
	limit, err := page.limit()
	if err != nil {
		return nil, "", err
	}
	if err := w.checkState(CaseRequested, CaseApproved, CaseRefused, CaseIssued, CaseHandedOver, CaseWithdrawn); err != nil {
		return nil, "", err
	}
	opened, id, err := splitCursor(page.After)
	if err != nil {
		return nil, "", err
	}
	var all []*Case
	err = d.read(ctx, op, func(tx *ledger.Tx, by *actor) error {
		if _, err := d.may(by, policies.CaseRead, by.about(w.Person)); err != nil {
			return err
		}
		query, args := `(opened > $1 OR (opened = $2 AND id > $3))`, []any{opened, opened, id}
		query, args = narrowed(query, args, w, "")
		if all, err = casesWhere(tx, query+` ORDER BY opened, id LIMIT `+strconv.Itoa(limit+1), args...); err != nil {
			return err
		}
		for _, c := range all {
			if c.Decisions, err = decisionsOn(tx, c.ID); err != nil {
				return err
			}
		}
		return nil
	})
	all, next := cut(all, limit, func(c *Case) string { return strconv.FormatInt(c.opened, 10) + "-" + c.ID })
	return all, next, err
}

func splitCursor(after string) (int64, string, error) {
	if after == "" {
		return 0, "", nil
	}
	opened, id, ok := strings.Cut(after, "-")
	n, err := strconv.ParseInt(opened, 10, 64)
	if !ok || err != nil {
		return 0, "", inputField.in("after", "%q is no next of an earlier page", after)
	}
	return n, id, nil
}

// checkState refuses a state that nothing can be in, where an empty list would look like an answer.
func (w Wanted) checkState(known ...string) error {
	if w.State != "" && !slices.Contains(known, w.State) {
		return inputField.in("state", "%q is none of %q", w.State, known)
	}
	return nil
}

func narrowed(query string, args []any, w Wanted, prefix string) (string, []any) {
	if w.Person != "" {
		args = append(args, string(w.Person))
		query += ` AND ` + prefix + `person = $` + strconv.Itoa(len(args))
	}
	if w.State != "" {
		args = append(args, w.State)
		query += ` AND ` + prefix + `state = $` + strconv.Itoa(len(args))
	}
	return query, args
}

// Card shows one card with its history.
func (d *Desk) Card(ctx context.Context, op Operator, id string) (*Card, error) {
	var c *Card
	err := d.read(ctx, op, func(tx *ledger.Tx, by *actor) (err error) {
		if c, err = readCard(tx, id); err != nil {
			return err
		}
		if _, err := d.may(by, policies.CardRead, by.about(c.Person)); err != nil {
			return err
		}
		d.show(c, d.moment(tx))
		c.Events, err = decisionsOn(tx, id)
		return err
	})
	return c, err
}

// show turns a stored card into what people see.
func (d *Desk) show(c *Card, now time.Time) {
	c.RenewFrom = d.renewFrom(c)
	c.State = c.shown(now)
}

// renewFrom is when the matrix first lets a holder renew.
func (d *Desk) renewFrom(c *Card) time.Time {
	return c.NotAfter.Add(-time.Duration(d.holderDays()+1) * 24 * time.Hour)
}

// holderDays is the most days before the end a holder may renew.
func (d *Desk) holderDays() int {
	const most = 4 * 366 // a card lives three years
	days := 0
	for n := range most {
		if d.policies.Matrix().Allows(policies.RoleHolder, policies.CardRenew, policies.Situation{Own: true, DaysLeft: n}) {
			days = n
		}
	}
	return days
}

// Cards lists cards by number. CardExpired is what issued, active and suspended
// become when their time is over, and those three are then not what they were.
func (d *Desk) Cards(ctx context.Context, op Operator, w Wanted, page Page) ([]*Card, string, error) {
	limit, err := page.limit()
	if err != nil {
		return nil, "", err
	}
	if err := w.checkState(CardIssued, CardActive, CardSuspended, CardCancelled, CardReplaced, CardExpired); err != nil {
		return nil, "", err
	}
	var all []*Card
	err = d.read(ctx, op, func(tx *ledger.Tx, by *actor) error {
		if _, err := d.may(by, policies.CardRead, by.about(w.Person)); err != nil {
			return err
		}
		query, args := `k.id > $1`, []any{page.After}
		switch w.State {
		case CardExpired:
			query, args = query+` AND k.not_after < $2 AND k.state NOT IN ($3, $4)`, append(args, d.moment(tx).UnixMicro(), CardCancelled, CardReplaced)
			w.State = ""
		case CardIssued, CardActive, CardSuspended:
			query, args = query+` AND k.not_after >= $2`, append(args, d.moment(tx).UnixMicro())
		}
		query, args = narrowed(query, args, w, "k.")
		all, err = cardsWhere(tx, query+` ORDER BY k.id LIMIT `+strconv.Itoa(limit+1), args...)
		for _, c := range all {
			d.show(c, d.moment(tx))
		}
		return err
	})
	all, next := cut(all, limit, func(c *Card) string { return c.ID })
	return all, next, err
}

// Certificates shows every certificate of record with this serial; spoiled
// serials have none.
func (d *Desk) Certificates(ctx context.Context, op Operator, serial certs.Serial) ([]Certificate, error) {
	var all []Certificate
	err := d.read(ctx, op, func(tx *ledger.Tx, by *actor) error {
		found, err := register.BySerial(tx, serial)
		if err != nil {
			return err
		}
		for _, c := range found {
			if _, err := d.may(by, policies.CertificateRead, by.about(certs.UUID(c.Holder))); err != nil {
				return err
			}
		}
		all = slices.DeleteFunc(found, func(c Certificate) bool { return c.Spoiled })
		if len(all) == 0 {
			return certificateUnknown.says("no certificate has the serial %s", serial)
		}
		return nil
	})
	return all, err
}
