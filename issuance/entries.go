package issuance

import (
	"errors"
	"fmt"
	"strings"

	"cardinal/certs"
	"cardinal/directory"
	"cardinal/directory/register"
	"cardinal/internal/ledger"
)

// The directory's own spelling of what the desk writes.
const (
	attrCertificate = "userCertificate;binary" // RFC 4523 §2.1
	attrStatus      = "nhsPersonStatus"
	attrNumber      = "uniqueIdentifier"
	attrOrg         = "nhsIDCode"
	attrJobRole     = "nhsJobRole"
	attrJobRoleCode = "nhsJobRoleCode"
	attrActivities  = "nhsBusinessFunctionsCodes"
	attrAreas       = "nhsAreaOfWorkCodes"
	attrWorkgroups  = "nhsWorkGroupsCodes"
	attrOpens       = "nhsOrgOpenDate" // YYYYMMDD
	attrCloses      = "nhsOrgCloseDate"
	classOrgPerson  = "nhsOrgPerson"
	classRole       = "nhsOrgPersonRole"
	statusActive    = "1" // anything else is not active
	statusClosed    = "0"
)

func (d *Desk) peopleDN() directory.DN {
	return d.suffix.Child(rdn("ou", "People"))
}

func (d *Desk) personDN(uuid certs.UUID) directory.DN {
	return d.peopleDN().Child(rdn("uid", string(uuid)))
}

func rdn(typ, value string) directory.RDN {
	return directory.RDN{{Type: typ, Value: []byte(value)}}
}

// entry reads one entry of record; nil when there is none.
func (d *Desk) entry(tx *ledger.Tx, dn directory.DN) (*directory.Entry, error) {
	e, err := d.directory.Get(tx, dn)
	if isAbsent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the entry %s: %w", dn, err)
	}
	return e, nil
}

func (d *Desk) addEntry(tx *ledger.Tx, e *directory.Entry) error {
	if err := d.directory.Add(tx, desk(), e); err != nil {
		return fmt.Errorf("adding the entry %s: %w", e.DN, err)
	}
	return nil
}

func (d *Desk) modifyEntry(tx *ledger.Tx, dn directory.DN, mods []directory.Modification) error {
	if err := d.directory.Modify(tx, desk(), dn, mods); err != nil {
		return fmt.Errorf("changing the entry %s: %w", dn, err)
	}
	return nil
}

// putPersonEntry adds uid=UUID,ou=People, and what it stands on where a new
// directory has neither suffix nor ou=People.
func (d *Desk) putPersonEntry(tx *ledger.Tx, uuid certs.UUID, n NewPerson) error {
	if err := d.standPeople(tx); err != nil {
		return err
	}
	e := newEntry(d.personDN(uuid), "person", "organizationalPerson", "inetOrgPerson", "nhsPerson")
	e.PutString("uid", string(uuid))
	for _, a := range personAttributes(n) {
		e.Put(a.Type, a.Values...)
	}
	e.PutString(attrStatus, statusActive)
	return d.addEntry(tx, e)
}

func (d *Desk) standPeople(tx *ledger.Tx) error {
	people, err := d.entry(tx, d.peopleDN())
	if err != nil || people != nil {
		return err
	}
	suffix, err := d.entry(tx, d.suffix)
	if err != nil {
		return err
	}
	if suffix == nil {
		if err := d.addEntry(tx, suffixEntry(d.suffix)); err != nil {
			return err
		}
	}
	e := newEntry(d.peopleDN(), "organizationalUnit")
	e.PutString("ou", "People")
	return d.addEntry(tx, e)
}

// suffixEntry is the least entry that can stand at a suffix.
func suffixEntry(dn directory.DN) *directory.Entry {
	class := "organization"
	switch leaf := strings.ToLower(dn[0][0].Type); leaf {
	case "ou":
		class = "organizationalUnit"
	case "c":
		class = "country"
	case "dc":
		class = "domain"
	}
	e := newEntry(dn, class)
	for _, a := range dn[0] {
		e.Put(a.Type, a.Value)
	}
	return e
}

func newEntry(dn directory.DN, classes ...string) *directory.Entry {
	e := &directory.Entry{DN: dn}
	e.PutString("objectClass", append([]string{"top"}, classes...)...)
	return e
}

// personAttributes are the attributes a record decides; empty ones go away.
func personAttributes(n NewPerson) []directory.Attribute {
	one := func(typ, value string) directory.Attribute {
		a := directory.Attribute{Type: typ}
		if value != "" {
			a.Values = directory.Values(value)
		}
		return a
	}
	return []directory.Attribute{
		one("cn", commonName(n)), one("sn", n.Family), one("givenName", n.Given),
		one("nhsMiddleNames", n.Middle), one("personalTitle", n.Title), one("mail", n.Mail),
		one("displayName", strings.Join(strings.Fields(n.Title+" "+n.Given+" "+n.Family), " ")),
	}
}

// commonName is family, given and title, the way entries of this tree spell it.
func commonName(n NewPerson) string {
	return strings.Join(strings.Fields(n.Family+" "+n.Given+" "+n.Title), " ")
}

func (d *Desk) changePersonEntry(tx *ledger.Tx, uuid certs.UUID, n NewPerson) error {
	var mods []directory.Modification
	for _, a := range personAttributes(n) {
		mods = append(mods, directory.Modification{Op: directory.ModReplace, Attribute: a})
	}
	return d.modifyEntry(tx, d.personDN(uuid), mods)
}

func (d *Desk) putStatus(tx *ledger.Tx, uuid certs.UUID, status string) error {
	value := statusClosed
	if status == StatusActive {
		value = statusActive
	}
	return d.modifyEntry(tx, d.personDN(uuid), replacing(attrStatus, []byte(value)))
}

// publish replaces the person's certificates by those of the present pair: a
// person has one card, so what stood there before is over.
func (d *Desk) publish(tx *ledger.Tx, uuid certs.UUID, ders ...[]byte) error {
	return d.modifyEntry(tx, d.personDN(uuid), replacing(attrCertificate, ders...))
}

func replacing(typ string, values ...[]byte) []directory.Modification {
	return []directory.Modification{{Op: directory.ModReplace, Attribute: directory.Attribute{Type: typ, Values: values}}}
}

// deskDN is who the directory's modifiersName says wrote a managed entry; the
// log of decisions knows the person behind it.
const deskDN = "cn=issuance"

func desk() register.Author { return register.Author{DN: deskDN, Issuance: true} }

func isAbsent(err error) bool {
	var no *directory.Error
	return errors.As(err, &no) && no.Code == directory.NoSuchObject
}
