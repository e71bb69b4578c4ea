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

// How long each target is fuzzed, how many at a time, and how many packages are
// built meanwhile: linking keeps one processor busy.
const (
	fuzzTime      = 5 * time.Second
	fuzzTimeSoak  = time.Minute
	fuzzAtOnce    = 8
	buildsAtATime = 2
)

// fuzzShorten is how many tries an input that reaches something new gets to be
// made shorter in a soak. Go gives it a minute by itself: one target came to 4
// executions so, and to 6,087 with the bound. In a check a run may be spent on
// one: it looks whether what is known still holds, and the soak for what is not.
const fuzzShorten = "100x"

// fuzzTarget is one FuzzXxx function, found by parsing.
type fuzzTarget struct{ dir, name string }

// fuzz builds one instrumented binary a package and runs each of its targets
// in it for a few seconds, while the next ones are built.
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
	var running, building errgroup.Group
	running.SetLimit(fuzzAtOnce)
	building.SetLimit(buildsAtATime)
	var say sync.Mutex
	var all []error
	done := func(said []byte, err error) {
		say.Lock()
		defer say.Unlock()
		fmt.Fprintf(c.out, "%s", said)
		all = append(all, err)
	}
	for dir, own := range byPackage(targets) {
		building.Go(func() error {
			binary := filepath.Join(bin, strings.ReplaceAll(dir, "/", "_"))
			said, err := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-fuzz=Fuzz", "-o", binary, "./"+dir).CombinedOutput()
			if err != nil {
				done(said, fmt.Errorf("building the fuzz targets of %s: %w", dir, err))
				return nil
			}
			for _, t := range own {
				running.Go(func() error {
					done(t.run(ctx, binary, c.soak))
					return nil
				})
			}
			return nil
		})
	}
	_ = building.Wait()
	_ = running.Wait()
	return errors.Join(all...)
}

func byPackage(targets []fuzzTarget) map[string][]fuzzTarget {
	found := map[string][]fuzzTarget{}
	for _, t := range targets {
		found[t.dir] = append(found[t.dir], t)
	}
	return found
}

// run fuzzes one target and gives its last line, or everything when it failed.
func (t fuzzTarget) run(ctx context.Context, bin string, soak bool) ([]byte, error) {
	length, shorten := fuzzTime, fuzzTime.String()
	if soak {
		length, shorten = fuzzTimeSoak, fuzzShorten
	}
	cache, err := os.MkdirTemp("", "check-fuzz-corpus-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(cache)
	arguments := []string{"-test.run=^$", "-test.fuzz=^" + t.name + "$", "-test.fuzztime=" + length.String(),
		"-test.fuzzminimizetime=" + shorten, "-test.fuzzcachedir=" + cache, "-test.parallel=1", "-test.timeout=10m"}
	said, err := t.once(ctx, bin, arguments)
	input := stuckOn(said)
	if err != nil && (overByItsClock(said) || input != "") {
		said, err = t.once(ctx, bin, arguments)
		if err == nil && input != "" {
			err = os.Remove(filepath.Join(t.dir, input))
		}
	}
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

func (t fuzzTarget) once(ctx context.Context, bin string, arguments []string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, bin, arguments...)
	cmd.Dir = t.dir
	return cmd.CombinedOutput()
}

// overByItsClock recognises a run that failed only because its time was up: the
// fuzzer of Go 1.26 now and then takes its own end for an error of the target
// when the worker is late. It then found nothing, and is run once more.
func overByItsClock(said []byte) bool {
	_, after, failed := bytes.Cut(said, []byte("--- FAIL: "))
	lines := bytes.Fields(after)
	return failed && !bytes.Contains(said, []byte("Failing input")) && !bytes.Contains(said, []byte("panic")) &&
		len(lines) >= 5 && string(bytes.Join(lines[2:5], []byte(" "))) == "context deadline exceeded"
}

// stuckOn gives the file with the input during which a worker ended without a word, "" when none did. The fuzzer of Go ends
// one that takes ten seconds over an input, which a machine that stands still does too. Run once more the input comes
// first: one that is to blame is found again.
func stuckOn(said []byte) (input string) {
	if !bytes.Contains(said, []byte("fuzzing process hung or terminated unexpectedly")) || bytes.Contains(said, []byte("panic:")) {
		return ""
	}
	_, after, _ := bytes.Cut(said, []byte("Failing input written to "))
	path, _, _ := bytes.Cut(after, []byte("\n"))
	return string(bytes.TrimSpace(path))
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
