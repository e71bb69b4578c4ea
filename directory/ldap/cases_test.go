package ldap_test

import (
	"fmt"
	"strings"
	"testing"

	"cardinal/internal/ber"
)

// searchCases ask the same of both servers, as their root identities.
func searchCases(t *testing.T) []exchange {
	t.Helper()
	l := list{t: t}
	l.filters()
	l.bases()
	l.attributes()
	l.limits()
	l.controls()
	l.rarities()
	return l.cases
}

type list struct {
	t     *testing.T
	cases []exchange
}

func (l *list) search(name string, a ask) {
	if a.filter == "" && a.raw == nil {
		a.filter = "(objectClass=*)"
	}
	if a.base == "" {
		a.base = "o=nhs"
	}
	l.cases = append(l.cases, one(name, a.pdu(l.t, 5)))
}

func (l *list) say(name string, pdu []byte) {
	l.cases = append(l.cases, one(fmt.Sprintf("update %d: %s", len(l.cases), name), pdu))
}

func (l *list) look() {
	l.cases = append(l.cases, one(fmt.Sprintf("after update %d", len(l.cases)), ask{base: "ou=Services,o=nhs", scope: 2, filter: "(objectClass=*)"}.pdu(l.t, 5)))
}

func (l *list) differs(answer string) { l.cases[len(l.cases)-1].differ = answer }

func (l *list) filters() {
	for _, f := range []string{"(uid=900000000017)", "(UID=900000000017)", "(0.9.2342.19200300.100.1.1=900000000017)", "(cn=alex example)",
		"(cn=ALEX   EXAMPLE)", "(cn=alex*)", "(cn=*exam*)", "(cn=a*x*e)", "(cn=*e)", "(sn=b*)", "(objectClass=person)", "(objectClass=top)",
		"(objectClass=nhsPerson)", "(objectClass=2.16.840.1.113730.3.2.2)", "(objectClass=unknownClass)", "(unknown=x)", "(!(unknown=x))",
		"(|(unknown=x)(sn=example))", "(&(unknown=x)(sn=example))", "(&)", "(|)", "(!(&))", "(nhsIDCode=X99)", "(nhsIDCode=x99)",
		"(nhsPersonStatus=1)", "(!(nhsPersonStatus=1))", "(nhsPersonStatus=*)", "(mail=*)", "(!(mail=*))", "(sn>=c)", "(sn<=c)", "(sn~=example)",
		"(name=alex*)", "(cn;lang-en=bo instance)", "(cn;lang-=bo*)", "(cn;lang-de=*)", "(hasSubordinates=TRUE)", "(hasSubordinates=FALSE)",
		"(ou:dn:=People)", "(cn:caseExactMatch:=Alex Example)", "(cn:caseExactMatch:=alex example)", "(:caseExactMatch:=Alex Example)",
		"(uid:unknownMatch:=1)", "(entryDN=UID=900000000017,ou=people,O=nhs)", "(structuralObjectClass=nhsPerson)", "(createTimestamp>=20000101000000Z)",
		"(createTimestamp<=20000101000000Z)", "(createTimestamp=garbage)", "(nhsJobRoleCode=S8000:G8000:R8000)", "(o=example nhs trust)",
		"(&(objectClass=nhsOrgPersonRole)(nhsIDCode=X99))", "(modifiersName=*)",
		"(entryDN:dnSubtreeMatch:=uid=900000000017,ou=People,o=nhs)", "(entryDN:dnOneLevelMatch:=ou=People,o=nhs)", "(member=cn=x)", "(member=nonsense)"} {
		l.search("filter "+f, ask{scope: 2, filter: f, attrs: []string{"1.1"}})
		l.search("not "+f, ask{scope: 2, filter: "(!" + f + ")", attrs: []string{"1.1"}})
	}
}

