package ldap_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	client "github.com/go-ldap/ldap/v3"

	"cardinal/directory/ldap"
	"cardinal/internal/ber"
)

// TestUpdateProgramsAreServed lets the programs of ldap-utils update with
// controls and transactions.
func TestUpdateProgramsAreServed(t *testing.T) {
	t.Parallel()
	need(t, "ldapmodify", "ldap-utils")
	r := newRig(t, nil)
	r.ldif(workforce)
	root := []string{"-x", "-H", "ldap://" + r.plain, "-D", rootDN, "-w", rootPassword}
	file := func(text string) string {
		name := filepath.Join(t.TempDir(), "in.ldif")
		must(t, os.WriteFile(name, []byte(text), 0o600))
		return name
	}
	entry := func(name, more string) string {
		return "dn: cn=" + name + ",ou=Services,o=nhs\nobjectClass: device\ncn: " + name[strings.LastIndex(name, "=")+1:] + "\n" + more + "\n"
	}
	two := "dn: cn=a,ou=Services,o=nhs\nchangetype: add\nobjectClass: device\ncn: a\n\ndn: cn=a,ou=Services,o=nhs\nchangetype: modify\nadd: l\nl: York\n\n"
	bad := "dn: cn=b,ou=Services,o=nhs\nchangetype: add\nobjectClass: device\ncn: b\n\ndn: cn=none,ou=Services,o=nhs\nchangetype: modify\nadd: l\nl: York\n\n"
	subtree := "dn: cn=top,ou=Services,o=nhs\nobjectClass: device\ncn: top\n\n"
	for i := range 30 {
		subtree += fmt.Sprintf("dn: cn=d%d,cn=top,ou=Services,o=nhs\nobjectClass: device\ncn: d%[1]d\n\ndn: cn=e,cn=d%[1]d,cn=top,ou=Services,o=nhs\nobjectClass: device\ncn: e\n\n", i)
	}
	for _, c := range []struct {
		name    string
		program string
		args    []string
		code    int
		shows   string
	}{
		{"transaction", "ldapmodify", append(root, "-E", "!txn=commit", "-f", file(two)), 0, ""},
		{"what it made", "ldapcompare", append(root, "cn=a,ou=Services,o=nhs", "l:York"), 6, "TRUE"},
		{"transaction that fails", "ldapmodify", append(root, "-E", "!txn=commit", "-f", file(bad)), 32, ""},
		{"what it did not make", "ldapsearch", append(root, "-b", "cn=b,ou=Services,o=nhs"), 32, ""},
		{"transaction given up", "ldapmodify", append(root, "-E", "!txn=abort", "-f", file("dn: cn=c,ou=Services,o=nhs\nchangetype: add\nobjectClass: device\ncn: c\n")), 0, ""},
		{"what it gave up", "ldapsearch", append(root, "-b", "cn=c,ou=Services,o=nhs"), 32, ""},
		{"permissive", "ldapmodify", append(root, "-e", "!"+permissive, "-f", file("dn: cn=a,ou=Services,o=nhs\nchangetype: modify\nadd: l\nl: york\n-\ndelete: seeAlso\n")), 0, ""},
		{"not permissive", "ldapmodify", append(root, "-f", file("dn: cn=a,ou=Services,o=nhs\nchangetype: modify\nadd: l\nl: york\n")), 20, ""},
		{"ManageDsaIT", "ldapmodify", append(root, "-MM", "-f", file("dn: cn=a,ou=Services,o=nhs\nchangetype: modify\nadd: l\nl: Hull\n")), 0, ""},
		{"relax", "ldapadd", append(root, "-e", "!relax", "-f", file(entry("r", "entryUUID: 2f3f5c60-9d3a-4a5e-8a0c-6a4ad2f6d102\ncreateTimestamp: 20200101000000Z\nentryCSN: 20200101000000.000000Z#000000#000#000000\n"))), 0, ""},
		{"what relax wrote", "ldapsearch", append(root, "-LLL", "-b", "o=nhs", "(entryUUID=2f3f5c60-9d3a-4a5e-8a0c-6a4ad2f6d102)", "createTimestamp"), 0, "20200101000000Z"},
		{"relax, the same UUID", "ldapadd", append(root, "-e", "!relax", "-f", file(entry("r2", "entryUUID: 2f3f5c60-9d3a-4a5e-8a0c-6a4ad2f6d102\n"))), 19, ""},
		{"without relax", "ldapadd", append(root, "-f", file(entry("r3", "createTimestamp: 20200101000000Z\n"))), 19, ""},
		{"pre-read", "ldapmodify", append(root, "-v", "-e", "preread=l", "-f", file("dn: cn=a,ou=Services,o=nhs\nchangetype: modify\nreplace: l\nl: Bath\n")), 0, "Hull"},
		{"post-read", "ldapmodify", append(root, "-v", "-e", "postread=l,entryCSN", "-f", file("dn: cn=a,ou=Services,o=nhs\nchangetype: modify\nreplace: l\nl: Deal\n")), 0, "entryCSN: "},
		{"add a subtree", "ldapadd", append(root, "-f", file(subtree)), 0, ""},
		{"delete what has entries below", "ldapdelete", append(root, "cn=top,ou=Services,o=nhs"), 66, ""},
		{"delete a part by the client", "ldapdelete", append(root, "-r", "cn=d3,cn=top,ou=Services,o=nhs"), 0, ""},
		{"move a part", "ldapmodrdn", append(root, "-s", "ou=Services,o=nhs", "cn=d4,cn=top,ou=Services,o=nhs", "cn=d4"), 0, ""},
		{"what was moved along", "ldapsearch", append(root, "-LLL", "-s", "base", "-b", "cn=e,cn=d4,ou=Services,o=nhs", "1.1"), 0, "dn: cn=e,cn=d4,ou=Services,o=nhs"},
		{"delete the tree", "ldapdelete", append(root, "-e", "!"+treeDelete, "cn=top,ou=Services,o=nhs"), 0, ""},
		{"what is left", "ldapsearch", append(root, "-b", "cn=d7,cn=top,ou=Services,o=nhs"), 32, ""},
		{"delete a tree with people", "ldapdelete", append(root, "-e", "!"+treeDelete, "o=nhs"), 53, ""},
		{"made password", "ldappasswd", append(root, reader), 0, "New password: "},
		{"password of a user", "ldapexop", append(root, "passwd", "u:nobody"), 1, ""},
	} {
		out, code := r.program(nil, c.program, c.args...)
		if code != c.code || !strings.Contains(out, c.shows) {
			t.Errorf("%s: exit %d, want %d, showing %q:\n%s", c.name, code, c.code, c.shows, out)
		}
	}
}

