package ldap_test

import (
	"crypto/x509/pkix"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOpenLDAPProgramsAreServed lets the programs of ldap-utils do what
// administrators do with them; their exit codes are the result codes.
func TestOpenLDAPProgramsAreServed(t *testing.T) {
	t.Parallel()
	need(t, "ldapsearch", "ldap-utils")
	r := newRig(t, nil)
	r.ldif(workforce)
	card := r.pki.issue(pkix.Name{CommonName: "900000000017"})
	r.cards.set(card.Certificate[0], true)
	cert, key := r.pki.files(card)
	file := func(text string) string {
		name := filepath.Join(t.TempDir(), "in.ldif")
		must(t, os.WriteFile(name, []byte(text), 0o600))
		return name
	}
	plain, secure := []string{"-x", "-H", "ldap://" + r.plain}, []string{"-H", "ldaps://" + r.secure}
	root := append(plain, "-D", rootDN, "-w", rootPassword)
	tls := []string{"LDAPTLS_CERT=" + cert, "LDAPTLS_KEY=" + key}
	added := "dn: cn=p1,ou=Services,o=nhs\nobjectClass: device\ncn: p1\ndescription: made by ldapadd\n"
	changed := "dn: cn=p1,ou=Services,o=nhs\nchangetype: modify\nreplace: description\ndescription: made by ldapmodify\n-\nadd: l\nl: Leeds\n"
	for _, c := range []struct {
		name    string
		env     []string
		program string
		args    []string
		code    int
		shows   string
	}{
		{"search", nil, "ldapsearch", append(root, "-LLL", "-b", "o=nhs", "(uid=900000000017)", "cn"), 0, "cn: Alex Example"},
		{"search over LDAPS", nil, "ldapsearch", append(append([]string{"-x"}, secure...), "-D", reader, "-w", "reading", "-LLL", "-b", alex, "(objectClass=nhsOrgPersonRole)"), 0, "nhsJobRoleCode: S8000"},
		{"search after StartTLS", nil, "ldapsearch", append(plain, "-ZZ", "-D", reader, "-w", "reading", "-LLL", "-b", bo, "mail", "sn"), 0, "sn: Beispiel"},
		{"SASL EXTERNAL", tls, "ldapsearch", append(secure, "-Y", "EXTERNAL", "-LLL", "-b", alex, "-s", "base", "uid"), 0, "uid: 900000000017"},
		{"SASL EXTERNAL after StartTLS", tls, "ldapwhoami", []string{"-H", "ldap://" + r.plain, "-ZZ", "-Y", "EXTERNAL"}, 0, "dn:" + alex},
		{"paged", nil, "ldapsearch", append(root, "-LLL", "-E", "pr=2/noprompt", "-b", "o=nhs", "1.1"), 0, "dn: cn=reader"},
		{"whoami", nil, "ldapwhoami", root, 0, "dn:" + rootDN},
		{"anonymous whoami", nil, "ldapwhoami", plain, 0, "anonymous"},
		{"wrong password", nil, "ldapwhoami", append(plain, "-D", alex, "-w", "x"), 49, ""},
		{"add", nil, "ldapadd", append(root, "-f", file(added)), 0, ""},
		{"add again", nil, "ldapadd", append(root, "-f", file(added)), 68, ""},
		{"modify", nil, "ldapmodify", append(root, "-f", file(changed)), 0, ""},
		{"what was modified", nil, "ldapsearch", append(root, "-LLL", "-b", "o=nhs", "(l=leeds)", "description"), 0, "made by ldapmodify"},
		{"compare", nil, "ldapcompare", append(root, "cn=p1,ou=Services,o=nhs", "l:LEEDS"), 6, "TRUE"},
		{"compare false", nil, "ldapcompare", append(root, "cn=p1,ou=Services,o=nhs", "l:York"), 5, "FALSE"},
		{"rename", nil, "ldapmodrdn", append(root, "-r", "cn=p1,ou=Services,o=nhs", "cn=p2"), 0, ""},
		{"read back", nil, "ldapmodify", append(root, "-e", "postread=description,l", "-v", "-f", file("dn: cn=p2,ou=Services,o=nhs\nchangetype: modify\nreplace: l\nl: York\n")), 0, "York"},
		{"assertion that fails", nil, "ldapdelete", append(root, "-e", "!assert=(l=Leeds)", "cn=p2,ou=Services,o=nhs"), 122, ""},
		{"password", nil, "ldappasswd", append(root, "-s", "written", reader), 0, ""},
		{"new password", nil, "ldapwhoami", append(plain, "-D", reader, "-w", "written"), 0, "dn:" + reader},
		{"old password", nil, "ldapwhoami", append(plain, "-D", reader, "-w", "reading"), 49, ""},
		{"delete", nil, "ldapdelete", append(root, "cn=p2,ou=Services,o=nhs"), 0, ""},
		{"delete what is managed", nil, "ldapdelete", append(root, bo), 53, ""},
		{"cancelled search", nil, "ldapexop", append(root, "cancel", "77"), 1, "(119)"},
	} {
		out, code := r.program(c.env, c.program, c.args...)
		if code != c.code || !strings.Contains(out, c.shows) {
			t.Errorf("%s: exit %d, want %d, showing %q:\n%s", c.name, code, c.code, c.shows, out)
		}
	}
}
