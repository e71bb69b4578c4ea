package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// check is one run: what was asked for and what came of it.
type check struct {
	out    io.Writer
	short  bool
	soak   bool
	strict bool // continuous integration: want of a program is a failure
	only   string

	skips  []skip
	notRun []string // "name: why", never a failure
	done   []result
}

type result struct {
	name string
	took time.Duration
	err  error
}

// step is one thing to check. Its error has been printed in full already or is
// one line.
type step struct {
	name   string
	long   bool // left out with -short
	beside bool // runs beside the one before, whose time it mostly waits
	do     func(c *check, ctx context.Context) error
}

func steps() []step {
	return []step{
		{name: "format", do: (*check).format},
		{name: "house", do: (*check).house},
		{name: "build", do: (*check).build},
		{name: "vet", do: (*check).vet},
		{name: "tidy", long: true, do: (*check).tidy},
		{name: "staticcheck", long: true, do: (*check).staticcheck},
		{name: "tests", do: (*check).tests},
		{name: "tests with every tag", long: true, do: (*check).taggedTests},
		{name: "fuzz", long: true, do: (*check).fuzz},
		{name: "govulncheck", long: true, beside: true, do: (*check).vulnerabilities},
	}
}

var (
	errNotAModule = errors.New("not inside the module")
	errFound      = errors.New("see above")
)

// enter goes to the top of the module, so that check runs from anywhere in it.
func (c *check) enter(ctx context.Context) error {
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("asking go for the module: %w", err)
	}
	path := strings.TrimSpace(string(mod))
	if path == "" || path == os.DevNull {
		return errNotAModule
	}
	return os.Chdir(filepath.Dir(path))
}

// all runs the steps, then says how it went. It gives the exit code.
func (c *check) all(ctx context.Context) int {
	begun := time.Now()
	todo := slices.DeleteFunc(steps(), func(s step) bool {
		return c.only != "" && c.only != s.name || c.only == "" && c.short && s.long
	})
	for len(todo) > 0 {
		if ctx.Err() != nil {
			fmt.Fprintln(c.out, "interrupted")
			return 1
		}
		var later func()
		if len(todo) > 1 && todo[1].beside {
			later = c.begin(ctx, todo[1])
			todo = slices.Delete(todo, 1, 2)
		}
		c.step(ctx, todo[0])
		todo = todo[1:]
		if later != nil {
			later()
		}
	}
	return c.summary(time.Since(begun))
}

func (c *check) step(ctx context.Context, s step) {
	fmt.Fprintf(c.out, "=== %s\n", s.name)
	start := time.Now()
	err := s.do(c, ctx)
	r := result{s.name, time.Since(start), err}
	c.done = append(c.done, r)
	fmt.Fprintln(c.out, r)
}

// begin starts a step on its own. The returned function waits for it, shows
// what it said and takes over what it found.
func (c *check) begin(ctx context.Context, s step) (end func()) {
	var said bytes.Buffer
	own := &check{out: &said, short: c.short, soak: c.soak, strict: c.strict, only: c.only}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		own.step(ctx, s)
	}()
	return func() {
		<-ended
		_, _ = said.WriteTo(c.out)
		c.skips = append(c.skips, own.skips...)
		c.notRun = append(c.notRun, own.notRun...)
		c.done = append(c.done, own.done...)
	}
}

func (r result) String() string {
	if r.err != nil {
		return fmt.Sprintf("--- %s: WRONG: %v (%.1f s)", r.name, r.err, r.took.Seconds())
	}
	return fmt.Sprintf("--- %s: ok (%.1f s)", r.name, r.took.Seconds())
}

func (c *check) summary(took time.Duration) int {
	code := 0
	fmt.Fprintln(c.out, "\n=== summary")
	for _, r := range c.done {
		fmt.Fprintln(c.out, r)
		if r.err != nil {
			code = 1
		}
	}
	for _, n := range c.notRun {
		fmt.Fprintln(c.out, "not run:", n)
	}
	if len(c.skips) > 0 {
		fmt.Fprint(c.out, listSkips(c.skips))
		if c.strict && wantsPrograms(c.skips) {
			fmt.Fprintln(c.out, "CI=true: a skip for want of a program is a failure")
			code = 1
		}
	}
	word := "all is well"
	if code != 0 {
		word = "something is wrong"
	}
	fmt.Fprintf(c.out, "%s, %.0f s in all\n", word, took.Seconds())
	return code
}

// sh runs a program, passing on what it says only when it ends badly.
func (c *check) sh(ctx context.Context, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	said, err := cmd.CombinedOutput()
	if err != nil {
		fmt.Fprintf(c.out, "$ %s %s %s\n%s", strings.Join(env, " "), name, strings.Join(args, " "), said)
		return fmt.Errorf("%s %s: %w", name, args[0], err)
	}
	return nil
}
