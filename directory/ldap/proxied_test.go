package ldap_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	client "github.com/go-ldap/ldap/v3"

	"cardinal/directory"
	"cardinal/directory/ldap"
)

// proxyRules let the reader act for the people, who read and write their own
// entries and nothing else.
const proxyRules = `rules:
  - name: the reader acts for people
    who: ["dn:cn=reader,ou=Services,o=nhs"]
    subtree: ou=People,o=nhs
    attributes: [entry]
    rights: [proxy]
  - name: people see themselves
    who: [selfSubtree]
    attributes: [entry, "*", "+"]
    rights: [read, search, compare, write]
  - name: the reader sees services
    who: ["dn:cn=reader,ou=Services,o=nhs"]
    subtree: ou=Services,o=nhs
    attributes: [entry, "*", "+"]
    rights: [read, search, compare]
`

func ruled(t testing.TB, schema *directory.Schema, text string) *directory.Rules {
	t.Helper()
	rules, err := schema.ParseRules([]byte(text))
	must(t, err)
	return rules
}

// logged is a log several goroutines write.
type logged struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.String()
}

func proxied(id string) client.Control {
	return client.NewControlString("2.16.840.1.113730.3.4.18", true, id)
}

func TestProxiedRequestsHaveTheRightsOfTheTargetAlone(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	var log logged
	r := newRig(t, func(c *ldap.Config) {
		c.Rules = ruled(t, c.Tree.Schema(), proxyRules)
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	r.ldif(workforce)
	c := r.dial(reader, "reading")
	find := func(c *client.Conn, base, id string) ([]*client.Entry, error) {
		got, err := c.Search(client.NewSearchRequest(base, client.ScopeWholeSubtree, 0, 0, 0, false, "(objectClass=*)", []string{"1.1"}, []client.Control{proxied(id)}))
		if got == nil {
			return nil, err
		}
		return got.Entries, err
	}
	_, err := search(c, alex, "(objectClass=*)")
	wants(t, "the reader himself", err, 32)
	for _, id := range []string{"dn:" + alex, "dn:UID=900000000017, ou=people,O=nhs", "u:900000000017"} {
		if got, err := find(c, alex, id); err != nil || len(got) != 3 {
			t.Errorf("%s: %v, %v", id, names(got), err)
		}
	}
	_, err = find(c, reader, "dn:"+alex)
	wants(t, "what only the reader sees", err, 32)
	for _, id := range []string{"dn:" + rootDN, "dn:" + reader, "dn:uid=none,ou=People,o=nhs", "dn:nonsense", "u:none", "x:" + alex, alex} {
		_, err = find(c, alex, id)
		wants(t, id, err, 123)
	}
	_, err = find(r.dial("", ""), alex, "dn:"+alex)
	wants(t, "by nobody", err, 123)
	_, err = find(r.dial(alex, "alex's password"), bo, "dn:"+bo)
	wants(t, "by one without the right", err, 123)
	root := r.dial(rootDN, rootPassword)
	if got, err := find(root, "o=nhs", "dn:"+bo); err != nil || len(got) != 1 {
		t.Errorf("a root identity as bo sees %v, %v", names(got), err)
	}
	if text := log.String(); !strings.Contains(text, `by="cn=reader,ou=Services,o=nhs" for="`+alex) {
		t.Errorf("not both identities are logged: %s", text)
	}
}

func TestProxiedAuthorizationServesEveryOperation(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, func(c *ldap.Config) {
		c.Rules = ruled(t, c.Tree.Schema(), strings.ReplaceAll(proxyRules, "ou=People", "ou=Services")+`  - name: a service keeps its entry
    who: ["dn:cn=keeper,ou=Services,o=nhs"]
    subtree: ou=Services,o=nhs
    attributes: [entry, "*", "+"]
    rights: [read, search, compare, write]
`)
	})
	keeper := "cn=keeper,ou=Services,o=nhs"
	r.ldif(workforce + "\ndn: " + keeper + "\nobjectClass: inetOrgPerson\ncn: keeper\nsn: keeper\nuserPassword: keeping\n")
	c := r.dial(reader, "reading")
	as := []client.Control{proxied("dn:" + keeper)}
	one := "cn=one,ou=Services,o=nhs"
	add := client.NewAddRequest(one, nil)
	add.Attribute("objectClass", []string{"device"})
	wants(t, "add as oneself", c.Add(add), 50)
	add.Controls = as
	wants(t, "add", c.Add(add), 0)
	mod := client.NewModifyRequest(one, as)
	mod.Add("description", []string{"kept"})
	wants(t, "modify", c.Modify(mod), 0)
	found, err := search(c, one, "(objectClass=*)", "creatorsName", "modifiersName")
	must(t, err)
	if len(found) != 1 || found[0].GetAttributeValue("modifiersName") != keeper {
		t.Errorf("the target is not the author: %v", found)
	}
	w := openWire(t, r.plain, r.schema)
	w.send(bind(1, reader, "reading"))
	w.until(1, wireWait)
	asKeeper := control("2.16.840.1.113730.3.4.18", true, []byte("dn:"+keeper))
	for _, x := range []struct {
		name string
		pdu  []byte
		want string
	}{
		{"compare", withControls(compare(2, one, "description", "kept"), asKeeper), "#2 op6F code 6"},
		{"move", withControls(move(2, one, rename{"cn=two", true, ""}), asKeeper), "#2 op6D code 0"},
		{"delete", withControls(envelope(2, 0x4A, []byte("cn=two,ou=Services,o=nhs")), asKeeper), "#2 op6B code 0"},
		{"not critical", withControls(compare(2, one, "cn", "x"), control("2.16.840.1.113730.3.4.18", false, []byte("dn:"+keeper))), "#2 op6F code 2"},
		{"without a value", withControls(compare(2, one, "cn", "x"), control("2.16.840.1.113730.3.4.18", true, nil)), "#2 op6F code 2"},
		{"twice", withControls(compare(2, one, "cn", "x"), asKeeper, asKeeper), "#2 op6F code 2"},
		{"StartTLS", envelope(2, 0x77, append([]byte{0x80, 22}, "1.3.6.1.4.1.1466.20037"...), asKeeper), "#2 op78 code 12"},
		{"bind", withControls(bind(2, "", ""), asKeeper), "#2 op61 code 12"},
	} {
		w.send(x.pdu)
		if got := w.until(2, wireWait); got != x.want {
			t.Errorf("%s: %s, want %s", x.name, got, x.want)
		}
	}
	who, err := r.dial(reader, "reading").WhoAmI(as)
	if err != nil || who.AuthzID != "dn:"+keeper {
		t.Errorf("whoami: %v, %v", who, err)
	}
}

func TestLdapToolsActForOthers(t *testing.T) {
	t.Parallel()
	need(t, "ldapsearch", "ldap-utils")
	r := newRig(t, func(c *ldap.Config) { c.Rules = ruled(t, c.Tree.Schema(), proxyRules) })
	r.ldif(workforce)
	plain := []string{"-x", "-H", "ldap://" + r.plain, "-D", reader, "-w", "reading"}
	for _, x := range []struct {
		name, program string
		args          []string
		code          int
		shows         string
	}{
		{"search", "ldapsearch", []string{"-LLL", "-e", "!authzid=dn:" + alex, "-b", alex, "mail"}, 0, "mail: alex@example.org"},
		{"search for a user name", "ldapsearch", []string{"-LLL", "-e", "!authzid=u:900000000017", "-b", alex, "mail"}, 0, "mail: alex@example.org"},
		{"search for root", "ldapsearch", []string{"-LLL", "-e", "!authzid=dn:" + rootDN, "-b", alex, "mail"}, 123, ""},
		{"whoami", "ldapwhoami", []string{"-e", "!authzid=dn:" + alex}, 0, "dn:" + alex},
		{"whoami as nobody", "ldapwhoami", []string{"-e", "!authzid="}, 0, "anonymous"},
		{"compare", "ldapcompare", []string{"-e", "!authzid=dn:" + alex, alex, "sn:Example"}, 6, "TRUE"},
		{"password of what is managed", "ldappasswd", []string{"-e", "!authzid=dn:" + alex, "-s", "new password"}, 1, "(53)"},
	} {
		out, code := r.program(nil, x.program, append(plain[:len(plain):len(plain)], x.args...)...)
		if code != x.code || !strings.Contains(out, x.shows) {
			t.Errorf("%s: exit %d, want %d, showing %q:\n%s", x.name, code, x.code, x.shows, out)
		}
	}
}
