package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A skip is something that was not checked. Program and packages are set when
// it was for want of a program.
type skip struct {
	what     string // the test
	why      string
	program  string
	packages string
}

// A test that needs a program says so in these words.
const wantPattern = `needs (.+): apt-get install -y (.+)`

// want notes a skip of check's own.
func (c *check) want(what, program, packages string) {
	s := skip{what: what, why: "needs " + program + ": apt-get install -y " + packages, program: program, packages: packages}
	if !slices.Contains(c.skips, s) {
		c.skips = append(c.skips, s)
	}
}

// skipOf reads why a test says it was skipped: the text after "file.go:12: ".
func skipOf(test, said string) skip {
	s := skip{what: test, why: strings.TrimSpace(said)}
	if m := regexp.MustCompile(wantPattern).FindStringSubmatch(s.why); m != nil {
		s.program, s.packages = m[1], strings.TrimSpace(m[2])
	}
	return s
}

func wantsPrograms(skips []skip) bool {
	return slices.ContainsFunc(skips, func(s skip) bool { return s.program != "" })
}

// listSkips says what was skipped, by reason, and the one line that would
// install what was wanting.
func listSkips(skips []skip) string {
	var b strings.Builder
	byReason := map[string][]string{}
	var packages []string
	for _, s := range skips {
		byReason[s.why] = append(byReason[s.why], s.what)
		packages = append(packages, strings.Fields(s.packages)...)
	}
	reasons := make([]string, 0, len(byReason))
	for why := range byReason {
		reasons = append(reasons, why)
	}
	slices.Sort(reasons)
	for _, why := range reasons {
		tests := byReason[why]
		fmt.Fprintf(&b, "skipped: %d (%s): %s\n", len(tests), why, some(tests))
	}
	slices.Sort(packages)
	if packages = slices.Compact(packages); len(packages) > 0 {
		fmt.Fprintf(&b, "to check these too: apt-get install -y %s\n", strings.Join(packages, " "))
	}
	return b.String()
}

// some names the first few.
func some(names []string) string {
	const few = 3
	if len(names) > few {
		return strings.Join(names[:few], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}
