package directory_test

import (
	"testing"

	"github.com/go-ldap/ldap/v3"

	"cardinal/directory"
)

// TestNamesAndFiltersAreSlapds asks slapd and the schema the same questions.
// Known differences, left out: slapd takes options in names (cn;lang-en=x),
// against RFC 4514 §3, and does not fold ß to ss, against RFC 4518 §2.2.
func TestNamesAndFiltersAreSlapds(t *testing.T) {
	t.Parallel()
	c := slapd(t)
	s := schema(t)
	person := entry(t, "dn: cn=Alex  Example,o=nhs\nobjectClass: inetOrgPerson\nobjectClass: extensibleObject\ncn: Alex  Example\n"+
		"sn: Ångström\ngivenName: Straße\nmail: Alex@Example.org\ntelephoneNumber: +44 20 7946-0018\npostalAddress: 1 High  Street$Anytown\n"+
		"description: ﬁ x\ndescription;lang-en: english\nnhsPersonStatus: 1\nnhsIDCode: X99\nmanager: uid=1,ou=People,o=nhs\n"+
		"mailPreferenceOption: 6\ninternationaliSDNNumber: 12 34\ndnQualifier: m\nuniqueMember: cn=a#'01'B\nl: a b  c\n")
	for _, e := range []*directory.Entry{entry(t, "dn: o=nhs\nobjectClass: organization\no: nhs\n"), person} {
		if err := slapdAdd(c, e); err != nil {
			t.Fatal(err)
		}
	}
	person, err := s.Canonical(person)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range spellings {
		_, err := c.Search(ldap.NewSearchRequest(name, ldap.ScopeBaseObject, 0, 0, 0, false, "(objectClass=*)", []string{"1.1"}, nil))
		slapdTakes := ldapCode(t, err) != directory.InvalidDNSyntax
		_, err = s.ParseKey(name)
		if slapdTakes && err != nil {
			t.Errorf("%q: slapd takes it, we say %v", name, err)
		}
		if !slapdTakes && err == nil {
			t.Errorf("%q: slapd refuses it", name)
		}
	}
	for _, filter := range questions {
		f, err := directory.ParseFilter(filter)
		if err != nil {
			t.Errorf("%s: %v", filter, err)
			continue
		}
		e := person.Clone()
		e.PutString("createTimestamp", "20260101000000Z")
		e.PutString("structuralObjectClass", "inetOrgPerson")
		e.PutString("entryDN", e.DN.String())
		found, err := c.Search(ldap.NewSearchRequest("cn=Alex Example,o=nhs", ldap.ScopeBaseObject, 0, 0, 0, false, filter, []string{"1.1"}, nil))
		if err != nil {
			t.Errorf("%s: slapd says %v", filter, err)
			continue
		}
		if got := s.Match(f, e); (got == directory.True) != (len(found.Entries) == 1) {
			t.Errorf("%s: we say %v, slapd finds %d", filter, got, len(found.Entries))
		}
	}
}

var spellings = []string{
	"", "o=nhs", "O = NHS", "o=nhs;", "cn=x;o=nhs", `cn="a,b",o=nhs`, `cn="a",o=nhs`, `cn=\61,o=nhs`, "2.5.4.3=x,o=nhs", "OID.2.5.4.3=x,o=nhs",
	"cn=x,,o=nhs", "cn=x,o=nhs,", ",o=nhs", `cn=\x,o=nhs`, `cn=\`, "cn", "nosuch=x,o=nhs", "cn=a+sn=b,o=nhs", "cn=a+cn=b,o=nhs",
	"cn=a b,o=nhs", "cn= a ,o=nhs", "cn=,o=nhs", "cn=a<b,o=nhs", "cn=a>b,o=nhs", "cn=a=b,o=nhs", "cn=a#b,o=nhs",
	"cn=\xff,o=nhs", `cn=\ff,o=nhs`, "cn=é,o=nhs", "mailPreferenceOption=x,o=nhs", "c=GBR,o=nhs", "uid=1 , o=nhs", "+cn=x", "=x",
	"createTimestamp=1,o=nhs", "cn=a\\,b,o=nhs", "cn=a\\=b,o=nhs", "cn=a\\20,o=nhs", "cn=a\\0,o=nhs",
}

var questions = []string{
	"(cn=alex example)", "(cn=ALEX   EXAMPLE )", "(2.5.4.3=alex example)", "(commonName=alex example)", "(cn=alexexample)",
	"(sn=ångström)", "(sn=A\u030angstro\u0308m)", "(sn=angstrom)", "(givenName=STRAßE)", "(description=fi x)",
	"(description=english)", "(description;lang-en=english)", "(description;lang-de=english)", "(name=alex*)", "(name=*)",
	"(objectClass=person)", "(objectClass=top)", "(objectClass=2.5.6.6)", "(objectClass=nosuch)", "(!(objectClass=nosuch))", "(!(objectClass=device))",
	"(nosuch=1)", "(!(nosuch=1))", "(|(nosuch=1)(cn=*))", "(&(nosuch=1)(cn=*))", "(!(&(nosuch=1)(title=*)))", "(&)", "(|)",
	"(nhsPersonStatus=1)", "(!(nhsPersonStatus=1))", "(nhsPersonStatus=*)", "(nhsIDCode=X99)", "(nhsIdcode=x99)",
	"(cn>=a)", "(!(cn>=a))", "(dnQualifier>=a)", "(dnQualifier>=z)", "(createTimestamp>=20200101000000Z)", "(createTimestamp>=nonsense)", "(!(createTimestamp>=nonsense))",
	"(mail=alex@EXAMPLE.org)", "(mail=alex@*)", "(telephoneNumber=+442079460018)", "(telephoneNumber=*7946 00*)",
	"(postalAddress=1 high street$ANYTOWN)", "(postalAddress=1 high*)", "(manager=UID=1, OU=people,O=NHS)", "(manager=uid=1*)", "(!(manager=uid=1*))",
	"(internationaliSDNNumber=1234)", "(internationaliSDNNumber=12*4)", "(mailPreferenceOption=6)", "(cn=al*ex*ple)", "(cn=al*ple*ex)",
	"(cn=* example)", "(cn=alex *)", "(cn=alex*example)", "(l=a*c)", "(l=a b*c)", "(l=a *)", "(l=* c)", "(l=*b*)", "(l=* b *)", "(l=*ab*)",
	"(cn:caseExactMatch:=Alex Example)", "(cn:caseExactMatch:=alex example)", "(cn:2.5.13.5:=Alex Example)",
	"(cn:nosuchMatch:=x)", "(!(cn:nosuchMatch:=x))", "(cn:integerMatch:=1)", "(!(cn:integerMatch:=1))", "(o:dn:=nhs)", "(o:=nhs)",
	"(mailPreferenceOption:1.2.840.113556.1.4.803:=2)", "(mailPreferenceOption:1.2.840.113556.1.4.803:=1)", "(mailPreferenceOption:1.2.840.113556.1.4.804:=3)",
	"(uniqueMember=cn=a#'01'B)", "(uniqueMember=cn=a)", "(uniqueMember=cn=a#'11'B)", "(entryDN=cn=alex example,o=nhs)", "(structuralObjectClass=inetOrgPerson)",
	"(cn~=alex example)", "(cn=)", "(!(cn=))", "(manager=x)", "(!(manager=x))", "(userPassword=x)", "(!(userPassword=x))",
}
