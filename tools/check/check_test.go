package main

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

// spoken is what go test -json prints for a package with a test that was
// skipped for want of a program, one that was skipped for another reason, one
// that failed and one that did not.
const spoken = `{"Action":"output","Package":"cardinal/ca","Test":"TestOpenssl","Output":"=== RUN   TestOpenssl\n"}
{"Action":"output","Package":"cardinal/ca","Test":"TestOpenssl","Output":"    ca_test.go:12: needs openssl: apt-get install -y openssl\n"}
{"Action":"skip","Package":"cardinal/ca","Test":"TestOpenssl"}
{"Action":"output","Package":"cardinal/ca","Test":"TestLong","Output":"    ca_test.go:30: short\n"}
{"Action":"skip","Package":"cardinal/ca","Test":"TestLong"}
{"Action":"output","Package":"cardinal/ca","Test":"TestBad","Output":"    ca_test.go:40: it broke\n"}
{"Action":"fail","Package":"cardinal/ca","Test":"TestBad"}
{"Action":"output","Package":"cardinal/ca","Test":"TestGood","Output":"    ca_test.go:50: chatter\n"}
{"Action":"pass","Package":"cardinal/ca","Test":"TestGood"}
{"Action":"output","Package":"cardinal/ca","Output":"FAIL\tcardinal/ca\t0.1s\n"}
{"Action":"fail","Package":"cardinal/ca"}
not json at all
`

func TestFollowKeepsFailuresAndSkipsAndDropsChatter(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := &check{out: &out}
	c.follow(strings.NewReader(spoken))
	for _, want := range []string{"it broke", "FAIL\tcardinal/ca", "not json at all"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in %q", want, out.String())
		}
	}
	if strings.Contains(out.String(), "chatter") {
		t.Errorf("chatter of a good test is shown: %q", out.String())
	}
	want := []skip{
		{what: "ca.TestOpenssl", why: "needs openssl: apt-get install -y openssl", program: "openssl", packages: "openssl"},
		{what: "ca.TestLong", why: "short"},
	}
	if !slices.Equal(c.skips, want) {
		t.Errorf("skips %+v", c.skips)
	}
}

func TestSkipsEndWithTheOneLineThatInstallsWhatIsWanting(t *testing.T) {
	t.Parallel()
	text := listSkips([]skip{
		skipOf("a.T1", "needs openssl: apt-get install -y openssl"),
		skipOf("a.T2", "needs initdb: apt-get install -y postgresql-15"),
		skipOf("b.T3", "needs openssl: apt-get install -y openssl"),
		skipOf("b.T4", "short"),
	})
	if !strings.HasSuffix(text, "to check these too: apt-get install -y openssl postgresql-15\n") {
		t.Errorf("got %q", text)
	}
	if !strings.Contains(text, "skipped: 2 (needs openssl: apt-get install -y openssl): a.T1, b.T3\n") {
		t.Errorf("got %q", text)
	}
}

func TestWantOfAProgramFailsOnlyInContinuousIntegration(t *testing.T) {
	t.Parallel()
	skips := []skip{skipOf("a.T1", "needs openssl: apt-get install -y openssl")}
	for strict, want := range map[bool]int{false: 0, true: 1} {
		c := &check{out: new(bytes.Buffer), strict: strict, skips: skips, notRun: []string{"govulncheck: no answer"}}
		if code := c.summary(0); code != want {
			t.Errorf("strict %v: code %d", strict, code)
		}
	}
}

func TestAFailedStepFailsTheWhole(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := &check{out: &out, done: []result{{name: "vet", err: errors.New("no")}}}
	if code := c.summary(0); code != 1 || !strings.Contains(out.String(), "vet: WRONG: no") {
		t.Errorf("code %d, %q", code, out.String())
	}
}

func TestWrongUsageEndsWithTwo(t *testing.T) {
	t.Parallel()
	if code := run(t.Context(), []string{"-nonsense"}, new(bytes.Buffer)); code != 2 {
		t.Errorf("code %d", code)
	}
}

func TestAStepBesideAnotherIsShownAfterItAndCounts(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := &check{out: &out}
	end := c.begin(t.Context(), step{name: "quiet", do: func(own *check, _ context.Context) error {
		own.notRun = append(own.notRun, "quiet: no answer")
		return errors.New("no")
	}})
	c.step(t.Context(), step{name: "loud", do: func(*check, context.Context) error { return nil }})
	end()
	loud, quiet := strings.Index(out.String(), "--- loud: ok"), strings.Index(out.String(), "=== quiet")
	if loud < 0 || quiet < loud || len(c.done) != 2 || len(c.notRun) != 1 || c.summary(0) != 1 {
		t.Errorf("%d steps, %q", len(c.done), out.String())
	}
}

func TestTagsAreReadFromAFilesHead(t *testing.T) {
	t.Parallel()
	got := tagsOf([]byte("//go:build pkcs11 && cgo && linux\n\npackage x\n//go:build pcsc\n"))
	if !slices.Equal(got, []string{"pkcs11"}) {
		t.Errorf("found %q", got)
	}
}
