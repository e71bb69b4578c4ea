package ldap

import (
	"slices"

	"cardinal/directory"
	"cardinal/internal/ber"
)

// An update under an assertion, and what a read entry control shows, are about
// the entry at the moment of the update. That is not the tree's entry but the
// one inside the Writer's transaction, which these functions show with the
// rights of who asks.

// showInside is an entry as the client may see it, with what he may do to it.
func (u *update) showInside(e *directory.Entry) (*directory.Entry, *directory.Access, error) {
	schema := u.conn.server.schema
	view, err := schema.View(e)
	if err != nil {
		return nil, nil, err
	}
	who := u.conn.who.at(view.Key())
	grant := u.conn.rules().On(&who.Identity, view, nil)
	if !grant.Allows(nil, directory.RightRead) {
		return nil, nil, errHidden
	}
	hide := u.conn.server.hiding()
	if hide == nil {
		return e, grant, nil
	}
	shown := &directory.Entry{DN: e.DN}
	for _, a := range e.Attributes {
		if d, ok := schema.Describe(a.Type); ok && hide.Hides(d) {
			a.Values = slices.DeleteFunc(slices.Clone(a.Values), hide.Hidden)
		}
		if len(a.Values) > 0 {
			shown.Attributes = append(shown.Attributes, a)
		}
	}
	return shown, grant, nil
}

// assertInside is the assertion control (RFC 4528): 122 unless the filter is
// true, as far as the client may search. What an entry to be added must look
// like is asked of the entry as it was given, as slapd does.
func (u *update) assertInside(in directory.Lookup) error {
	e := u.entry
	if u.op != addRequest {
		var err error
		if e, err = in.Entry(u.dn); err != nil {
			return u.conn.noSuch(u.key, noneInside(err))
		}
	}
	e, grant, err := u.showInside(e)
	if err != nil {
		return u.conn.noSuch(u.key, err)
	}
	if decide(u.conn.server.schema.Compile(u.controls.assertion), e, grant) != directory.True {
		return &directory.Error{Code: assertionFailed}
	}
	return nil
}

// decide is a compiled filter for an entry in hand. An item on anything the
// client may not search is Undefined.
func decide(q *directory.Query, e *directory.Entry, grant *directory.Access) directory.Truth {
	switch q.Kind {
	case directory.FilterAnd:
		t := directory.True
		for _, c := range q.Children {
			t = min(t, decide(c, e, grant))
		}
		return t
	case directory.FilterOr:
		t := directory.False
		for _, c := range q.Children {
			t = max(t, decide(c, e, grant))
		}
		return t
	case directory.FilterNot:
		return decide(q.Children[0], e, grant).Not()
	case directory.FilterNone:
		return directory.Undefined
	}
	if q.Attr.Type == nil && len(q.Types) == 0 {
		return directory.Undefined
	}
	for _, t := range q.Types {
		if !grant.Allows(t, directory.RightSearch) {
			return directory.Undefined
		}
	}
	if q.Attr.Type != nil && !grant.Allows(q.Attr.Type, directory.RightSearch) {
		return directory.Undefined
	}
	return q.Match(e)
}

// readInside is the value of a read entry control (RFC 4527 §3); nil if the
// client may not see the entry.
func (u *update) readInside(in directory.Lookup, dn directory.DN, list [][]byte) ([]byte, error) {
	e, err := in.Entry(dn)
	if err != nil {
		return nil, u.conn.noSuch(u.key, noneInside(err))
	}
	e, grant, err := u.showInside(e)
	if err != nil {
		return nil, nil
	}
	s := u.conn.server
	selection := newSelection(s.config.Tree, list)
	b, body := ber.Begin(nil, searchResultEntry)
	b = ber.AppendString(b, ber.OctetString, e.DN.String())
	b, attributes := ber.Begin(b, ber.Sequence)
	for i := range e.Attributes {
		a := &e.Attributes[i]
		d, ok := s.schema.Describe(a.Type)
		if !ok || !selection.wants(d, d.Type.Operational()) || !grant.Allows(d.Type, directory.RightRead) {
			continue
		}
		b = appendAttribute(b, a)
	}
	return ber.End(ber.End(b, attributes), body), nil
}

func appendAttribute(b []byte, a *directory.Attribute) []byte {
	b, attr := ber.Begin(b, ber.Sequence)
	b = ber.AppendString(b, ber.OctetString, a.Type)
	b, set := ber.Begin(b, ber.Set)
	for _, v := range a.Values {
		b = ber.Append(b, ber.OctetString, v)
	}
	return ber.End(ber.End(b, set), attr)
}
