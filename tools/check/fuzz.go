package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// How long each target is fuzzed, and how many at a time.
const (
	fuzzTime     = 5 * time.Second
	fuzzTimeSoak = time.Minute
	fuzzAtOnce   = 4
)

// fuzzTarget is one FuzzXxx function, found by parsing.
type fuzzTarget struct{ dir, name string }

// fuzz builds one instrumented binary a package and runs each of its targets
// in it for a few seconds.
func (c *check) fuzz(ctx context.Context) error {
	targets, err := fuzzTargets()
	if err != nil {
		return err
	}
	bin, err := os.MkdirTemp("", "check-fuzz-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(bin)
	built := map[string]string{}
	for _, t := range targets {
		if built[t.dir] == "" {
			built[t.dir] = filepath.Join(bin, strings.ReplaceAll(t.dir, "/", "_"))
			if err := c.sh(ctx, nil, "go", "test", "-c", "-vet=off", "-fuzz=Fuzz", "-o", built[t.dir], "./"+t.dir); err != nil {
				return err
			}
		}
	}
	var g errgroup.Group
	g.SetLimit(fuzzAtOnce)
	var say sync.Mutex
	var all []error
	for _, t := range targets {
		g.Go(func() error {
			said, err := t.run(ctx, built[t.dir], c.soak)
			say.Lock()
			defer say.Unlock()
			fmt.Fprintf(c.out, "%s", said)
			all = append(all, err)
			return nil
		})
	}
	return errors.Join(g.Wait(), errors.Join(all...))
}

// run fuzzes one target and gives its last line, or everything when it failed.
func (t fuzzTarget) run(ctx context.Context, bin string, soak bool) ([]byte, error) {
	length := fuzzTime
	if soak {
		length = fuzzTimeSoak
	}
	cache, err := os.MkdirTemp("", "check-fuzz-corpus-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(cache)
	cmd := exec.CommandContext(ctx, bin, "-test.run=^$", "-test.fuzz=^"+t.name+"$", "-test.fuzztime="+length.String(),
		"-test.fuzzcachedir="+cache, "-test.parallel=1", "-test.timeout=10m")
	cmd.Dir = t.dir
	said, err := cmd.CombinedOutput()
	if err != nil {
		return said, fmt.Errorf("%s.%s: %w", t.dir, t.name, err)
	}
	lines := bytes.Split(bytes.TrimSpace(said), []byte("\n"))
	progress := ""
	for _, l := range lines {
		if bytes.HasPrefix(l, []byte("fuzz: elapsed")) {
			progress = string(l)
		}
	}
	return fmt.Appendf(nil, "ok  \t%s.%s\t%s\n", t.dir, t.name, progress), nil
}

// fuzzTargets finds every FuzzXxx function of the module.
func fuzzTargets() (targets []fuzzTarget, err error) {
	fset := token.NewFileSet()
	for _, path := range goFiles() {
		if !strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Fuzz") {
				targets = append(targets, fuzzTarget{filepath.ToSlash(filepath.Dir(path)), fn.Name.Name})
			}
		}
	}
	return targets, nil
}
