package directory_test

import (
	"strings"
	"testing"

	"cardinal/directory"
)

// entry reads one LDIF record.
func entry(t testing.TB, ldif string) *directory.Entry {
	t.Helper()
	rec, err := directory.NewLDIFReader(strings.NewReader(ldif)).Next()
	if err != nil {
		t.Fatal(err)
	}
	return rec.Entry
}

const alex = `dn: uid=900000000017+cn=x,ou=People,o=nhs
objectClass: top
objectClass: person
objectClass: organizationalPerson
objectClass: inetOrgPerson
objectClass: nhsPerson
uid: 900000000017
cn: Example  Alex Dr
cn;lang-en: Englisch
sn: Ångström
givenName: Straße
mail: Alex@Example.org
telephoneNumber: +44 20 7946-0018
postalAddress: 1 High  Street$Anytown$AB1 2CD
employeeNumber: 12
nhsPersonStatus: 1
nhsIDCode: X99
manager: uid=1,ou=People,o=nhs
createTimestamp: 20240101120000Z
entryUUID: 2f3f5c60-9d3a-4a5e-8a0c-6a4ad2f6d101
description: alpha beta gamma
internationaliSDNNumber: 12 34
uidNumber: 6
jpegPhoto:: /9j/4AA=
`

const T, F, U = directory.True, directory.False, directory.Undefined

// truths are filters and what they are for alex.
var truths = map[string]directory.Truth{
	"(cn=example alex dr)":                   T,
	"(cn=EXAMPLE   ALEX DR )":                T,
	"(2.5.4.3=example alex dr)":              T,
	"(commonName=englisch)":                  T,
	"(cn;lang-en=englisch)":                  T,
	"(cn;lang-en=example alex dr)":           F,
	"(cn;lang-=englisch)":                    T,
	"(name=angstrom)":                        F,
	"(name=ångström)":                        T,
	"(sn=A\u030angstro\u0308m)":              T,
	"(givenName=STRASSE)":                    T,
	"(sn=x)":                                 F,
	"(title=x)":                              F,
	"(title=*)":                              F,
	"(cn=*)":                                 T,
	"(objectClass=person)":                   T,
	"(objectClass=2.5.6.6)":                  T,
	"(objectClass=nosuch)":                   U,
	"(nosuch=1)":                             U,
	"(!(nosuch=1))":                          U,
	"(|(nosuch=1)(cn=*))":                    T,
	"(&(nosuch=1)(cn=*))":                    U,
	"(&(nosuch=1)(title=*))":                 F,
	"(&)":                                    T,
	"(|)":                                    F,
	"(!(|))":                                 T,
	"(nhsPersonStatus=1)":                    U, // no equality rule
	"(nhsPersonStatus=*)":                    T,
	"(nhsIDCode=X99)":                        T,
	"(nhsIdcode=x99)":                        F,
	"(cn>=a)":                                U, // no ordering rule
	"(createTimestamp>=20240101130000+0100)": T,
	"(createTimestamp<=2024010112Z)":         T,
	"(createTimestamp>=20240101120000.5Z)":   F,
	"(createTimestamp>=nonsense)":            U,
	"(uidNumber>=-5)":                        T,
	"(uidNumber<=0006)":                      T,
	"(uidNumber>=10)":                        F,
	"(uidNumber=x)":                          U,
	"(mail=alex@EXAMPLE.org)":                T,
	"(mail=alex@*)":                          T,
	"(telephoneNumber=+442079460018)":        T,
	"(telephoneNumber=*7946 00*)":            T,
	"(postalAddress=1 high street$ANYTOWN$ab1 2cd)":    T,
	"(manager=UID=1, OU=people,O=NHS)":                 T,
	"(manager=uid=1*)":                                 U, // no substrings rule
	"(entryUUID=2F3F5C60-9D3A-4A5E-8A0C-6A4AD2F6D101)": T,
	"(internationaliSDNNumber=1234)":                   T,
	"(cn=ex*alex*dr)":                                  T,
	"(cn=ex*dr*alex)":                                  F,
	"(cn=* alex *)":                                    T,
	"(cn=example *alex dr)":                            T,
	"(cn=*examplealex*)":                               F,
	"(cn=example alex dr*example*)":                    F,
	"(cn~=example alex dr)":                            T,
	"(cn:caseExactMatch:=Example Alex Dr)":             T,
	"(cn:caseExactMatch:=example alex dr)":             F,
	"(cn:2.5.13.5:=Example Alex Dr)":                   T,
	"(cn:nosuchMatch:=x)":                              U,
	"(cn:integerMatch:=1)":                             U,
	"(ou:dn:=people)":                                  T,
	"(ou:=people)":                                     F,
	"(:dn:caseIgnoreMatch:=people)":                    T,
	"(:caseIgnoreMatch:=englisch)":                     T,
	"(uidNumber:1.2.840.113556.1.4.803:=2)":            T,
	"(uidNumber:1.2.840.113556.1.4.803:=3)":            F,
	"(uidNumber:1.2.840.113556.1.4.804:=3)":            T,
	"(description:wordMatch:=BETA)":                    T,
	"(description:wordMatch:=bet)":                     F,
	"(description:caseIgnoreSubstringsMatch:=al*gam*)": T,
	"(manager:dnSubtreeMatch:=ou=People,o=nhs)":        T,
	"(manager:dnOneLevelMatch:=o=nhs)":                 F,
	"(cn;binary=x)":                                    F,
	"(jpegPhoto=x)":                                    U,
}

