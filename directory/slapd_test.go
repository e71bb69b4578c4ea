package directory_test

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"cardinal/directory"
)

// slapd starts Debian's server with the NHS schema file of this package, and
// returns a connection bound as its root.
func slapd(t *testing.T) *ldap.Conn {
	t.Helper()
	if testing.Short() {
		t.Skip("short")
	}
	program, err := exec.LookPath("slapd")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/slapd"); err != nil {
			t.Skipf("needs %s: apt-get install -y %s", "slapd", "slapd")
		}
	}
	folder, err := os.MkdirTemp("", "slapd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	nhs, err := filepath.Abs("schema/nhs/nhs.schema")
	if err != nil {
		t.Fatal(err)
	}
	conf := fmt.Sprintf("include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\n"+
		"include /etc/ldap/schema/inetorgperson.schema\ninclude %s\npidfile %[2]s/pid\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n"+
		"database mdb\nsuffix \"o=nhs\"\nrootdn \"cn=root,o=nhs\"\nrootpw secret\ndirectory %[2]s\n", nhs, folder)
	if err := os.WriteFile(folder+"/slapd.conf", []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	address := "ldapi://" + url.QueryEscape(folder+"/socket")
	cmd := exec.Command(program, "-d", "0", "-f", folder+"/slapd.conf", "-h", address)
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := ldap.DialURL("ldapi://" + folder + "/socket")
		if err == nil {
			t.Cleanup(func() { c.Close() })
			if err := c.Bind("cn=root,o=nhs", "secret"); err != nil {
				t.Fatal(err)
			}
			return c
		}
		if time.Now().After(deadline) {
			t.Fatalf("slapd does not answer: %v\n%s", err, log.String())
		}
	}
}

