package directory_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"cardinal/directory"
)

// standard is the schema that comes with the program, loaded once a test binary.
var standard = sync.OnceValues(directory.DefaultSchema)

func schema(t testing.TB) *directory.Schema {
	t.Helper()
	s, err := standard()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustDN(t testing.TB, s string) directory.DN {
	t.Helper()
	d, err := directory.ParseDN(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return d
}

func wantCode(t testing.TB, err error, want directory.Code) {
	t.Helper()
	got := directory.Success
	var e *directory.Error
	if errors.As(err, &e) {
		got = e.Code
	} else if err != nil {
		t.Fatalf("not a *directory.Error: %v", err)
	}
	if got != want {
		t.Errorf("got %v (%v), want %v", got, err, want)
	}
}

func TestParseDNTakesWhatSlapdTakes(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                                "",
		"uid=1,ou=People,o=nhs":           "uid=1,ou=People,o=nhs",
		"uid = 1 ; ou = People , o = nhs": "uid=1,ou=People,o=nhs",
		`cn="Smith, John",o=nhs`:          `cn=Smith\, John,o=nhs`,
		`cn=Smith\2C John,o=nhs`:          `cn=Smith\, John,o=nhs`,
		`cn=\61\c3\a9`:                    "cn=aé",
		"2.5.4.3=x":                       "2.5.4.3=x",
		"cn=#0403666f6f":                  "cn=foo",
		"cn=#0c03666f6f,o=nhs":            "cn=foo,o=nhs",
		"cn=a+sn=b,o=nhs":                 "cn=a+sn=b,o=nhs",
		"cn=a + sn=b":                     "cn=a+sn=b",
		`cn=\ a\ `:                        `cn=\ a\ `,
		`cn=\#x`:                          `cn=\#x`,
		"cn=":                             "cn=",
		"cn=a  b":                         "cn=a  b",
		`cn=a\00b`:                        `cn=a\00b`,
		"1.2.840.113549.1.9.1=a@b,o=x":    "1.2.840.113549.1.9.1=a@b,o=x",
		"uniqueIdentifier=5,uid=6,o=nhs":  "uniqueIdentifier=5,uid=6,o=nhs",
		"cn=a\\=b":                        `cn=a\=b`,
		"cn=\"a\\\"b\"":                   `cn=a\"b`,
	} {
		d, err := directory.ParseDN(in)
		if err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		if got := d.String(); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestParseDNRefusesWhatSlapdRefuses(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"uid=1,", ",uid=1", "uid=1,,o=nhs", "OID.2.5.4.3=x", `cn=\x`, `cn=\`, "cn", "=x", "cn=\xff", `cn="a`, `cn="a"b`,
		"cn=#04", "cn=#0", "cn=#0403", "c n=x", "cn=a\x00b", "1=x", "1..2=x", "cn=<", "cn;lang-en=x", "+cn=x", "cn=x+",
		strings.Repeat("cn=a,", 70) + "o=x", "cn=" + strings.Repeat("a", 9000),
	} {
		_, err := directory.ParseDN(in)
		if err == nil {
			t.Errorf("%q was taken", in)
			continue
		}
		wantCode(t, err, directory.InvalidDNSyntax)
	}
}

func TestKeyIsTheSameForEqualNames(t *testing.T) {
	t.Parallel()
	s := schema(t)
	for _, same := range [][]string{
		{"uid=900000000017,ou=People,o=nhs", "UID=900000000017 , ou = people;o=NHS", "userid=900000000017,2.5.4.11=People,2.5.4.10=nhs"},
		{"cn=a  b,o=x", "cn=A B,o=x", `cn=\20a b,o=x`},
		{"cn=a+sn=b,o=x", "sn=B+cn=A,o=x"},
		{"cn=Ångström,o=x", "cn=ångström,o=x", "cn=A\u030angstro\u0308m,o=x"},
		{"dc=Example,dc=org", "DC=example,DC=ORG"},
	} {
		first, err := s.ParseKey(same[0])
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range same[1:] {
			k, err := s.ParseKey(other)
			if err != nil || k != first {
				t.Errorf("%q and %q: %q %q %v", same[0], other, first, k, err)
			}
		}
	}
	for _, other := range [][2]string{
		{"nhsIDCode=a,o=x", "nhsIDCode=A,o=x"}, // caseExactMatch
		{"cn=a,o=x", "sn=a,o=x"}, {"cn=a,sn=b,o=x", "cn=a+sn=b,o=x"}, {`userPassword=a\00,o=x`, `userPassword=a\01,o=x`},
	} {
		a, err1 := s.ParseKey(other[0])
		b, err2 := s.ParseKey(other[1])
		if err := errors.Join(err1, err2); err != nil || a == b {
			t.Errorf("%q and %q: %q %v", other[0], other[1], a, err)
		}
	}
	_, err := s.ParseKey("nosuch=1,o=x")
	wantCode(t, err, directory.InvalidDNSyntax)
}

func TestKeyOrdersParentsBeforeChildren(t *testing.T) {
	t.Parallel()
	s := schema(t)
	key := func(dn string) directory.Key {
		k, err := s.ParseKey(dn)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	people, person, sibling := key("ou=People,o=nhs"), key("uid=1,ou=People,o=nhs"), key("ou=Peoples,o=nhs")
	if !(people < person && person < people.After() && people.After() <= sibling) {
		t.Error("out of order")
	}
	if person.Parent() != people || people.Parent() != key("o=nhs") || key("o=nhs").Parent() != "" {
		t.Error("wrong parent")
	}
	if !people.Contains(person) || people.Contains(sibling) || person.Depth() != 3 {
		t.Error("wrong subtree")
	}
}

func FuzzParseDN(f *testing.F) {
	for _, s := range []string{"uid=1,ou=People,o=nhs", `cn="Smith, John"+sn=#0403666f6f;o=\61`, "cn=\\", "=,+;\"#", "cn=é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		d, err := directory.ParseDN(in)
		if err != nil {
			return
		}
		again, err := directory.ParseDN(d.String())
		if err != nil {
			if strings.Contains(d.String(), `\`) || len(d.String()) > 8000 {
				return // a #hex value that is not text
			}
			t.Fatalf("%q → %q: %v", in, d.String(), err)
		}
		if again.String() != d.String() {
			t.Fatalf("%q → %q → %q", in, d, again)
		}
		s := schema(t)
		k1, err1 := s.Key(d)
		k2, err2 := s.Key(again)
		if k1 != k2 || (err1 == nil) != (err2 == nil) {
			t.Fatalf("%q: keys %q %q %v %v", in, k1, k2, err1, err2)
		}
	})
}

func BenchmarkKeyOfDN(b *testing.B) {
	s := schema(b)
	d := mustDN(b, "uniqueIdentifier=900000000033,uniqueIdentifier=900000000025,uid=900000000017,ou=People,o=nhs")
	buf := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if buf, err = s.AppendKey(buf[:0], d); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseDN(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := directory.ParseDN("uniqueIdentifier=900000000033,uniqueIdentifier=900000000025,uid=900000000017,ou=People,o=nhs"); err != nil {
			b.Fatal(err)
		}
	}
}