func TestMatchInThreeValues(t *testing.T) {
	t.Parallel()
	s, e := schema(t), entry(t, alex)
	for filter, want := range truths {
		f, err := directory.ParseFilter(filter)
		if err != nil {
			t.Errorf("%s: %v", filter, err)
			continue
		}
		if got := s.Match(f, e); got != want {
			t.Errorf("%s: got %v, want %v", filter, got, want)
		}
	}
}

func TestFilterRoundTrip(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"cn=x":                          "(cn=x)",
		" ( & (a=b) ( ! (c=*) ) ) ":     "(&(a=b)(!(c=*)))",
		`(cn=a\2ab\28\00)`:              `(cn=a\2Ab\28\00)`,
		"(cn=*a*b*)":                    "(cn=*a*b*)",
		"(cn=a*)":                       "(cn=a*)",
		"(a:dn:2.4.6:=x)":               "(a:dn:2.4.6:=x)",
		"(:DN:2.4.6:=x)":                "(:dn:2.4.6:=x)",
		"(o:=x)":                        "(o:=x)",
		"(cn=é)":                        "(cn=é)",
		`(cn=\c3\a9\ff)`:                `(cn=é\FF)`,
		"(cn=)":                         "(cn=)",
		"(userCertificate;binary=\\04)": `(userCertificate;binary=\04)`,
	} {
		f, err := directory.ParseFilter(in)
		if err != nil {
			t.Errorf("%q: %v", in, err)
		} else if got := f.String(); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	for _, in := range []string{"", "(", "()", "(cn=x", "(cn=x))", "(&(cn=x)", "(!)", "(!(a=b)(c=d))", "(cn)", "(=x)", `(cn=\zz)`, `(cn=\2)`,
		"(cn=a**b)", "(:=x)", "(cn:dn:x:y:=z)", "(a b=c)", "(cn=(x))", strings.Repeat("(!", 200) + "(a=b)" + strings.Repeat(")", 200)} {
		if f, err := directory.ParseFilter(in); err == nil {
			t.Errorf("%q was taken as %s", in, f)
		}
	}
}

