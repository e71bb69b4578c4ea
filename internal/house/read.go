package house

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strings"
)

// house is the module as read: its Go files by folder, its other text, and
// what lies at the top.
type house struct {
	fset   *token.FileSet
	goes   []*goFile
	texts  []textFile
	top    []string // tracked names at the top level
	byRoom map[string][]*goFile
}

type goFile struct {
	name string // from the top, slash-separated
	room string // its folder
	test bool
	ast  *ast.File
}

type textFile struct {
	name string
	data []byte
}

// maxText leaves out data files: a word that must not be said is said in
// source, scripts and prose.
const maxText = 1 << 20

func read(fsys fs.FS) (*house, error) {
	h := &house{fset: token.NewFileSet(), byRoom: map[string][]*goFile{}}
	ignored, err := readIgnored(fsys)
	if err != nil {
		return nil, err
	}
	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == ".":
			return nil
		case name == ".git" || ignored.match(name):
			return skip(d)
		}
		if !strings.Contains(name, "/") {
			h.top = append(h.top, name)
		}
		if d.IsDir() {
			return nil
		}
		return h.add(fsys, name)
	})
	if err != nil {
		return nil, fmt.Errorf("reading the house: %w", err)
	}
	return h, nil
}

func skip(d fs.DirEntry) error {
	if d.IsDir() {
		return fs.SkipDir
	}
	return nil
}

func (h *house) add(fsys fs.FS, name string) error {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	if len(data) <= maxText && !bytes.Contains(data, []byte{0}) {
		h.texts = append(h.texts, textFile{name, data})
	}
	if !strings.HasSuffix(name, ".go") || strings.Contains(name, "testdata/") {
		return nil
	}
	f, err := parser.ParseFile(h.fset, name, data, parser.ParseComments)
	if err != nil {
		return err
	}
	g := &goFile{name: name, room: path.Dir(name), test: strings.HasSuffix(name, "_test.go"), ast: f}
	h.goes = append(h.goes, g)
	h.byRoom[g.room] = append(h.byRoom[g.room], g)
	return nil
}

func (h *house) line(p token.Pos) int { return h.fset.Position(p).Line }

// ignored holds the patterns of .gitignore, which here are names at the top
// ("/name", "/name/") and file patterns for any folder.
type ignored []string

func readIgnored(fsys fs.FS) (ignored, error) {
	data, err := fs.ReadFile(fsys, ".gitignore")
	if err != nil {
		return nil, fmt.Errorf("reading .gitignore: %w", err)
	}
	return strings.Fields(string(data)), nil
}

func (ig ignored) match(name string) bool {
	for _, pattern := range ig {
		against := path.Base(name)
		if rest, top := strings.CutPrefix(pattern, "/"); top {
			pattern, against = strings.TrimSuffix(rest, "/"), name
		}
		if ok, _ := path.Match(pattern, against); ok {
			return true
		}
	}
	return false
}
