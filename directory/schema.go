package directory

import (
	"slices"
	"strings"
)

// Usage says what an attribute is for (RFC 4512 §4.1.2).
type Usage uint8

// The usages; all but UserApplications are operational.
const (
	UserApplications Usage = iota
	DirectoryOperation
	DistributedOperation
	DSAOperation
)

// AttributeType is one attribute type, with everything it inherits filled in
// (RFC 4512 §4.1.2). Types belong to one Schema and are never changed, so
// they may be compared by pointer and used by several goroutines.
type AttributeType struct {
	OID         string
	Names       []string // the first is the canonical name
	Description string
	Sup         *AttributeType
	// A nil rule means comparisons of its kind are Undefined.
	Equality, Ordering, Substrings *MatchingRule
	Syntax                         *Syntax
	MaxLength                      int // the {n} of the syntax: a hint, not enforced (RFC 4512 §4.1.2)
	Obsolete                       bool
	SingleValue                    bool
	Collective                     bool
	NoUserModification             bool
	Usage                          Usage
	Index                          int // dense, 0…n-1 within the schema; not stable between schemas
	definition                     string
	lower                          string
	origin                         string
	subtypes                       []*AttributeType // itself first
}

// Name returns the canonical name: the first NAME, or the OID.
func (a *AttributeType) Name() string {
	if len(a.Names) > 0 {
		return a.Names[0]
	}
	return a.OID
}

// Is reports whether a is of, or a subtype of, the other type.
func (a *AttributeType) Is(of *AttributeType) bool {
	for t := a; t != nil; t = t.Sup {
		if t == of {
			return true
		}
	}
	return false
}

// Subtypes returns the type itself and every type derived from it. Read only.
func (a *AttributeType) Subtypes() []*AttributeType { return a.subtypes }

// Operational reports whether the attribute is returned only on request.
func (a *AttributeType) Operational() bool { return a.Usage != UserApplications }

// Binary reports whether values travel with the ;binary option (RFC 4523 §2).
func (a *AttributeType) Binary() bool { return a.Syntax.Binary }

// ClassKind is the kind of an object class (RFC 4512 §2.4).
type ClassKind uint8

// The kinds.
const (
	Structural ClassKind = iota
	Abstract
	Auxiliary
)

// ObjectClass is one object class (RFC 4512 §4.1.1). Must and May are its
// own; AllMust and AllMay include what it inherits.
type ObjectClass struct {
	OID             string
	Names           []string
	Description     string
	Obsolete        bool
	Sup             []*ObjectClass
	Kind            ClassKind
	Must, May       []*AttributeType
	AllMust, AllMay []*AttributeType
	definition      string
	origin          string
	above           []*ObjectClass // every superclass, itself first
}

// Name returns the canonical name: the first NAME, or the OID.
func (c *ObjectClass) Name() string {
	if len(c.Names) > 0 {
		return c.Names[0]
	}
	return c.OID
}

// NameValue returns the canonical name as the value of an attribute. Read only.
func (c *ObjectClass) NameValue() [][]byte { return [][]byte{[]byte(c.Name())} }

// Is reports whether c is, or is derived from, the other class.
func (c *ObjectClass) Is(of *ObjectClass) bool { return slices.Contains(c.above, of) }

// Superclasses returns the class itself and all its superclasses. Read only.
func (c *ObjectClass) Superclasses() []*ObjectClass { return c.above }

// Schema is a closed set of attribute types, object classes, syntaxes and
// matching rules. It is built once by a Loader and never changes: any number
// of goroutines may use it.
type Schema struct {
	attributes map[string]*AttributeType // by lower-case name and OID
	exact      map[string]*AttributeType // by the spellings of the definitions
	classes    map[string]*ObjectClass   // by lower-case name and OID
	rules      map[string]*MatchingRule  // by lower-case name and OID
	syntaxes   map[string]*Syntax        // by OID

	attributeList []*AttributeType
	classList     []*ObjectClass
	ruleList      []*MatchingRule
	syntaxList    []*Syntax

	objectClass *AttributeType
}

