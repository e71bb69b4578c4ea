package ldap

import (
	"bytes"
	"slices"
	"strconv"

	"cardinal/directory"
	"cardinal/directory/tree"
)

// entry makes the entry of one change, as far as the reader may see what was
// changed; nil if he may not know of it, or it lies in another suffix. An entry
// that he sees since the change is one that was added, one that he sees no more
// is one that was deleted. Passwords are in no change.
func (l *logRead) entry(c *tree.Change) *directory.Entry {
	if c.Kind == tree.ChangeLoaded {
		return l.loaded(c)
	}
	before, now := l.seen(c.Before()), l.seen(c.Then())
	if before == nil && now == nil {
		return nil
	}
	e := l.blank(c, c.Name)
	switch {
	case before == nil:
		e.PutString("targetDN", c.After)
		e.PutString("changeType", "add")
		e.Put("changes", attributeLines(now))
	case now == nil:
		e.PutString("changeType", "delete")
	case c.Kind == tree.ChangeMoved:
		l.moved(e, before, now)
	default:
		e.PutString("changeType", "modify")
		e.Put("changes", directory.AppendLDIFMods(nil, append(difference(before, now, c.Missing()), l.leftOut(c)...)))
	}
	return e
}

// blank is the part that all changes have.
func (l *logRead) blank(c *tree.Change, target string) *directory.Entry {
	number := strconv.FormatUint(c.Number, 10)
	e := &directory.Entry{DN: l.log.dn.Child(directory.RDN{{Type: "changenumber", Value: []byte(number)}})}
	e.PutString("objectClass", "top", "nhsExternalChangelogEntry", "changeLogEntry")
	e.PutString("changenumber", number)
	e.Put("changeTime", directory.FormatTime(c.Time()))
	e.PutString("targetDN", target)
	e.PutString("structuralObjectClass", "nhsExternalChangelogEntry")
	e.PutString("entryDN", e.DN.String())
	return e
}

// loaded tells of a suffix that was filled at once: what came with it is for a
// search to tell.
func (l *logRead) loaded(c *tree.Change) *directory.Entry {
	key, err := l.conn.server.schema.ParseKey(c.Name)
	if err != nil || key != l.log.suffix {
		return nil
	}
	hidden := true
	_ = l.conn.server.config.Tree.Get(key, func(e *tree.Entry) error { hidden = !l.targets.sees(e); return nil })
	if hidden {
		return nil
	}
	e := l.blank(c, c.Name)
	e.PutString("changeType", "add")
	return e
}

func (l *logRead) moved(e *directory.Entry, before, now *directory.Entry) {
	e.PutString("changeType", "modrdn")
	if len(now.DN) == 0 || len(before.DN) == 0 {
		return
	}
	e.PutString("newRDN", now.DN[0].String())
	kept := slices.ContainsFunc(now.Get(before.DN[0][0].Type), func(v []byte) bool { return bytes.Equal(v, before.DN[0][0].Value) })
	e.PutString("deleteOldRDN", map[bool]string{true: "FALSE", false: "TRUE"}[kept])
	if !before.DN.Parent().EqualFold(now.DN.Parent()) {
		e.PutString("newSuperior", now.DN.Parent().String())
	}
}

// seen is what the reader may read of an entry at one side of a change; nil if
// nothing.
func (l *logRead) seen(e *tree.Entry) *directory.Entry {
	if e == nil || !l.log.suffix.Contains(e.Key()) {
		return nil
	}
	grant := l.targets.at(e)
	if !grant.Allows(nil, directory.RightRead) {
		return nil
	}
	out, err := e.Decode()
	if err != nil {
		return nil
	}
	hide := l.conn.server.hiding()
	out.Attributes = slices.DeleteFunc(out.Attributes, func(a directory.Attribute) bool {
		d, ok := l.conn.server.schema.Describe(a.Type)
		return !ok || !grant.Allows(d.Type, directory.RightRead)
	})
	for i := range out.Attributes {
		a := &out.Attributes[i]
		if d, ok := l.conn.server.schema.Describe(a.Type); ok && hide != nil && hide.Hides(d) {
			a.Values = slices.DeleteFunc(a.Values, hide.Hidden)
		}
	}
	return out
}

// leftOut are the modifications of very large attributes, if the reader may read
// them now.
func (l *logRead) leftOut(c *tree.Change) []directory.Modification {
	now := c.Then()
	if now == nil {
		return nil
	}
	grant := l.targets.at(now)
	return slices.DeleteFunc(c.LeftOut(), func(m directory.Modification) bool {
		d, ok := l.conn.server.schema.Describe(m.Attribute.Type)
		return !ok || !grant.Allows(d.Type, directory.RightRead)
	})
}

func attributeLines(e *directory.Entry) (b []byte) {
	for i := range e.Attributes {
		for _, v := range e.Attributes[i].Values {
			b = directory.AppendLDIFLine(b, e.Attributes[i].Type, v)
		}
	}
	return b
}

// difference are the modifications that make of one entry the other, but for
// attributes that one of them lacks.
func difference(before, now *directory.Entry, lacking map[string]bool) (mods []directory.Modification) {
	for i := range now.Attributes {
		a := &now.Attributes[i]
		if lacking[a.Type] {
			continue
		}
		old := before.Get(a.Type)
		gone, come := missing(old, a.Values), missing(a.Values, old)
		switch {
		case len(gone) > 0 && len(gone) == len(old):
			mods = append(mods, directory.Modification{Op: directory.ModReplace, Attribute: *a})
			continue
		case len(gone) > 0:
			mods = append(mods, directory.Modification{Op: directory.ModDelete, Attribute: directory.Attribute{Type: a.Type, Values: gone}})
		}
		if len(come) > 0 {
			mods = append(mods, directory.Modification{Op: directory.ModAdd, Attribute: directory.Attribute{Type: a.Type, Values: come}})
		}
	}
	for i := range before.Attributes {
		if a := &before.Attributes[i]; now.Attribute(a.Type) == nil && !lacking[a.Type] {
			mods = append(mods, directory.Modification{Op: directory.ModDelete, Attribute: directory.Attribute{Type: a.Type}})
		}
	}
	return mods
}

// missing are the values of a that are not in b.
func missing(a, b [][]byte) (out [][]byte) {
	there := make(map[string]bool, len(b))
	for _, v := range b {
		there[string(v)] = true
	}
	for _, v := range a {
		if !there[string(v)] {
			out = append(out, v)
		}
	}
	return out
}