func ldapCode(t *testing.T, err error) directory.Code {
	t.Helper()
	var e *ldap.Error
	if errors.As(err, &e) {
		return directory.Code(e.ResultCode)
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0
}

func slapdAdd(c *ldap.Conn, e *directory.Entry) error {
	r := ldap.NewAddRequest(e.DN.String(), nil)
	for _, a := range e.Attributes {
		var v []string
		for _, x := range a.Values {
			v = append(v, string(x))
		}
		r.Attribute(a.Type, v)
	}
	return c.Add(r)
}

func slapdModify(c *ldap.Conn, dn string, m []directory.Modification) error {
	r := ldap.NewModifyRequest(dn, nil)
	for _, x := range m {
		change := ldap.Change{Operation: uint(x.Op), Modification: ldap.PartialAttribute{Type: x.Attribute.Type, Vals: []string{}}}
		for _, v := range x.Attribute.Values {
			change.Modification.Vals = append(change.Modification.Vals, string(v))
		}
		r.Changes = append(r.Changes, change)
	}
	return c.Modify(r)
}

// TestCodesAreSlapds gives the same entries and modifications to slapd and to
// the schema and compares the result codes.
func TestCodesAreSlapds(t *testing.T) {
	t.Parallel()
	c := slapd(t)
	s := schema(t)
	if err := slapdAdd(c, entry(t, "dn: o=nhs\nobjectClass: organization\no: nhs\n")); err != nil {
		t.Fatal(err)
	}
	for i, body := range addCases {
		e := entry(t, fmt.Sprintf("dn: cn=a%d,o=nhs\n%s", i, body))
		want := ldapCode(t, slapdAdd(c, e))
		got, err := s.Canonical(e)
		if err == nil {
			err = s.Check(got)
		}
		if code := codeOf(t, err); code != want {
			t.Errorf("adding %q: we say %v (%v), slapd %v", body, code, err, want)
		}
	}
	const start = "dn: cn=m%d,o=nhs\nobjectClass: device\nobjectClass: extensibleObject\ncn: m%[1]d\ndescription: one\ndescription: Two  words\n" +
		"mailPreferenceOption: 5\nnhsRCN: 1\nnhsOrgMail: q\ntitle: t\n"
	for i, body := range modifyCases {
		e := entry(t, fmt.Sprintf(start, i))
		if err := slapdAdd(c, e); err != nil {
			t.Fatal(err)
		}
		m := mods(t, strings.ReplaceAll(body, "SELF", fmt.Sprintf("m%d", i))+"\n")
		want := ldapCode(t, slapdModify(c, e.DN.String(), m))
		e, err := s.Canonical(e)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Apply(e, m)
		if code := codeOf(t, err); code != want {
			t.Errorf("modifying %q: we say %v (%v), slapd %v", body, code, err, want)
		}
	}
}

func codeOf(t *testing.T, err error) directory.Code {
	t.Helper()
	var e *directory.Error
	if errors.As(err, &e) {
		return e.Code
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0
}

var addCases = []string{
	"objectClass: device\n",
	"objectClass: device\nnosuch: 1\n",
	"objectClass: nosuch\n",
	"objectClass: device\ndescription;binary: x\n",
	"objectClass: device\ndescription: x\n2.5.4.13: y\n",
	"objectClass: device\ndescription: x y\ndescription: X  Y\n",
	"objectClass: device\ndescription:: /w==\n",
	"objectClass: device\ndescription:\n",
	"description: x\n",
	"objectClass: uidObject\nuid: x\n",
	"objectClass: device\nobjectClass: person\nsn: x\n",
	"objectClass: device\nobjectClass: top\nobjectClass: alias\naliasedObjectName: cn=b\n",
	"objectClass: alias\n",
	"objectClass: top\n",
	"objectClass: person\n",
	"objectClass: device\nsn: x\n",
	"objectClass: device\nobjectClass: extensibleObject\nsn: x\n",
	"objectClass: device\nobjectClass: extensibleObject\nnhsIDCode: x\nnhsIDCode: y\n",
	"objectClass: device\nobjectClass: extensibleObject\nmailPreferenceOption: 01\n",
	"objectClass: device\nowner: x\n",
	"objectClass: device\nowner: nosuch=x\n",
	"objectClass: device\nseeAlso:\n",
	"objectClass: device\nserialNumber: a_b\n",
	"objectClass: device\nobjectClass: extensibleObject\nc: GBR\n",
	"objectClass: device\nobjectClass: extensibleObject\ntelephoneNumber: abc!\n",
	"objectClass: device\nobjectClass: extensibleObject\ntelephoneNumber: +44 1\n",
	"objectClass: device\nobjectClass: extensibleObject\npostalAddress: a$b\n",
	"objectClass: device\nobjectClass: extensibleObject\ndestinationIndicator: a\n",
	"objectClass: device\nobjectClass: extensibleObject\nuserCertificate;binary:: MAA=\n",
	"objectClass: device\nobjectClass: extensibleObject\nx121Address: 12 a\n",
	"objectClass: device\nobjectClass: extensibleObject\nnhsRCN: 1\nnhsRCN: 1\n",
	"objectClass: device\nobjectClass: extensibleObject\nuserPKCS12:: MAA=\n",
	"objectClass: device\nobjectClass: extensibleObject\njpegPhoto:: AAAA\n",
	"objectClass: device\nobjectClass: extensibleObject\ndc: é\n",
	"objectClass: device\nobjectClass: extensibleObject\nou;lang-en: x\nou: x\n",
	"objectClass: device\nobjectClass: extensibleObject\npreferredDeliveryMethod: mhs $ telephone\n",
	"objectClass: device\nobjectClass: extensibleObject\npreferredDeliveryMethod: pigeon\n",
	"objectClass: device\nobjectClass: extensibleObject\nuniqueMember: cn=a#'01'B\n",
	"objectClass: device\nobjectClass: extensibleObject\nx500UniqueIdentifier: '012'B\n",
	"objectClass: device\nobjectClass: extensibleObject\nfacsimileTelephoneNumber: +1$twoDimensional\n",
	"objectClass: device\nobjectClass: extensibleObject\nsupportedApplicationContext: 1.2\n",
	"objectClass: device\nobjectClass: extensibleObject\nsupportedApplicationContext: 1 2\n",
	"objectClass: nhsOrgPersonRole\nuniqueIdentifier: 1\nnhsJobRole: x\n",
	"objectClass: inetOrgPerson\nsn: x\nlabeledURI: http://x y\n",
}

var modifyCases = []string{
	"replace: l\n-\n",
	"replace: description\ndescription: x\n-\n",
	"replace: description\n-\n",
	"delete: description\ndescription: TWO words\n-\n",
	"delete: description\ndescription: x\n-\n",
	"delete: l\n-\n",
	"delete: l\nl: x\n-\n",
	"add: description\ndescription: two WORDS\n-\n",
	"add: description\ndescription: x\ndescription: X\n-\n",
	"delete: description\ndescription: one\ndescription: ONE\n-\n",
	"replace: description\ndescription: x\ndescription: X\n-\n",
	"add: description\n-\n",
	"add: nosuch\nnosuch: x\n-\n",
	"delete: nosuch\n-\n",
	"replace: createTimestamp\ncreateTimestamp: 20240101000000Z\n-\n",
	"delete: entryUUID\n-\n",
	"add: description\ndescription:: /w==\n-\n",
	"delete: cn\n-\n",
	"delete: cn\ncn: SELF\n-\nadd: cn\ncn: b\n-\n",
	"add: description\ndescription: x\n-\ndelete: description\ndescription: x\n-\n",
	"increment: mailPreferenceOption\nmailPreferenceOption: 3\n-\n",
	"increment: employeeNumber\nemployeeNumber: 3\n-\n",
	"increment: description\ndescription: 3\n-\n",
	"increment: mailPreferenceOption\nmailPreferenceOption: 3\nmailPreferenceOption: 4\n-\n",
	"increment: mailPreferenceOption\nmailPreferenceOption: x\n-\n",
	"add: nhsRCN\nnhsRCN: 2\n-\n",
	"add: nhsOrgMail\nnhsOrgMail: r\n-\n",
	"add: nhsRoles\nnhsRoles: r\n-\n",
	"delete: nhsRCN\nnhsRCN: 1\n-\n",
	"delete: nhsRCN\nnhsRCN: 9\n-\n",
	"delete: nhsRCN\n-\n",
	"replace: nhsRCN\nnhsRCN: 2\n-\n",
	"add: nhsIDCode\nnhsIDCode: 6\n-\nadd: nhsIDCode\nnhsIDCode: 7\n-\n",
	"replace: objectClass\nobjectClass: person\nobjectClass: extensibleObject\n-\nadd: sn\nsn: x\n-\n",
	"add: objectClass\nobjectClass: dcObject\n-\nadd: dc\ndc: x\n-\n",
	"add: objectClass\nobjectClass: dcObject\n-\n",
	"delete: objectClass\n-\n",
	"delete: objectClass\nobjectClass: device\n-\n",
	"delete: objectClass\nobjectClass: extensibleObject\n-\n",
	"add: title;lang-de\ntitle;lang-de: T\n-\n",
	"delete: title;lang-de\n-\n",
	"add: jpegPhoto\njpegPhoto:: /9j/4AA=\n-\nadd: jpegPhoto\njpegPhoto:: /9j/4AB=\n-\n",
}
