package policies

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Role is one of the roles of matrix.yaml.
type Role string

// The roles.
const (
	RoleManager       Role = "ra-manager"
	RoleAdvancedAgent Role = "advanced-ra-agent"
	RoleAgent         Role = "ra-agent"
	RoleSponsor       Role = "sponsor"
	RoleIDChecker     Role = "id-checker"
	RoleLocalAdmin    Role = "local-smartcard-administrator"
	RoleSecurityAdmin Role = "security-admin"
	RoleAuditor       Role = "auditor"
	RoleCAOperator    Role = "ca-operator"
	RoleHolder        Role = "holder" // never from a code: whoever comes with an active card
)

// Activity is one of the activities of matrix.yaml.
type Activity string

// The activities.
const (
	PersonAdd        Activity = "person.add"
	PersonUpdate     Activity = "person.update"
	PersonContact    Activity = "person.contact"
	PersonClose      Activity = "person.close"
	PersonReopen     Activity = "person.reopen"
	PersonRead       Activity = "person.read"
	PositionAssign   Activity = "position.assign"
	PositionRemove   Activity = "position.remove"
	PositionCloseAll Activity = "position.close-all"
	CaseRequest      Activity = "case.request"
	CaseApprove      Activity = "case.approve"
	CaseRefuse       Activity = "case.refuse"
	CaseRead         Activity = "case.read"
	CardIssue        Activity = "card.issue"
	CardHandOver     Activity = "card.hand-over"
	CardReplace      Activity = "card.replace"
	CardRepair       Activity = "card.repair"
	CardClear        Activity = "card.clear"
	CardUnlock       Activity = "card.unlock"
	CardRenew        Activity = "card.renew"
	CardRenewExpired Activity = "card.renew-expired"
	CardSuspend      Activity = "card.suspend"
	CardResume       Activity = "card.resume"
	CardCancel       Activity = "card.cancel"
	CardOrder        Activity = "card.order"
	CardConfirm      Activity = "card.confirm"
	BreakGlassChange Activity = "break-glass.change"
	EventRead        Activity = "event.read"
	CardRead         Activity = "card.read"
	CertificateRead  Activity = "certificate.read"
	ListPublish      Activity = "list.publish"
	AuthorityRead    Activity = "authority.read"
	ServiceIssue     Activity = "service.issue"
	ServiceRevoke    Activity = "service.revoke"
	LedgerAccept     Activity = "ledger.accept"
	RecordRead       Activity = "record.read"
	OperatorRead     Activity = "operator.read"
)

func everyActivity() []Activity {
	return []Activity{PersonAdd, PersonUpdate, PersonContact, PersonClose, PersonReopen, PersonRead,
		PositionAssign, PositionRemove, PositionCloseAll, CaseRequest, CaseApprove, CaseRefuse, CaseRead,
		CardIssue, CardHandOver, CardReplace, CardRepair, CardClear, CardUnlock, CardRenew, CardRenewExpired,
		CardSuspend, CardResume, CardCancel, CardOrder, CardConfirm, BreakGlassChange, EventRead, CardRead,
		CertificateRead, ListPublish, AuthorityRead,
		ServiceIssue, ServiceRevoke, LedgerAccept, RecordRead, OperatorRead}
}

// Situation is what the answer depends on beside role and activity. The zero
// value is the least favourable, save that it is not about the operator himself.
type Situation struct {
	Own        bool // it is about the operator's own profile, position or card
	InPerson   bool // the holder stands at the desk
	Assignable bool // the position belongs to the operator's own organisation
	DaysLeft   int  // whole days until the card ends; negative when it has
}

// Matrix says who may do what, by role and activity. It is immutable.
type Matrix struct {
	roles      []roleLine
	activities map[Activity]activityLine
	apart      []apartLine
}

type roleLine struct {
	Role     Role     `yaml:"role"`
	Title    string   `yaml:"title"`
	Job      []string `yaml:"job"`
	Activity []string `yaml:"activity"`
	Cite     string   `yaml:"cite"`
}

type activityLine struct {
	Activity Activity `yaml:"activity"`
	Cite     string   `yaml:"cite"`
	Allow    []grant  `yaml:"allow"`
}

type grant struct {
	Role       Role `yaml:"role"`
	Own        bool `yaml:"own"`
	NotOwn     bool `yaml:"notOwn"`
	InPerson   bool `yaml:"inPerson"`
	Assignable bool `yaml:"assignable"`
	LastDays   int  `yaml:"lastDays"`
}

type apartLine struct {
	Activities []Activity `yaml:"activities"`
	Cite       string     `yaml:"cite"`
}

// RolesOf maps the codes of a person's role profiles to roles, each once. A job
// role code may have its three levels (S8000:G8000:R5080) or be the last alone.
func (m *Matrix) RolesOf(jobRoles, activities []string) []Role {
	var roles []Role
	for _, line := range m.roles {
		byJob := slices.ContainsFunc(jobRoles, func(code string) bool {
			return slices.Contains(line.Job, code[strings.LastIndexByte(code, ':')+1:])
		})
		byActivity := slices.ContainsFunc(activities, func(code string) bool { return slices.Contains(line.Activity, code) })
		if byJob || byActivity {
			roles = append(roles, line.Role)
		}
	}
	return roles
}

// Allows says whether one role alone may do it.
func (m *Matrix) Allows(role Role, a Activity, s Situation) bool {
	return slices.ContainsFunc(m.activities[a].Allow, func(g grant) bool { return g.Role == role && g.fits(s) })
}

func (g grant) fits(s Situation) bool {
	return (!g.Own || s.Own) && (!g.NotOwn || !s.Own) && (!g.InPerson || s.InPerson) &&
		(!g.Assignable || s.Assignable) && (g.LastDays == 0 || s.DaysLeft >= 0 && s.DaysLeft <= g.LastDays)
}

