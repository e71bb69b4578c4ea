package ldap_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	client "github.com/go-ldap/ldap/v3"

	"cardinal/directory/ldap"
	"cardinal/directory/tree"
)

// consumer is a slapd as Debian ships it that follows us (syncrepl).
type consumer struct {
	t       testing.TB
	conf    string
	address string
	cmd     *exec.Cmd
	log     bytes.Buffer
}

// copying is how a consumer copies, and who it binds as.
type copying struct{ kind, dn, password string }

func newConsumer(t testing.TB, provider, kind string, more ...string) *consumer {
	return newConsumerOf(t, provider, copying{kind, rootDN, rootPassword}, more...)
}

func newConsumerOf(t testing.TB, provider string, how copying, more ...string) *consumer {
	need(t, "/usr/sbin/slapd", "slapd")
	dir := t.TempDir()
	nhs, err := filepath.Abs("../schema/nhs/nhs.schema")
	must(t, err)
	c := &consumer{t: t, conf: filepath.Join(dir, "slapd.conf"), address: quietAddress(t)} // it is stopped and started there
	conf := fmt.Sprintf(`include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include %s
include %s
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
database mdb
suffix "o=nhs"
rootdn "cn=here,o=nhs"
rootpw here
directory %s
maxsize 1073741824
%s
index objectClass,entryUUID,entryCSN eq
syncrepl rid=001 provider=ldap://%s type=%s searchbase="o=nhs" bindmethod=simple
  binddn="%s" credentials="%s" retry="1 +" interval=00:00:00:01 schemachecking=off
`, nhs, filepath.Join(filepath.Dir(filepath.Dir(nhs)), "cardinal.schema"), dir, strings.Join(more, "\n"), provider, how.kind, how.dn, how.password)
	must(t, os.WriteFile(c.conf, []byte(conf), 0o600))
	c.start()
	t.Cleanup(c.stop)
	return c
}

func (c *consumer) start() {
	c.cmd = exec.Command("/usr/sbin/slapd", "-d", "sync", "-f", c.conf, "-h", "ldap://"+c.address)
	c.cmd.Stderr = &c.log
	must(c.t, c.cmd.Start())
}

func (c *consumer) stop() {
	if c.cmd == nil {
		return
	}
	_ = c.cmd.Process.Signal(os.Interrupt)
	_ = c.cmd.Wait()
	c.cmd = nil
}

// local are operational attributes that each server computes for itself.
func local(name string) bool {
	return slices.Contains([]string{"entrydn", "subschemasubentry", "hassubordinates", "numsubordinates", "contextcsn", "memberof",
		"userpassword", "roleactive", "cardstatus", "certificatenotafter", "certificateexpiresindays"}, strings.ToLower(name))
}

// dump is the complete content of a server, as text.
func dump(c *client.Conn) (map[string]string, error) {
	request := client.NewSearchRequest("o=nhs", client.ScopeWholeSubtree, 0, 0, 0, false, "(objectClass=*)", []string{"*", "+"},
		[]client.Control{client.NewControlManageDsaIT(true)})
	r, err := c.Search(request)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, e := range r.Entries {
		var lines []string
		for _, a := range e.Attributes {
			if local(a.Name) {
				continue
			}
			for _, v := range a.ByteValues {
				lines = append(lines, fmt.Sprintf("%s: %q", strings.ToLower(a.Name), v))
			}
		}
		slices.Sort(lines)
		out[strings.ToLower(e.DN)] = strings.Join(lines, "\n")
	}
	return out, nil
}

