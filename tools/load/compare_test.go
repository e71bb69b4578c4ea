package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// slapdPeer sets slapd up as tools/load/peers does, with a few people.
func slapdPeer(t *testing.T) (plain, secure, dir string, pid int) {
	t.Helper()
	if _, err := os.Stat("/usr/sbin/slapd"); err != nil {
		t.Skipf("needs %s: apt-get install -y %s", "slapd", "slapd")
	}
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skipf("needs %s: apt-get install -y %s", "openssl", "openssl")
	}
	dir = t.TempDir()
	people := filepath.Join(dir, "people.ldif")
	if err := run(t.Context(), []string{"data", "--people", "60", "--organisations", "5", "--services", "20", "--logins", "5", "--out", people}, nil); err != nil {
		t.Fatal(err)
	}
	plain, secure = freePorts(t)
	environment := append(os.Environ(), "SLAPD_PORT="+plain, "SLAPD_TLS_PORT="+secure)
	load := exec.Command("peers/slapd.sh", "load", dir, people)
	load.Env = environment
	if said, err := load.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	serve := exec.Command("peers/slapd.sh", "serve", dir)
	serve.Env = environment
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = serve.Process.Kill(); _ = serve.Wait() })
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp", "127.0.0.1:"+secure); err == nil {
			_ = conn.Close()
			return "ldap://127.0.0.1:" + plain, "ldaps://127.0.0.1:" + secure, dir, serve.Process.Pid
		}
		if time.Now().After(deadline) {
			t.Fatal("slapd does not answer")
		}
	}
}

// freePorts finds two ports nobody listens on, below those that systems give out by themselves: one of those could be
// another's by the time slapd has been set up.
func freePorts(t *testing.T) (plain, secure string) {
	t.Helper()
	for tries := 0; ; tries++ {
		first := 9000 + 2*rand.IntN(500)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first))
		if err == nil {
			var second net.Listener
			if second, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+1)); err == nil {
				_ = second.Close()
			}
			_ = l.Close()
		}
		switch {
		case err == nil:
			return strconv.Itoa(first), strconv.Itoa(first + 1)
		case tries == 100:
			t.Fatal(err)
		}
	}
}

// TestEveryLoadIsRightAgainstSlapd has a foreign server judge what the loads
// ask and expect.
func TestEveryLoadIsRightAgainstSlapd(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	plain, secure, dir, pid := slapdPeer(t)
	people := []string{"--people", "60", "--organisations", "5", "--trust", filepath.Join(dir, "server.pem")}
	do := func(t *testing.T, args ...string) string {
		var out bytes.Buffer
		if err := run(t.Context(), append(args, people...), &out); err != nil {
			t.Fatalf("%v: %s", err, out.String())
		}
		return out.String()
	}
	t.Run("compare", func(t *testing.T) {
		text := do(t, "compare", "--ours", plain, "--theirs", secure, "--ours-pid", fmt.Sprint(pid), "--rounds", "1", "--seconds", "0.1",
			"--connections", "3", "--services", "20", "--operations", "login,search,base,prefix,bind,modify@2,mixed", "--json")
		var table []versus
		if err := json.Unmarshal([]byte(text), &table); err != nil || len(table) != 7 {
			t.Fatalf("%v: %s", err, text)
		}
		for _, v := range table {
			if v.Ours.Rate <= 0 || v.Theirs.Rate <= 0 || v.RateRatio <= 0 {
				t.Errorf("%+v", v)
			}
		}
	})
	t.Run("binds", func(t *testing.T) {
		if text := do(t, "binds", "--url", secure, "--connections", "20", "--logins", "5", "--watchers", "1", "--seconds", "1"); !strings.Contains(text, "20 binds at once") {
			t.Errorf("got %s", text)
		}
	})
	t.Run("hostile", func(t *testing.T) {
		if text := do(t, "hostile", "--url", plain, "--connections", "2", "--slow", "3", "--half-open", "3", "--rounds", "1", "--seconds", "0.1"); !strings.Contains(text, "3 slow readers") {
			t.Errorf("got %s", text)
		}
	})
	t.Run("idle", func(t *testing.T) {
		var out bytes.Buffer
		if err := run(t.Context(), []string{"idle", "--url", secure, "--trust", filepath.Join(dir, "server.pem"), "--pid", fmt.Sprint(pid), "--connections", "10", "--settle", "0.1"}, &out); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), "10 idle connections") {
			t.Errorf("got %s", out.String())
		}
	})
}

func TestCompareRefusesWhatIsNoOperation(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"dance", "login@", "login@0"} {
		if _, err := (&comparing{}).compare(t.Context(), text); err == nil {
			t.Errorf("%q is taken for an operation", text)
		}
	}
}
