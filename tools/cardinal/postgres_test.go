package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cardinal/internal/ledger/pgtest"
)

// TestAnInstallationOnPostgreSQLIsBackedUpToSQLite: init, import and backup
// with the ledger in PostgreSQL; the backup comes back into a file.
func TestAnInstallationOnPostgreSQLIsBackedUpToSQLite(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	url := pgtest.URL(t)
	dir := t.TempDir()
	pass, d, sealed, again, ldif := filepath.Join(dir, "pass"), filepath.Join(dir, "d"), filepath.Join(dir, "sealed"), filepath.Join(dir, "again"), filepath.Join(dir, "x.ldif")
	for path, text := range map[string]string{pass: "x\n", ldif: "dn: ou=extra,ou=Services,o=nhs\nobjectClass: organizationalUnit\nou: extra\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	must := func(args ...string) string {
		t.Helper()
		code, stdout, stderr := program(t, args...)
		if code != exitDone {
			t.Fatalf("%s: %d %s", args[0], code, stderr)
		}
		return stdout
	}
	must("init", "--dir", d, "--public-url", "http://127.0.0.1:9", "--ledger-url", url, "--passphrase-file", pass)
	if _, err := os.Stat(filepath.Join(d, "ledger.db")); !os.IsNotExist(err) {
		t.Errorf("there is a ledger.db: %v", err)
	}
	must("import", "--dir", d, ldif)
	before := must("export", "--dir", d)
	must("backup", "--dir", d, sealed, "--passphrase-file", pass)
	must("restore", "--dir", again, sealed, "--passphrase-file", pass, "--ledger-url", "sqlite:ledger.db")
	if after := must("export", "--dir", again); after != before || !strings.Contains(after, "ou=extra") {
		t.Errorf("exported before\n%s\nafter\n%s", before, after)
	}
}

// TestAnInitThatCameToNothingLeavesAnEmptyDatabase: the next one succeeds.
func TestAnInitThatCameToNothingLeavesAnEmptyDatabase(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	url, dir := pgtest.URL(t), t.TempDir()
	pass, d := filepath.Join(dir, "pass"), filepath.Join(dir, "d")
	if err := os.WriteFile(pass, []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"init", "--dir", d, "--public-url", "http://127.0.0.1:9", "--ledger-url", url, "--passphrase-file", pass}
	code, _, stderr := program(t, append(args, "--key", "signing=file:"+filepath.Join(dir, "no", "such", "folder", "key"))...)
	if code == exitDone {
		t.Fatal("a key was made in a folder that is not there")
	}
	if code, _, again := program(t, args...); code != exitDone {
		t.Fatalf("after %q: %d %s", stderr, code, again)
	}
	code, _, stderr = program(t, append(args, "--dir", d+"2")...)
	if code != exitUsage || !strings.Contains(stderr, "a ledger exists already") || !strings.Contains(stderr, "another database") {
		t.Errorf("into a database in use: %d %s", code, stderr)
	}
	if code, stdout, stderr := program(t, "verify", "--dir", d); code != exitDone {
		t.Errorf("verify: %d %s %s", code, stdout, stderr)
	}
}
