package house

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// small is a plan with a read side, a write side and a roof.
func small() plan {
	return plan{
		rooms: []room{
			{path: "ocsp", may: []string{"internal/journal"}},
			{path: "ca", may: []string{"certs/"}},
			{path: "certs/register"},
			{path: "internal/journal"},
			{path: "internal/journal/feedtest", may: []string{"internal/journal"}, kit: true},
			{path: "tools/cardinal", may: []string{"ca", "ocsp"}},
		},
		guests: []guest{{path: "example.org/engine/", rooms: []string{"ca"}, why: "one room", tests: true}},
		words:  []word{{"/secret" + "/", "a path"}},
	}
}

const doc = "// Package x is here.\n"

func TestInspectFindsEachBrokenRule(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("\n", 70)
	cases := map[string]struct {
		file, source, want string
	}{
		"read side imports write side":   {"ocsp/a.go", doc + `package ocsp; import _ "cardinal/ca"`, "import cardinal/ca"},
		"room not in the table":          {"cellar/a.go", doc + `package cellar`, "room cellar"},
		"nobody imports tools":           {"ca/a_test.go", `package ca; import _ "cardinal/tools/cardinal"`, "import cardinal/tools/cardinal"},
		"kit outside tests":              {"ocsp/a.go", doc + `package ocsp; import _ "cardinal/internal/journal/feedtest"`, "import cardinal/internal/journal/feedtest"},
		"guest in the wrong room":        {"ocsp/a.go", doc + `package ocsp; import _ "example.org/engine/sub"`, "import example.org/engine/sub"},
		"testing outside tests":          {"ocsp/a.go", doc + `package ocsp; import _ "testing"`, "import testing"},
		"no package comment":             {"ocsp/a.go", `package ocsp`, "package-comment ocsp"},
		"exported function says nothing": {"ocsp/a.go", doc + "package ocsp\nfunc Answer() {}", "comment Answer"},
		"exported type says nothing":     {"ocsp/a.go", doc + "package ocsp\ntype Answer int", "comment Answer"},
		"exported variable":              {"ocsp/a.go", doc + "package ocsp\nvar Answer = 1", "comment Answer"},
		"long function":                  {"ocsp/a.go", doc + "package ocsp\nfunc f() {" + long + "}", "function-length f"},
		"long file":                      {"ocsp/a.go", doc + "package ocsp" + strings.Repeat("\n", 500), "file-length ocsp/a.go"},
		"five parameters":                {"ocsp/a.go", doc + "package ocsp\nfunc f(a, b, c, d, e int) {}", "parameters f"},
		"deep nesting":                   {"ocsp/a.go", doc + "package ocsp\nfunc f() { for { if true { switch { case true: if true {} } } } }", "nesting f"},
		"empty name":                     {"ocsp/util.go", doc + "package ocsp", "name util"},
		"empty package name":             {"ocsp/a.go", doc + "package helpers", "name helpers"},
		"manager":                        {"ocsp/a.go", doc + "package ocsp\ntype cacheManager int", "name cacheManager"},
		"init":                           {"ocsp/a.go", doc + "package ocsp\nfunc init() {}", "state init"},
		"written variable":               {"ocsp/a.go", doc + "package ocsp\nvar n = map[int]int{}\nfunc f() { n[1] = 2 }", "state n"},
		"counted variable":               {"ocsp/a.go", doc + "package ocsp\nvar n int\nfunc f() { n++ }", "state n"},
		"lock":                           {"ocsp/a.go", doc + "package ocsp\nimport \"sync\"\nvar mu sync.Mutex", "state mu"},
		"failed to":                      {"ocsp/a.go", doc + "package ocsp\nconst c = \"failed" + " to read\"", "failure "},
		"error text compared":            {"ocsp/a.go", doc + "package ocsp\nfunc f(e error) bool { return e.Error() == \"x\" }", "failure "},
		"error text searched":            {"ocsp/a.go", doc + "package ocsp\nimport \"strings\"\nfunc f(e error) bool { return strings.Contains(e.Error(), \"x\") }", "failure "},
		"stray file at the top":          {"NOTES.md", "x", "top NOTES.md"},
		"word":                           {"ocsp/a.md", "see /secret/plan", "word /secret/"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := look(t, small(), map[string]string{c.file: c.source})
			if !slices.Contains(found, c.want) {
				t.Errorf("found %q, want among them %q", found, c.want)
			}
		})
	}
}

func TestInspectLetsGoodWorkPass(t *testing.T) {
	t.Parallel()
	found := look(t, small(), map[string]string{
		"ca/a.go":              doc + "package ca\nimport _ \"example.org/engine\"\nimport _ \"cardinal/certs/register\"\n// ErrX is for you.\nvar ErrX = 1\nfunc f() { n := 1; n++ }\nvar n = 2\n",
		"ca/a_test.go":         "package ca\nimport _ \"cardinal/ocsp\"\nfunc f() {\nfor range []int{" + strings.Repeat("1,\n", 70) + "} {\n}\n}\n",
		"certs/register/a.go":  doc + "package register",
		"tools/cardinal/a.go":  doc + "package main\nimport _ \"cardinal/ca\"",
		"built/ignored.go":     "not even Go",
		"ocsp/testdata/bad.go": "neither",
	})
	if len(found) != 0 {
		t.Errorf("found %q", found)
	}
}

func TestExceptionsAreUsedOrFound(t *testing.T) {
	t.Parallel()
	p := small()
	p.exceptions = []exception{
		{rule: "state", file: "ocsp/a.go", name: "init", reason: "for the test"},
		{rule: "state", file: "ocsp/gone.go", reason: "for the test"},
	}
	found := look(t, p, map[string]string{"ocsp/a.go": doc + "package ocsp\nfunc init() {}"})
	if !slices.Equal(found, []string{"exception "}) {
		t.Errorf("found %q", found)
	}
}

func TestEveryExceptionHasAReason(t *testing.T) {
	t.Parallel()
	for _, e := range exceptions() {
		if len(e.reason) < 10 {
			t.Errorf("exception %s %s %s has no reason", e.rule, e.file, e.name)
		}
	}
}

func look(t *testing.T, p plan, files map[string]string) []string {
	t.Helper()
	fsys := fstest.MapFS{".gitignore": {Data: []byte("/built/\n*.prof\n")}}
	for name, data := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(data)}
	}
	found, err := inspect(fsys, p)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range found {
		out = append(out, fmt.Sprintf("%s %s", f.Rule, f.Name))
	}
	return out
}
