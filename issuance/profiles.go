package issuance

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"cardinal/certs"
	"cardinal/directory"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

// Position is one role profile as the directory of record has it.
type Position struct {
	ID               string // uniqueIdentifier of the role profile
	OrgPerson        string // uniqueIdentifier of the entry above it
	Person           certs.UUID
	Organisation     string // ODS code
	OrganisationName string
	JobRoleCode      string
	JobRole          string
	Activities       []string
	AreasOfWork      []string
	Workgroups       []string
	Opens, Closes    string // YYYY-MM-DD or empty; Closes is the first day without the role
	Active           bool   // on the day of reading, the entries above it considered
	Roles            []policies.Role

	dn directory.DN
}

// rights are what a person's entries allow on one day.
type rights struct {
	active    bool // the person's entry exists and has the status of an active one
	roles     []policies.Role
	assigns   []string // organisations where one of the roles assigns positions
	positions []Position
	offices   []office
}

// office is a person's entry for one organisation.
type office struct {
	dn           directory.DN
	id           string
	organisation string
	name         string
	open         bool
}

// rightsOf reads a person's subtree. Doubt fails closed: an entry whose dates
// cannot be read gives no role, and neither does a role whose organisation
// entry above it is closed.
func (d *Desk) rightsOf(tx *ledger.Tx, uuid certs.UUID) (*rights, error) {
	var r rights
	today := d.today(d.moment(tx))
	place := len(d.suffix) + 2 // where the person stands
	err := d.directory.Subtree(tx, d.personDN(uuid), func(e *directory.Entry) error {
		switch {
		case len(e.DN) == place:
			r.active = e.First(attrStatus) == statusActive
		case isOf(e, classOrgPerson):
			r.offices = append(r.offices, office{dn: e.DN.Clone(), id: e.First(attrNumber),
				organisation: e.First(attrOrg), name: e.First("o"), open: openOn(e, today)})
		case isOf(e, classRole):
			r.positions = append(r.positions, d.positionOf(uuid, e, r.above(e.DN), today))
		}
		return nil
	})
	if isAbsent(err) {
		return &r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the role profiles of %s: %w", uuid, err)
	}
	matrix := d.policies.Matrix()
	for i := range r.positions {
		if p := &r.positions[i]; p.Active && r.active {
			r.roles = append(r.roles, p.Roles...)
			if matrix.May(p.Roles, policies.PositionAssign, policies.Situation{Assignable: true}) == nil {
				r.assigns = append(r.assigns, p.Organisation)
			}
		}
	}
	slices.Sort(r.roles)
	r.roles = slices.Compact(r.roles)
	return &r, nil
}

// above is the office a role profile stands under; a subtree is read parents
// first.
func (r *rights) above(dn directory.DN) *office {
	at := slices.IndexFunc(r.offices, func(o office) bool { return o.dn.EqualFold(dn.Parent()) })
	if at < 0 {
		return nil
	}
	return &r.offices[at]
}

func (d *Desk) positionOf(uuid certs.UUID, e *directory.Entry, above *office, today string) Position {
	p := Position{
		ID: e.First(attrNumber), Person: uuid, dn: e.DN.Clone(),
		Organisation: e.First(attrOrg), JobRole: e.First(attrJobRole), JobRoleCode: e.First(attrJobRoleCode),
		Activities: texts(e, attrActivities), AreasOfWork: texts(e, attrAreas), Workgroups: texts(e, attrWorkgroups),
		Opens: dashed(e.First(attrOpens)), Closes: dashed(e.First(attrCloses)),
	}
	p.Active = openOn(e, today)
	if above != nil {
		p.OrgPerson, p.OrganisationName = above.id, above.name
		p.Active = p.Active && above.open
		p.Organisation = cmp.Or(p.Organisation, above.organisation)
	}
	p.Roles = d.policies.Matrix().RolesOf(texts(e, attrJobRoleCode), p.Activities)
	return p
}

// openOn reports whether an entry with open and close dates counts on a day: a
// missing date is no bound, one that is no date closes.
func openOn(e *directory.Entry, today string) bool {
	opens, closes := e.First(attrOpens), e.First(attrCloses)
	if opens != "" && (dashed(opens) == "" || dashed(opens) > today) {
		return false
	}
	return closes == "" || dashed(closes) > today
}

// dashed turns YYYYMMDD, perhaps with a time behind it, into YYYY-MM-DD; what
// is no date becomes empty.
func dashed(text string) string {
	if len(text) < 8 {
		return ""
	}
	at, err := time.Parse("20060102", text[:8])
	if err != nil {
		return ""
	}
	return at.Format(time.DateOnly)
}

func undashed(date string) string { return strings.ReplaceAll(date, "-", "") }

func isOf(e *directory.Entry, class string) bool {
	return slices.ContainsFunc(e.Get("objectClass"), func(v []byte) bool { return strings.EqualFold(string(v), class) })
}

func texts(e *directory.Entry, description string) []string {
	var all []string
	for _, v := range e.Get(description) {
		all = append(all, string(v))
	}
	return all
}
