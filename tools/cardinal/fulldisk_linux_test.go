package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	xocsp "golang.org/x/crypto/ocsp"

	"cardinal/internal/disktest"
)

// asShipped runs the program as it ships, which the parent process built.
func asShipped(args ...string) (code int, said string) {
	var out bytes.Buffer
	c := exec.Command(os.Getenv(realKey), args...)
	c.Stdout, c.Stderr = &out, &out
	if err := c.Run(); err != nil && c.ProcessState == nil {
		return -1, err.Error()
	}
	return c.ProcessState.ExitCode(), out.String()
}

// ballast takes what room there is on the disk but for so many bytes.
func ballast(t *testing.T, disk string, but uint64) (remove func()) {
	t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(disk, &s); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(disk, "ballast")
	if err := os.WriteFile(path, make([]byte, max(0, int64(s.Bavail*uint64(s.Bsize))-int64(but))), 0o600); err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return func() { _ = os.Remove(path) }
}

// TestAFullDiskIsSaidAndLosesNothing: serve refuses what it cannot keep and says why, goes on when there is room, and verify
// ends.
func TestAFullDiskIsSaidAndLosesNothing(t *testing.T) {
	t.Parallel()
	disk := disktest.Run(t, "96m", func(string) []string { return []string{realKey + "=" + filepath.Join(shippedProgram(t), "cardinal")} })
	if disk == "" {
		return // it ran, in a process of its own
	}
	d, pass := filepath.Join(disk, "d"), filepath.Join(disk, "pass")
	if err := os.WriteFile(pass, []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, said := asShipped("init", "--dir", d, "--public-url", "http://127.0.0.1:9", "--passphrase-file", pass); code != exitDone {
		t.Fatal(said)
	}
	added := fillAndRelieve(t, disk, d, pass)
	remove := ballast(t, disk, 24<<10)
	begun := time.Now()
	code, said := asShipped("verify", "--dir", d)
	if code == exitDone || !strings.Contains(said, "no space left") && !strings.Contains(said, "full") {
		t.Errorf("verify on a full disk: %d %s", code, said)
	}
	t.Logf("verify ended after %s: %s", time.Since(begun), said)
	remove()
	code, said = asShipped("verify", "--dir", d, "--json")
	var report verifyReport
	if code != exitDone || json.Unmarshal([]byte(said[strings.LastIndexByte(strings.TrimSpace(said), '\n')+1:]), &report) != nil || !report.OK {
		t.Errorf("verify with room again: %d %s", code, said)
	}
	if _, out := asShipped("export", "--dir", d); strings.Count(out, "objectClass: nhsPerson\n") != added {
		t.Errorf("of %d people there are %d", added, strings.Count(out, "objectClass: nhsPerson\n"))
	}
}

// fillAndRelieve serves while the disk fills up and gets room again, and gives how many people were added.
func fillAndRelieve(t *testing.T, disk, d, pass string) (added int) {
	c, err := readConfig(folder(d).config())
	if err != nil {
		t.Fatal(err)
	}
	const free = "127.0.0.1:0"
	c.Listen = Listen{LDAP: free, LDAPS: free, Status: free, Issuance: free, Operations: free}
	c.Directory.AllowPlaintextBind, c.Suffixes[0].RootDN, c.Suffixes[0].PasswordFile = true, "cn=root,o=nhs", pass
	text, err := c.commented()
	if err != nil || os.WriteFile(folder(d).config(), text, 0o600) != nil {
		t.Fatal(err)
	}
	serve := exec.Command(os.Getenv(realKey), "serve", "--dir", d, "--passphrase-file", pass)
	out, err := serve.StdoutPipe()
	if err != nil || serve.Start() != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = serve.Process.Signal(syscall.SIGTERM)
		if err := serve.Wait(); err != nil {
			t.Errorf("serve ended with %v", err)
		}
	}()
	var where ready
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err := errors.Join(err, json.Unmarshal(line, &where)); err != nil {
		t.Fatal(err)
	}
	add := func() (int, string) { return addSomebody(t, d, added) }
	if code, said := add(); code != exitDone {
		t.Fatal(said)
	}
	added++
	remove := ballast(t, disk, 100<<10)
	code, said := exitDone, ""
	for code == exitDone && added < 200 {
		if code, said = add(); code == exitDone {
			added++
		}
	}
	if code == exitDone || !strings.Contains(said, "full") {
		t.Errorf("after %d people on a full disk: %d %s", added, code, said)
	}
	modifyOnFullDisk(t, where.LDAP)
	stillGood := statusOnFullDisk(t, d, where)
	remove()
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if code, said = add(); code == exitDone || time.Now().After(deadline) {
			break
		}
	}
	if code != exitDone {
		t.Errorf("with room again: %d %s", code, said)
	}
	stillGood()
	return added + 1
}

// statusOnFullDisk: OCSP says good or tryLater, and lists are served. What it gives waits for good.
func statusOnFullDisk(t *testing.T, d string, where ready) (recovered func()) {
	t.Helper()
	w, s := &followWorld{t: t}, &served{ready: where, name: "the server"}
	var err error
	w.services, err = readCertificate(filepath.Join(folder(d).certificates(), "services.cer"))
	w.check(err)
	leaf := filepath.Join(d, "keys", "server.cer")
	if r, err := w.ask(s, leaf); !isLater(err) && (err != nil || r.Status != xocsp.Good) {
		t.Errorf("OCSP on a full disk: %+v, %v", r, err)
	}
	w.list(s)
	return func() {
		w.until("OCSP says good with room again", func() bool {
			r, err := w.ask(s, leaf)
			return err == nil && r.Status == xocsp.Good
		})
	}
}

// modifyOnFullDisk: to an update the directory says unavailable, and what is missing.
func modifyOnFullDisk(t *testing.T, url string) {
	t.Helper()
	c, err := ldap.DialURL(url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Bind("cn=root,o=nhs", "x"); err != nil {
		t.Fatal(err)
	}
	for n := 0; err == nil && n < 300; n++ {
		m := ldap.NewModifyRequest("o=nhs", nil)
		m.Replace("description", []string{fmt.Sprint(n, strings.Repeat(" more", 150))})
		err = c.Modify(m)
	}
	if !ldap.IsErrorWithCode(err, ldap.LDAPResultUnavailable) || !strings.Contains(err.Error(), "full") {
		t.Errorf("modifying on a full disk: %v", err)
	}
}

// addSomebody registers somebody unlike the others.
func addSomebody(t *testing.T, d string, n int) (int, string) {
	t.Helper()
	dir := t.TempDir() // on the large disk
	evidence, photo := filepath.Join(dir, "evidence.json"), filepath.Join(dir, "photo.png")
	documents := fmt.Sprintf(`{"documents":[{"kind":"passport","number":"P%07d","photo":true,"expires":"2999-01-01"},
		{"kind":"driving-licence","number":"D%07d","photo":true,"expires":"2999-01-01"},{"kind":"utility-bill","address":true}]}`, n, n)
	image, err := facePNG()
	if err := errors.Join(err, os.WriteFile(evidence, []byte(documents), 0o600), os.WriteFile(photo, image, 0o600)); err != nil {
		t.Fatal(err)
	}
	return asShipped("person", "add", "--as", filepath.Join(d, "operators", "manager.pem"), "--given", "Alex", "--family", "Person"+string(rune('a'+n/26))+string(rune('a'+n%26)),
		"--birth", fmt.Sprintf("19%02d-02-03", n%80+10), "--evidence", evidence, "--photo", photo)
}
