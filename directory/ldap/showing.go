package ldap

import (
	"cardinal/directory"
	"cardinal/directory/tree"
)

// shown answers a selection by attribute number for one grant: what of an
// entry is shown to whom. It does not change once made.
type shown struct {
	of    *tree.Names
	grant directory.Access
	hides bool
	how   []tree.Showing
}

// showing decides for all attribute numbers at once, or remembers what was
// decided last: most answers of a server show the same to the same rights.
func (w *entryWriter) showing(names *tree.Names) []tree.Showing {
	s := w.selection
	if x := s.shown.Load(); x != nil && w.matched == nil && x.of == names && x.hides == (w.hide != nil) && x.grant.Equal(w.grant) {
		return x.how
	}
	x := &shown{of: names, grant: w.grant.Clone(), hides: w.hide != nil, how: make([]tree.Showing, names.Len())}
	for i, wanted := range s.numbers(names) {
		d, _ := names.At(i)
		switch {
		case !wanted || !w.grant.Allows(d.Type, directory.RightRead):
		case w.matched != nil || w.hide != nil && w.hide.Hides(d):
			x.how[i] = tree.ShowAsked
		default:
			x.how[i] = tree.ShowAll
		}
	}
	if w.matched == nil { // which values are asked for is this search's own
		s.shown.Store(x)
	}
	return x.how
}
