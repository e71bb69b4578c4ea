package ldap_test

import (
	"fmt"
	"strings"
)

// rarities are what searches can ask for and seldom do: rules without an
// attribute, parts of the name, languages, aliases that are to be followed.
func (l *list) rarities() {
	for _, f := range []string{"(:dn:caseIgnoreMatch:=people)", "(ou:dn:caseIgnoreMatch:=PEOPLE)", "(:dn:2.5.13.2:=nhs)", "(uid:dn:=900000000017)", "(o:dn:=nhs)",
		"(cn:=alex example)", "(:caseIgnoreMatch:=alex example)", "(:caseExactMatch:=alex example)", "(:2.5.13.2:=X99)", "(:dn:caseExactMatch:=PEOPLE)",
		"(:unknownMatch:=x)", "(cn:2.5.13.5:=Alex Example)", "(cn:integerMatch:=1)",
		"(cn;lang-en=*)", "(cn;lang-en-us=*)", "(cn;lang-e=*)", "(cn;lang-e-=*)", "(cn;lang-en-=*)", "(name;lang-en=bo*)", "(cn;lang-en;lang-en=*)",
		"(sn~=EXAMPLE)", "(entryDN:dnSubordinateMatch:=ou=People,o=nhs)", "(entryDN:dnSuperiorMatch:=uid=900000000017,ou=People,o=nhs)", "(entryDN=*)",
		"(entryDN=nonsense)", "(entryUUID=*)", "(entryUUID=nonsense)", "(&(&)(!(|)))", "(|(&)(unknown=x))", "(!(|))",
		"(distinguishedName=*)", "(objectClass=*)", "(objectClass:=nhsPerson)", "(2.5.4.3;lang-en=Bo Instance)", "(cn=Bo\\20Beispiel)", "(cn=\\42o*)", "(cn=bo**)"} {
		if strings.Contains(f, "**") {
			continue // a text no client library makes octets of
		}
		for scope := range int64(4) {
			l.search(fmt.Sprintf("filter %s scope %d", f, scope), ask{base: "ou=People,o=nhs", scope: scope, filter: f, attrs: []string{"1.1"}})
		}
		l.search("not "+f, ask{scope: 2, filter: "(!" + f + ")", attrs: []string{"1.1"}})
	}
	for deref := range int64(4) {
		l.search(fmt.Sprintf("dereferencing %d without aliases", deref), ask{base: "ou=People,o=nhs", scope: 2, deref: deref, filter: "(cn=*)", attrs: []string{"1.1"}})
	}
	for _, attrs := range []string{"@nhsPerson", "@person uid", "@2.5.6.6", "@unknown uid", "@top", "* structuralObjectClass", "cn;lang-en-", "cn;lang-e-", "cn;lang-en;x-a",
		"name;lang-en", "+ 1.1 entryDN", "1.1 1.1", "entryDN", "ENTRYdn", "objectclass", "*;lang-en", "sn;binary uid", "userCertificate;binary"} {
		if strings.HasPrefix(attrs, "+") {
			continue // the two servers keep different operational attributes
		}
		l.search("attributes "+attrs, ask{base: bo, filter: "(&)", attrs: strings.Fields(attrs)})
		l.search("types of "+attrs, ask{base: bo, filter: "(&)", attrs: strings.Fields(attrs), typesOnly: true})
	}
}
