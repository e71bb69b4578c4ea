package ldap_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cardinal/directory/ldap"
)

const elsewhere = `
dn: ou=Shelf,o=nhs
objectClass: organizationalUnit
ou: Shelf

dn: cn=here,ou=Shelf,o=nhs
objectClass: inetOrgPerson
cn: here
sn: here

dn: ou=Away,ou=Shelf,o=nhs
objectClass: referral
objectClass: extensibleObject
ou: Away
ref: ldap://other.example/ou=Away,ou=Shelf,o=nhs

dn: ou=Far,ou=Services,o=nhs
objectClass: referral
objectClass: extensibleObject
ou: Far
ref: ldap://plain.example
ref: ldap://second.example:1389/ou=x%20y,dc=z??sub a label
ref: ldaps://third.example/
ref: http://fourth.example/page
`

// TestReferralsAreSlapds holds the same conversations about entries that are
// held elsewhere (RFC 3296) with OpenLDAP's server.
func TestReferralsAreSlapds(t *testing.T) {
	t.Parallel()
	need(t, "/usr/sbin/slapd", "slapd")
	theirs := startSlapd(t, workforce+elsewhere)
	r := newRig(t, nil)
	r.ldif(workforce + elsewhere)
	manage := control("2.16.840.1.113730.3.4.2", true, nil)
	l := list{t: t}
	const away, far = "ou=Away,ou=Shelf,o=nhs", "ou=Far,ou=Services,o=nhs"
	for _, base := range []string{"o=nhs", "ou=Shelf,o=nhs", away, "cn=a,cn=b," + away, "OU=far, ou=services,o=NHS", "cn=x y,cn=b," + far, "cn=here,ou=Shelf,o=nhs", "cn=none,ou=Shelf,o=nhs"} {
		for scope := range int64(4) {
			for name, controls := range map[string][][]byte{"": nil, "managed": {manage}} {
				l.search(fmt.Sprintf("%s %d %s", base, scope, name), ask{base: base, scope: scope, filter: "(|(cn=here)(ou=away))", attrs: []string{"1.1"}, controls: controls})
			}
		}
	}
	l.search("size limit", ask{base: "o=nhs", scope: 2, size: 1, filter: "(objectClass=*)", attrs: []string{"1.1"}})
	device := attribute("objectClass", "device")
	for _, dn := range []string{away, "cn=x," + away, "cn=x,cn=y," + far} {
		for _, controls := range [][][]byte{nil, {manage}} {
			if dn == away && controls != nil {
				continue // a referral is an entry then: further down
			}
			say := func(what string, pdu []byte) {
				if controls != nil {
					pdu = withControls(pdu, controls...)
				}
				l.say(what+" "+dn, pdu)
			}
			say("compare", compare(5, dn, "ou", "away"))
			say("modify", modify(5, dn, change(2, "description", "x")))
			say("delete", envelope(5, 0x4A, []byte(dn)))
			if !strings.HasPrefix(dn, "cn=x,cn=y") { // slapd looks for the parent first, and says that it is not there
				say("move", move(5, dn, rename{"cn=z", false, ""}))
			}
			say("add", add(5, dn, device))
		}
	}
	l.say("compare a referral", withControls(compare(5, away, "ou", "AWAY"), manage))
	l.say("modify a referral", withControls(modify(5, away, change(2, "description", "x")), manage))
	l.search("modified", ask{base: away, controls: [][]byte{manage}})
	l.say("delete a referral", withControls(envelope(5, 0x4A, []byte(away)), manage))
	l.search("deleted", ask{base: "cn=x," + away})
	for _, x := range l.cases {
		want, got := x.run(t, theirs, r.schema, time.Second), x.run(t, r.plain, r.schema, time.Second)
		if got != want {
			t.Errorf("%s:\nours   %s\nslapd  %s", x.name, got, want)
		}
	}
	t.Logf("%d conversations", len(l.cases))
}

// TestReferralsAreHiddenLikeEntries: who may not see a referral is not sent on,
// and learns of it neither by a reference nor by a code.
func TestReferralsAreHiddenLikeEntries(t *testing.T) {
	t.Parallel()
	need(t, "ldapsearch", "ldap-utils")
	r := newRig(t, func(c *ldap.Config) {
		c.Rules = ruled(t, c.Tree.Schema(), `rules:
  - name: hidden
    who: [anyone]
    subtree: ou=Away,ou=Shelf,o=nhs
    attributes: [entry]
    rights: [read]
    deny: true
  - name: where it is held is hidden
    who: ["dn:`+alex+`"]
    attributes: [ref]
    rights: [read]
    deny: true
  - name: the rest
    who: [authenticated]
    attributes: [entry, "*", "+"]
    rights: [read, search, compare, write]
`)
	})
	r.ldif(workforce + elsewhere)
	find := func(who, password, base string, scope int64) string {
		got, _ := openWire(t, r.plain, r.schema).bound(who, password).ordered(ask{base: base, scope: scope, filter: "(cn=here)", attrs: []string{"1.1"}})
		return got
	}
	for _, x := range []struct{ who, password, base, want string }{
		{reader, "reading", "ou=Shelf,o=nhs", "cn=here code 0"},
		{reader, "reading", "ou=Away,ou=Shelf,o=nhs", "code 32"},
		{reader, "reading", "cn=x,ou=Away,ou=Shelf,o=nhs", "code 32"},
		{reader, "reading", "ou=Services,o=nhs", "→ldap://plain.example/ou=Far,ou=Services,o=nhs??sub code 0"},
		{reader, "reading", "ou=Far,ou=Services,o=nhs", "code 10"},
		{alex, "alex's password", "ou=Services,o=nhs", "code 0"},
		{alex, "alex's password", "ou=Far,ou=Services,o=nhs", "code 32"},
	} {
		if got := find(x.who, x.password, x.base, 2); got != x.want {
			t.Errorf("%s at %s: %s, want %s", x.who, x.base, got, x.want)
		}
	}
	args := []string{"-x", "-LLL", "-H", "ldap://" + r.plain, "-D", reader, "-w", "reading", "-b", "ou=Services,o=nhs"}
	for _, x := range []struct {
		args  []string
		code  int
		shows string
	}{
		{[]string{"(cn=reader)", "1.1"}, 0, "# refldap://second.example:1389/ou=x%20y,dc=z??sub"},
		{[]string{"-M", "(ou=Far)", "ref"}, 0, "ref: ldap://plain.example"},
		{[]string{"-E", "!domainScope", "(cn=reader)", "1.1"}, 0, "dn: cn=reader"},
	} {
		out, code := r.program(nil, "ldapsearch", append(args[:len(args):len(args)], x.args...)...)
		if code != x.code || !strings.Contains(out, x.shows) || strings.Contains(out, "# ref") != strings.HasPrefix(x.shows, "# ref") {
			t.Errorf("%q: exit %d:\n%s", x.args, code, out)
		}
	}
}
