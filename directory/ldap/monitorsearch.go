package ldap

import (
	"cardinal/directory"
	"cardinal/directory/tree"
	"cardinal/internal/ber"
)

// searchMonitor answers a search at or below cn=Monitor from what is counted
// at this moment. A stale copy does not keep it from answering.
func (q *searching) searchMonitor() result {
	if q.controls.view != nil || q.controls.assertion != nil || q.controls.sorting != nil && q.controls.sorting.critical {
		return refuse(directory.UnavailableCriticalExtension, "cn=Monitor is not sorted, and nothing is asserted of it")
	}
	if q.controls.sorting != nil {
		q.controls.sorting.code = directory.UnwillingToPerform
	}
	s := q.conn.server
	query := s.schema.Compile(q.filter)
	found, shown := directory.Key(""), directory.Key("") // the base, and the deepest above it that may be known
	var matched string
	for _, e := range s.monitored() {
		view, err := s.schema.View(e)
		if err != nil {
			return q.conn.resultOf(err)
		}
		key, grant := view.Key(), q.conn.grantOutside(view)
		if !grant.Allows(nil, directory.RightRead) {
			continue
		}
		if key == q.base {
			found = key
		} else if key.Contains(q.base) && len(key) > len(shown) {
			shown, matched = key, e.DN.String()
		}
		if !inScopeOf(q.scope, q.base, key) || query.Match(searchable(s.schema, e, grant)) != directory.True {
			continue
		}
		if q.sent >= q.sizeLimit {
			return result{code: directory.SizeLimitExceeded}
		}
		q.conn.out = q.appendOutside(q.conn.out, e, grant)
		q.sent++
	}
	if found == "" {
		return result{code: directory.NoSuchObject, matched: matched}
	}
	return result{controls: q.appendControls(nil, directory.Success)}
}

// grantOutside is what the asker may do with an entry that is in no suffix: a
// root identity of any suffix may see it all.
func (c asker) grantOutside(view directory.EntryView) *directory.Access {
	who := c.who.Identity
	who.Root = c.who.rootOf != ""
	return c.rules().On(&who, view, nil)
}

// searchable is an entry without what the asker may not search by.
func searchable(schema *directory.Schema, e *directory.Entry, grant *directory.Access) *directory.Entry {
	out := &directory.Entry{DN: e.DN}
	for _, a := range e.Attributes {
		if t := schema.Attribute(a.Type); t != nil && grant.Allows(t, directory.RightSearch) {
			out.Attributes = append(out.Attributes, a)
		}
	}
	return out
}

func inScopeOf(scope tree.Scope, base, key directory.Key) bool {
	switch scope {
	case tree.ScopeBase:
		return key == base
	case tree.ScopeOneLevel:
		return key.Parent() == base
	case tree.ScopeSubordinate:
		return key != base && base.Contains(key)
	}
	return base.Contains(key)
}

func (q *searching) appendOutside(b []byte, e *directory.Entry, grant *directory.Access) []byte {
	b, message := ber.Begin(b, ber.Sequence)
	b = ber.AppendInt(b, ber.Integer, q.id)
	b, body := ber.Begin(b, searchResultEntry)
	b = ber.AppendString(b, ber.OctetString, e.DN.String())
	b, list := ber.Begin(b, ber.Sequence)
	for i := range e.Attributes {
		b = q.staticAttribute(b, &e.Attributes[i], grant)
	}
	return ber.End(ber.End(ber.End(b, list), body), message)
}
