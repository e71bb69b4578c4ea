package house

import (
	"go/ast"
	"go/token"
)

// state refuses what makes two instances in one process meet: init functions,
// package variables that are written to or that hold locks and channels.
// Tables and sentinels, set once where they are declared, are not state.
func (h *house) state(report func(Finding)) {
	for _, files := range h.byRoom {
		vars := map[string]bool{}
		for _, f := range files {
			if !f.test {
				h.variables(f, vars, report)
			}
		}
		for _, f := range files {
			if !f.test {
				h.writes(f, vars, report)
			}
		}
	}
}

func (h *house) variables(f *goFile, vars map[string]bool, report func(Finding)) {
	for _, d := range f.ast.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			report(Finding{Rule: "state", File: f.name, Line: h.line(fn.Pos()), Name: "init", Text: "no init functions: wiring is written out"})
		}
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR {
			continue
		}
		for _, s := range g.Specs {
			h.variable(f, s.(*ast.ValueSpec), vars, report)
		}
	}
}

func (h *house) variable(f *goFile, v *ast.ValueSpec, vars map[string]bool, report func(Finding)) {
	for _, name := range v.Names {
		vars[name.Name] = true
		if holdsState(v.Type) {
			report(Finding{Rule: "state", File: f.name, Line: h.line(name.Pos()), Name: name.Name, Text: name.Name + " is package state"})
		}
	}
}

// holdsState knows the types that have no use but to change.
func holdsState(t ast.Expr) bool {
	switch t := t.(type) {
	case *ast.ChanType:
		return true
	case *ast.IndexExpr:
		return holdsState(t.X)
	case *ast.SelectorExpr:
		pkg, _ := t.X.(*ast.Ident)
		return pkg != nil && (pkg.Name == "sync" || pkg.Name == "atomic")
	}
	return false
}

// writes finds assignments to package variables inside functions.
func (h *house) writes(f *goFile, vars map[string]bool, report func(Finding)) {
	for _, d := range f.ast.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		own := declaredIn(fn)
		for _, e := range written(fn.Body) {
			id := root(e)
			if id == nil || id.Name == "_" || !vars[id.Name] || own[id.Name] {
				continue
			}
			report(Finding{Rule: "state", File: f.name, Line: h.line(id.Pos()), Name: id.Name, Text: "writes package variable " + id.Name})
		}
	}
}

// written gives what a body assigns to, declarations left out.
func written(body ast.Node) (to []ast.Expr) {
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				to = append(to, n.Lhs...)
			}
		case *ast.IncDecStmt:
			to = append(to, n.X)
		}
		return true
	})
	return to
}

// declaredIn gives every name the function declares somewhere: enough to tell
// a local variable from the package's, without types.
func declaredIn(fn *ast.FuncDecl) map[string]bool {
	own := map[string]bool{}
	add := func(es ...ast.Expr) {
		for _, e := range es {
			if id, ok := e.(*ast.Ident); ok {
				own[id.Name] = true
			}
		}
	}
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			for _, id := range n.Names {
				own[id.Name] = true
			}
		case *ast.ValueSpec:
			for _, id := range n.Names {
				own[id.Name] = true
			}
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				add(n.Lhs...)
			}
		case *ast.RangeStmt:
			if n.Tok == token.DEFINE {
				add(n.Key, n.Value)
			}
		}
		return true
	})
	return own
}

// root is the variable an assignment ends up in.
func root(e ast.Expr) *ast.Ident {
	switch e := e.(type) {
	case *ast.Ident:
		return e
	case *ast.IndexExpr:
		return root(e.X)
	case *ast.SelectorExpr:
		return root(e.X)
	case *ast.StarExpr:
		return root(e.X)
	case *ast.ParenExpr:
		return root(e.X)
	}
	return nil
}