func (l *list) bases() {
	for _, base := range []string{"o=nhs", "ou=People,o=nhs", alex, "OU = people , O=NHS", "ou=People;o=nhs", `ou="People",o=nhs`, `ou=\50eople,o=nhs`,
		"2.5.4.11=People,o=nhs", "OID.2.5.4.11=People,o=nhs", "ou=People,o=nhs,", ",o=nhs", "ou=Peo\\zple,o=nhs", "ou=,o=nhs", "nonsense", "o=other", "cn=x," + alex,
		"unknownType=x,o=nhs", "ou=#040650656F706C65,o=nhs", "ou=People+cn=x,o=nhs", "ou=People ,o=nhs", `ou=People\ ,o=nhs`} {
		for scope := range int64(4) {
			l.search(fmt.Sprintf("base %q scope %d", base, scope), ask{base: base, scope: scope, attrs: []string{"1.1"}})
			if strings.HasPrefix(base, "ou=#") {
				l.differs("#5 entry") // slapd wants text for a text; RFC 4514 §2.4 does not
			}
		}
	}
}

func (l *list) attributes() {
	for _, attrs := range []string{"", "*", "+", "* +", "1.1", "1.1 sn", "sn", "SN", "2.5.4.4", "surname", "cn CN commonName", "cn;lang-en", "cn;lang-", "cn;lang-de",
		"name", "@person", "@unknown", "cn;binary", "unknown", "userCertificate", "uid unknown", "hasSubordinates", "numSubordinates", "structuralObjectClass entryDN"} {
		if attrs == "+" || attrs == "* +" || attrs == "numSubordinates" {
			continue // the two servers keep different operational attributes
		}
		l.search("attributes "+attrs, ask{base: bo, attrs: strings.Fields(attrs)})
		l.search("types of "+attrs, ask{base: bo, attrs: strings.Fields(attrs), typesOnly: true})
	}
	l.search("no attribute but an empty one", ask{base: bo, attrs: []string{""}})
}

func (l *list) limits() {
	for size := range int64(4) {
		l.search(fmt.Sprintf("size limit %d of 2", size), ask{scope: 2, size: size, filter: "(objectClass=nhsPerson)", attrs: []string{"1.1"}})
	}
	l.search("scope 4", ask{scope: 4})
	l.search("scope -1", ask{scope: -1})
	l.search("deref 7", ask{deref: 7})
	l.search("negative size", ask{size: -1})
	l.search("negative time", ask{time: -5})
	l.search("unknown filter choice", ask{scope: 2, raw: []byte{0x8F, 0}})
	l.search("unknown filter choice in or", ask{scope: 2, raw: append([]byte{0xA1, 2 + 17}, append([]byte{0x8F, 0}, 0x87, 15, 'n', 'h', 's', 'P', 'e', 'r', 's', 'o', 'n', 'S', 't', 'a', 't', 'u', 's')...)})
}

func (l *list) controls() {
	l.search("critical unknown control", ask{scope: 2, controls: [][]byte{control("1.2.3.4", true, nil)}})
	l.search("unknown control", ask{scope: 0, base: bo, controls: [][]byte{control("1.2.3.4", false, []byte("x"))}})
	paged := func(size int64, cookie string) []byte {
		v := ber.Append(nil, ber.Sequence, append(ber.AppendInt(nil, ber.Integer, size), octets(cookie)...))
		return control("1.2.840.113556.1.4.319", true, v)
	}
	l.search("paged", ask{scope: 2, controls: [][]byte{paged(100, "")}, attrs: []string{"1.1"}})
	l.search("paged twice", ask{scope: 2, controls: [][]byte{paged(100, ""), paged(100, "")}})
	l.search("paged with a foreign cookie", ask{scope: 2, controls: [][]byte{paged(100, "xyz")}})
	l.search("paged with a value that is none", ask{scope: 2, controls: [][]byte{control("1.2.840.113556.1.4.319", true, []byte("x"))}})
	l.search("manageDsaIT", ask{base: bo, controls: [][]byte{control("2.16.840.1.113730.3.4.2", true, nil)}})
	assertion := func(filter byte) []byte { return control("1.3.6.1.1.12", true, []byte{0x87, 2, filter, 'n'}) }
	l.search("assertion that holds", ask{base: bo, controls: [][]byte{assertion('s')}})
	l.search("assertion that fails", ask{base: bo, controls: [][]byte{assertion('x')}})
}

