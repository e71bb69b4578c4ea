package house

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// failures holds errors to the house's way: they are wrapped with what was
// being done, never "failed to", and they are told apart by value or type,
// never by their text.
func (h *house) failures(report func(Finding)) {
	for _, f := range h.goes {
		if f.test || strings.HasSuffix(f.room, "test") { // tests and test kits hold messages against what they should say
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if why := failing(n); why != "" {
				report(Finding{Rule: "failure", File: f.name, Line: h.line(n.Pos()), Text: why})
			}
			return true
		})
	}
}

func failing(n ast.Node) string {
	switch n := n.(type) {
	case *ast.BasicLit:
		if n.Kind == token.STRING && strings.Contains(strings.ToLower(n.Value), "failed"+" to ") {
			return "say what was being done, not that it " + "failed" + " to be"
		}
	case *ast.BinaryExpr:
		if (n.Op == token.EQL || n.Op == token.NEQ) && (isErrorText(n.X) || isErrorText(n.Y)) {
			return "compares the text of an error"
		}
	case *ast.CallExpr:
		if comparesText(n.Fun) && slices.ContainsFunc(n.Args, isErrorText) {
			return "looks into the text of an error"
		}
	}
	return ""
}

func isErrorText(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok || len(call.Args) != 0 {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "Error"
}

func comparesText(e ast.Expr) bool {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := sel.X.(*ast.Ident)
	return ok && pkg.Name == "strings" && slices.Contains([]string{"Contains", "HasPrefix", "HasSuffix", "EqualFold", "Index"}, sel.Sel.Name)
}
