package directory

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed schema
var embedded embed.FS

// StandardFiles holds the schema files that come with the program: the
// system schema (RFC 4512), core (RFC 4519), cosine (RFC 4524 and RFC 1274),
// inetOrgPerson (RFC 2798), nis (RFC 2307), pki (RFC 4523) and the NHS schema.
func StandardFiles() fs.FS {
	sub, err := fs.Sub(embedded, "schema")
	if err != nil {
		return embedded
	}
	return sub
}

// ExtraRules adds matching rules to an attribute type whose definition has
// none, by name; clients in the field filter on attributes that the standard
// leaves Undefined. Naming a rule where the definition has one is a problem.
type ExtraRules struct {
	Attribute, Equality, Ordering, Substrings string
}

// Loader says what a schema is made of.
type Loader struct {
	// Files are folders of *.schema (OpenLDAP's form: attributetype,
	// objectclass, objectidentifier) and *.ldif (attributeTypes: and
	// objectClasses:, with or without the olc prefix), read at any depth.
	Files []fs.FS
	Rules []ExtraRules
}

// Problem is one thing wrong in a schema file.
type Problem struct {
	File string
	Line int
	What string
}

// Error returns "file:line: what".
func (p *Problem) Error() string {
	if p.Line == 0 {
		return p.File + ": " + p.What
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.What)
}

// LoadSchema loads the folders given, nothing else.
func LoadSchema(files ...fs.FS) (*Schema, error) { return Loader{Files: files}.Load() }

// DefaultSchema loads StandardFiles. It costs some milliseconds: load once.
func DefaultSchema() (*Schema, error) { return LoadSchema(StandardFiles()) }

// Load reads every file and resolves every reference. The order of files and
// definitions does not matter, but an objectidentifier stands before its use;
// one definition may stand in several files if
// it is the same in all. Every problem is reported at once: the error joins a
// *Problem each.
func (l Loader) Load() (*Schema, error) {
	b := newBuilder()
	for _, fsys := range l.Files {
		b.readAll(fsys)
	}
	b.resolve()
	for _, r := range l.Rules {
		b.addRules(r)
	}
	if len(b.problems) > 0 {
		return nil, errors.Join(b.problems...)
	}
	return b.schema, nil
}

// raw is a definition found in a file and not yet resolved.
type raw struct {
	def  *definition
	text string
	file string
	line int
}

func (r *raw) origin() string { return fmt.Sprintf("%s:%d", r.file, r.line) }

type builder struct {
	schema     *Schema
	macros     map[string]string // objectidentifier NAME OID
	attributes []*raw
	classes    []*raw
	problems   []error
}

func newBuilder() *builder {
	b := &builder{schema: &Schema{
		attributes: map[string]*AttributeType{}, exact: map[string]*AttributeType{},
		classes: map[string]*ObjectClass{}, rules: map[string]*MatchingRule{}, syntaxes: map[string]*Syntax{},
	}, macros: map[string]string{}}
	for _, y := range standardSyntaxes(b.schema) {
		b.schema.syntaxes[y.OID] = y
		b.schema.syntaxList = append(b.schema.syntaxList, y)
	}
	for _, r := range standardRules(b.schema) {
		b.schema.rules[strings.ToLower(r.Name)] = r
		b.schema.rules[r.OID] = r
		b.schema.ruleList = append(b.schema.ruleList, r)
	}
	return b
}

func (b *builder) problem(file string, line int, format string, args ...any) {
	b.problems = append(b.problems, &Problem{File: file, Line: line, What: fmt.Sprintf(format, args...)})
}

func (b *builder) readAll(fsys fs.FS) {
	err := fs.WalkDir(fsys, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			b.problem(path, 0, "%v", err)
			return nil
		}
		schemaFile := strings.HasSuffix(path, ".schema")
		if entry.IsDir() || !schemaFile && !strings.HasSuffix(path, ".ldif") {
			return nil
		}
		data, err := fs.ReadFile(fsys, path)
		if err != nil {
			b.problem(path, 0, "%v", err)
			return nil
		}
		if schemaFile {
			b.readSchemaFile(path, string(data))
		} else {
			b.readLDIFFile(path, string(data))
		}
		return nil
	})
	if err != nil {
		b.problem(".", 0, "%v", err)
	}
}
