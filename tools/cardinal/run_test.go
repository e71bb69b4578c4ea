package main

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// command runs cardinal in process and gives its exit code and what it wrote.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = exit(&err, run(context.Background(), args, strings.NewReader(""), &out, &err))
	return code, out.String(), err.String()
}

// program runs cardinal as it ships. What derives keys from passphrases takes many times longer in the test binary, which
// is built to find races.
func program(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	c := exec.Command(filepath.Join(shippedProgram(t), "cardinal"), args...)
	c.Stdout, c.Stderr = &out, &err
	if failed := c.Run(); failed != nil && c.ProcessState == nil {
		t.Fatal(failed)
	}
	return c.ProcessState.ExitCode(), out.String(), err.String()
}

func TestExitCodesTellUsageFromRefusalFromSilence(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		args []string
		code int
		says string
	}{
		"unknown command":       {[]string{"fly"}, exitUsage, "cardinal: usage: unknown command"},
		"unknown flag":          {[]string{"person", "list", "--wings"}, exitUsage, "unknown flag: --wings"},
		"missing argument":      {[]string{"card", "show"}, exitUsage, "accepts 1 arg"},
		"missing flag":          {[]string{"case", "request"}, exitUsage, `"person" not set`},
		"group without command": {[]string{"card"}, exitUsage, "--help"},
		"no operator":           {[]string{"person", "list"}, exitUsage, "--as"},
		"no such file":          {[]string{"cert", "show", "nowhere.pem"}, exitUsage, "nowhere.pem"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, _, stderr := command(t, c.args...)
			if code != c.code || !strings.Contains(stderr, c.says) || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "cardinal: ") {
				t.Errorf("code %d, %q; want %d with %q on one line", code, stderr, c.code, c.says)
			}
		})
	}
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	t.Parallel()
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Name() == "help" || c.Name() == "completion" {
			return
		}
		if !strings.Contains(c.Example, "cardinal ") || c.Short == "" {
			t.Errorf("%s: help lacks an example or what it does", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(rootCommand(&app{env: func(string) string { return "" }}))
}

func TestHelpGoesToStandardOutput(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := command(t, "card", "issue", "--help")
	if code != exitDone || !strings.Contains(stdout, "--request-id") || stderr != "" {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}
