package directory

import (
	"bytes"
	"iter"
	"slices"
	"strings"
)

// Attribute is a description (type and options, "cn;lang-en") and its values.
// In an Entry that went through Schema.Canonical, Type is the canonical name
// with its options in lower case and sorted, and no two attributes share it.
type Attribute struct {
	Type   string
	Values [][]byte
}

// Entry is a name and its attributes, in the order given.
type Entry struct {
	DN         DN
	Attributes []Attribute
}

// Get returns the values of exactly this description, compared without case;
// no subtypes, no other options. The values are the entry's own memory.
func (e *Entry) Get(description string) [][]byte {
	if a := e.Attribute(description); a != nil {
		return a.Values
	}
	return nil
}

// First returns the first value of exactly this description, or "".
func (e *Entry) First(description string) string {
	if v := e.Get(description); len(v) > 0 {
		return string(v[0])
	}
	return ""
}

// Attribute returns the attribute of exactly this description, or nil.
func (e *Entry) Attribute(description string) *Attribute {
	for i := range e.Attributes {
		if strings.EqualFold(e.Attributes[i].Type, description) {
			return &e.Attributes[i]
		}
	}
	return nil
}

// Has reports whether the description holds this value, compared as bytes.
func (e *Entry) Has(description string, value []byte) bool {
	return slices.ContainsFunc(e.Get(description), func(v []byte) bool { return bytes.Equal(v, value) })
}

// Put replaces the values of a description, adds the attribute when absent,
// and removes it when no value is given.
func (e *Entry) Put(description string, values ...[]byte) {
	for i := range e.Attributes {
		if !strings.EqualFold(e.Attributes[i].Type, description) {
			continue
		}
		if len(values) == 0 {
			e.Attributes = slices.Delete(e.Attributes, i, i+1)
			return
		}
		e.Attributes[i].Values = values
		return
	}
	if len(values) > 0 {
		e.Attributes = append(e.Attributes, Attribute{Type: description, Values: values})
	}
}

// PutString is Put with strings.
func (e *Entry) PutString(description string, values ...string) {
	e.Put(description, Values(values...)...)
}

// Values turns strings into attribute values.
func Values(s ...string) [][]byte {
	out := make([][]byte, len(s))
	for i := range s {
		out[i] = []byte(s[i])
	}
	return out
}

// Clone returns a deep copy.
func (e *Entry) Clone() *Entry {
	out := &Entry{DN: e.DN.Clone(), Attributes: make([]Attribute, len(e.Attributes))}
	for i, a := range e.Attributes {
		out.Attributes[i] = a.Clone()
	}
	return out
}

// Clone returns a deep copy.
func (a Attribute) Clone() Attribute {
	out := Attribute{Type: a.Type, Values: make([][]byte, len(a.Values))}
	for i, v := range a.Values {
		out.Values[i] = append([]byte{}, v...)
	}
	return out
}

// SplitDescription parts a description into its type and its options:
// "cn;lang-en" gives "cn" and "lang-en" (RFC 4512 §2.5).
func SplitDescription(description string) (typ, options string) {
	if i := strings.IndexByte(description, ';'); i >= 0 {
		return description[:i], description[i+1:]
	}
	return description, ""
}

// Options runs over the options of a description.
func Options(description string) iter.Seq[string] {
	_, rest := SplitDescription(description)
	return func(yield func(string) bool) {
		for rest != "" {
			o, more, _ := strings.Cut(rest, ";")
			if !yield(o) {
				return
			}
			rest = more
		}
	}
}

// ModOp is the operation of one modification (RFC 4511 §4.6, RFC 4525).
type ModOp uint8

// The numbers are those of the wire.
const (
	ModAdd       ModOp = 0
	ModDelete    ModOp = 1
	ModReplace   ModOp = 2
	ModIncrement ModOp = 3
)

// String returns the LDIF keyword.
func (o ModOp) String() string {
	switch o {
	case ModAdd:
		return "add"
	case ModDelete:
		return "delete"
	case ModReplace:
		return "replace"
	case ModIncrement:
		return "increment"
	}
	return "unknown"
}

// Modification is one change to one attribute. A ModDelete or ModReplace
// without values removes the attribute.
type Modification struct {
	Op        ModOp
	Attribute Attribute
}