func TestPrepareFoldsAsTheStandardSays(t *testing.T) {
	t.Parallel()
	s := schema(t)
	norm := func(rule, v string) string {
		n, err := s.Rule(rule).Normalize([]byte(v))
		if err != nil {
			return "error"
		}
		return string(n)
	}
	for _, c := range [][3]string{
		{"caseIgnoreMatch", "  A  b ", "a b"},
		{"caseIgnoreMatch", "   ", " "},
		{"caseIgnoreMatch", "a\u00a0\u2003B", "a b"},
		{"caseIgnoreMatch", "a\u00ad\u200bb\x01", "ab"},
		{"caseIgnoreMatch", "\u2126", "ω"},        // Ohm sign
		{"caseIgnoreMatch", "ﬁ", "fi"},            // ligature
		{"caseIgnoreMatch", "ΑΣ", "ας"[:2] + "σ"}, // final sigma folds to sigma
		{"caseExactMatch", " A  b ", "A b"},
		{"caseIgnoreMatch", "\ue000", "error"}, // private use
		{"caseIgnoreMatch", "\ufffd", "error"},
		{"caseIgnoreMatch", "a\xffb", "error"},
		{"caseIgnoreIA5Match", "é", "error"},
		{"numericStringMatch", " 1 2 ", "12"},
		{"telephoneNumberMatch", "+44-1 2", "+4412"},
	} {
		if got := norm(c[0], c[1]); got != c[2] {
			t.Errorf("%s of %q: got %q, want %q", c[0], c[1], got, c[2])
		}
	}
}

func TestIntegerFormsAreOrdered(t *testing.T) {
	t.Parallel()
	r := schema(t).Rule("integerOrderingMatch")
	list := []string{"-100000000000000000000", "-11", "-10", "-9", "-1", "0", "1", "9", "10", "11", "99", "100", "100000000000000000000"}
	for i := range list {
		for j := range list {
			a, err1 := r.Normalize([]byte(list[i]))
			b, err2 := r.Normalize([]byte(list[j]))
			if err1 != nil || err2 != nil || (r.Matches(a, b) == directory.True) != (i < j) {
				t.Errorf("%s < %s", list[i], list[j])
			}
		}
	}
}

func FuzzParseFilter(f *testing.F) {
	for _, s := range []string{"(&(a=b)(!(c=*d*))(|))", "(cn:dn:2.5.13.5:=x)", `(a=\2a*\28)`, "a>=b", "(a~=b)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		x, err := directory.ParseFilter(in)
		if err != nil {
			return
		}
		again, err := directory.ParseFilter(x.String())
		if err != nil || again.String() != x.String() {
			t.Fatalf("%q → %q: %v", in, x, err)
		}
		schema(t).Match(x, &directory.Entry{Attributes: []directory.Attribute{{Type: "cn", Values: directory.Values("a b")}}})
	})
}

func FuzzNormalize(f *testing.F) {
	f.Add("2.5.13.2", []byte(" A é"))
	f.Add("2.5.13.27", []byte("20240101Z"))
	f.Add("2.5.13.34", []byte(`{ serialNumber 2, issuer rdnSequence:"cn=x" }`))
	f.Fuzz(func(t *testing.T, rule string, v []byte) {
		r := schema(t).Rule(rule)
		if r == nil {
			return
		}
		a, err1 := r.Normalize(v)
		b, err2 := r.NormalizeAssertion(v)
		if err1 == nil && err2 == nil {
			r.Matches(a, b)
		}
		if err1 != nil || r.Syntax != "1.3.6.1.4.1.1466.115.121.1.15" {
			return
		}
		if again, err := r.Normalize(a); err != nil || string(again) != string(a) {
			t.Fatalf("%s of %q: %q then %q %v", rule, v, a, again, err)
		}
	})
}

func BenchmarkMatchEquality(b *testing.B) {
	s, e := schema(b), entry(b, alex)
	f, _ := directory.ParseFilter("(&(objectClass=nhsPerson)(uid=900000000017))")
	q := s.Compile(f)
	b.ReportAllocs()
	for b.Loop() {
		if q.Match(e) != directory.True {
			b.Fatal("no match")
		}
	}
}

func BenchmarkPrepareASCII(b *testing.B) {
	r := schema(b).Rule("caseIgnoreMatch")
	for _, v := range []string{"900000000017", "Example Alex Dr", "Ångström"} {
		b.Run(v, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Normalize([]byte(v)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