func TestTreeDeleteIsBoundedAndWhole(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, nil)
	r.ldif(workforce)
	var many strings.Builder
	many.WriteString("dn: ou=big,ou=Services,o=nhs\nobjectClass: organizationalUnit\nou: big\n\n")
	for i := range 500 {
		fmt.Fprintf(&many, "dn: cn=%d,ou=big,ou=Services,o=nhs\nobjectClass: device\ncn: %[1]d\n\n", i)
	}
	r.ldif(many.String())
	root := r.dial(rootDN, rootPassword)
	del := func() error {
		return root.Del(client.NewDelRequest("ou=big,ou=Services,o=nhs", []client.Control{client.NewControlString(treeDelete, true, "")}))
	}
	wants(t, "501 entries", del(), client.LDAPResultAdminLimitExceeded)
	found, err := search(root, "ou=big,ou=Services,o=nhs", "(objectClass=*)", "1.1")
	must(t, err)
	if len(found) != 501 {
		t.Fatalf("%d entries are left of 501", len(found))
	}
	must(t, root.Del(client.NewDelRequest("cn=1,ou=big,ou=Services,o=nhs", nil)))
	must(t, del())
	_, err = search(root, "ou=big,ou=Services,o=nhs", "(objectClass=*)")
	wants(t, "what was deleted", err, client.LDAPResultNoSuchObject)
}