// updateCases change both servers alike; the order matters.
func updateCases(t *testing.T) []exchange {
	t.Helper()
	l := list{t: t}
	l.adds()
	l.modifications()
	l.compares()
	l.updateControls()
	l.increments()
	l.superiors()
	l.passwords()
	l.moves()
	l.deletes()
	return l.cases
}

const s1 = "cn=s1,ou=Services,o=nhs"

func (l *list) adds() {
	device := attribute("objectClass", "device")
	l.say("add", add(5, s1, device, attribute("cn", "s1"), attribute("description", "one", "Two  words")))
	l.say("add again", add(5, s1, device, attribute("cn", "s1")))
	l.say("RDN value left out", add(5, "cn=s2,ou=Services,o=nhs", device))
	l.say("without parent", add(5, "cn=x,cn=y,ou=Services,o=nhs", device))
	l.say("outside", add(5, "cn=x,o=other", device))
	l.say("no class", add(5, "cn=x,ou=Services,o=nhs", attribute("cn", "x")))
	l.say("missing must", add(5, "cn=x,ou=Services,o=nhs", attribute("objectClass", "person")))
	l.say("unknown attribute", add(5, "cn=x,ou=Services,o=nhs", device, attribute("unknown", "x")))
	l.say("attribute not allowed", add(5, "cn=x,ou=Services,o=nhs", device, attribute("sn", "x")))
	l.say("operational", add(5, "cn=x,ou=Services,o=nhs", device, attribute("creatorsName", "cn=x")))
	l.say("same attribute twice", add(5, "cn=x,ou=Services,o=nhs", device, attribute("description", "a"), attribute("description", "b")))
	l.say("same value twice", add(5, "cn=x,ou=Services,o=nhs", device, attribute("description", "a", "A ")))
	l.say("no values", add(5, "cn=x,ou=Services,o=nhs", device, attribute("description")))
	l.say("bad UTF-8", add(5, "cn=x,ou=Services,o=nhs", device, attribute("description", "\xff")))
	l.say("bad name", add(5, "nonsense", device))
	l.say("two structural classes", add(5, "cn=x,ou=Services,o=nhs", attribute("objectClass", "device", "organization"), attribute("o", "x")))
	l.look()
}

func (l *list) modifications() {
	l.say("add a value", modify(5, s1, change(0, "description", "three")))
	l.say("add it again", modify(5, s1, change(0, "description", "THREE")))
	l.say("delete an absent value", modify(5, s1, change(1, "description", "four")))
	l.say("delete an absent attribute", modify(5, s1, change(1, "seeAlso")))
	l.say("replace an absent attribute with nothing", modify(5, s1, change(2, "seeAlso")))
	l.say("delete the RDN value", modify(5, s1, change(1, "cn", "s1")))
	l.say("replace the RDN value", modify(5, s1, change(2, "cn", "other")))
	l.say("add no values", modify(5, s1, change(0, "description")))
	l.say("add then delete", modify(5, s1, change(0, "l", "x"), change(1, "l", "x")))
	l.say("nothing", modify(5, s1))
	l.say("unknown", modify(5, s1, change(0, "unknown", "x")))
	l.say("operational", modify(5, s1, change(2, "createTimestamp", "20200101000000Z")))
	l.say("all or none", modify(5, s1, change(0, "l", "town"), change(1, "description", "absent")))
	l.say("class away", modify(5, s1, change(1, "objectClass", "device")))
	l.say("class changed", modify(5, s1, change(2, "objectClass", "organization")))
	l.say("not there", modify(5, "cn=none,ou=Services,o=nhs", change(0, "l", "x")))
	l.say("unknown modification", modify(5, s1, change(7, "l", "x")))
	l.say("increment a text", modify(5, s1, change(3, "description", "1")))
	l.look()
}

