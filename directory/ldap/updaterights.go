package ldap

import (
	"errors"

	"cardinal/directory"
	"cardinal/directory/tree"
)

// lookout is where an update is judged from: this node's copy, or with in the
// state inside the transaction that makes it.
type lookout struct {
	u  *update
	in directory.Lookup
}

// look calls visit for an entry; *tree.NoSuchBase if there is none.
func (l lookout) look(dn directory.DN, visit func(directory.EntryView) error) error {
	schema := l.u.conn.server.schema
	if l.in == nil {
		key, err := schema.Key(dn)
		if err != nil {
			return err
		}
		return l.u.conn.server.config.Tree.Get(key, func(e *tree.Entry) error { return visit(e) })
	}
	e, err := l.in.Entry(dn)
	if err != nil {
		return noneInside(err)
	}
	view, err := schema.View(e)
	if err != nil {
		return err
	}
	return visit(view)
}

// noneInside turns the Writer's "no such object" into the tree's.
func noneInside(err error) error {
	var known *directory.Error
	if errors.As(err, &known) && known.Code == directory.NoSuchObject {
		return &tree.NoSuchBase{}
	}
	return err
}

// sees reports whether an entry may be known to exist.
func (u *update) sees(e directory.EntryView) bool {
	who := u.conn.who.at(e.Key())
	return u.conn.rules().On(&who.Identity, e, nil).Allows(nil, directory.RightRead)
}

var errNoWrite = &directory.Error{Code: directory.InsufficientAccessRights}

// judge decides whether the client may ask for the update. What he may not
// know to exist is not there, or where it stands in the way, not permitted.
func (u *update) judge(l lookout) error {
	var err error
	switch u.op {
	case addRequest:
		err = u.judgeAdd(l)
	case delRequest:
		err = u.judgeDelete(l)
	case modDNRequest:
		err = u.judgeMove(l)
	default:
		err = u.onEntry(l, directory.RightModify, u.types())
	}
	return u.conn.noSuch(u.key, err)
}

// may checks a right to change the entry itself, or attributes. Relaxed rules
// need the manage right on the entry, and on what users may not modify.
func (u *update) may(right directory.Right, on directory.EntryView, types []string) error {
	who := u.conn.who.at(on.Key())
	if who.Root {
		return nil
	}
	grant := u.conn.rules().On(&who.Identity, on, nil)
	if types == nil && !grant.Allows(nil, right) || u.controls.relax && !grant.Allows(nil, directory.RightManage) {
		return errNoWrite
	}
	for _, name := range types {
		t := u.conn.server.schema.Attribute(name)
		if t == nil {
			return &directory.Error{Code: directory.UndefinedAttributeType, Message: name + ": attribute type undefined"}
		}
		need := right
		if u.controls.relax && t.NoUserModification {
			need = directory.RightManage
		}
		if !grant.Allows(t, need) {
			return errNoWrite
		}
	}
	return nil
}

// onEntry checks rights on the entry as it is, which must exist for the client.
// With no types it is the entry itself that is written.
func (u *update) onEntry(l lookout, right directory.Right, types []string) error {
	if u.who.Root {
		return nil
	}
	return l.look(u.dn, func(e directory.EntryView) error {
		if !u.sees(e) {
			return errHidden
		}
		return u.may(right, e, types)
	})
}

func (u *update) judgeAdd(l lookout) error {
	view, err := u.conn.server.schema.View(u.entry)
	if err != nil {
		return err
	}
	if err := u.may(directory.RightAdd, view, nil); err != nil {
		return err
	}
	if err := u.may(directory.RightAdd, view, u.types()); err != nil || u.who.Root {
		return err
	}
	if err = u.judgePlace(l, u.dn); errors.Is(err, errHiddenParent) {
		return errHidden // with the name above that he may know
	}
	return err
}

// judgePlace looks at where an entry is to stand: below what the client cannot
// see nothing is, and where a hidden entry stands already he may not write.
func (u *update) judgePlace(l lookout, dn directory.DN) error {
	hidden := func(code error) func(directory.EntryView) error {
		return func(e directory.EntryView) error {
			if !u.sees(e) {
				return code
			}
			return nil
		}
	}
	var missing *tree.NoSuchBase
	if len(dn) > 1 {
		err := l.look(dn.Parent(), hidden(errHiddenParent))
		if err != nil && !errors.As(err, &missing) {
			return err
		}
	}
	err := l.look(dn, hidden(errNoWrite))
	if errors.As(err, &missing) {
		return nil
	}
	return err
}

// errHiddenParent: the superior must look as if it were not there.
var errHiddenParent = &directory.Error{Code: directory.NoSuchObject}

func (u *update) judgeDelete(l lookout) error {
	if err := u.onEntry(l, directory.RightDelete, nil); err != nil || u.who.Root || l.in == nil {
		return err
	}
	if u.controls.treeDelete {
		_, err := l.in.Below(u.dn, maxTree, func(e *directory.Entry) error { return u.judgeBelow(e) })
		return err
	}
	// That something stands below is said only to who can see a part of it.
	below, seen := 0, false
	_, err := l.in.Below(u.dn, maxTree, func(e *directory.Entry) error {
		view, err := u.conn.server.schema.View(e)
		if err != nil {
			return err
		}
		below++
		if seen = u.sees(view); seen {
			return errEnough
		}
		return nil
	})
	switch {
	case err != nil && !errors.Is(err, errEnough):
		return err
	case below > 0 && !seen:
		return errNoWrite
	}
	return nil
}

var errEnough = errors.New("enough was seen")

// judgeBelow is the check of one entry that goes with its superior.
func (u *update) judgeBelow(e *directory.Entry) error {
	view, err := u.conn.server.schema.View(e)
	if err != nil {
		return err
	}
	if !u.sees(view) {
		return errNoWrite
	}
	return u.may(directory.RightDelete, view, nil)
}

func (u *update) judgeMove(l lookout) error {
	if err := u.onEntry(l, directory.RightRename, nil); err != nil {
		return err
	}
	to := u.movedTo()
	view, err := u.conn.server.schema.View(&directory.Entry{DN: to})
	if err != nil {
		return err
	}
	if err := u.may(directory.RightRename, view, nil); err != nil || u.conn.who.at(u.after).Root || u.after == u.key {
		return err
	}
	return u.judgePlace(l, to)
}