// hiddenRules let the reader write everywhere below Services and see only what
// is open.
const hiddenRules = `rules:
  - name: the reader sees what is open
    who: ["dn:cn=reader,ou=Services,o=nhs"]
    subtree: ou=Services,o=nhs
    filter: (|(l=open)(objectClass=organizationalUnit)(cn=new*))
    attributes: [entry, "*", "+"]
    rights: [read, search, compare]
  - name: and writes everything
    who: ["dn:cn=reader,ou=Services,o=nhs"]
    subtree: ou=Services,o=nhs
    attributes: [entry, "*", "!creatorsName"]
    rights: [write]
  - name: and manages one
    who: ["dn:cn=reader,ou=Services,o=nhs"]
    entry: cn=new-managed,ou=Services,o=nhs
    attributes: [entry, createTimestamp]
    rights: [manage]
`

// TestUpdatesNameNothingHidden asks for updates that meet hidden entries: the
// answers must be those for entries that are not there, or "not permitted".
func TestUpdatesNameNothingHidden(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *ldap.Config) { c.Rules = ruled(t, c.Tree.Schema(), hiddenRules) })
	r.ldif(workforce)
	r.ldif("dn: cn=hidden,ou=Services,o=nhs\nobjectClass: device\ncn: hidden\n\n" +
		"dn: cn=below,cn=hidden,ou=Services,o=nhs\nobjectClass: device\ncn: below\n\n" +
		"dn: cn=open,ou=Services,o=nhs\nobjectClass: device\ncn: open\nl: open\n\n" +
		"dn: cn=hidden,cn=open,ou=Services,o=nhs\nobjectClass: device\ncn: hidden\n\n")
	w := bound(t, r, reader, "reading")
	in := "ou=Services,o=nhs"
	dev := attribute("objectClass", "device")
	relaxed := control(relax, true, nil)
	tree := control(treeDelete, true, nil)
	for i, c := range []struct {
		name string
		pdu  func(id int) []byte
		want string
	}{
		{"add where a hidden one is", func(id int) []byte { return add(id, "cn=hidden,"+in, dev) }, "code 50"},
		{"add below a hidden one", func(id int) []byte { return add(id, "cn=new,cn=hidden,"+in, dev) }, `code 32 matched "ou=Services,o=nhs"`},
		{"add below none", func(id int) []byte { return add(id, "cn=new,cn=none,"+in, dev) }, `code 32 matched "ou=Services,o=nhs"`},
		{"modify a hidden one", func(id int) []byte { return modify(id, "cn=hidden,"+in, change(0, "l", "x")) }, `code 32 matched "ou=Services,o=nhs"`},
		{"modify below a hidden one", func(id int) []byte { return modify(id, "cn=below,cn=hidden,"+in, change(0, "l", "x")) }, `code 32 matched "ou=Services,o=nhs"`},
		{"delete a hidden one", func(id int) []byte { return envelope(id, 0x4A, []byte("cn=hidden,"+in)) }, `code 32 matched "ou=Services,o=nhs"`},
		{"delete what has hidden ones below", func(id int) []byte { return envelope(id, 0x4A, []byte("cn=open,"+in)) }, "code 50"},
		{"delete a tree with a hidden one", func(id int) []byte { return envelope(id, 0x4A, []byte("cn=open,"+in), tree) }, "code 50"},
		{"move onto a hidden one", func(id int) []byte { return move(id, "cn=open,"+in, rename{"cn=hidden", false, ""}) }, "code 50"},
		{"move below a hidden one", func(id int) []byte { return move(id, "cn=open,"+in, rename{"cn=open", false, "cn=hidden," + in}) }, "code 32"},
		{"move below none", func(id int) []byte { return move(id, "cn=open,"+in, rename{"cn=open", false, "cn=none," + in}) }, "code 32"},
		{"move a hidden one", func(id int) []byte { return move(id, "cn=hidden,"+in, rename{"cn=new", false, ""}) }, `code 32 matched "ou=Services,o=nhs"`},
		{"add", func(id int) []byte { return add(id, "cn=new,"+in, dev) }, "code 0"},
		{"add what is there", func(id int) []byte { return add(id, "cn=new,"+in, dev) }, "code 68"},
		{"relax without the right", func(id int) []byte {
			return withControls(add(id, "cn=new2,"+in, dev, attribute("createTimestamp", "20200101000000Z")), relaxed)
		}, "code 50"},
		{"relax with the right", func(id int) []byte {
			return withControls(add(id, "cn=new-managed,"+in, dev, attribute("createTimestamp", "20200101000000Z")), relaxed)
		}, "code 0"},
		{"relax beyond the right", func(id int) []byte {
			return withControls(modify(id, "cn=new-managed,"+in, change(2, "modifyTimestamp", "20200101000000Z")), relaxed)
		}, "code 50"},
	} {
		w.send(c.pdu(10 + i))
		if got := w.until(10+i, wireWait); !strings.HasSuffix(got, c.want) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestAssertionsDecideOnce lets many clients take the next number by assertion
// and increment: each gets one of his own.
func TestAssertionsDecideOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.ldif(workforce)
	r.ldif("dn: cn=next,ou=Services,o=nhs\nobjectClass: device\nobjectClass: extensibleObject\ncn: next\nuidNumber: 1\n\n")
	var won atomic.Int64
	var done sync.WaitGroup
	for range 8 {
		w := bound(t, r, rootDN, rootPassword)
		done.Go(func() {
			holds := control(assertion, true, ber.Append(nil, 0xA3, octets("uidNumber", "1")))
			w.send(withControls(modify(2, "cn=next,ou=Services,o=nhs", change(3, "uidNumber", "1")), holds))
			switch got := w.until(2, wireWait); {
			case strings.HasSuffix(got, "code 0"):
				won.Add(1)
			case !strings.HasSuffix(got, "code 122"):
				t.Errorf("answer %s", got)
			}
		})
	}
	done.Wait()
	if won.Load() != 1 {
		t.Errorf("%d clients have won under the same assertion", won.Load())
	}
}

