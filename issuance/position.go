package issuance

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"cardinal/certs"
	"cardinal/directory"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

// NewPosition gives a person a role in an organisation.
type NewPosition struct {
	Organisation     string // ODS code
	OrganisationName string
	JobRoleCode      string // S8000:G8000:R8000, or the last part alone
	JobRole          string
	Activities       []string
	AreasOfWork      []string
	Workgroups       []string
	Opens            string // YYYY-MM-DD; empty = today
	Closes           string // YYYY-MM-DD, first day without the role; empty = open end
}

// AddPosition writes a role profile below the person's entry for the
// organisation, which is made when there is none. Nobody gives himself a role;
// a role at this desk is the RA manager's to give; nobody is given roles that
// together would let him both approve and issue.
func (d *Desk) AddPosition(ctx context.Context, op Operator, uuid certs.UUID, n NewPosition) (string, journal.Position, error) {
	n.Organisation, n.JobRole, n.OrganisationName = tidy(n.Organisation), tidy(n.JobRole), tidy(n.OrganisationName)
	if err := n.check(); err != nil {
		return "", 0, err
	}
	var id string
	position, err := d.write(ctx, op, func(tx *ledger.Tx, by *actor) error {
		p, held, err := d.employee(tx, uuid)
		if err != nil {
			return err
		}
		role, err := d.mayAssign(by, uuid, n, held)
		if err != nil {
			return err
		}
		if n.Opens == "" {
			n.Opens = d.today(tx.Time())
		}
		if id, err = d.putPosition(tx, p, n, held); err != nil {
			return err
		}
		if err := d.settleBootstrap(tx, uuid); err != nil {
			return err
		}
		return d.decide(tx, by, role, decision{subject: string(uuid), verb: verbAssign, to: id, reason: n.JobRoleCode + " at " + n.Organisation})
	})
	if err != nil {
		return "", 0, err
	}
	return id, position, nil
}

// How many codes of a kind one role profile holds, as the OpenAPI document has it.
const (
	mostActivities = 200
	mostAreas      = 50
	mostWorkgroups = 200
)

func (n NewPosition) check() error {
	problems := []error{
		checkCount("activities", len(n.Activities), mostActivities), checkCount("areas_of_work", len(n.AreasOfWork), mostAreas),
		checkCount("workgroups", len(n.Workgroups), mostWorkgroups),
		checkCode("organisation", n.Organisation, isODS),
		checkText("organisation_name", n.OrganisationName, 200), checkText("job_role", n.JobRole, 400),
		checkCode("job_role_code", n.JobRoleCode, isLevels),
	}
	if n.OrganisationName == "" || n.JobRole == "" {
		problems = append(problems, inputField.in("organisation_name", "organisation_name and job_role must be given"))
	}
	for i, code := range n.Activities {
		problems = append(problems, checkCode(fmt.Sprintf("activities[%d]", i), code, isLevel))
	}
	for i, code := range n.AreasOfWork {
		problems = append(problems, checkCode(fmt.Sprintf("areas_of_work[%d]", i), code, isLevels))
	}
	for i, id := range n.Workgroups {
		problems = append(problems, checkCode(fmt.Sprintf("workgroups[%d]", i), id, isNumber12))
	}
	for field, date := range map[string]string{"opens": n.Opens, "closes": n.Closes} {
		if date != "" && !isDate(date) {
			problems = append(problems, inputField.in(field, "%q is no date (YYYY-MM-DD)", date))
		}
	}
	if n.Opens != "" && n.Closes != "" && n.Closes <= n.Opens {
		problems = append(problems, inputField.in("closes", "%s is not after %s", n.Closes, n.Opens))
	}
	return firstOf(problems)
}

func checkCode(field, code string, is func(string) bool) error {
	if !is(code) {
		return inputField.in(field, "%q is no such code", code)
	}
	return nil
}

func isLevel(code string) bool {
	return len(code) == 5 && code[0] >= 'A' && code[0] <= 'Z' && allDigits(code[1:])
}

func isLevels(code string) bool {
	parts := strings.Split(code, ":")
	return len(parts) <= 3 && !slices.ContainsFunc(parts, func(p string) bool { return !isLevel(p) })
}

