package ldap

import (
	"slices"

	"cardinal/directory"
	"cardinal/directory/tree"
	"cardinal/internal/ber"
)

// entryWriter writes what one client may see of an entry.
type entryWriter struct {
	selection *selection
	typesOnly bool
	grant     *directory.Access
	hide      tree.Hide                            // nil: certificates are shown as they are
	matched   *valuesFilter                        // nil: all values are shown
	others    tree.Asker                           // who asks, for what speaks of other entries
	besides   func(b []byte, e *tree.Entry) []byte // appends further attributes; nil: none
}

// append appends a SearchResultEntry message.
func (w *entryWriter) append(b []byte, id int64, e *tree.Entry) ([]byte, error) {
	b, message := ber.Begin(b, ber.Sequence)
	b = ber.AppendInt(b, ber.Integer, id)
	b, err := w.appendEntry(b, searchResultEntry, e)
	return ber.End(b, message), err
}

// appendEntry appends objectName and attributes under a tag: the body of a
// SearchResultEntry, and the value of the read entry controls (RFC 4527 §3).
func (w *entryWriter) appendEntry(b []byte, tag ber.Tag, e *tree.Entry) ([]byte, error) {
	b, body := ber.Begin(b, tag)
	b, name := ber.Begin(b, ber.OctetString)
	b, err := e.AppendDN(b)
	if err != nil {
		return b, err
	}
	b = ber.End(b, name)
	b, list := ber.Begin(b, ber.Sequence)
	b = w.attributes(b, e)
	for _, d := range w.selection.computed {
		if w.grant.Allows(d.Type, directory.RightRead) {
			b = w.computed(b, d, e)
		}
	}
	if w.besides != nil {
		b = w.besides(b, e)
	}
	b = ber.End(b, list)
	return ber.End(b, body), nil
}

func (w *entryWriter) attributes(b []byte, e *tree.Entry) []byte {
	if !w.typesOnly && w.matched == nil { // else values are chosen one by one
		return e.AppendShown(b, w.showing(e.Names()), w.attribute)
	}
	want := w.selection.numbers(e.Names())
	e.Each(func(a *tree.Attribute) bool {
		if want[a.Code] && w.grant.Allows(a.Description.Type, directory.RightRead) {
			b = w.attribute(b, a)
		}
		return true
	})
	return b
}

func (w *entryWriter) attribute(b []byte, a *tree.Attribute) []byte {
	before := len(b)
	b, attr := ber.Begin(b, ber.Sequence)
	b = append(b, a.Header...)
	b, set := ber.Begin(b, ber.Set)
	switch {
	case w.matched != nil || w.hide != nil && w.hide.Hides(a.Description):
		valued := false
		b, valued = w.chosen(b, a)
		if !valued { // nothing left to show: the attribute is not there
			return b[:before]
		}
		if w.typesOnly {
			b = b[:set]
		}
	case !w.typesOnly:
		b = a.AppendValues(b)
	}
	return ber.End(ber.End(b, set), attr)
}

// goodCards hides the certificates of ours that are not good, from answers and
// from filters alike: who looks for the holder of a certificate must not find
// one by a card that was reported lost.
type goodCards struct{ status CardStatus }

// hiding is what the server hides: nothing without a CardStatus.
func (s *Server) hiding() tree.Hide {
	return s.hides
}

// Hides implements tree.Hide.
func (g goodCards) Hides(d directory.Description) bool {
	return d.Type != nil && d.Type.Name() == "userCertificate"
}

// Hidden implements tree.Hide.
func (g goodCards) Hidden(v []byte) bool {
	known, good := g.status.Known(v)
	return known && !good
}

func (w *entryWriter) computed(b []byte, d directory.Description, e *tree.Entry) []byte {
	values, _ := e.Computed(d, w.others)
	if w.matched != nil {
		items := w.matched.about(d)
		values = slices.DeleteFunc(values, func(v []byte) bool { return !matches(items, v) })
	}
	if len(values) == 0 {
		return b
	}
	b, attr := ber.Begin(b, ber.Sequence)
	b = ber.AppendString(b, ber.OctetString, d.Type.Name())
	b, set := ber.Begin(b, ber.Set)
	if !w.typesOnly {
		for _, v := range values {
			b = ber.Append(b, ber.OctetString, v)
		}
	}
	return ber.End(ber.End(b, set), attr)
}