// Attribute returns the type of this name or OID, compared without case and
// without options; nil if the schema has none.
func (s *Schema) Attribute(name string) *AttributeType {
	if i := strings.IndexByte(name, ';'); i >= 0 {
		name = name[:i]
	}
	if a, ok := s.exact[name]; ok {
		return a
	}
	return s.attributes[strings.ToLower(name)]
}

// Class returns the object class of this name or OID, nil if there is none.
func (s *Schema) Class(name string) *ObjectClass {
	if c, ok := s.classes[name]; ok {
		return c
	}
	return s.classes[strings.ToLower(name)]
}

// Rule returns the matching rule of this name or OID, nil if there is none.
func (s *Schema) Rule(name string) *MatchingRule { return s.rules[strings.ToLower(name)] }

// Syntax returns the syntax of this OID, nil if there is none.
func (s *Schema) Syntax(oid string) *Syntax { return s.syntaxes[oid] }

// Attributes returns every attribute type, ordered by Index. Read only.
func (s *Schema) Attributes() []*AttributeType { return s.attributeList }

// Classes returns every object class in the order of definition. Read only.
func (s *Schema) Classes() []*ObjectClass { return s.classList }

// Rules returns every matching rule. Read only.
func (s *Schema) Rules() []*MatchingRule { return s.ruleList }

// Description is a resolved attribute description (RFC 4512 §2.5).
type Description struct {
	Type    *AttributeType
	Options []string // lower case, sorted, without "binary"
}

// Describe resolves a description; ok is false for an unknown type or an
// ill-formed option.
func (s *Schema) Describe(description string) (d Description, ok bool) {
	typ, options := SplitDescription(description)
	d.Type = s.Attribute(typ)
	if d.Type == nil {
		return d, false
	}
	if options == "" {
		return d, len(typ) == len(description)
	}
	return describeOptions(d, description)
}

// describeOptions adds the options a description names, lower case and sorted.
func describeOptions(d Description, description string) (Description, bool) {
	for o := range Options(description) {
		o = strings.ToLower(o)
		if !validOption(o) {
			return d, false
		}
		if o != "binary" && !slices.Contains(d.Options, o) {
			d.Options = append(d.Options, o)
		}
	}
	if strings.HasSuffix(description, ";") {
		return d, false
	}
	slices.Sort(d.Options)
	return d, true
}

func validOption(o string) bool {
	for i := range len(o) {
		if c := o[i]; !isLetter(c) && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return o != ""
}

// String returns the canonical description: canonical name, then ";binary"
// where the syntax asks for it, then the options.
func (d Description) String() string {
	name := d.Type.Name()
	if d.Type.Binary() {
		name += ";binary"
	}
	if len(d.Options) == 0 {
		return name
	}
	return name + ";" + strings.Join(d.Options, ";")
}

// Covers reports whether a value of description o belongs to d: o's type is
// d's or a subtype, and o has every option of d (RFC 4512 §2.5.2.1; a d
// option ending in "-" is a range, RFC 3866 §2.2).
func (d Description) Covers(o Description) bool {
	return o.Type.Is(d.Type) && coversOptions(d.Options, o.Options)
}

func coversOptions(want, have []string) bool {
	for _, w := range want {
		if !slices.ContainsFunc(have, func(h string) bool {
			return h == w || strings.HasSuffix(w, "-") && (strings.HasPrefix(h, w) || h+"-" == w)
		}) {
			return false
		}
	}
	return true
}

// NameOf is the schema's own string for a name or OID of an attribute type that
// is spelled as it is there; false for any other description.
func (s *Schema) NameOf(spelled []byte) (string, bool) {
	t := s.exact[string(spelled)]
	if t == nil {
		return "", false
	}
	for _, n := range t.Names {
		if n == string(spelled) {
			return n, true
		}
	}
	return t.OID, t.OID == string(spelled)
}