func (c *consumer) dump() (map[string]string, error) {
	conn, err := client.DialURL("ldap://" + c.address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.Bind("cn=here,o=nhs", "here"); err != nil {
		return nil, err
	}
	return dump(conn)
}

// equals waits until the consumer holds what we hold.
func (c *consumer) equals(r *rig, when string) {
	c.t.Helper()
	var difference string
	here := r.dial(rootDN, rootPassword)
	defer here.Close()
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		want, err := dump(here)
		must(c.t, err)
		got, err := c.dump()
		if err != nil {
			difference = err.Error()
			continue
		}
		if difference = compareDumps(got, want); difference == "" {
			return
		}
	}
	c.t.Fatalf("%s: the consumer never became equal:\n%s\nits log ends with\n%s", when, difference, tail(c.log.String(), 3000))
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

func compareDumps(got, want map[string]string) string {
	var out []string
	for dn, w := range want {
		if g, ok := got[dn]; !ok {
			out = append(out, "missing "+dn)
		} else if g != w {
			out = append(out, fmt.Sprintf("%s differs:\n  there\n%s\n  here\n%s", dn, g, w))
		}
	}
	for dn := range got {
		if _, ok := want[dn]; !ok {
			out = append(out, "too much: "+dn)
		}
	}
	slices.Sort(out)
	return strings.Join(out[:min(len(out), 6)], "\n")
}

// load writes random updates by LDAP: entries, containers, groups, moves.
type load struct {
	t       testing.TB
	r       *rig
	conn    *client.Conn
	random  *rand.Rand
	numbers int
}

func newLoad(t *testing.T, r *rig, seed uint64) *load {
	return &load{t: t, r: r, conn: r.dial(rootDN, rootPassword), random: rand.New(rand.NewPCG(seed, 9))}
}

// all are the entries below ou=Services.
func (l *load) all() []string {
	got, err := search(l.conn, "ou=Services,o=nhs", "(objectClass=*)", "1.1")
	must(l.t, err)
	return names(got)
}

func (l *load) pick(of []string) string { return of[l.random.IntN(len(of))] }

// step makes one update. Those that cannot be are refused, and that is well.
func (l *load) step() {
	all := l.all()
	l.numbers++
	one := l.pick(all)
	if l.random.IntN(10) > 5 && len(all) > 1 {
		one = l.pick(slices.DeleteFunc(slices.Clone(all), func(dn string) bool { return dn == "ou=Services,o=nhs" }))
	}
	kind := l.random.IntN(10)
	if one == "ou=Services,o=nhs" {
		kind = min(kind, 4)
	}
	switch kind {
	case 0, 1, 2:
		add := client.NewAddRequest(fmt.Sprintf("ou=u%d,%s", l.numbers, one), nil)
		add.Attribute("objectClass", []string{"organizationalUnit"})
		l.done(l.conn.Add(add))
	case 3:
		add := client.NewAddRequest(fmt.Sprintf("cn=g%d,%s", l.numbers, one), nil)
		add.Attribute("objectClass", []string{"groupOfNames"})
		add.Attribute("member", []string{alex, "cn=x"})
		l.done(l.conn.Add(add))
	case 4, 5:
		mod := client.NewModifyRequest(one, nil)
		mod.Replace("description", []string{fmt.Sprintf("changed %d", l.numbers), l.pick([]string{"a", "b"})})
		l.done(l.conn.Modify(mod))
	case 6:
		mod := client.NewModifyRequest(one, nil)
		mod.Add("member", []string{fmt.Sprintf("cn=m%d", l.numbers)})
		l.done(l.conn.Modify(mod))
	case 7:
		l.done(l.conn.Del(client.NewDelRequest(one, nil)))
	case 8:
		l.done(l.conn.ModifyDN(client.NewModifyDNRequest(one, fmt.Sprintf("%s=r%d", one[:2], l.numbers), l.random.IntN(2) == 0, "")))
	case 9:
		l.done(l.conn.ModifyDN(client.NewModifyDNRequest(one, fmt.Sprintf("%s=v%d", one[:2], l.numbers), true, l.pick(all))))
	}
}

func (l *load) done(err error) {
	if client.IsErrorWithCode(err, client.ErrorNetwork) || client.IsErrorWithCode(err, 80) {
		l.t.Errorf("an update failed: %v", err)
	}
}

// restart stops the server and serves the same on the same port.
func (r *rig) restart(change func(c *ldap.Config)) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	must(r.t, r.server.Shutdown(ctx))
	config := r.config
	if change != nil {
		change(&config)
	}
	var err error
	r.server, err = ldap.New(config)
	must(r.t, err)
	l, err := net.Listen("tcp", r.plain)
	for deadline := time.Now().Add(time.Minute); err != nil && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		l, err = net.Listen("tcp", r.plain) // another connection may have been given the port meanwhile
	}
	must(r.t, err)
	server, ended := r.server, make(chan struct{})
	go func() { defer close(ended); _ = server.Serve(l) }()
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil && !errors.Is(err, ldap.ErrServerClosed) {
			r.t.Errorf("shutting down: %v", err)
		}
		<-ended
	})
}