func isODS(code string) bool {
	return len(code) >= 3 && len(code) <= 12 && !strings.ContainsFunc(code, func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	})
}

func isNumber12(id string) bool { return len(id) == 12 && allDigits(id) }

func allDigits(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < '0' || r > '9' })
}

// employee is an active person with what the directory says about him.
func (d *Desk) employee(tx *ledger.Tx, uuid certs.UUID) (*Person, *rights, error) {
	p, err := d.person(tx, uuid)
	if err != nil {
		return nil, nil, err
	}
	if p.Status != StatusActive {
		return nil, nil, personClosed.says("%s is closed", uuid)
	}
	held, err := d.rightsOf(tx, uuid)
	return p, held, err
}

func (d *Desk) mayAssign(by *actor, uuid certs.UUID, n NewPosition, held *rights) (policies.Role, error) {
	matrix := d.policies.Matrix()
	given := matrix.RolesOf([]string{n.JobRoleCode}, n.Activities)
	situation := by.about(uuid)
	situation.Assignable = len(given) == 0 && slices.Contains(by.assigns, n.Organisation)
	role, err := d.may(by, policies.PositionAssign, situation)
	if err != nil {
		return "", err
	}
	if len(given) > 0 && !slices.Contains(by.roles, policies.RoleManager) {
		return "", positionRole.in("job_role_code", "%v is a role at this desk, the RA manager's to give", given)
	}
	if err := matrix.Apart(slices.Concat(held.roles, given), policies.CaseApprove); err != nil {
		no := positionBoth.in("job_role_code", "with it %s could both approve and issue, and so would do neither", uuid)
		return "", no
	}
	return role, nil
}

// putPosition writes the role profile and, where the person has no open entry
// for the organisation, that one too.
func (d *Desk) putPosition(tx *ledger.Tx, p *Person, n NewPosition, held *rights) (string, error) {
	at := slices.IndexFunc(held.offices, func(o office) bool { return o.organisation == n.Organisation && o.open })
	var above directory.DN
	if at >= 0 {
		above = held.offices[at].dn
	} else {
		var err error
		if above, err = d.putOrgPerson(tx, p, n); err != nil {
			return "", err
		}
	}
	id, err := d.freePosition(tx)
	if err != nil {
		return "", err
	}
	e := newEntry(above.Child(rdn(attrNumber, id)), classRole)
	e.PutString(attrNumber, id)
	e.PutString(attrOrg, n.Organisation)
	e.PutString(attrJobRole, n.JobRole)
	e.PutString(attrJobRoleCode, n.JobRoleCode)
	e.PutString(attrActivities, n.Activities...)
	e.PutString(attrAreas, n.AreasOfWork...)
	e.PutString(attrWorkgroups, n.Workgroups...)
	e.PutString(attrOpens, undashed(n.Opens))
	if n.Closes != "" {
		e.PutString(attrCloses, undashed(n.Closes))
	}
	manager := slices.Contains(d.policies.Matrix().RolesOf([]string{n.JobRoleCode}, n.Activities), policies.RoleManager)
	tx.Defer(`INSERT INTO issuance_positions (id, person, organisation, manager) VALUES ($1, $2, $3, $4)`,
		id, string(p.UUID), n.Organisation, flag(manager))
	return id, d.addEntry(tx, e)
}

func (d *Desk) putOrgPerson(tx *ledger.Tx, p *Person, n NewPosition) (directory.DN, error) {
	id, err := d.freePosition(tx)
	if err != nil {
		return nil, err
	}
	dn := d.personDN(p.UUID).Child(rdn(attrNumber, id))
	e := newEntry(dn, "person", "organizationalPerson", "inetOrgPerson", classOrgPerson)
	e.PutString(attrNumber, id)
	e.PutString("uid", string(p.UUID))
	e.PutString("cn", commonName(NewPerson{Title: p.Title, Given: p.Given, Family: p.Family}))
	e.PutString("sn", p.Family)
	e.PutString("o", n.OrganisationName)
	e.PutString(attrOrg, n.Organisation)
	e.PutString(attrOpens, undashed(n.Opens))
	return dn, d.addEntry(tx, e)
}

