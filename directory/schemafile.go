package directory

import (
	"errors"
	"io"
	"strings"
)

var attributeKeywords = map[string]bool{
	"NAME": true, "DESC": true, "OBSOLETE": false, "SUP": true, "EQUALITY": true, "ORDERING": true,
	"SUBSTR": true, "SYNTAX": true, "SINGLE-VALUE": false, "COLLECTIVE": false,
	"NO-USER-MODIFICATION": false, "USAGE": true,
}

var classKeywords = map[string]bool{
	"NAME": true, "DESC": true, "OBSOLETE": false, "SUP": true, "ABSTRACT": false, "STRUCTURAL": false,
	"AUXILIARY": false, "MUST": true, "MAY": true,
}

// readSchemaFile reads OpenLDAP's form: directives, continued on lines that
// begin with a blank; # begins a comment line.
func (b *builder) readSchemaFile(file, text string) {
	for d := range directives(text) {
		word, rest, _ := strings.Cut(d.text, " ")
		rest = strings.TrimSpace(rest)
		switch strings.ToLower(word) {
		case "attributetype", "attributetypes":
			b.addDefinition(file, d.line, rest, true)
		case "objectclass", "objectclasses":
			b.addDefinition(file, d.line, rest, false)
		case "objectidentifier":
			b.addMacro(file, d.line, rest)
		default:
			b.problem(file, d.line, "unknown directive %q", word)
		}
	}
}

type directive struct {
	text string
	line int
}

// directives joins continued lines; blanks inside become single spaces only
// where lines meet.
func directives(text string) func(yield func(directive) bool) {
	return func(yield func(directive) bool) {
		var cur directive
		n := 0
		for line := range strings.Lines(text) {
			n++
			line = strings.TrimRight(line, "\r\n \t")
			if strings.HasPrefix(line, "#") {
				continue
			}
			if line != "" && isBlank(line[0]) && cur.text != "" {
				cur.text += " " + strings.TrimLeft(line, " \t")
				continue
			}
			if cur.text != "" && !yield(cur) {
				return
			}
			cur = directive{text: strings.ReplaceAll(line, "\t", " "), line: n}
		}
		if cur.text != "" {
			yield(cur)
		}
	}
}

// readLDIFFile reads a subschema entry, or cn=config's form with {n} prefixes.
func (b *builder) readLDIFFile(file, text string) {
	lines := newLDIFLines(strings.NewReader(text))
	for {
		l, err := lines.next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			b.problem(file, l.line, "%v", err)
			return
		}
		if !l.blank() {
			b.readLDIFValue(file, l.line, l.name, string(l.value))
		}
	}
}

func (b *builder) readLDIFValue(file string, line int, typ, value string) {
	if strings.HasPrefix(value, "{") {
		if i := strings.IndexByte(value, '}'); i > 0 {
			value = value[i+1:]
		}
	}
	switch strings.ToLower(strings.TrimPrefix(strings.ToLower(typ), "olc")) {
	case "attributetypes":
		b.addDefinition(file, line, value, true)
	case "objectclasses":
		b.addDefinition(file, line, value, false)
	case "objectidentifier":
		b.addMacro(file, line, value)
	}
}

func (b *builder) addMacro(file string, line int, text string) {
	f := strings.Fields(text)
	if len(f) != 2 {
		b.problem(file, line, "objectidentifier NAME OID expected")
		return
	}
	oid := b.expand(f[1])
	if !validOID(oid) {
		b.problem(file, line, "bad object identifier %q", f[1])
		return
	}
	b.macros[strings.ToLower(f[0])] = oid
}

// expand turns "macro:1.2" into an OID.
func (b *builder) expand(s string) string {
	name, rest, found := strings.Cut(s, ":")
	oid, ok := b.macros[strings.ToLower(name)]
	switch {
	case !ok:
		return s
	case found:
		return oid + "." + rest
	}
	return oid
}

func (b *builder) addDefinition(file string, line int, text string, attribute bool) {
	keywords := classKeywords
	if attribute {
		keywords = attributeKeywords
	}
	def, err := parseDefinition(text, keywords)
	if err != nil {
		b.problem(file, line, "%v", err)
		return
	}
	def.oid = b.expand(def.oid)
	if !validOID(def.oid) {
		b.problem(file, line, "bad object identifier %q", def.oid)
		return
	}
	for _, n := range def.get("NAME") {
		if !validType(n) || n[0] <= '9' {
			b.problem(file, line, "%s: bad name %q", def.oid, n)
			return
		}
	}
	r := &raw{def: def, text: strings.Join(strings.Fields(text), " "), file: file, line: line}
	if attribute {
		b.attributes = append(b.attributes, r)
	} else {
		b.classes = append(b.classes, r)
	}
}
