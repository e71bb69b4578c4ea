package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// TestRulesAreReadAnewWhileServing changes the rules of a serving process by the
// command and by a hangup signal, and shows it a faulty file.
func TestRulesAreReadAnewWhileServing(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	w := newKillWorld(t)
	c, err := readConfig(folder(w.dir).config())
	w.check(err)
	c.Directory.Rules = "access.yaml"
	text, err := c.commented()
	w.check(err)
	w.check(os.WriteFile(folder(w.dir).config(), text, 0o600))
	rules := func(who string) {
		t.Helper()
		w.check(os.WriteFile(filepath.Join(w.dir, "access.yaml"),
			[]byte("rules:\n  - {name: all, who: ["+who+"], attributes: [entry, \"*\"], rights: [read, search]}\n"), 0o600))
	}
	rules("anonymous")
	address, server := w.serve()
	stranger, err := ldap.DialURL(address)
	w.check(err)
	defer stranger.Close()
	sees := func() bool {
		_, err := stranger.Search(ldap.NewSearchRequest("o=nhs", 0, 0, 0, 0, false, "(objectClass=*)", nil, nil))
		if err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
			t.Fatal(err)
		}
		return err == nil
	}
	if !sees() {
		t.Error("a stranger does not see what the rules show him")
	}
	rules("authenticated")
	if !sees() {
		t.Error("rules hold before they are read")
	}
	if code, _, stderr := program(t, "access", "reload", "--dir", w.dir); code != 0 || sees() {
		t.Errorf("after other rules were read the stranger sees what they hide: code %d, %s", code, stderr)
	}
	rules("anonymous, everyone-else")
	if code, _, stderr := program(t, "access", "reload", "--dir", w.dir); code != 1 || !strings.Contains(stderr, `line 2: access rule 1 (all): unknown who "everyone-else"`) || sees() {
		t.Errorf("a faulty file: code %d, %s", code, stderr)
	}
	rules("anonymous")
	w.check(server.Process.Signal(syscall.SIGHUP))
	for deadline := time.Now().Add(3 * time.Minute); !sees(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a hangup signal changes nothing")
		}
	}
	w.check(server.Process.Signal(os.Interrupt))
	w.check(server.Wait())
	if code, _, _ := program(t, "access", "reload", "--dir", w.dir); code != exitUnreachable {
		t.Errorf("nobody serves: code %d", code)
	}
}
