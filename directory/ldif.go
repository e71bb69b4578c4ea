package directory

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// RecordKind says what an LDIF record does.
type RecordKind uint8

// The kinds (RFC 2849).
const (
	RecordContent RecordKind = iota // an entry, without changetype
	RecordAdd
	RecordDelete
	RecordModify
	RecordMove // changetype modrdn or moddn
)

// Record is one LDIF record. Values are its own.
type Record struct {
	Kind   RecordKind
	Line   int   // of "dn:", 1-based
	Offset int64 // of that line's first byte
	DN     DN
	Entry  *Entry         // RecordContent and RecordAdd
	Mods   []Modification // RecordModify
	Move   Move           // RecordMove
}

// Move is a modify DN request (RFC 4511 §4.9).
type Move struct {
	DN           DN
	NewRDN       RDN
	DeleteOldRDN bool
	NewSuperior  DN // nil: stays below its parent
}

// LDIFReader reads records one at a time with memory bounded by one record.
type LDIFReader struct {
	lines *ldifLines
	// OpenURL reads "attr:< url" values. Nil refuses them: a file handed in
	// by someone else must not be able to name files of this machine.
	OpenURL func(url string) ([]byte, error)
	started bool
	err     error
	buffer  []ldifLine // of the record being read
	names   ldifNames
}

// NewLDIFReader reads from r, in its own buffer.
func NewLDIFReader(r io.Reader) *LDIFReader {
	return &LDIFReader{lines: newLDIFLines(r), names: ldifNames{}}
}

// maxRecordBytes bounds one record.
const maxRecordBytes = 64 << 20

// Next returns the next record; io.EOF after the last. Every other error is an
// *LDIFError and ends the reading. An input that stops inside a line (no
// newline at its end) is an error: the file was cut.
func (r *LDIFReader) Next() (*Record, error) {
	if r.err != nil {
		return nil, r.err
	}
	rec, err := r.read()
	if err != nil {
		r.err = err
		return nil, err
	}
	return rec, nil
}

func (r *LDIFReader) read() (*Record, error) {
	first, err := r.firstLine()
	if err != nil {
		return nil, err
	}
	rec := &Record{Line: first.line, Offset: first.offset}
	if !strings.EqualFold(first.name, "dn") {
		return nil, fault(first, fmt.Sprintf("a record begins with dn:, not %q", first.name))
	}
	if rec.DN, err = r.names.parse(first.value, r.lines.intern); err != nil {
		return nil, because(first, err)
	}
	body, err := r.body(first)
	if err != nil {
		return nil, err
	}
	for len(body) > 0 && strings.EqualFold(body[0].name, "control") {
		if strings.Contains(strings.ToLower(string(body[0].value)), " true") {
			return nil, fault(body[0], "a critical control is not supported")
		}
		body = body[1:]
	}
	if len(body) == 0 {
		return nil, fault(first, "a record without attributes")
	}
	return rec, rec.fill(body)
}

// firstLine skips blank lines and the version line.
func (r *LDIFReader) firstLine() (ldifLine, error) {
	for {
		l, err := r.lines.next()
		if err != nil {
			return l, err
		}
		switch {
		case l.blank():
		case !r.started && strings.EqualFold(l.name, "version"):
			r.started = true
			if string(l.value) != "1" {
				return l, fault(l, "version is not 1")
			}
		default:
			r.started = true
			return l, r.uncut(l)
		}
	}
}

// uncut refuses a last line without its newline.
func (r *LDIFReader) uncut(l ldifLine) error {
	if r.lines.ended {
		return nil
	}
	return fault(l, "the input ends in the middle of this line: is the file truncated?")
}

func (r *LDIFReader) body(first ldifLine) ([]ldifLine, error) {
	body := r.buffer[:0]
	size := 0
	for {
		l, err := r.lines.next()
		if errors.Is(err, io.EOF) || err == nil && l.blank() {
			r.buffer = body
			return body, nil
		}
		if err != nil {
			return nil, err
		}
		if err := r.uncut(l); err != nil {
			return nil, err
		}
		if l.url {
			if l.value, err = r.url(l); err != nil {
				return nil, err
			}
		}
		if size += len(l.value) + len(l.name); size > maxRecordBytes {
			return nil, fault(first, fmt.Sprintf("a record of more than %d bytes", maxRecordBytes))
		}
		body = append(body, l)
	}
}

func (r *LDIFReader) url(l ldifLine) ([]byte, error) {
	if r.OpenURL == nil {
		return nil, fault(l, l.name+": values from files (:<) are refused")
	}
	v, err := r.OpenURL(string(l.value))
	if err != nil {
		return nil, because(l, err)
	}
	return v, nil
}

