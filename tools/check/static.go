package main

import (
	"context"
	"errors"
	"fmt"
	"go/build/constraint"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"cardinal/internal/house"
)

func (c *check) format(ctx context.Context) error {
	said, err := exec.CommandContext(ctx, "gofmt", append([]string{"-l"}, goFiles()...)...).CombinedOutput()
	if err != nil || len(said) > 0 {
		fmt.Fprintf(c.out, "gofmt -w would change:\n%s", said)
		return errors.Join(err, errFound)
	}
	return nil
}

// house inspects the files itself, ahead of the tests that do so too, because
// its findings take milliseconds.
func (c *check) house(context.Context) error {
	found, err := house.Inspect(os.DirFS("."))
	if err != nil {
		return err
	}
	for _, f := range found {
		fmt.Fprintln(c.out, f)
	}
	if len(found) > 0 {
		return fmt.Errorf("%d findings: %w", len(found), errFound)
	}
	return nil
}

// build is done without cgo, as the servers are built, and with every tag.
func (c *check) build(ctx context.Context) error {
	if err := c.sh(ctx, []string{"CGO_ENABLED=0"}, "go", "build", "./..."); err != nil {
		return err
	}
	return c.tagged(ctx, "build")
}

func (c *check) vet(ctx context.Context) error {
	if err := c.sh(ctx, nil, "go", "vet", "./..."); err != nil {
		return err
	}
	return c.tagged(ctx, "vet")
}

// tagged builds or vets once with every build tag of ours. They need cgo and
// the header files of what they bind to.
func (c *check) tagged(ctx context.Context, verb string) error {
	tags := buildTags()
	if c.short || len(tags) == 0 || !c.bindsToC(ctx) {
		return nil
	}
	return c.sh(ctx, []string{"CGO_ENABLED=1"}, "go", verb, "-tags="+strings.Join(tags, ","), "./...")
}

// bindsToC tells whether what our tags ask for can be built here.
func (c *check) bindsToC(ctx context.Context) bool {
	if !haveC() {
		c.want("the build with every tag", "a C compiler", "gcc libc6-dev")
		return false
	}
	if exec.CommandContext(ctx, "pkg-config", "--exists", "libpcsclite").Run() != nil {
		c.want("the build with every tag", "libpcsclite", "libpcsclite-dev pkg-config")
		return false
	}
	return true
}

func (c *check) tidy(ctx context.Context) error {
	return c.sh(ctx, nil, "go", "mod", "tidy", "-diff")
}

func (c *check) staticcheck(ctx context.Context) error {
	return c.sh(ctx, nil, "go", "tool", "staticcheck", "./...")
}

// vulnerabilityWait is how long the vulnerability database may take to answer.
const vulnerabilityWait = 3 * time.Minute

// vulnerabilities fails only when govulncheck found something (its exit code
// 3): without its database there is nothing to find.
func (c *check) vulnerabilities(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, vulnerabilityWait)
	defer cancel()
	said, err := exec.CommandContext(ctx, "go", "tool", "govulncheck", "./...").CombinedOutput()
	var ended *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ended) && ended.ExitCode() == 3:
		fmt.Fprintf(c.out, "%s", said)
		return errFound
	}
	why, _, _ := strings.Cut(strings.TrimSpace(string(said)), "\n")
	c.notRun = append(c.notRun, "govulncheck: "+why)
	return nil
}

// goFiles lists the Go files of the module, test data left out.
func goFiles() (files []string) {
	_ = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || path != "." && strings.HasPrefix(d.Name(), ".")) {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			files = append(files, path)
		}
		return nil
	})
	return files
}

// buildTags finds the tags of ours that files ask for.
func buildTags() (tags []string) {
	for _, path := range goFiles() {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		tags = append(tags, tagsOf(data)...)
	}
	slices.Sort(tags)
	return slices.Compact(tags)
}

// tagsOf finds those a file asks for.
func tagsOf(data []byte) (tags []string) {
	head, _, _ := strings.Cut(string(data), "\npackage ")
	for line := range strings.Lines(head) {
		expr, err := constraint.Parse(strings.TrimSpace(line))
		if err != nil {
			continue
		}
		expr.Eval(func(tag string) bool {
			if slices.Contains([]string{"pcsc", "pkcs11"}, tag) {
				tags = append(tags, tag)
			}
			return true
		})
	}
	return tags
}

// haveC tells whether cgo, and so the race detector, can be used.
func haveC() bool {
	cc, err := exec.Command("go", "env", "CC").Output()
	if err != nil {
		return false
	}
	_, err = exec.LookPath(strings.Fields(string(cc) + " gcc")[0])
	return err == nil
}
