package house

import (
	"go/ast"
	"path"
	"slices"
	"strings"
)

// names refuses the names that say nothing: a package or file called util, a
// type called SomethingManager.
func (h *house) names(report func(Finding)) {
	for _, f := range h.goes {
		pkg := strings.TrimSuffix(f.ast.Name.Name, "_test")
		if saysNothing(pkg) {
			report(Finding{Rule: "name", File: f.name, Line: 1, Name: pkg, Text: "a package named " + pkg + " says nothing"})
		}
		base := strings.TrimSuffix(strings.TrimSuffix(path.Base(f.name), ".go"), "_test")
		if saysNothing(base) {
			report(Finding{Rule: "name", File: f.name, Line: 1, Name: base, Text: "a file named " + base + " says nothing"})
		}
		h.declared(f, report)
	}
}

func saysNothing(name string) bool {
	return slices.Contains([]string{"util", "utils", "common", "core", "helper", "helpers", "misc", "errors", "log"}, name)
}

// declared looks at types and functions; constants may carry the words of the
// trade, such as the role of a registration authority's manager.
func (h *house) declared(f *goFile, report func(Finding)) {
	for _, id := range declaredNames(f.ast) {
		for _, tail := range []string{"Impl", "Manager", "Helper", "Service"} {
			if strings.HasSuffix(id.Name, tail) {
				report(Finding{Rule: "name", File: f.name, Line: h.line(id.Pos()), Name: id.Name, Text: id.Name + " ends in " + tail})
			}
		}
	}
}

func declaredNames(f *ast.File) (names []*ast.Ident) {
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if !strings.HasPrefix(n.Name.Name, "Test") { // a test's name is a sentence
				names = append(names, n.Name)
			}
		case *ast.TypeSpec:
			names = append(names, n.Name)
		}
		return true
	})
	return names
}
