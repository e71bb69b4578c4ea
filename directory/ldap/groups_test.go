package ldap_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	client "github.com/go-ldap/ldap/v3"

	"cardinal/directory/ldap"
)

// groupRules: the group "auditors" sees everything, others what is open, and of
// the group "secret" not who its members are.
const groupRules = `rules:
  - name: auditors see everything
    who: ["group:cn=auditors,ou=Services,o=nhs"]
    attributes: [entry, "*", "+"]
    rights: [read, search, compare, write]
  - name: whoever is banned sees nothing
    who: ["group:cn=banned,ou=Services,o=nhs"]
    attributes: [entry, "*", "+"]
    rights: [read, search, compare]
    deny: true
  - name: who is in the secret group nobody knows
    who: [authenticated]
    entry: cn=secret,ou=Services,o=nhs
    attributes: [member]
    rights: [read, search, compare]
    deny: true
  - name: nobody knows the hidden
    who: [authenticated]
    filter: (description=hidden)
    attributes: [entry, "*", "+"]
    rights: [read, search, compare]
    deny: true
  - name: authenticated clients read
    who: [authenticated]
    attributes: [entry, "*", "+"]
    rights: [read, search, compare]
`

func groupOf(name, more string, members ...string) string {
	out := fmt.Sprintf("dn: cn=%s,ou=Services,o=nhs\nobjectClass: groupOfNames\ncn: %[1]s\n%s", name, more)
	for _, m := range append(members, "cn=nobody") {
		out += "member: " + m + "\n"
	}
	return out + "\n"
}

func groupRig(t *testing.T) *rig {
	r := newRig(t, func(c *ldap.Config) { c.Rules = ruled(t, c.Tree.Schema(), groupRules) })
	r.ldif(workforce)
	r.ldif(groupOf("a", "", alex, bo) + groupOf("b", "", strings.ToUpper(alex)) + groupOf("secret", "", alex, bo) + groupOf("hidden", "description: hidden\n", alex, bo))
	r.ldif("dn: cn=unique,ou=Services,o=nhs\nobjectClass: groupOfUniqueNames\ncn: unique\nuniqueMember: " + alex + "\n\n")
	return r
}

func dns(entries []*client.Entry) []string {
	out := names(entries)
	slices.Sort(out)
	return out
}