func fault(l ldifLine, what string) error {
	return &LDIFError{Line: l.line, Offset: l.offset, What: what}
}

func because(l ldifLine, err error) error {
	return &LDIFError{Line: l.line, Offset: l.offset, What: err.Error(), Err: err}
}

func (rec *Record) fill(body []ldifLine) error {
	if !strings.EqualFold(body[0].name, "changetype") {
		return rec.content(body)
	}
	kind := body[0]
	body = body[1:]
	switch strings.ToLower(string(kind.value)) {
	case "add":
		rec.Kind = RecordAdd
		if len(body) == 0 {
			return fault(kind, "a record without attributes")
		}
		return rec.content(body)
	case "delete":
		rec.Kind = RecordDelete
		if len(body) > 0 {
			return fault(body[0], "text after changetype: delete")
		}
		return nil
	case "modify":
		rec.Kind = RecordModify
		return rec.modify(body)
	case "modrdn", "moddn":
		rec.Kind = RecordMove
		return rec.move(kind, body)
	}
	return fault(kind, fmt.Sprintf("unknown changetype %q", kind.value))
}

func (rec *Record) content(body []ldifLine) error {
	rec.Entry = &Entry{DN: rec.DN, Attributes: make([]Attribute, 0, len(body))}
	values := make([][]byte, 0, len(body)) // of all attributes: one allocation
	var a *Attribute
	for _, l := range body {
		if l.bare || sameName(l.name, "dn") || sameName(l.name, "changetype") {
			return fault(l, fmt.Sprintf("%q inside an entry", l.name))
		}
		if a != nil && a.Type == l.name {
			a.Values = append(a.Values, l.value)
			values = values[:len(values)+1]
			continue
		}
		given := slices.IndexFunc(rec.Entry.Attributes, func(a Attribute) bool { return sameName(a.Type, l.name) })
		if given >= 0 {
			a = &rec.Entry.Attributes[given]
			a.Values = append(slices.Clip(a.Values), l.value)
			continue
		}
		rec.Entry.Attributes = append(rec.Entry.Attributes, Attribute{Type: l.name})
		a = &rec.Entry.Attributes[len(rec.Entry.Attributes)-1]
		a.Values = append(values[len(values):], l.value)
		values = values[:len(values)+1]
	}
	for i := range rec.Entry.Attributes {
		rec.Entry.Attributes[i].Values = slices.Clip(rec.Entry.Attributes[i].Values)
	}
	return nil
}

// sameName compares descriptions, which are ASCII, without case.
func sameName(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }

func (rec *Record) modify(body []ldifLine) error {
	ops := []ModOp{ModAdd, ModDelete, ModReplace, ModIncrement}
	for len(body) > 0 {
		head := body[0]
		i := slices.IndexFunc(ops, func(o ModOp) bool { return strings.EqualFold(o.String(), head.name) })
		if i < 0 || len(head.value) == 0 {
			return fault(head, fmt.Sprintf("%q is not add, delete, replace or increment", head.name))
		}
		m := Modification{Op: ops[i], Attribute: Attribute{Type: string(head.value)}}
		body = body[1:]
		for len(body) > 0 && !body[0].bare {
			if !strings.EqualFold(body[0].name, m.Attribute.Type) {
				return fault(body[0], fmt.Sprintf("a value of %s expected, not of %s", m.Attribute.Type, body[0].name))
			}
			m.Attribute.Values = append(m.Attribute.Values, body[0].value)
			body = body[1:]
		}
		if len(body) > 0 {
			body = body[1:]
		}
		rec.Mods = append(rec.Mods, m)
	}
	return nil
}

func (rec *Record) move(kind ldifLine, body []ldifLine) error {
	rec.Move = Move{DN: rec.DN}
	want := []string{"newrdn", "deleteoldrdn", "newsuperior"}
	for i, l := range body {
		if i >= len(want) || !strings.EqualFold(l.name, want[i]) {
			return fault(l, fmt.Sprintf("unexpected %q", l.name))
		}
		var err error
		switch i {
		case 0:
			rec.Move.NewRDN, err = ParseRDN(string(l.value))
		case 1:
			rec.Move.DeleteOldRDN = string(l.value) == "1"
			if v := string(l.value); v != "0" && v != "1" {
				err = errors.New("deleteoldrdn is 0 or 1")
			}
		case 2:
			rec.Move.NewSuperior, err = ParseDN(string(l.value))
		}
		if err != nil {
			return because(l, err)
		}
	}
	if len(body) < 2 {
		return fault(kind, "newrdn and deleteoldrdn expected")
	}
	return nil
}
