package issuance

import (
	"context"
	"errors"
	"fmt"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

// PersonChange changes what is not nil. A change of name or birth needs
// Evidence. It takes the approval from an open case and renewal from a card,
// and so does another user principal name, which is the account a card signs in
// to: one official alone must not put another name on either. Somebody known only from the directory is taken on record by
// giving Birth, Evidence and Photo. Status closed ends positions, cases and
// card in the same transaction; active reopens the record alone.
type PersonChange struct {
	Title, Given, Middle, Family *string
	Birth                        *string
	Mail, Phone, UPN             *string
	Status                       *string
	Evidence                     []Document
	Photo                        []byte
	DistinctFrom                 []certs.UUID
	Reason                       string
}

// identity reports whether more than contact details change: a mail address
// and a user principal name stand in the authentication certificate.
func (c PersonChange) identity() bool {
	return c.Title != nil || c.names() || c.Mail != nil || c.UPN != nil || len(c.Evidence) > 0 || len(c.Photo) > 0
}

// verb is how the log calls the change.
func (c PersonChange) verb() string {
	switch {
	case c.names(), c.UPN != nil:
		return verbRename
	case c.identity():
		return verbUpdate
	}
	return verbContact
}

func (c PersonChange) names() bool {
	return c.Given != nil || c.Middle != nil || c.Family != nil || c.Birth != nil
}

// over lays the change over a record.
func (c PersonChange) over(p *Person) NewPerson {
	n := NewPerson{Title: p.Title, Given: p.Given, Middle: p.Middle, Family: p.Family,
		Birth: p.Birth, Mail: p.Mail, Phone: p.Phone, UPN: p.UPN, Evidence: c.Evidence, Photo: c.Photo, DistinctFrom: c.DistinctFrom}
	for _, pair := range []struct{ from, to *string }{{c.Title, &n.Title}, {c.Given, &n.Given}, {c.Middle, &n.Middle},
		{c.Family, &n.Family}, {c.Birth, &n.Birth}, {c.Mail, &n.Mail}, {c.Phone, &n.Phone}, {c.UPN, &n.UPN}} {
		if pair.from != nil {
			*pair.to = *pair.from
		}
	}
	return n.tidied()
}

// UpdatePerson changes a person's record and directory entry.
func (d *Desk) UpdatePerson(ctx context.Context, op Operator, uuid certs.UUID, c PersonChange) (journal.Position, error) {
	if err := checkText("reason", c.Reason, textMax); err != nil {
		return 0, err
	}
	return d.write(ctx, op, func(tx *ledger.Tx, by *actor) error {
		p, err := d.person(tx, uuid)
		if err != nil {
			return err
		}
		if c.Status != nil && *c.Status != p.Status {
			return d.turn(tx, by, p, c)
		}
		return d.change(tx, by, p, c)
	})
}

// change is UpdatePerson without a change of status.
func (d *Desk) change(tx *ledger.Tx, by *actor, p *Person, c PersonChange) error {
	what := policies.PersonContact
	if c.identity() || !p.OnRecord {
		what = policies.PersonUpdate
	}
	role, err := d.may(by, what, by.about(p.UUID))
	if err != nil {
		return err
	}
	if p.Status == StatusClosed {
		return personClosed.says("%s is closed", p.UUID)
	}
	n := c.over(p)
	if err := n.checkChange(c, p.OnRecord, d.today(tx.Time())); err != nil {
		return err
	}
	if c.names() || !p.OnRecord {
		if err := n.looksNew(tx, p.UUID); err != nil {
			return err
		}
	}
	if err := n.belongsToOthers(tx, p.UUID); err != nil {
		return err
	}
	if err := d.amend(tx, p, n); err != nil {
		return err
	}
	return d.decide(tx, by, role, decision{subject: string(p.UUID), verb: c.verb(), from: p.Status, to: p.Status, reason: c.Reason})
}

// checkChange judges the record as it would become.
func (n NewPerson) checkChange(c PersonChange, onRecord bool, today string) error {
	if !onRecord {
		return n.check(today)
	}
	if c.names() && len(c.Evidence) == 0 {
		return personNameEvidence.in("evidence", "a change of name or birth needs the document that proves it")
	}
	problems := []error{
		checkCount("evidence.documents", len(n.Evidence), mostDocuments), checkCount("distinct_from", len(n.DistinctFrom), mostNamesakes),
		checkText("title", n.Title, titleMax), checkName("given", n.Given),
		checkText("middle", n.Middle, nameMax), checkName("family", n.Family),
		checkBirth(n.Birth, today), checkAddress("mail", n.Mail),
		checkText("phone", n.Phone, phoneMax), checkAddress("upn", n.UPN),
	}
	for i, doc := range n.Evidence {
		problems = append(problems, doc.check(fmt.Sprintf("evidence.documents[%d]", i), today))
	}
	if len(n.Photo) > 0 {
		problems = append(problems, checkPhoto("photo", n.Photo))
	}
	return firstOf(problems)
}

// amend writes the changed record; a person from the directory alone gets one.
func (d *Desk) amend(tx *ledger.Tx, p *Person, n NewPerson) error {
	if !p.OnRecord {
		if err := d.enter(tx, p.UUID, n); err != nil {
			return err
		}
		return d.changePersonEntry(tx, p.UUID, n)
	}
	photo := p.Photo
	if len(n.Photo) > 0 {
		var err error
		if photo, err = tx.PutContent(n.Photo); err != nil {
			return fmt.Errorf("storing the photograph of %s: %w", p.UUID, err)
		}
	}
	tx.Defer(`UPDATE issuance_persons SET title = $1, given = $2, middle = $3, family = $4, birth = $5,
		mail = $6, phone = $7, upn = $8, photo = $9, name_key = $10, family_key = $11 WHERE uuid = $12`,
		n.Title, n.Given, n.Middle, n.Family, n.Birth, n.Mail, n.Phone, n.UPN, photo[:],
		nameKey(n.Family, n.Given, n.Birth), lettersAndDigits(n.Family), string(p.UUID))
	if err := addDocuments(tx, p.UUID, n.Evidence); err != nil {
		return err
	}
	return d.changePersonEntry(tx, p.UUID, n)
}

// turn closes or reopens a person. Closing withdraws open cases, cancels the
// card as left and ends every position.
func (d *Desk) turn(tx *ledger.Tx, by *actor, p *Person, c PersonChange) error {
	to := *c.Status
	what, verb := policies.PersonClose, verbClose
	switch to {
	case StatusClosed:
	case StatusActive:
		what, verb = policies.PersonReopen, "reopen"
	default:
		return inputField.in("status", "%q is neither %s nor %s", to, StatusActive, StatusClosed)
	}
	c.Status = nil
	if c.identity() || c.Phone != nil {
		return inputField.in("status", "changes alone")
	}
	role, err := d.may(by, what, by.about(p.UUID))
	if err != nil {
		return err
	}
	if !p.OnRecord {
		return personNotOnRecord.says("%s is in the directory alone; take it on record first", p.UUID)
	}
	if to == StatusClosed {
		if err := d.endAll(tx, by, role, p.UUID); err != nil {
			return err
		}
	}
	tx.Defer(`UPDATE issuance_persons SET status = $1 WHERE uuid = $2`, to, string(p.UUID))
	if err := d.putStatus(tx, p.UUID, to); err != nil {
		return err
	}
	return d.decide(tx, by, role, decision{subject: string(p.UUID), verb: verb, from: p.Status, to: to, reason: c.Reason})
}

// endAll ends everything a person holds.
func (d *Desk) endAll(tx *ledger.Tx, by *actor, role policies.Role, uuid certs.UUID) error {
	return errors.Join(
		d.withdrawCases(tx, by, role, uuid),
		d.cancelCards(tx, by, role, uuid),
		d.closePositions(tx, by, role, uuid),
	)
}
