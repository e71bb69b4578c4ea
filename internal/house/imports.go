package house

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// topLevel allows the names the top of the module holds, and dot files.
func (h *house) topLevel(report func(Finding)) {
	allowed := []string{"ca", "directory", "ocsp", "issuance", "policies", "certs", "tools", "internal", "go.mod", "go.sum", "README.md", "LICENSE"}
	for _, name := range h.top {
		if !strings.HasPrefix(name, ".") && !slices.Contains(allowed, name) {
			report(Finding{Rule: "top", File: name, Name: name, Text: "the top level holds only " + strings.Join(allowed, " ")})
		}
	}
}

// imports holds every file against the picture. Test files may look at any
// room, since a test often needs the other side as its referee; nobody at all
// imports tools.
func (h *house) imports(p plan, report func(Finding)) {
	table := map[string]room{}
	for _, r := range p.rooms {
		table[r.path] = r
	}
	for _, f := range h.goes {
		r, known := table[f.room]
		if !known && !f.test {
			report(Finding{Rule: "room", File: f.name, Name: f.room, Text: f.room + " is not in the table of rooms"})
		}
		for _, spec := range f.ast.Imports {
			what, _ := strconv.Unquote(spec.Path.Value)
			if why := p.forbidden(f, r, table, what); why != "" {
				report(Finding{Rule: "import", File: f.name, Line: h.line(spec.Pos()), Name: what, Text: "imports " + what + ": " + why})
			}
		}
	}
}

// forbidden says why this file may not import what, or nothing.
func (p plan) forbidden(f *goFile, r room, table map[string]room, what string) string {
	ours, found := strings.CutPrefix(what, Module+"/")
	if !found {
		return p.foreign(f, what)
	}
	switch {
	case within("tools/", ours) && !within("tools/", f.room):
		return "nobody imports tools"
	case f.test || ours == f.room:
		return ""
	case table[ours].kit && r.kit:
		return ""
	case table[ours].kit:
		return "a test kit, for test files only"
	}
	for _, m := range r.may {
		if within(m, ours) {
			return ""
		}
	}
	return fmt.Sprintf("not below %s in the picture (it may import %s)", f.room, strings.Join(r.may, ", "))
}

func (p plan) foreign(f *goFile, what string) string {
	if (what == "testing" || what == "testing/synctest") && !f.test && !strings.HasSuffix(path.Base(f.room), "test") {
		return "testing is for test files and test kits"
	}
	for _, g := range p.guests {
		if !within(g.path, what) || g.tests && f.test || slices.Contains(g.rooms, f.room) {
			continue
		}
		return fmt.Sprintf("%s (only %s)", g.why, strings.Join(g.rooms, ", "))
	}
	return ""
}

// within tells whether path is what, or lies below it when what ends in a slash.
func within(what, path string) bool {
	base, below := strings.CutSuffix(what, "/")
	return path == base || below && strings.HasPrefix(path, what)
}
