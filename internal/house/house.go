// Package house is the table of rooms as a test: which package may import
// which, how long files and functions may grow, which names and words are not
// used here, and that every package and every exported thing says what it is
// for. It owns no behaviour of the product. It promises that Inspect reads the
// source files themselves on each run (go/parser, nothing cached), so that a
// bad import is found the moment it is written, and that an exception which is
// no longer needed is a finding too.
package house

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"
)

// Module is the import path every room lies under.
const Module = "cardinal"

// A Finding is one place that breaks one rule.
type Finding struct {
	Rule string // short name of the rule, as exceptions name it
	File string // slash-separated, from the top of the module
	Line int    // from 1; 0 when the finding is about the whole file or folder
	Name string // what is meant inside the file: a function, a type, a package; may be empty
	Text string
}

// String gives the finding in the form editors jump to.
func (f Finding) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", f.File, f.Line, f.Rule, f.Text)
}

// Inspect reads the module whose top is fsys and returns what breaks the
// rules, sorted by file and line. The error tells of files that could not be
// read or parsed, never of broken rules.
func Inspect(fsys fs.FS) ([]Finding, error) {
	return inspect(fsys, plan{rooms: rooms(), guests: guests(), words: words(), exceptions: exceptions()})
}

// plan is everything Inspect judges by; tests give smaller ones.
type plan struct {
	rooms      []room
	guests     []guest
	words      []word
	exceptions []exception
}

func inspect(fsys fs.FS, p plan) ([]Finding, error) {
	h, err := read(fsys)
	if err != nil {
		return nil, err
	}
	var found []Finding
	report := func(f Finding) { found = append(found, f) }
	h.topLevel(report)
	h.imports(p, report)
	h.comments(report)
	h.lengths(report)
	h.names(report)
	h.state(report)
	h.failures(report)
	h.text(p, report)
	found = except(found, p.exceptions)
	slices.SortFunc(found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Rule, b.Rule))
	})
	return found, nil
}
