package house

import (
	"fmt"
	"go/ast"
)

// Limits of taste. A file is read in one sitting, a function on one screen.
const (
	maxFileLines     = 500
	maxTestLines     = 800
	maxFunctionLines = 60
	maxParameters    = 4 // a context counts, a receiver does not
	maxNesting       = 3 // control statements inside one another
)

func (h *house) lengths(report func(Finding)) {
	for _, f := range h.goes {
		limit := maxFileLines
		if f.test {
			limit = maxTestLines
		}
		if n := h.line(f.ast.FileEnd); n > limit {
			report(Finding{Rule: "file-length", File: f.name, Line: n, Name: f.name, Text: fmt.Sprintf("%d lines, limit %d", n, limit)})
		}
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
				h.function(f, fn, report)
			}
		}
	}
}

func (h *house) function(f *goFile, fn *ast.FuncDecl, report func(Finding)) {
	say := func(rule, text string) {
		report(Finding{Rule: rule, File: f.name, Line: h.line(fn.Pos()), Name: fn.Name.Name, Text: fn.Name.Name + ": " + text})
	}
	if n := h.lines(fn) - h.tableLines(f, fn.Body); n > maxFunctionLines {
		say("function-length", fmt.Sprintf("%d lines, limit %d", n, maxFunctionLines))
	}
	if n := fn.Type.Params.NumFields(); n > maxParameters {
		say("parameters", fmt.Sprintf("%d parameters, limit %d", n, maxParameters))
	}
	if n := nesting(fn.Body); n > maxNesting {
		say("nesting", fmt.Sprintf("%d control statements inside one another, limit %d", n, maxNesting))
	}
}

func (h *house) lines(n ast.Node) int { return h.line(n.End()) - h.line(n.Pos()) + 1 }

// tableLines counts the lines of a test's tables, which are data: a test may
// have as many cases as there are.
func (h *house) tableLines(f *goFile, body ast.Node) (n int) {
	if !f.test {
		return 0
	}
	ast.Inspect(body, func(c ast.Node) bool {
		table, ok := c.(*ast.CompositeLit)
		if ok {
			n += h.lines(table) - 1
		}
		return !ok
	})
	return n
}

// nesting gives the depth of control statements in n. A chain of else-if is
// one level, a function literal starts afresh.
func nesting(n ast.Node) int {
	deepest := 0
	ast.Inspect(n, func(c ast.Node) bool {
		switch s := c.(type) {
		case *ast.IfStmt:
			deepest = max(deepest, ifNesting(s))
			return false
		case *ast.ForStmt:
			deepest = max(deepest, 1+nesting(s.Body))
			return false
		case *ast.RangeStmt:
			deepest = max(deepest, 1+nesting(s.Body))
			return false
		case *ast.SwitchStmt:
			deepest = max(deepest, 1+nesting(s.Body))
			return false
		case *ast.TypeSwitchStmt:
			deepest = max(deepest, 1+nesting(s.Body))
			return false
		case *ast.SelectStmt:
			deepest = max(deepest, 1+nesting(s.Body))
			return false
		}
		return true
	})
	return deepest
}

func ifNesting(s *ast.IfStmt) int {
	depth := 1 + nesting(s.Body)
	switch e := s.Else.(type) {
	case *ast.IfStmt:
		depth = max(depth, ifNesting(e))
	case *ast.BlockStmt:
		depth = max(depth, 1+nesting(e))
	}
	return depth
}
