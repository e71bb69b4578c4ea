package directory_test

import (
	"strings"
	"testing"

	"cardinal/directory"
)

// mods reads the modifications of one LDIF modify record's body.
func mods(t testing.TB, body string) []directory.Modification {
	t.Helper()
	rec, err := directory.NewLDIFReader(strings.NewReader("dn: cn=x\nchangetype: modify\n" + body)).Next()
	if err != nil {
		t.Fatal(err)
	}
	return rec.Mods
}

func canonical(t testing.TB, ldif string) *directory.Entry {
	t.Helper()
	e, err := schema(t).Canonical(entry(t, ldif))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestCanonicalCompletesEntries(t *testing.T) {
	t.Parallel()
	e := canonical(t, "dn: uid=9+cn=b,o=x\nOBJECTCLASS: inetOrgPerson\nsurName: c\njpegPhoto:: MAA=\ncn;LANG-en: d\ncommonname: B\n")
	got := string(directory.AppendLDIF(nil, e))
	want := "dn: uid=9+cn=b,o=x\nobjectClass: inetOrgPerson\nobjectClass: organizationalPerson\nobjectClass: person\nobjectClass: top\n" +
		"sn: c\njpegPhoto:: MAA=\ncn;lang-en: d\ncn: B\nuid: 9\n\n"
	if got != want {
		t.Errorf("got\n%s", got)
	}
	if err := schema(t).Check(e); err != nil {
		t.Error(err)
	}
}

func TestCheckAndCanonicalCodes(t *testing.T) {
	t.Parallel()
	s := schema(t)
	for _, c := range []struct {
		what, ldif string
		want       directory.Code
	}{
		{"good", "dn: cn=a\nobjectClass: device\n", 0},
		{"unknown attribute", "dn: cn=a\nobjectClass: device\nnosuch: 1\n", 17},
		{"unknown class", "dn: cn=a\nobjectClass: nosuch\n", 21},
		{"binary of text", "dn: cn=a\nobjectClass: device\ndescription;binary: x\n", 17},
		{"twice one attribute", "dn: cn=a\nobjectClass: device\ndescription: x\n2.5.4.13: y\n", 20},
		{"twice one value", "dn: cn=a\nobjectClass: device\ndescription: x y\ndescription: X  Y\n", 20},
		{"not UTF-8", "dn: cn=a\nobjectClass: device\ndescription:: /w==\n", 21},
		{"empty value", "dn: cn=a\nobjectClass: device\ndescription:\n", 21},
		{"no class", "dn: cn=a\ncn: a\n", 65},
		{"no structural class", "dn: cn=a\nobjectClass: pkiUser\n", 65},
		{"two chains", "dn: cn=a\nobjectClass: device\nobjectClass: person\nsn: x\n", 65},
		{"abstract alone", "dn: cn=a\nobjectClass: device\nobjectClass: alias\naliasedObjectName: cn=b\n", 65},
		{"missing must", "dn: cn=a\nobjectClass: person\n", 65},
		{"no certificate", "dn: cn=a\nobjectClass: device\nobjectClass: pkiUser\nuserCertificate:: MAA=\n", 21},
		{"not allowed", "dn: cn=a\nobjectClass: device\nsn: x\n", 65},
		{"extensible", "dn: cn=a\nobjectClass: device\nobjectClass: extensibleObject\nsn: x\n", 0},
		{"single", "dn: cn=a\nobjectClass: device\nobjectClass: extensibleObject\nnhsIDCode: x\nnhsIDCode: y\n", 19},
		{"single in the name", "dn: nhsIDCode=a\nobjectClass: device\nobjectClass: extensibleObject\ncn: x\nnhsIDCode: y\n", 64},
		{"bad integer", "dn: cn=a\nobjectClass: device\nobjectClass: extensibleObject\nuidNumber: 01\n", 21},
		{"bad name", "dn: cn=a\nobjectClass: device\nowner: x\n", 21},
	} {
		e, err := s.Canonical(entry(t, c.ldif))
		if err == nil {
			err = s.Check(e)
		}
		t.Run(c.what, func(t *testing.T) { wantCode(t, err, c.want) })
	}
}

var applyCases = []struct {
	what, mods string
	want       directory.Code
	attr, left string // what the attribute holds afterwards
}{
	{"replace absent with none", "replace: l\n-\n", 0, "l", ""},
	{"replace", "replace: description\ndescription: x\n-\n", 0, "description", "x"},
	{"replace with none", "replace: description\n-\n", 0, "description", ""},
	{"delete value", "delete: description\ndescription: TWO words\n-\n", 0, "description", "one"},
	{"delete absent value", "delete: description\ndescription: x\n-\n", 16, "", ""},
	{"delete absent attribute", "delete: l\n-\n", 16, "", ""},
	{"add duplicate", "add: description\ndescription: two WORDS\n-\n", 20, "", ""},
	{"add twice", "add: description\ndescription: x\ndescription: X\n-\n", 20, "", ""},
	{"add none", "add: description\n-\n", 2, "", ""},
	{"unknown", "add: nosuch\nnosuch: x\n-\n", 17, "", ""},
	{"operational", "replace: createTimestamp\ncreateTimestamp: 20240101000000Z\n-\n", 19, "", ""},
	{"bad UTF-8", "add: description\ndescription:: /w==\n-\n", 21, "", ""},
	{"RDN attribute", "delete: cn\n-\n", 64, "", ""},
	{"RDN value", "delete: cn\ncn: a\n-\nadd: cn\ncn: b\n-\n", 64, "", ""},
	{"add then delete", "add: description\ndescription: x\n-\ndelete: description\ndescription: x\n-\n", 0, "description", "one,Two  words"},
	{"increment", "increment: uidNumber\nuidNumber: 3\n-\n", 0, "uidNumber", "8"},
	{"increment down", "increment: uidNumber\nuidNumber: -10\n-\n", 0, "uidNumber", "-5"},
	{"increment absent", "increment: gidNumber\ngidNumber: 3\n-\n", 16, "", ""},
	{"increment text", "increment: description\ndescription: 3\n-\n", 19, "", ""},
	{"increment by two", "increment: uidNumber\nuidNumber: 3\nuidNumber: 4\n-\n", 2, "", ""},
	{"add without a rule", "add: nhsRCN\nnhsRCN: 2\n-\n", 18, "", ""},
	{"delete without a rule", "delete: nhsRCN\nnhsRCN: 1\n-\n", 18, "", ""},
	{"replace without a rule", "replace: nhsRCN\nnhsRCN: 2\n-\n", 0, "nhsRCN", "2"},
	{"second of single", "add: uidNumber\nuidNumber: 6\n-\n", 19, "", ""},
	{"structural class", "replace: objectClass\nobjectClass: person\nobjectClass: extensibleObject\n-\nadd: sn\nsn: x\n-\n", 69, "", ""},
	{"auxiliary class", "add: objectClass\nobjectClass: pkiUser\n-\n", 0, "objectClass", "device,extensibleObject,top,pkiUser"},
	{"option", "add: title;lang-de\ntitle;lang-de: T\n-\n", 0, "title;lang-de", "T"},
	{"nothing", "", 0, "title", "t"},
}

func TestApplyCodes(t *testing.T) {
	t.Parallel()
	s := schema(t)
	e := canonical(t, "dn: cn=a\nobjectClass: device\nobjectClass: extensibleObject\ndescription: one\ndescription: Two  words\n"+
		"uidNumber: 5\nnhsRCN: 1\nnhsOrgMail: q\ntitle: t\n")
	for _, c := range applyCases {
		t.Run(c.what, func(t *testing.T) {
			m := mods(t, c.mods+"\n")
			after, err := s.Apply(e, m)
			wantCode(t, err, c.want)
			if err != nil {
				return
			}
			var values []string
			for _, v := range after.Get(c.attr) {
				values = append(values, string(v))
			}
			if got := strings.Join(values, ","); got != c.left {
				t.Errorf("%s is %q, want %q", c.attr, got, c.left)
			}
			replayed, err := s.Replay(e, m)
			if err != nil || string(directory.AppendLDIF(nil, replayed)) != string(directory.AppendLDIF(nil, after)) {
				t.Errorf("replayed otherwise: %v", err)
			}
		})
	}
	if string(directory.AppendLDIF(nil, e)) != string(directory.AppendLDIF(nil, canonical(t, string(directory.AppendLDIF(nil, e))))) {
		t.Error("the entry was changed")
	}
}