func TestUnmodifiedSlapdFollowsAndStaysEqual(t *testing.T) {
	t.Parallel()
	need(t, "/usr/sbin/slapd", "slapd")
	r := newRigKeeping(t, tree.History{Changes: 60}, nil)
	r.ldif(workforce)
	r.ldif("dn: uniqueIdentifier=card,uid=900000000017,ou=People,o=nhs\nobjectClass: cardinalCard\nuniqueIdentifier: card\ncardState: active\ncardNotAfter: 20300101000000Z\n\n")
	persists, polls := newConsumer(t, r.plain, "refreshAndPersist"), newConsumer(t, r.plain, "refreshOnly")
	persists.equals(r, "at first")
	l := newLoad(t, r, 1)
	both := func(when string) {
		t.Helper()
		persists.equals(r, when+", persisting")
		polls.equals(r, when+", polling")
	}
	mod := client.NewModifyRequest(reader, nil)
	mod.Replace("userPassword", []string{"changed alone"})
	must(t, l.conn.Modify(mod))
	both("after a password was changed")
	r.copies(persists, reader)
	for range 60 {
		l.step()
	}
	both("under load")
	persists.stop()
	for range 30 {
		l.step()
	}
	persists.start()
	for range 20 {
		l.step()
	}
	both("after the consumer was restarted")
	l.conn.Close()
	r.restart(nil)
	l.conn = r.dial(rootDN, rootPassword)
	for range 40 {
		l.step()
	}
	both("after we were restarted")
	persists.stop()
	polls.stop()
	for range 150 {
		l.step()
	}
	persists.start()
	polls.start()
	both("cut off for longer than history is kept")
	t.Log(len(l.all()), "entries in the end")
	r.copiesPasswords(persists)
}

// copiesPasswords checks that one who may replicate has the verifiers.
func (r *rig) copiesPasswords(c *consumer) { r.copies(c, alex) }

func (r *rig) copies(c *consumer, whose string) {
	conn, err := client.DialURL("ldap://" + c.address)
	must(r.t, err)
	defer conn.Close()
	must(r.t, conn.Bind("cn=here,o=nhs", "here"))
	got, err := search(conn, whose, "(objectClass=*)", "userPassword", "entryUUID")
	must(r.t, err)
	key, err := r.schema.ParseKey(whose)
	must(r.t, err)
	must(r.t, r.tree.Get(key, func(e *tree.Entry) error {
		want, err := e.Secrets("userPassword")
		if err != nil || len(want) != 1 || len(got) == 0 || got[0].GetAttributeValue("userPassword") != string(want[0]) {
			r.t.Errorf("a consumer that may replicate has other passwords: %q, %v, want %q", got[0].GetAttributeValues("userPassword"), err, want)
		}
		return err
	}))
}

func TestLdapsearchSyncs(t *testing.T) {
	t.Parallel()
	need(t, "ldapsearch", "ldap-utils")
	r := newRig(t, nil)
	r.ldif(workforce)
	sync := func(mode string) string {
		out, code := r.program(nil, "ldapsearch", "-x", "-H", "ldap://"+r.plain, "-D", reader, "-w", "reading", "-b", "o=nhs", "-E", "!sync="+mode, "(objectClass=*)", "1.1")
		if code != 0 {
			t.Fatalf("ldapsearch ends with %d:\n%s", code, out)
		}
		return out
	}
	first := sync("ro")
	cookie := regexp.MustCompile(`(?m)^# SyncDone control refreshDeletes=0\n# cookie: (rid=\S+)`).FindStringSubmatch(first)
	if strings.Count(first, "added") != 8 || cookie == nil {
		t.Fatalf("at first:\n%s", first)
	}
	l := newLoad(t, r, 1)
	l.add(unit, "x")
	l.remove(unit)
	l.describe("ou=Services,o=nhs", "y")
	again := sync("ro/" + cookie[1])
	if strings.Count(again, "control, UUID") != 3 || !strings.Contains(again, "deleted") || !strings.Contains(again, "refreshDeletes=1") {
		t.Errorf("with its cookie:\n%s", again)
	}
}
