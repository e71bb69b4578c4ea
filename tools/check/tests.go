package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// testEvent is a line of go test -json (see go doc test2json).
type testEvent struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// tests runs all tests of all packages in one go, with the race detector where
// there is a C compiler. Go's package lines are shown as they come, and the
// whole output of a test that failed.
func (c *check) tests(ctx context.Context) error {
	args := []string{"test", "-json", "-count=1", "-vet=off", "-timeout=20m"}
	switch {
	case c.short:
		args = append(args, "-short")
	case haveC():
		args = append(append(args, "-race"), unraced()...)
	default:
		c.want("the race detector", "a C compiler", "gcc libc6-dev")
	}
	return c.goTest(ctx, append(args, "./...")...)
}

// taggedTests runs what stands behind build tags, which the other tests do not
// build: keys in tokens, cards in readers.
func (c *check) taggedTests(ctx context.Context) error {
	names, folders := behindTags()
	if len(names) == 0 || !c.bindsToC(ctx) {
		return nil
	}
	args := []string{"test", "-json", "-count=1", "-vet=off", "-timeout=20m", "-tags=" + strings.Join(buildTags(), ","),
		"-run=^(" + strings.Join(names, "|") + ")$"}
	return c.goTest(ctx, append(args, folders...)...)
}

var testName = regexp.MustCompile(`(?m)^func (Test\w+)\(`)

// behindTags finds the tests in files with tags of ours, and their folders.
func behindTags() (names, folders []string) {
	for _, path := range goFiles() {
		data, err := os.ReadFile(path)
		if err != nil || !strings.HasSuffix(path, "_test.go") || len(tagsOf(data)) == 0 {
			continue
		}
		for _, m := range testName.FindAllSubmatch(data, -1) {
			names = append(names, string(m[1]))
			folders = append(folders, "./"+filepath.ToSlash(filepath.Dir(path)))
		}
	}
	slices.Sort(folders)
	return names, slices.Compact(folders)
}

// goTest runs go with these arguments and follows what it says.
func (c *check) goTest(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = os.Environ()
	if c.soak {
		cmd.Env = append(cmd.Env, "CARDINAL_SOAK=1")
	}
	cmd.Stderr = c.out
	events, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	c.follow(events)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("go test: %w", err)
	}
	return nil
}

// unraced are the compiler's flags for packages that are not ours, share nothing
// between goroutines and cost the tests half of their time when every access is
// watched: SQLite, which is C in the words of Go, with a lock of its own around
// each connection, and the functions that derive keys and hash. Every access of
// our own code, of drivers, servers and stores is watched.
func unraced() (flags []string) {
	for _, pattern := range []string{"modernc.org/sqlite/lib", "modernc.org/libc/...", "modernc.org/memory",
		"golang.org/x/crypto/scrypt", "golang.org/x/crypto/pbkdf2", "golang.org/x/crypto/argon2", "golang.org/x/crypto/blake2b", "math/big"} {
		flags = append(flags, "-gcflags="+pattern+"=-race=false -d=checkptr=0")
	}
	return flags
}

// follow reads events until they end.
func (c *check) follow(events io.Reader) {
	said := map[string][]string{} // by package and test
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadBytes('\n')
		var e testEvent
		if json.Unmarshal(line, &e) == nil {
			c.event(e, said)
		} else if len(line) > 0 {
			fmt.Fprintf(c.out, "%s", line) // a build that broke speaks plainly
		}
		if err != nil {
			return
		}
	}
}

func (c *check) event(e testEvent, said map[string][]string) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output", "build-output":
		if e.Test == "" && closesPackage(e.Output) || e.Action == "build-output" {
			fmt.Fprint(c.out, e.Output)
			return
		}
		said[key] = append(said[key], e.Output)
	case "fail":
		fmt.Fprint(c.out, strings.Join(said[key], ""))
		delete(said, key)
	case "skip":
		if e.Test != "" {
			c.skips = append(c.skips, skipOf(strings.TrimPrefix(e.Package, "cardinal/")+"."+e.Test, reasonIn(said[key])))
		}
		delete(said, key)
	case "pass":
		delete(said, key)
	}
}

// closesPackage knows the lines go prints when a package's tests have ended.
func closesPackage(line string) bool {
	return strings.HasPrefix(line, "ok  \t") || strings.HasPrefix(line, "FAIL\t") || strings.HasPrefix(line, "?   \t")
}

// reasonIn finds what a skipped test said: the line with "file.go:12: ".
func reasonIn(lines []string) string {
	for _, line := range lines {
		if _, why, ok := strings.Cut(line, ".go:"); ok {
			_, why, _ = strings.Cut(why, ": ")
			return why
		}
	}
	return "no reason given"
}
