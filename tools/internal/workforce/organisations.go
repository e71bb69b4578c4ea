package workforce

import (
	"fmt"
	"strings"
)

// organisation is a trust, a practice or a pharmacy.
type organisation struct {
	code, name, town, postcode, kind, kindCode string
	practice                                   bool
}

const kindOrganisation, kindPerson = 1, 2

// organisations gives the places people work at: one in eight a trust with a
// code of three characters, the others general practices with six.
func organisations(o Options) []organisation {
	orgs := make([]organisation, o.Organisations)
	for i := range orgs {
		r := chance(o.Seed, kindOrganisation, i)
		town := pick(r, towns())
		postcode := fmt.Sprintf("%s%d %d%c%c", strings.ToUpper(town[:2]), 1+r.IntN(20), 1+r.IntN(9), 'A'+r.IntN(26), 'A'+r.IntN(26))
		if i%8 == 0 {
			orgs[i] = organisation{code: trustCode(i / 8), town: town, postcode: postcode, kind: "NHS TRUST", kindCode: "RO197",
				name: strings.ToUpper(fmt.Sprintf("%s %s NHS Trust", town, pick(r, []string{"University Hospitals", "Community Care", "Mental Health", "Teaching Hospitals", "Ambulance", "Children's"})))}
			continue
		}
		orgs[i] = organisation{code: fmt.Sprintf("%c%05d", 'A'+i%13, 80_000+i), town: town, postcode: postcode, practice: true, kind: "GP PRACTICE", kindCode: "RO177",
			name: strings.ToUpper(fmt.Sprintf("%s %s", pick(r, families()), pick(r, []string{"Surgery", "Medical Centre", "Practice", "Health Centre"})))}
	}
	return orgs
}

// trustCode gives R and two characters, as long as there are any, then more.
func trustCode(i int) string {
	const letters = "ABCDEFGHJKLMNPQRTVWXY0123456789"
	n := len(letters)
	code := "R" + string(letters[i/n%n]) + string(letters[i%n])
	if i >= n*n {
		code += fmt.Sprint(i / (n * n))
	}
	return code
}

func (g organisation) dn(suffix string) string {
	return "uniqueIdentifier=" + g.code + ",ou=Organisations," + suffix
}

func (g organisation) entry(o Options) Entry {
	e := Entry{DN: g.dn(o.Suffix)}
	class := "nhsOrg"
	if g.practice {
		class = "nhsGPPractice"
	}
	e.add("objectClass", "top", "organization", class)
	e.add("uniqueIdentifier", g.code)
	e.add("o", g.name)
	e.add("nhsIDCode", g.code)
	e.add("nhsOrgType", g.kind)
	e.add("nhsOrgTypeCode", g.kindCode)
	if g.practice {
		e.add("nhsPCTCode", "5"+g.code[1:3])
	}
	e.add("postalAddress", "1 HIGH STREET$"+strings.ToUpper(g.town))
	e.add("postalCode", g.postcode)
	e.add("l", strings.ToUpper(g.town))
	e.add("nhsOrgOpenDate", "19910401")
	e.add("nhsSyntheticIndicator", "1")
	return e
}