func TestPasswordModifyNamesUsersAndTestsOldPasswords(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.ldif(workforce)
	r.ldif("dn: uid=clerk,ou=Services,o=nhs\nobjectClass: inetOrgPerson\nuid: clerk\ncn: clerk\nsn: clerk\nuserPassword: first\n\n")
	c := r.dial(rootDN, rootPassword)
	made, err := c.PasswordModify(client.NewPasswordModifyRequest("u:clerk", "first", ""))
	must(t, err)
	must(t, r.dial("", "").Bind("uid=clerk,ou=Services,o=nhs", made.GeneratedPassword))
	_, err = c.PasswordModify(client.NewPasswordModifyRequest("u:clerk", "first", "third"))
	wants(t, "an old password that is not", err, client.LDAPResultUnwillingToPerform)
	_, err = c.PasswordModify(client.NewPasswordModifyRequest("u:nobody", "", "x"))
	wants(t, "a user there is not", err, client.LDAPResultNoSuchObject)
	_, err = c.PasswordModify(client.NewPasswordModifyRequest("dn:uid=clerk,ou=Services,o=nhs", made.GeneratedPassword, "third"))
	must(t, err)
	must(t, r.dial("", "").Bind("uid=clerk,ou=Services,o=nhs", "third"))
	other := r.dial("uid=clerk,ou=Services,o=nhs", "third")
	_, err = other.PasswordModify(client.NewPasswordModifyRequest(reader, "reading", "mine"))
	wants(t, "somebody else's, though it is known", err, client.LDAPResultInsufficientAccessRights)
}
