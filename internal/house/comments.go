package house

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// comments wants one package comment a package and a comment on each exported
// thing outside tests.
func (h *house) comments(report func(Finding)) {
	for room, files := range h.byRoom {
		n, first := 0, ""
		for _, f := range files {
			if f.test {
				continue
			}
			if first == "" {
				first = f.name
			}
			if f.ast.Doc != nil {
				n++
			}
			h.undocumented(f, report)
		}
		if first != "" && n != 1 {
			report(Finding{Rule: "package-comment", File: first, Line: 1, Name: room, Text: "a package has exactly one package comment"})
		}
	}
}

func (h *house) undocumented(f *goFile, report func(Finding)) {
	say := func(name *ast.Ident) {
		report(Finding{Rule: "comment", File: f.name, Line: h.line(name.Pos()), Name: name.Name, Text: name.Name + " is exported and says nothing"})
	}
	for _, d := range f.ast.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Doc == nil && d.Name.IsExported() && exportedReceiver(d) && !speaksForItself(d.Name.Name) {
				say(d.Name)
			}
		case *ast.GenDecl:
			for _, name := range undocumentedSpecs(d) {
				say(name)
			}
		}
	}
}

// undocumentedSpecs gives the exported names of a declaration that neither it
// nor the group comments on. In a group of constants one comment serves all.
func undocumentedSpecs(d *ast.GenDecl) []*ast.Ident {
	var names []*ast.Ident
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			if d.Doc == nil && s.Doc == nil && s.Name.IsExported() {
				names = append(names, s.Name)
			}
		case *ast.ValueSpec:
			said := d.Doc != nil || s.Doc != nil || s.Comment != nil || d.Tok == token.CONST && len(s.Values) == 0
			if !said && s.Names[0].IsExported() {
				names = append(names, s.Names[0])
			}
		}
	}
	return names
}

func exportedReceiver(d *ast.FuncDecl) bool {
	return d.Recv == nil || ast.IsExported(receiver(d))
}

func receiver(d *ast.FuncDecl) string {
	t := d.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	if ix, ok := t.(*ast.IndexExpr); ok {
		t = ix.X
	}
	if id, ok := t.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

// speaksForItself lists methods whose meaning the standard library fixes.
func speaksForItself(name string) bool {
	return slices.Contains([]string{"Error", "String", "Unwrap", "Is", "As", "Len", "Less", "Swap", "MarshalText", "UnmarshalText", "MarshalJSON", "UnmarshalJSON", "UnmarshalYAML", "MarshalYAML"}, strings.TrimSpace(name))
}
