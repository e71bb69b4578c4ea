package issuance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

// NewPerson is somebody to register, with what proves the identity. Photo is
// JPEG or PNG. DistinctFrom names the namesakes who were looked at and found to
// be other people.
type NewPerson struct {
	Title, Given, Middle, Family string
	Birth                        string // YYYY-MM-DD
	Mail, Phone, UPN             string
	Evidence                     []Document
	Photo                        []byte
	DistinctFrom                 []certs.UUID
}

// Person is somebody on record. OnRecord is false for an entry of the
// directory that was never registered here.
type Person struct {
	UUID                         certs.UUID
	Title, Given, Middle, Family string
	Birth                        string
	Mail, Phone, UPN             string
	Status                       string // StatusActive or StatusClosed
	OnRecord                     bool
	Photo                        journal.Hash
	Documents                    []Document // numbers masked
	Registered                   *Decision
}

// Statuses of a person.
const (
	StatusActive = "active"
	StatusClosed = "closed"
)

// tidied gives the record in the form it is stored in.
func (n NewPerson) tidied() NewPerson {
	for _, text := range []*string{&n.Title, &n.Given, &n.Middle, &n.Family, &n.Mail, &n.Phone, &n.UPN} {
		*text = tidy(*text)
	}
	return n
}

// check judges all that needs no register.
func (n NewPerson) check(today string) error {
	problems := []error{
		checkCount("distinct_from", len(n.DistinctFrom), mostNamesakes),
		checkText("title", n.Title, titleMax), checkName("given", n.Given),
		checkText("middle", n.Middle, nameMax), checkName("family", n.Family),
		checkBirth(n.Birth, today), checkAddress("mail", n.Mail),
		checkText("phone", n.Phone, phoneMax), checkAddress("upn", n.UPN),
		checkEvidence(n.Evidence, today), checkPhoto("photo", n.Photo),
	}
	return firstOf(problems)
}

func checkBirth(birth, today string) error {
	switch {
	case !isDate(birth):
		return inputField.in("birth", "%q is no date (YYYY-MM-DD)", birth)
	case birth < "1900-01-01" || birth >= today:
		return inputField.in("birth", "%s is not between 1900-01-01 and yesterday", birth)
	}
	return nil
}

func firstOf(problems []error) error {
	at := slices.IndexFunc(problems, func(err error) bool { return err != nil })
	if at < 0 {
		return nil
	}
	return problems[at]
}

// AddPerson registers somebody under a number the system draws: twelve random
// digits that neither the tables nor the directory know. The directory entry is
// written in the same transaction.
func (d *Desk) AddPerson(ctx context.Context, op Operator, n NewPerson) (certs.UUID, journal.Position, error) {
	n = n.tidied()
	if err := n.check(d.today(d.now())); err != nil {
		return "", 0, err
	}
	var uuid certs.UUID
	position, err := d.write(ctx, op, func(tx *ledger.Tx, by *actor) error {
		role, err := d.may(by, policies.PersonAdd, policies.Situation{})
		if err != nil {
			return err
		}
		if uuid, err = d.freeNumber(tx); err != nil {
			return err
		}
		if err := n.looksNew(tx, uuid); err != nil {
			return err
		}
		if err := n.belongsToOthers(tx, uuid); err != nil {
			return err
		}
		if err := d.enter(tx, uuid, n); err != nil {
			return err
		}
		if err := d.putPersonEntry(tx, uuid, n); err != nil {
			return err
		}
		return d.decide(tx, by, role, decision{subject: string(uuid), verb: verbRegister, to: StatusActive})
	})
	if err != nil {
		return "", 0, err
	}
	return uuid, position, nil
}