func (l *list) compares() {
	l.say("compare true", compare(5, s1, "cn", "S1"))
	l.say("compare false", compare(5, s1, "cn", "s9"))
	l.say("compare absent", compare(5, s1, "seeAlso", "cn=x"))
	l.say("compare unknown", compare(5, s1, "unknown", "x"))
	l.say("compare without rule", compare(5, s1, "nhsPersonStatus", "1"))
	l.say("compare with a bad value", compare(5, s1, "seeAlso", "nonsense"))
	l.say("compare not there", compare(5, "cn=none,ou=Services,o=nhs", "cn", "x"))
	l.say("compare operational", compare(5, s1, "hasSubordinates", "FALSE"))
	l.say("compare the root DSE", compare(5, "", "supportedLDAPVersion", "3"))
	l.say("compare the root DSE, false", compare(5, "", "namingContexts", "o=other"))
	l.differs("#5 op6F code 18") // RFC 4512 §5.1.2 gives it no equality rule
	l.say("compare the root DSE, false", compare(5, "", "supportedExtension", "1.2.3"))
	l.say("compare the root DSE, absent", compare(5, "", "cn", "x"))
	l.say("compare the root DSE, without a rule", compare(5, "", "monitorContext", "x"))
	l.say("compare the schema", compare(5, "cn=Subschema", "objectClass", "subschema"))
	l.say("compare the schema, absent", compare(5, "cn=Subschema", "description", "x"))
	l.say("compare beside the schema", compare(5, "cn=x,cn=Subschema", "cn", "x"))
}

func (l *list) moves() {
	l.say("rename", move(5, s1, rename{"cn=s3", false, ""}))
	l.say("rename, old value away", move(5, "cn=s3,ou=Services,o=nhs", rename{"cn=s4", true, ""}))
	l.say("rename to another attribute", move(5, "cn=s4,ou=Services,o=nhs", rename{"ou=s5", false, ""}))
	l.look()
	l.say("move", move(5, "ou=s5,ou=Services,o=nhs", rename{"ou=s5", false, "o=nhs"}))
	l.say("move back", move(5, "ou=s5,o=nhs", rename{"ou=s5", false, "ou=Services,o=nhs"}))
	l.say("move below itself", move(5, "ou=Services,o=nhs", rename{"ou=Services", false, "ou=s5,ou=Services,o=nhs"}))
	l.say("move to where nothing is", move(5, "cn=s2,ou=Services,o=nhs", rename{"cn=s2", false, "ou=none,o=nhs"}))
	l.say("move onto another", move(5, "cn=s2,ou=Services,o=nhs", rename{"ou=s5", false, ""}))
	l.say("bad new name", move(5, "cn=s2,ou=Services,o=nhs", rename{"nonsense", false, ""}))
	l.say("two new names", move(5, "cn=s2,ou=Services,o=nhs", rename{"cn=a,cn=b", false, ""}))
	l.say("move what is not there", move(5, "cn=none,ou=Services,o=nhs", rename{"cn=a", false, ""}))
	l.look()
}

func (l *list) deletes() {
	l.say("delete", envelope(5, 0x4A, []byte("cn=s2,ou=Services,o=nhs")))
	l.say("delete again", envelope(5, 0x4A, []byte("cn=s2,ou=Services,o=nhs")))
	l.say("delete what has managed children", envelope(5, 0x4A, []byte("o=nhs")))
	l.differs("#5 op6B code 53") // what is managed is not deleted with what is above it
	l.say("delete outside", envelope(5, 0x4A, []byte("cn=x,o=other")))
	l.say("modify outside", modify(5, "cn=x,o=other", change(0, "l", "x")))
	l.say("compare outside", compare(5, "cn=x,o=other", "cn", "x"))
	l.say("move outside", move(5, "cn=s2,ou=Services,o=nhs", rename{"cn=s2", false, "o=other"}))
	l.say("delete by a bad name", envelope(5, 0x4A, []byte("nonsense")))
	l.say("delete by another spelling", envelope(5, 0x4A, []byte("OU=S5 , ou=services, o=NHS")))
	l.look()
}
