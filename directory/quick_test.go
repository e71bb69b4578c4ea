package directory

import (
	"testing"
)

func TestQuick(t *testing.T) {
	s, err := DefaultSchema()
	if err != nil {
		t.Fatal(err)
	}
	d, err := ParseDN(`UniqueIdentifier=1 , "x"`)
	t.Log(d, err)
	k, err := s.ParseKey(`uniqueidentifier=0012, userid = 55;OU=People , o="NHS"`)
	t.Logf("%q %v", k, err)
	f, err := ParseFilter(`(&(objectClass=nhsPerson)(!(cn=a*b *c))(|)(ou:dn:caseExactMatch:=x))`)
	t.Log(f, err)
	e := &Entry{DN: d, Attributes: []Attribute{{"objectClass", Values("nhsPerson")}, {"cn", Values("Foo  Bar")}}}
	for _, x := range []string{"(cn=foo bar)", "(name=foo*)", "(cn=foo *)", "(cn=foo * bar)", "(cn=foo*bar)", "(nhsOrgOpenDate=1)", "(!(xx=1))", "(objectClass=1.2.826.0.1285.0.2.0.65)"} {
		f, err := ParseFilter(x)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(x, s.Match(f, e))
	}
}