func TestMemberOfFollowsTheGroups(t *testing.T) {
	t.Parallel()
	r := groupRig(t)
	c, root := r.dial(reader, "reading"), r.dial(rootDN, rootPassword)
	groups := func(c *client.Conn, filter string) string {
		found, err := search(c, alex, filter, "memberOf")
		must(t, err)
		if len(found) != 1 {
			return fmt.Sprintf("%d entries", len(found))
		}
		var out []string
		for _, g := range found[0].GetAttributeValues("memberOf") {
			out = append(out, strings.TrimSuffix(strings.TrimPrefix(g, "cn="), ",ou=Services,o=nhs"))
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	for _, x := range []struct{ what, got, want string }{
		{"the reader", groups(c, "(uid=900000000017)"), "2 entries"}, // the person and his place
		{"the reader", groups(c, "(nhsPersonStatus=1)"), "0 entries"},
		{"the reader", groups(c, "(objectClass=nhsPerson)"), "a b unique"},
		{"root", groups(root, "(objectClass=nhsPerson)"), "a b hidden secret unique"},
	} {
		if x.got != x.want {
			t.Errorf("%s sees %q, want %q", x.what, x.got, x.want)
		}
	}
	for filter, want := range map[string][]string{
		"(memberOf=cn=a,ou=Services,o=nhs)":                                   {alex, bo},
		"(memberOf=CN=A, ou=services,o=NHS)":                                  {alex, bo},
		"(memberOf=cn=unique,ou=Services,o=nhs)":                              {alex},
		"(memberOf=cn=secret,ou=Services,o=nhs)":                              nil,
		"(memberOf=cn=hidden,ou=Services,o=nhs)":                              nil,
		"(memberOf=cn=none,ou=Services,o=nhs)":                                nil,
		"(memberOf=*)":                                                        {alex, bo},
		"(&(objectClass=nhsPerson)(memberOf=cn=b,ou=Services,o=nhs))":         {alex},
		"(&(objectClass=nhsPerson)(!(memberOf=cn=b,ou=Services,o=nhs)))":      {bo},
		"(&(objectClass=nhsPerson)(!(memberOf=cn=secret,ou=Services,o=nhs)))": {alex, bo},
	} {
		found, err := search(c, "o=nhs", filter, "1.1")
		must(t, err)
		if got := dns(found); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", filter, got, want)
		}
	}
	for group, want := range map[string]bool{"a": true, "secret": false, "hidden": false} {
		got, err := c.Compare(alex, "memberOf", "cn="+group+",ou=Services,o=nhs")
		must(t, err)
		if got != want {
			t.Errorf("compare memberOf %s: %v", group, got)
		}
	}
	m := client.NewModifyRequest("cn=a,ou=Services,o=nhs", nil)
	m.Delete("member", []string{alex})
	must(t, root.Modify(m))
	if got := groups(c, "(objectClass=nhsPerson)"); got != "b unique" {
		t.Errorf("after he left one: %q", got)
	}
	wants(t, "writing memberOf", root.Modify(func() *client.ModifyRequest {
		m := client.NewModifyRequest("cn=reader,ou=Services,o=nhs", nil)
		m.Add("memberOf", []string{"cn=a,ou=Services,o=nhs"})
		return m
	}()), client.LDAPResultConstraintViolation)
}

// TestRightsByGroupAreCurrent lets a client keep his connection while he joins
// groups and leaves them.
func TestRightsByGroupAreCurrent(t *testing.T) {
	t.Parallel()
	r := groupRig(t)
	root, c := r.dial(rootDN, rootPassword), r.dial(reader, "reading")
	r.ldif(groupOf("auditors", "") + groupOf("banned", ""))
	change := func(group, op string) {
		m := client.NewModifyRequest("cn="+group+",ou=Services,o=nhs", nil)
		if op == "add" {
			m.Add("member", []string{reader})
		} else {
			m.Delete("member", []string{reader})
		}
		must(t, root.Modify(m))
	}
	sees := func(what string, want int) {
		t.Helper()
		found, err := search(c, "ou=Services,o=nhs", "(member="+alex+")", "1.1")
		if err != nil && !client.IsErrorWithCode(err, client.LDAPResultNoSuchObject) {
			t.Fatal(err)
		}
		if len(found) != want {
			t.Errorf("%s he sees %d groups, want %d", what, len(found), want)
		}
	}
	sees("at first", 2)
	change("auditors", "add")
	sees("as an auditor", 4)
	change("auditors", "delete")
	sees("as none any more", 2)
	change("banned", "add")
	sees("banned", 0)
	must(t, root.ModifyDN(client.NewModifyDNRequest("cn=banned,ou=Services,o=nhs", "cn=former", true, "")))
	sees("when the group is called otherwise", 2)
	must(t, root.ModifyDN(client.NewModifyDNRequest("cn=former,ou=Services,o=nhs", "cn=banned", true, "")))
	sees("when it is called so again", 0)
	must(t, root.Del(client.NewDelRequest("cn=banned,ou=Services,o=nhs", nil)))
	sees("when the group is gone", 2)
	change("auditors", "add")
	m := client.NewModifyRequest("cn=a,ou=Services,o=nhs", nil)
	m.Replace("description", []string{"audited"})
	must(t, c.Modify(m))
	change("auditors", "delete")
	wants(t, "writing as none any more", c.Modify(m), client.LDAPResultInsufficientAccessRights)
}

func TestCountsOfSubordinatesLeaveOutTheHidden(t *testing.T) {
	t.Parallel()
	r := groupRig(t)
	r.ldif("dn: cn=all,cn=a,ou=Services,o=nhs\nobjectClass: device\ncn: all\ndescription: hidden\n\n" +
		"dn: cn=some,cn=b,ou=Services,o=nhs\nobjectClass: device\ncn: some\ndescription: hidden\n\n" +
		"dn: cn=more,cn=b,ou=Services,o=nhs\nobjectClass: device\ncn: more\n\n")
	c, root := r.dial(reader, "reading"), r.dial(rootDN, rootPassword)
	for _, x := range []struct {
		c             *client.Conn
		name, has, in string
	}{
		{c, "a", "FALSE", "0"}, {c, "b", "TRUE", "1"}, {root, "a", "TRUE", "1"}, {root, "b", "TRUE", "2"}, {c, "unique", "FALSE", "0"},
	} {
		found, err := search(x.c, "cn="+x.name+",ou=Services,o=nhs", "(objectClass=*)", "hasSubordinates", "numSubordinates")
		must(t, err)
		if has, in := found[0].GetAttributeValue("hasSubordinates"), found[0].GetAttributeValue("numSubordinates"); has != x.has || in != x.in {
			t.Errorf("%s: hasSubordinates %s, numSubordinates %s; want %s, %s", x.name, has, in, x.has, x.in)
		}
	}
	found, err := search(c, "ou=Services,o=nhs", "(&(objectClass=groupOfNames)(hasSubordinates=TRUE))", "1.1")
	must(t, err)
	if got := dns(found); !slices.Equal(got, []string{"cn=b,ou=Services,o=nhs"}) {
		t.Errorf("with something below: %q", got)
	}
}
