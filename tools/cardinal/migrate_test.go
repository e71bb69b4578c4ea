package main

import (
	"os"
	"strings"
	"testing"
)

// TestMigrateCompletesTheIndexOfReferences: what the configuration asks for is
// indexed before anybody serves.
func TestMigrateCompletesTheIndexOfReferences(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	w := newKillWorld(t)
	c, err := readConfig(folder(w.dir).config())
	w.check(err)
	c.Directory.Integrity = Integrity{Attributes: []string{"member"}}
	c.Directory.Unique = []Unique{{Attributes: []string{"mail"}}}
	text, err := c.commented()
	w.check(err)
	w.check(os.WriteFile(folder(w.dir).config(), text, 0o600))
	for i, want := range []string{`"indexed":["mail","member"]`, `"indexed":[]`} {
		if code, stdout, stderr := program(t, "migrate", "--dir", w.dir, "--json"); code != 0 || !strings.Contains(strings.ReplaceAll(stdout, " ", ""), want) {
			t.Errorf("migration %d: code %d, %s%s", i+1, code, stdout, stderr)
		}
	}
}
