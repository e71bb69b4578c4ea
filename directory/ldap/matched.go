package ldap

import (
	"cardinal/directory"
	"cardinal/directory/tree"
	"cardinal/internal/ber"
)

// valuesFilter is the request of matched values (RFC 3876): of each attribute
// only the values that make one of the items true are returned, and an
// attribute without any is not, as slapd has it.
type valuesFilter struct {
	items []*directory.Filter
	ready []*directory.Query
}

// takeMatched reads a ValuesReturnFilter: items of a filter, and nothing that
// joins or negates them.
func (c *controls) takeMatched(value []byte) error {
	if c.matched != nil {
		return protocolError("the matched values control stands twice")
	}
	r := ber.NewReader(value)
	list, err := r.Enter(ber.Sequence)
	if err != nil {
		return err
	}
	v := &valuesFilter{}
	for !list.Empty() {
		if len(v.items) >= maxValueItems {
			return protocolError("matched values: too many items")
		}
		f, err := readFilter(&list)
		if err != nil {
			return err
		}
		if f.Kind <= directory.FilterNot || f.Kind == directory.FilterNone || f.DNAttrs {
			return protocolError("matched values: only plain items are allowed")
		}
		v.items = append(v.items, f)
	}
	if len(v.items) == 0 {
		return protocolError("matched values: no item")
	}
	c.matched = v
	return r.End()
}

// prepare compiles the items.
func (v *valuesFilter) prepare(schema *directory.Schema) {
	for _, f := range v.items {
		if q := schema.Compile(f); q.Kind != directory.FilterNone {
			v.ready = append(v.ready, q)
		}
	}
}

// about lists the items that speak of an attribute.
func (v *valuesFilter) about(d directory.Description) (items []*directory.Query) {
	for _, q := range v.ready {
		if q.SpeaksOf(d) {
			items = append(items, q)
		}
	}
	return items
}

// matches decides one value.
func matches(items []*directory.Query, value []byte) bool {
	for _, q := range items {
		if q.Kind == directory.FilterPresent || q.MatchValue(value) == directory.True {
			return true
		}
	}
	return false
}

// chosen appends the values of an attribute that the matched values control
// and what is hidden leave.
func (w *entryWriter) chosen(b []byte, a *tree.Attribute) (out []byte, valued bool) {
	hides := w.hide != nil && w.hide.Hides(a.Description)
	var items []*directory.Query
	if w.matched != nil {
		items = w.matched.about(a.Description)
	}
	a.Values(func(v []byte) bool {
		if hides && w.hide.Hidden(v) || w.matched != nil && !matches(items, v) {
			return true
		}
		b = ber.Append(b, ber.OctetString, v)
		valued = true
		return true
	})
	return b, valued
}
