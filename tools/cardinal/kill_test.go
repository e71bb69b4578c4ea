package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// How often the server is killed, and how many updates it acknowledges at least
// before each time.
const (
	killsShort = 5
	killsSoak  = 200
	killAfter  = 20
	killers    = 4 // clients that write
)

// TestEveryAcknowledgedWriteOutlivesKill9 kills a server again and again while
// clients write to it. What was acknowledged must be there afterwards, what was
// not may be; in the end the whole installation must hold together.
func TestEveryAcknowledgedWriteOutlivesKill9(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	kills := killsShort
	if os.Getenv("CARDINAL_SOAK") != "" {
		kills = killsSoak
	}
	w := newKillWorld(t)
	for round := range kills {
		address, server := w.serve()
		w.holds(address, round)
		w.writeUntilKilled(address, server, round)
	}
	address, server := w.serve()
	w.holds(address, kills)
	if err := server.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = server.Wait()
	if code, stdout, stderr := program(t, "verify", "--dir", w.dir); code != 0 {
		t.Errorf("verify: code %d, %s %s", code, stdout, stderr)
	}
	t.Logf("%d kills, %d updates acknowledged", kills, w.acknowledged)
}

// killWorld is an installation and what clients were told of it.
type killWorld struct {
	t         *testing.T
	dir, pass string

	mu           sync.Mutex
	added        map[string]bool // names that must be there
	counters     [killers]int    // the number each client wrote last, as far as it was told
	acknowledged int
}

func newKillWorld(t *testing.T) *killWorld {
	dir := t.TempDir()
	w := &killWorld{t: t, dir: filepath.Join(dir, "d"), pass: filepath.Join(dir, "pass"), added: map[string]bool{}}
	w.check(os.WriteFile(w.pass, []byte("x\n"), 0o600))
	if code, _, stderr := program(t, "init", "--dir", w.dir, "--public-url", "http://127.0.0.1:1", "--passphrase-file", w.pass); code != 0 {
		t.Fatal(stderr)
	}
	c, err := readConfig(folder(w.dir).config())
	w.check(err)
	const free = "127.0.0.1:0"
	c.Listen = Listen{LDAP: free, LDAPS: free, Status: free, Issuance: free, Operations: free}
	c.Suffixes = []Suffix{{DN: "o=nhs", RootDN: "cn=root,o=nhs", PasswordFile: "root.password"}}
	c.Directory.AllowPlaintextBind = true
	text, err := c.commented()
	w.check(err)
	w.check(os.WriteFile(folder(w.dir).config(), text, 0o600))
	w.check(os.WriteFile(filepath.Join(w.dir, "root.password"), []byte("root\n"), 0o600))
	return w
}

func (w *killWorld) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// serve starts the program as it ships and waits until it can be asked.
func (w *killWorld) serve() (address string, server *exec.Cmd) {
	w.t.Helper()
	server = exec.Command(filepath.Join(shippedProgram(w.t), "cardinal"), "serve", "--dir", w.dir, "--passphrase-file", w.pass)
	out, err := server.StdoutPipe()
	w.check(err)
	w.check(server.Start())
	w.t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	var r ready
	if err := json.NewDecoder(out).Decode(&r); err != nil {
		w.t.Fatalf("the server does not come up again: %v", err)
	}
	return r.LDAP, server
}

func (w *killWorld) dial(address string) *ldap.Conn {
	w.t.Helper()
	c, err := ldap.DialURL(address)
	w.check(err)
	c.SetTimeout(time.Minute)
	w.check(c.Bind("cn=root,o=nhs", "root"))
	return c
}

// writeUntilKilled lets clients write, and kills the server once enough was
// acknowledged, at a moment that has nothing to do with any of them.
func (w *killWorld) writeUntilKilled(address string, server *exec.Cmd, round int) {
	enough, kill := context.WithTimeout(w.t.Context(), 5*time.Minute)
	defer kill()
	before := w.acknowledged
	var writing sync.WaitGroup
	for i := range killers {
		c := w.dial(address)
		writing.Go(func() {
			defer c.Close()
			for n := 0; w.write(c, i, fmt.Sprintf("cn=k%d-%d-%d,ou=Services,o=nhs", round, i, n)) == nil; n++ {
				if w.count() >= before+killAfter {
					kill()
				}
			}
		})
	}
	<-enough.Done()
	time.Sleep(time.Duration(round%7) * time.Millisecond)
	w.check(server.Process.Kill())
	_ = server.Wait()
	writing.Wait()
	if w.acknowledged < before+killAfter {
		w.t.Fatalf("%d updates in five minutes", w.acknowledged-before)
	}
}

func (w *killWorld) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.acknowledged
}

// write adds an entry and counts up in another; both are noted once they were
// acknowledged.
func (w *killWorld) write(c *ldap.Conn, client int, dn string) error {
	add := ldap.NewAddRequest(dn, nil)
	add.Attribute("objectClass", []string{"device"})
	if err := c.Add(add); err != nil {
		return err
	}
	w.mu.Lock()
	w.added[dn] = true
	w.acknowledged++
	next := w.counters[client] + 1
	w.mu.Unlock()
	if err := count(c, client, next); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counters[client] = next
	w.acknowledged++
	return nil
}

func counterDN(client int) string { return fmt.Sprintf("cn=counter-%d,ou=Services,o=nhs", client) }

// count writes a number; the first time it makes the entry.
func count(c *ldap.Conn, client, number int) error {
	m := ldap.NewModifyRequest(counterDN(client), nil)
	m.Replace("description", []string{strconv.Itoa(number)})
	err := c.Modify(m)
	if !ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
		return err
	}
	add := ldap.NewAddRequest(counterDN(client), nil)
	add.Attribute("objectClass", []string{"device"})
	add.Attribute("description", []string{strconv.Itoa(number)})
	return c.Add(add)
}

// holds looks for everything that was acknowledged so far.
func (w *killWorld) holds(address string, round int) {
	w.t.Helper()
	c := w.dial(address)
	defer c.Close()
	found, err := c.Search(ldap.NewSearchRequest("ou=Services,o=nhs", ldap.ScopeSingleLevel, 0, 0, 0, false, "(objectClass=device)", []string{"description"}, nil))
	w.check(err)
	there := map[string]string{}
	for _, e := range found.Entries {
		there[e.DN] = e.GetAttributeValue("description")
	}
	for dn := range w.added {
		if _, ok := there[dn]; !ok {
			w.t.Errorf("after kill %d: %s was acknowledged and is lost", round, dn)
		}
	}
	for i, told := range w.counters {
		is, _ := strconv.Atoi(there[counterDN(i)])
		if is != told && is != told+1 { // the one after it may have been written, and not acknowledged
			w.t.Errorf("after kill %d: counter %d is %d, %d was acknowledged", round, i, is, told)
		}
		w.counters[i] = is
	}
}
