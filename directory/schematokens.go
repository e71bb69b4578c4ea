package directory

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// definition is a parsed "( OID KEYWORD value … )" of RFC 4512 §4.1, before
// its references are resolved.
type definition struct {
	oid    string
	fields []field
}

// field is a keyword and its values; a keyword that stands alone has none.
type field struct {
	keyword string
	values  []string
	quoted  bool
}

func (d *definition) get(keyword string) []string {
	for i := range d.fields {
		if d.fields[i].keyword == keyword {
			return d.fields[i].values
		}
	}
	return nil
}

func (d *definition) one(keyword string) string {
	if v := d.get(keyword); len(v) > 0 {
		return v[0]
	}
	return ""
}

func (d *definition) has(keyword string) bool {
	for i := range d.fields {
		if d.fields[i].keyword == keyword {
			return true
		}
	}
	return false
}

// tokens cuts a definition into parentheses, $, 'quoted strings' and words.
type tokens struct {
	s   string
	i   int
	err error
}

type token struct {
	text   string
	quoted bool
}

func (t *tokens) next() (tok token, ok bool) {
	for t.i < len(t.s) && isBlank(t.s[t.i]) {
		t.i++
	}
	if t.i == len(t.s) || t.err != nil {
		return token{}, false
	}
	start := t.i
	switch t.s[t.i] {
	case '(', ')', '$':
		t.i++
		return token{text: t.s[start:t.i]}, true
	case '\'':
		end := strings.IndexByte(t.s[start+1:], '\'')
		if end < 0 {
			t.err = fmt.Errorf("unended quote at byte %d", start+1)
			return token{}, false
		}
		t.i = start + 1 + end + 1
		return token{text: unescapeQuoted(t.s[start+1 : t.i-1]), quoted: true}, true
	}
	for t.i < len(t.s) && !isBlank(t.s[t.i]) && strings.IndexByte("()$'", t.s[t.i]) < 0 {
		t.i++
	}
	return token{text: t.s[start:t.i]}, true
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// unescapeQuoted undoes \27 and \5C, the only escapes of a qdstring.
func unescapeQuoted(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	return strings.NewReplacer(`\27`, `'`, `\5C`, `\`, `\5c`, `\`).Replace(s)
}

// parseDefinition reads one parenthesised definition and nothing after it.
// keywords gives each keyword that may stand in it and whether it has values.
func parseDefinition(s string, keywords map[string]bool) (*definition, error) {
	if !utf8.ValidString(s) {
		return nil, fmt.Errorf("a definition that is not UTF-8")
	}
	t := &tokens{s: s}
	open, _ := t.next()
	oid, ok := t.next()
	if open.text != "(" || open.quoted || !ok || oid.text == ")" {
		return nil, fmt.Errorf("a definition is ( OID … )")
	}
	d := &definition{oid: oid.text}
	for {
		tok, ok := t.next()
		if !ok {
			if t.err != nil {
				return nil, t.err
			}
			return nil, fmt.Errorf("unended definition of %s", d.oid)
		}
		if tok.text == ")" && !tok.quoted {
			break
		}
		if err := d.read(t, tok, keywords); err != nil {
			return nil, fmt.Errorf("%s: %w", d.oid, err)
		}
	}
	if tok, ok := t.next(); ok || t.err != nil {
		return nil, fmt.Errorf("%s: text after the definition: %q", d.oid, tok.text)
	}
	return d, nil
}

func (d *definition) read(t *tokens, key token, keywords map[string]bool) error {
	word := strings.ToUpper(key.text)
	takes, known := keywords[word]
	if strings.HasPrefix(word, "X-") {
		takes, known = true, true
	}
	if !known || key.quoted {
		return fmt.Errorf("unexpected %q", key.text)
	}
	if d.has(word) {
		return fmt.Errorf("%s stands twice", word)
	}
	f := field{keyword: word}
	if takes {
		if err := f.read(t); err != nil {
			return err
		}
	}
	d.fields = append(d.fields, f)
	return nil
}

// read takes one value or a parenthesised list, with or without $.
func (f *field) read(t *tokens) error {
	tok, ok := t.next()
	if t.err != nil {
		return t.err
	}
	if !ok || tok.text == ")" && !tok.quoted {
		return fmt.Errorf("%s without a value", f.keyword)
	}
	f.quoted = tok.quoted
	if tok.text != "(" || tok.quoted {
		f.values = []string{tok.text}
		return nil
	}
	for {
		tok, ok := t.next()
		if !ok {
			return fmt.Errorf("unended list after %s", f.keyword)
		}
		if tok.quoted {
			f.quoted = true
		} else if tok.text == ")" {
			break
		} else if tok.text == "$" {
			continue
		} else if tok.text == "(" {
			return fmt.Errorf("nested list after %s", f.keyword)
		}
		f.values = append(f.values, tok.text)
	}
	if len(f.values) == 0 {
		return fmt.Errorf("empty list after %s", f.keyword)
	}
	return nil
}
