package directory

import (
	"bytes"

	"cardinal/internal/journal"
)

// RawAdded is the body of an EntryAdded taken apart and not decoded, so that one
// value of many entries can be replaced at the cost of copying bytes. Everything
// in it is part of what it was read from.
type RawAdded struct {
	UUID       UUID
	Name       []byte // the DN as a body has it
	Leaf       []byte // its first RDN, see ParseRawRDN
	Attributes []RawAttribute
	Large      bool // values are kept as contents, or would have to be
}

// RawAttribute is an attribute of a RawAdded.
type RawAttribute struct {
	Type   []byte
	Values []byte // how many, and each behind its length
	Count  int
}

// NewRawAttribute is the form an attribute has in bodies.
func NewRawAttribute(a *Attribute) RawAttribute {
	e := journal.NewEncoder(nil)
	e.AppendUint(uint64(len(a.Values)))
	for _, v := range a.Values {
		e.AppendBytes(v)
	}
	return RawAttribute{Type: []byte(a.Type), Values: e.Bytes(), Count: len(a.Values)}
}

// Holds reports whether one of the values is exactly v.
func (a *RawAttribute) Holds(v []byte) bool {
	values := NewRawValues(a.Values)
	for have, ok := values.Next(); ok; have, ok = values.Next() {
		if bytes.Equal(have, v) {
			return true
		}
	}
	return false
}

// ParseRawAdded reads a body into x, whose memory is used again.
func ParseRawAdded(body []byte, x *RawAdded) error {
	r := reader{journal.NewDecoder(body)}
	x.UUID = r.uuid()
	whole := r.Rest()
	n := r.Count(3)
	if n > maxRDNs {
		r.Fail("number of RDNs")
	}
	x.Leaf = nil
	for i := range n {
		at := r.Rest()
		r.skipRDN()
		if i == 0 {
			x.Leaf = at[:len(at)-len(r.Rest())]
		}
	}
	x.Name = whole[:len(whole)-len(r.Rest())]
	x.Attributes, x.Large = x.Attributes[:0], false
	for range r.Count(2) {
		a := RawAttribute{Type: r.Bytes()}
		var large bool
		a.Values, a.Count, large = r.rawValues()
		x.Large = x.Large || large
		x.Attributes = append(x.Attributes, a)
	}
	if r.Count(35) > 0 { // which they are, ParseEntryAdded tells
		x.Large = true
		r.Fixed(len(r.Rest()))
	}
	return r.done("entry added")
}

func (r reader) skipRDN() {
	n := r.Count(2)
	if n == 0 || n > maxAVAs {
		r.Fail("number of values in an RDN")
	}
	for range n {
		r.Bytes()
		r.Bytes()
	}
}

// rawValues passes over values; large when one must be kept as content.
func (r reader) rawValues() (raw []byte, n int, large bool) {
	whole := r.Rest()
	n = r.Count(1)
	for range n {
		large = len(r.Bytes()) > LargeValue || large
	}
	return whole[:len(whole)-len(r.Rest())], n, large
}

// Attribute is Entry.Attribute.
func (x *RawAdded) Attribute(description []byte) *RawAttribute {
	for i := range x.Attributes {
		if have := x.Attributes[i].Type; bytes.Equal(have, description) || bytes.EqualFold(have, description) {
			return &x.Attributes[i]
		}
	}
	return nil
}

// Put replaces the values of a description or adds them, as Entry.Put does with
// values.
func (x *RawAdded) Put(a RawAttribute) {
	if have := x.Attribute(a.Type); have != nil {
		have.Values, have.Count = a.Values, a.Count
		return
	}
	x.Attributes = append(x.Attributes, a)
}

// Append appends the body, which has no large values, and says where in it the
// values of one description begin; 0 if it has none.
func (x *RawAdded) Append(b []byte, description string) (body []byte, at int) {
	e := journal.NewEncoder(b)
	e.AppendFixed(x.UUID[:])
	e.AppendFixed(x.Name)
	e.AppendUint(uint64(len(x.Attributes)))
	for i := range x.Attributes {
		e.AppendBytes(x.Attributes[i].Type)
		if string(x.Attributes[i].Type) == description {
			at = len(e.Bytes())
		}
		e.AppendFixed(x.Attributes[i].Values)
	}
	e.AppendUint(0)
	return e.Bytes(), at
}