// freePosition draws a 12-digit identifier the tables do not know.
func (d *Desk) freePosition(tx *ledger.Tx) (string, error) {
	for {
		drawn, err := certs.NewUUID(rand.Reader)
		if err != nil {
			return "", err
		}
		var known int64
		if err := tx.QueryRow(`SELECT COUNT(*) FROM issuance_positions WHERE id = $1`, string(drawn)).Scan(&known); err != nil {
			return "", fmt.Errorf("looking for the role profile %s: %w", drawn, err)
		}
		if known == 0 {
			return string(drawn), nil
		}
	}
}

// Positions lists a person's role profiles as the directory of record has them.
func (d *Desk) Positions(ctx context.Context, op Operator, uuid certs.UUID) ([]Position, error) {
	var all []Position
	err := d.read(ctx, op, func(tx *ledger.Tx, by *actor) error {
		if _, err := d.may(by, policies.PersonRead, by.about(uuid)); err != nil {
			return err
		}
		if _, err := d.person(tx, uuid); err != nil {
			return err
		}
		held, err := d.rightsOf(tx, uuid)
		if err == nil {
			all = held.positions
		}
		return err
	})
	return all, err
}

// ClosePosition ends a role profile on the day closes, which is the first
// without it; empty = today, which ends it at once. It brings an end forward and
// never puts one off.
func (d *Desk) ClosePosition(ctx context.Context, op Operator, uuid certs.UUID, closing Closing) (journal.Position, error) {
	if closing.On != "" && !isDate(closing.On) {
		return 0, inputField.in("closes", "%q is no date (YYYY-MM-DD)", closing.On)
	}
	if err := checkText("reason", closing.Reason, textMax); err != nil {
		return 0, err
	}
	return d.write(ctx, op, func(tx *ledger.Tx, by *actor) error {
		_, held, err := d.employee(tx, uuid)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(held.positions, func(p Position) bool { return p.ID == closing.Position })
		if at < 0 {
			return positionUnknown.says("%s has no role profile %s", uuid, closing.Position)
		}
		p := held.positions[at]
		situation := by.about(uuid)
		situation.Assignable = len(p.Roles) == 0 && slices.Contains(by.assigns, p.Organisation)
		role, err := d.may(by, policies.PositionRemove, situation)
		if err != nil {
			return err
		}
		if len(p.Roles) > 0 && !slices.Contains(by.roles, policies.RoleManager) {
			return positionRole.says("%v is a role at this desk, the RA manager's to take", p.Roles)
		}
		return d.closePosition(tx, by, role, endOf{p, closing.On, closing.Reason})
	})
}

// Closing says which role profile ends, when and why.
type Closing struct {
	Position string
	On       string // YYYY-MM-DD, first day without the role; empty = today
	Reason   string
}

type endOf struct {
	position Position
	on       string
	reason   string
}

func (d *Desk) closePosition(tx *ledger.Tx, by *actor, role policies.Role, end endOf) error {
	today := d.today(tx.Time())
	if end.on == "" {
		end.on = today
	}
	p := end.position
	if p.Closes != "" && p.Closes <= today {
		return positionClosed.says("role profile %s was closed on %s", p.ID, p.Closes)
	}
	if end.on < today {
		return inputField.in("closes", "%s is in the past", end.on)
	}
	if p.Closes != "" && end.on > p.Closes { // that would be giving the role, and to himself too
		return positionLater.in("closes", "role profile %s ends on %s already; a longer one is assigned anew", p.ID, p.Closes)
	}
	if err := d.modifyEntry(tx, p.dn, replacing(attrCloses, []byte(undashed(end.on)))); err != nil {
		return err
	}
	return d.decide(tx, by, role, decision{subject: string(p.Person), verb: verbUnassign, from: p.ID, to: end.on, reason: end.reason})
}

// closePositions ends every role profile of a person today.
func (d *Desk) closePositions(tx *ledger.Tx, by *actor, role policies.Role, uuid certs.UUID) error {
	held, err := d.rightsOf(tx, uuid)
	if err != nil {
		return err
	}
	today := d.today(tx.Time())
	for _, p := range held.positions {
		if p.Closes != "" && p.Closes <= today {
			continue
		}
		if err := d.closePosition(tx, by, role, endOf{position: p, reason: "person closed"}); err != nil {
			return err
		}
	}
	return nil
}