// May decides for an identity with all its roles. It returns nil, or a
// *Refusal: "role" when none of them may, "apart" when together they may do
// what nobody may do both of.
func (m *Matrix) May(roles []Role, a Activity, s Situation) error {
	line, known := m.activities[a]
	if !known {
		return refuse("role", "policies/matrix.yaml", "no activity is called %q", a)
	}
	if r := m.Apart(roles, a); r != nil {
		return r
	}
	if slices.ContainsFunc(roles, func(role Role) bool { return m.Allows(role, a, s) }) {
		return nil
	}
	return refuse("role", line.Cite, "%s is not for %s%s", a, listRoles(roles), s.words())
}

// Apart is the rule that no identity can both approve and issue (FIPS 201-3
// §2.7): of two activities that are kept apart, whoever's roles give both has
// neither. A *Refusal as an error, or nil.
func (m *Matrix) Apart(roles []Role, a Activity) error {
	for _, apart := range m.apart {
		if !slices.Contains(apart.Activities, a) {
			continue
		}
		held := 0
		for _, activity := range apart.Activities {
			if slices.ContainsFunc(m.activities[activity].Allow, func(g grant) bool { return slices.Contains(roles, g.Role) }) {
				held++
			}
		}
		if held > 1 {
			return refuse("apart", apart.Cite, "%s may do more than one of %v, and so none", listRoles(roles), apart.Activities)
		}
	}
	return nil
}

// Hands are the identities whose hands a card went through, in any one
// spelling; empty = nobody yet.
type Hands struct{ Requester, Approver, Issuer, Holder string }

// FourEyes is the rule for one card: who approves neither asked for it, nor
// issues it, nor holds it, and who issues does not hold it (FIPS 201-3 §2.7).
// The asker may issue. A *Refusal as an error, or nil.
func FourEyes(h Hands) error {
	const clause = "FIPS 201-3 §2.7"
	same := func(a, b string) bool { return a != "" && a == b }
	switch {
	case same(h.Approver, h.Requester):
		return refuse("four-eyes", clause, "%s cannot approve what he asked for", h.Approver)
	case same(h.Approver, h.Issuer):
		return refuse("four-eyes", clause, "%s cannot both approve and issue", h.Approver)
	case same(h.Approver, h.Holder):
		return refuse("four-eyes", clause, "%s cannot approve his own card", h.Approver)
	case same(h.Issuer, h.Holder):
		return refuse("four-eyes", clause, "%s cannot issue his own card", h.Issuer)
	}
	return nil
}

func (s Situation) words() string {
	switch {
	case s.Own:
		return " on his own"
	case s.DaysLeft < 0:
		return " after the card's end"
	}
	return ""
}

func listRoles(roles []Role) string {
	if len(roles) == 0 {
		return "an identity without a role"
	}
	return strings.Trim(fmt.Sprint(roles), "[]")
}

func parseMatrix(text []byte) (*Matrix, error) {
	var f struct {
		Roles      []roleLine     `yaml:"roles"`
		Activities []activityLine `yaml:"activities"`
		Apart      []apartLine    `yaml:"apart"`
	}
	if err := decodeStrict(text, &f); err != nil {
		return nil, err
	}
	m := &Matrix{roles: f.Roles, apart: f.Apart, activities: map[Activity]activityLine{}}
	var problems []error
	known := map[Role]bool{}
	for _, r := range f.Roles {
		problems = append(problems, cited(string(r.Role), r.Cite))
		known[r.Role] = true
	}
	for _, a := range f.Activities {
		problems = append(problems, cited(string(a.Activity), a.Cite), m.take(a, known))
	}
	for _, a := range everyActivity() {
		if _, found := m.activities[a]; !found {
			problems = append(problems, fmt.Errorf("activity %s is missing", a))
		}
	}
	problems = append(problems, m.checkApart(known))
	return m, errors.Join(problems...)
}

func (m *Matrix) take(a activityLine, known map[Role]bool) error {
	if _, twice := m.activities[a.Activity]; twice || !slices.Contains(everyActivity(), a.Activity) {
		return fmt.Errorf("activity %q is not known, or said twice", a.Activity)
	}
	m.activities[a.Activity] = a
	for _, g := range a.Allow {
		if !known[g.Role] {
			return fmt.Errorf("activity %s: no role is called %q", a.Activity, g.Role)
		}
	}
	return nil
}

// checkApart holds what no folder may loosen: approving and issuing are kept
// apart, no single role has both, and a security administrator has neither.
func (m *Matrix) checkApart(known map[Role]bool) error {
	var problems []error
	for _, pair := range [][]Activity{{CaseApprove, CardIssue}, {CaseApprove, CardReplace}} {
		if !slices.ContainsFunc(m.apart, func(l apartLine) bool { return slices.Equal(l.Activities, pair) }) {
			problems = append(problems, fmt.Errorf("apart: %v must be kept apart", pair))
		}
		for role := range known {
			problems = append(problems, m.Apart([]Role{role}, CaseApprove))
		}
	}
	for _, a := range []Activity{CaseApprove, CardIssue, CardReplace} {
		for _, g := range m.activities[a].Allow {
			if g.Role == RoleSecurityAdmin || g.Role == RoleAuditor || g.Role == RoleCAOperator || g.Own || !g.NotOwn {
				problems = append(problems, fmt.Errorf("activity %s: not for %s, and never on one's own", a, g.Role))
			}
		}
	}
	for _, a := range m.apart {
		problems = append(problems, cited("apart", a.Cite))
	}
	return errors.Join(problems...)
}
