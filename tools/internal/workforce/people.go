package workforce

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// someone is one person with the organisations they work for.
type someone struct {
	uid, title, given, family string
	jobs                      []job
}

// job is one role profile: roles at one organisation share the entry above.
type job struct {
	org            organisation
	orgPerson, uid string
	role           role
	opened, closed string
	first          bool // the first at this organisation: its entry comes before
}

// person makes the i-th person: six in ten have one role, the others up to
// four, one role in twenty is closed but never everybody's first.
func person(o Options, orgs []organisation, i int) someone {
	r := chance(o.Seed, kindPerson, i)
	p := someone{uid: number(o.Seed, i, 0), given: pick(r, givens()), family: pick(r, families())}
	p.title = pick(r, []string{"Mr", "Mrs", "Ms", "Miss", "Dr", "Dr", "Prof"})
	if r.IntN(12) == 0 {
		p.family += "-" + pick(r, families())
	}
	count := 1
	for count < 4 && r.IntN(10) >= 6 {
		count++
	}
	for n := range count {
		p.jobs = append(p.jobs, p.job(o, r, orgs, i*perPerson+n))
	}
	return p
}

func (p someone) job(o Options, r *rand.Rand, orgs []organisation, slot int) job {
	i, n := slot/perPerson, slot%perPerson
	j := job{org: pick(r, orgs), orgPerson: number(o.Seed, i, slotOrgFirst+n), uid: number(o.Seed, i, slotRole+n), role: pick(r, roles()), first: true}
	if at := slices.IndexFunc(p.jobs, func(k job) bool { return k.org.code == j.org.code }); at >= 0 {
		j.orgPerson, j.first = p.jobs[at].orgPerson, false
	}
	opened := o.Today.AddDate(0, 0, -1-r.IntN(3650))
	j.opened = opened.Format("20060102")
	if n > 0 && r.IntN(20) == 0 {
		j.closed = opened.AddDate(0, 0, r.IntN(1+int(o.Today.Sub(opened).Hours()/24))).Format("20060102")
	}
	return j
}

// entries gives the person, then each organisation-person with its roles.
func (p someone) entries(o Options) []Entry {
	at := "uid=" + p.uid + ",ou=People," + o.Suffix
	cn := p.family + " " + p.given + " " + p.title
	e := Entry{DN: at}
	e.add("objectClass", "top", "person", "organizationalPerson", "inetOrgPerson", "nhsPerson")
	e.add("uid", p.uid)
	e.add("cn", cn)
	e.add("sn", p.family)
	e.add("givenName", p.given)
	e.add("displayName", p.given+" "+p.family)
	e.add("personalTitle", p.title)
	e.add("mail", mailOf(p))
	e.add("nhsPersonStatus", "1")
	all := []Entry{e}
	for _, j := range p.jobs {
		if j.first {
			all = append(all, p.orgPerson(j, at, cn))
		}
		all = append(all, j.entry(at))
	}
	return all
}

func (p someone) orgPerson(j job, at, cn string) Entry {
	e := Entry{DN: "uniqueIdentifier=" + j.orgPerson + "," + at}
	e.add("objectClass", "top", "person", "organizationalPerson", "inetOrgPerson", "nhsOrgPerson")
	e.add("uniqueIdentifier", j.orgPerson)
	e.add("uid", p.uid)
	e.add("cn", cn)
	e.add("sn", p.family)
	e.add("o", j.org.name)
	e.add("nhsIDCode", j.org.code)
	e.add("nhsOrgOpenDate", j.opened)
	return e
}

func (j job) entry(at string) Entry {
	e := Entry{DN: "uniqueIdentifier=" + j.uid + ",uniqueIdentifier=" + j.orgPerson + "," + at}
	e.add("objectClass", "top", "nhsOrgPersonRole")
	e.add("uniqueIdentifier", j.uid)
	e.add("nhsIDCode", j.org.code)
	e.add("nhsJobRole", j.role.words)
	e.add("nhsJobRoleCode", j.role.code)
	if j.role.activities != nil {
		e.add("nhsBusinessFunctionsCodes", j.role.activities...)
	}
	e.add("nhsOrgOpenDate", j.opened)
	if j.closed != "" {
		e.add("nhsOrgCloseDate", j.closed)
	}
	return e
}

// mailOf keeps to the characters every mail system takes (RFC 5321 §4.1.2).
func mailOf(p someone) string {
	plain := func(s string) string {
		s = strings.NewReplacer("ë", "e", "é", "e", "â", "a", "ö", "o", "ü", "u", "'", "", " ", "").Replace(strings.ToLower(s))
		return s
	}
	return fmt.Sprintf("%s.%s.%s@example.org", plain(p.given), plain(p.family), p.uid[8:])
}
