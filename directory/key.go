package directory

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Key is the normal form of a name: from the root down, each RDN as
// type=value with the type's canonical name in lower case and the value in
// its normal form, AVAs of one RDN sorted, each RDN ended by a zero byte.
// Equal names have equal keys; the entries of a subtree are exactly those
// whose key begins with its key; and sorted keys visit a parent before its
// children. A Key depends on the schema that made it.
type Key string

const (
	keyEnd    = 0x00 // ends an RDN
	keyEscape = 0x01 // before a byte of a value that is 0, 1 or 2, which is raised by 0x10
	keyPlus   = 0x02 // between AVAs
)

// Key returns the normal form of d. The error is an *Error: InvalidDNSyntax
// for an attribute type the schema does not know or a value its rule refuses.
func (s *Schema) Key(d DN) (Key, error) {
	b, err := s.AppendKey(make([]byte, 0, 64), d)
	return Key(b), err
}

// AppendKey appends the key of d to b.
func (s *Schema) AppendKey(b []byte, d DN) ([]byte, error) {
	for i := len(d) - 1; i >= 0; i-- {
		var err error
		if b, err = s.appendRDNKey(b, d[i]); err != nil {
			return b, err
		}
	}
	return b, nil
}

func (s *Schema) appendRDNKey(b []byte, r RDN) ([]byte, error) {
	if len(r) == 1 {
		b, err := s.appendAVAKey(b, r[0])
		return append(b, keyEnd), err
	}
	parts := make([][]byte, 0, len(r))
	for _, a := range r {
		p, err := s.appendAVAKey(nil, a)
		if err != nil {
			return b, err
		}
		parts = append(parts, p)
	}
	for i := range r {
		for j := range i {
			if s.Attribute(r[i].Type) == s.Attribute(r[j].Type) {
				return b, refuse(InvalidDNSyntax, fmt.Sprintf("an RDN with %s twice", r[i].Type))
			}
		}
	}
	slices.SortFunc(parts, bytes.Compare)
	b = append(b, bytes.Join(parts, []byte{keyPlus})...)
	return append(b, keyEnd), nil
}

func (s *Schema) appendAVAKey(b []byte, a AVA) ([]byte, error) {
	t := s.Attribute(a.Type)
	if t == nil || strings.IndexByte(a.Type, ';') >= 0 {
		return b, refuse(InvalidDNSyntax, fmt.Sprintf("unknown attribute type %q in a name", a.Type))
	}
	v, err := a.Value, t.Syntax.Validate(a.Value)
	if err == nil && t.Equality != nil {
		v, err = t.Equality.Normalize(a.Value)
	}
	if err != nil {
		return b, refuse(InvalidDNSyntax, fmt.Sprintf("value of %s in a name: %v", t.Name(), err))
	}
	b = append(b, t.keyName()...)
	b = append(b, '=')
	for _, c := range v {
		if c <= keyPlus {
			b = append(b, keyEscape, c+0x10)
		} else {
			b = append(b, c)
		}
	}
	return b, nil
}

func (a *AttributeType) keyName() string {
	if a.lower == "" {
		return strings.ToLower(a.Name())
	}
	return a.lower
}

// ParseKey reads a name and returns its key.
func (s *Schema) ParseKey(dn string) (Key, error) {
	d, err := ParseDN(dn)
	if err != nil {
		return "", err
	}
	return s.Key(d)
}

// Parent returns the key of the name above; "" for a name of one RDN.
func (k Key) Parent() Key {
	if len(k) == 0 {
		return ""
	}
	return k[:strings.LastIndexByte(string(k[:len(k)-1]), keyEnd)+1]
}

// Contains reports whether o is k itself or lies below it.
func (k Key) Contains(o Key) bool { return strings.HasPrefix(string(o), string(k)) }

// Depth returns the number of RDNs.
func (k Key) Depth() int { return strings.Count(string(k), "\x00") }

// After returns the smallest string above every key of the subtree of k:
// the subtree is k ≤ x < After. For the empty key there is none: "".
func (k Key) After() Key {
	if len(k) == 0 {
		return ""
	}
	return k[:len(k)-1] + "\x01"
}