// looksNew refuses a namesake of the same birth who was not named as somebody
// else.
func (n NewPerson) looksNew(tx *ledger.Tx, self certs.UUID) error {
	rows, err := tx.Query(`SELECT uuid FROM issuance_persons WHERE name_key = $1 AND uuid <> $2 ORDER BY uuid`,
		nameKey(n.Family, n.Given, n.Birth), string(self))
	if err != nil {
		return fmt.Errorf("looking for namesakes: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var other string
		if err := rows.Scan(&other); err != nil {
			return fmt.Errorf("reading a namesake: %w", err)
		}
		if !slices.Contains(n.DistinctFrom, certs.UUID(other)) {
			return personDuplicate.says("%s has the same name and date of birth; look, and name it in distinct_from if it is somebody else", other)
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return fmt.Errorf("reading namesakes: %w", err)
	}
	return nil
}

// belongsToOthers refuses a document, and an address that goes into a
// certificate, which are somebody else's.
func (n NewPerson) belongsToOthers(tx *ledger.Tx, self certs.UUID) error {
	for field, address := range map[string]string{"mail": n.Mail, "upn": n.UPN} {
		if address == "" {
			continue
		}
		var others int64
		err := tx.QueryRow(`SELECT COUNT(*) FROM issuance_persons WHERE LOWER(`+field+`) = $1 AND uuid <> $2`,
			strings.ToLower(address), string(self)).Scan(&others)
		if err != nil {
			return fmt.Errorf("looking for the addresses of others: %w", err)
		}
		if others > 0 {
			return personAddress.in(field, "%s is another person's", address)
		}
	}
	return numberTaken(tx, n.Evidence, self)
}

// freeNumber draws until neither the directory nor the tables know the number.
func (d *Desk) freeNumber(tx *ledger.Tx) (certs.UUID, error) {
	for {
		drawn, err := d.directory.NewUserID(tx)
		if err != nil {
			return "", err
		}
		uuid, err := certs.ParseUUID(drawn)
		if err != nil {
			return "", err
		}
		var known int64
		if err := tx.QueryRow(`SELECT COUNT(*) FROM issuance_persons WHERE uuid = $1`, drawn).Scan(&known); err != nil {
			return "", fmt.Errorf("looking for the number %s: %w", uuid, err)
		}
		if known == 0 {
			return uuid, nil
		}
	}
}

// enter writes the record, the photograph and the documents.
func (d *Desk) enter(tx *ledger.Tx, uuid certs.UUID, n NewPerson) error {
	photo, err := tx.PutContent(n.Photo)
	if err != nil {
		return fmt.Errorf("storing the photograph of %s: %w", uuid, err)
	}
	tx.Defer(`INSERT INTO issuance_persons
		(uuid, title, given, middle, family, birth, mail, phone, upn, status, photo, name_key, family_key)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		string(uuid), n.Title, n.Given, n.Middle, n.Family, n.Birth, n.Mail, n.Phone, n.UPN,
		StatusActive, photo[:], nameKey(n.Family, n.Given, n.Birth), lettersAndDigits(n.Family))
	return addDocuments(tx, uuid, n.Evidence)
}

const personColumns = `uuid, title, given, middle, family, birth, mail, phone, upn, status, photo`

// scanner is a row or rows.
type scanner interface{ Scan(...any) error }

func scanPerson(row scanner) (*Person, error) {
	p := &Person{OnRecord: true}
	var uuid string
	var photo []byte
	err := row.Scan(&uuid, &p.Title, &p.Given, &p.Middle, &p.Family, &p.Birth, &p.Mail, &p.Phone, &p.UPN, &p.Status, &photo)
	p.UUID = certs.UUID(uuid)
	copy(p.Photo[:], photo)
	return p, err
}

// readPerson gives the record, or personUnknown.
func readPerson(tx *ledger.Tx, uuid certs.UUID) (*Person, error) {
	p, err := scanPerson(tx.QueryRow(`SELECT `+personColumns+` FROM issuance_persons WHERE uuid = $1`, string(uuid)))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, personUnknown.says("%s is not on record", uuid)
	}
	if err != nil {
		return nil, fmt.Errorf("reading person %s: %w", uuid, err)
	}
	return p, nil
}

// today is the date in the place the rules count days in.
func (d *Desk) today(now time.Time) string { return now.In(d.place).Format(time.DateOnly) }
