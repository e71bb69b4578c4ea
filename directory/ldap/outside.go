package ldap

import (
	"slices"

	"cardinal/directory"
)

// outside is the entry of a name that is in no tree: the root DSE, the schema,
// or one below cn=Monitor as it is now; nil if it is none of them.
func (c *conn) outside(key directory.Key) *directory.Entry {
	s := c.server
	switch {
	case key == "":
		return s.rootEntry(c)
	case key == s.root.schemaKey:
		return s.root.schema
	case !s.root.monitorKey.Contains(key):
		return nil
	}
	all := s.monitored()
	i := slices.IndexFunc(all, func(e *directory.Entry) bool {
		k, err := s.schema.Key(e.DN)
		return err == nil && k == key
	})
	if i < 0 {
		return nil
	}
	return all[i]
}

// compareOutside answers a Compare about an entry that is in no tree, as
// compareEntry does about others. A stale copy does not keep it from answering.
func (c asker) compareOutside(key directory.Key, e *directory.Entry, f *directory.Filter, with controls) (r result, err error) {
	if with.assertion != nil {
		return refuse(directory.UnavailableCriticalExtension, "nothing is asserted of what is in no suffix"), nil
	}
	view, err := c.server.schema.View(e)
	if err != nil {
		return r, err
	}
	grant := c.grantOutside(view)
	if !grant.Allows(nil, directory.RightRead) {
		return refuse(directory.NoSuchObject, ""), nil
	}
	d, r := c.comparable(f)
	present := &directory.Filter{Kind: directory.FilterPresent, Attr: f.Attr}
	switch schema := c.server.schema; {
	case r.code != directory.Success:
	case !grant.Allows(d.Type, directory.RightCompare), schema.Match(present, e) != directory.True:
		r.code = directory.NoSuchAttribute
	case schema.Match(f, e) == directory.True:
		r.code = directory.CompareTrue
	default:
		r.code = directory.CompareFalse
	}
	return r, nil
}
