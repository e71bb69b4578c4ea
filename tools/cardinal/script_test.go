package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs testdata/*.txt: whole stories with the real commands on
// free ports, and programs that are not ours as referees.
func TestScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	program := shippedProgram(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", program+string(os.PathListSeparator)+e.Getenv("PATH"))
			pass := filepath.Join(e.WorkDir, "pass")
			e.Setenv("CARDINAL_PASSPHRASE_FILE", pass)
			return os.WriteFile(pass, []byte("correct horse\n"), 0o600)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"freeport":   scriptFreePort,
			"configure":  scriptConfigure,
			"serving":    scriptServing,
			"waitfor":    scriptWaitFor,
			"eventually": scriptEventually,
			"shown":      scriptShown,
			"field":      scriptField,
			"photo":      scriptPhoto,
			"flip":       scriptFlip,
			"mode":       scriptMode,
			"drop":       scriptDrop,
		},
	})
}

// scriptFreePort VAR sets VAR to a port nobody listens on.
func scriptFreePort(ts *testscript.TestScript, _ bool, args []string) {
	address, err := nobodysAddress()
	ts.Check(err)
	_, port, _ := net.SplitHostPort(address)
	ts.Setenv(args[0], port)
}

// handedOut are the ports that tests were given: one is another's from then on, though nobody listens on it yet or at the
// moment.
var handedOut struct {
	sync.Mutex
	ports map[int]bool
}

// nobodysAddress finds a port that no other test is given, below those that systems give out by themselves and those that
// demos choose.
func nobodysAddress() (string, error) {
	handedOut.Lock()
	defer handedOut.Unlock()
	if handedOut.ports == nil {
		handedOut.ports = map[int]bool{}
	}
	for tries := 0; ; tries++ {
		port := 10_000 + rand.IntN(10_000)
		if handedOut.ports[port] {
			continue
		}
		address := fmt.Sprintf("127.0.0.1:%d", port)
		listener, err := net.Listen("tcp", address)
		if err == nil {
			handedOut.ports[port] = true
			return address, listener.Close()
		}
		if tries == 100 {
			return "", err
		}
	}
}

func testAddress(t *testing.T) string {
	t.Helper()
	address, err := nobodysAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// scriptConfigure DIR STATUSPORT has every listener but the status one take
// any free port, lets passwords cross loopback, and watches over members and
// mail addresses of services.
func scriptConfigure(ts *testscript.TestScript, _ bool, args []string) {
	path := folder(ts.MkAbs(args[0])).config()
	c, err := readConfig(path)
	ts.Check(err)
	const free = "127.0.0.1:0"
	c.Listen = Listen{LDAP: free, LDAPS: free, Status: "127.0.0.1:" + args[1], Issuance: free, Operations: free}
	c.Feed.Listen = free
	c.Directory.AllowPlaintextBind = true
	c.Directory.Referrals = []string{"ldaps://write.example.org"}
	c.Directory.Integrity = Integrity{Attributes: []string{"member"}}
	c.Directory.Unique = []Unique{{Attributes: []string{"mail"}, Base: "ou=Services,o=nhs"}}
	text, err := c.commented()
	ts.Check(err)
	root := "  - {dn: " + c.Suffixes[0].DN + ", rootDN: \"cn=root," + c.Suffixes[0].DN + "\", passwordFile: ../rootpw}"
	text = []byte(strings.Replace(string(text), "  - \""+c.Suffixes[0].DN+"\"", root, 1))
	ts.Check(os.WriteFile(path, text, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("rootpw"), []byte("secret\n"), 0o600))
}

// scriptServing DIR waits until the serve of a folder is ready and sets LDAP,
// LDAPS, STATUS, ISSUANCE and OPERATIONS to its addresses.
func scriptServing(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(3 * time.Minute); ; {
		r, err := readReady(ts.MkAbs(args[0]))
		if err == nil {
			for name, value := range map[string]string{"LDAP": r.LDAP, "LDAPS": r.LDAPS, "STATUS": r.Status, "ISSUANCE": r.Issuance, "OPERATIONS": r.Operations, "FEED": r.Feed} {
				ts.Setenv(name, value)
			}
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("not ready after three minutes: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// scriptWaitFor FILE waits until it exists.
func scriptWaitFor(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s is not there after three minutes", args[0])
		}
	}
}

// scriptEventually PROGRAM ARGS… runs a program until it succeeds: for what a
// server takes up by itself, or has answered from before.
func scriptEventually(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if err := ts.Exec(args[0], args[1:]...); err == nil {
			return
		} else if time.Now().After(deadline) {
			ts.Fatalf("%s has not succeeded for three minutes: %v", strings.Join(args, " "), err)
		}
	}
}

// scriptShown waits until the copy that answers holds all that was committed.
// Where the last command said that it does ("visible":true) it does not wait:
// what is asked next must know.
func scriptShown(ts *testscript.TestScript, _ bool, _ []string) {
	if strings.Contains(ts.ReadFile("stdout"), `"visible":true`) {
		return
	}
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		committed, err := measured(ts.Getenv("OPERATIONS"), "cardinal_ledger_position ")
		ts.Check(err)
		copied, err := measured(ts.Getenv("OPERATIONS"), "cardinal_replica_position ")
		ts.Check(err)
		if committed >= 0 && copied >= committed { // a ledger that cannot be read now is at -1
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("after three minutes the copy is at %v, the ledger at %v", copied, committed)
		}
	}
}

// measured reads one of a server's metrics.
func measured(operations, name string) (float64, error) {
	answer, err := http.Get(operations + "/metrics")
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err
	}
	_, value, _ := strings.Cut("\n"+string(text), "\n"+name)
	value, _, _ = strings.Cut(value, "\n")
	return strconv.ParseFloat(value, 64)
}

// scriptField VAR PATH… sets VAR to a field of the JSON the last command
// printed; a path is names, one an argument.
func scriptField(ts *testscript.TestScript, _ bool, args []string) {
	lines := strings.Split(strings.TrimSpace(ts.ReadFile("stdout")), "\n")
	var value any
	ts.Check(json.Unmarshal([]byte(lines[len(lines)-1]), &value))
	for _, name := range args[1:] {
		object, ok := value.(map[string]any)
		if !ok || object[name] == nil {
			ts.Fatalf("no field %s in %s", name, lines[len(lines)-1])
		}
		value = object[name]
	}
	ts.Setenv(args[0], fmt.Sprint(value))
}

// scriptFlip FILE OFFSET changes one bit of a file; a negative offset counts
// from the end.
func scriptFlip(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	data, err := os.ReadFile(path)
	ts.Check(err)
	var at int
	_, err = fmt.Sscan(args[1], &at)
	ts.Check(err)
	if at < 0 {
		at += len(data)
	}
	data[at] ^= 1
	ts.Check(os.WriteFile(path, data, 0o600))
}

// scriptMode DIR fails unless folders are 0700 and files 0600.
func scriptMode(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := os.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			return fmt.Errorf("%s has mode %04o, want %04o", path, info.Mode().Perm(), want)
		}
		return nil
	}))
}

// scriptDrop FILE… removes files, those that match a pattern too.
func scriptDrop(ts *testscript.TestScript, _ bool, args []string) {
	for _, pattern := range args {
		found, err := filepath.Glob(ts.MkAbs(pattern))
		ts.Check(err)
		for _, path := range found {
			ts.Check(os.RemoveAll(path))
		}
	}
}

// TestServeEndsWithZeroOnSIGTERM: ten seconds are promised; a machine that is busy, or stands still, needs room.
func TestServeEndsWithZeroOnSIGTERM(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	dir := t.TempDir()
	pass := filepath.Join(dir, "pass")
	if err := os.WriteFile(pass, []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := filepath.Join(dir, "d")
	if code, _, stderr := program(t, "init", "--dir", d, "--public-url", "http://127.0.0.1:1", "--passphrase-file", pass); code != 0 {
		t.Fatal(stderr)
	}
	c, err := readConfig(folder(d).config())
	if err != nil {
		t.Fatal(err)
	}
	const free = "127.0.0.1:0"
	c.Listen = Listen{LDAP: free, LDAPS: free, Status: free, Issuance: free, Operations: free}
	text, err := c.commented()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(folder(d).config(), text, 0o600); err != nil {
		t.Fatal(err)
	}
	p := exec.Command("cardinal", "serve", "--dir", d, "--passphrase-file", pass)
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	var r ready
	if err := json.NewDecoder(out).Decode(&r); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"ldap": r.LDAP, "ldaps": r.LDAPS, "http": r.Status, "https": r.Issuance} {
		if u, err := url.Parse(text); err != nil || u.Scheme != name || u.Port() == "0" || u.Port() == "" {
			t.Errorf("%s is announced as %q", name, text)
		}
	}
	begun := time.Now()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil || time.Since(begun) > 2*time.Minute {
		t.Errorf("ended with %v after %s", err, time.Since(begun))
	}
	if _, err := os.Stat(folder(d).ready("all")); !os.IsNotExist(err) {
		t.Errorf("ready.json is left: %v", err)
	}
}
