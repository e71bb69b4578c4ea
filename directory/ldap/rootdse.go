package ldap

import (
	"slices"

	"cardinal/directory"
	"cardinal/directory/tree"
	"cardinal/internal/ber"
)

// rootDSE is what the server says of itself (RFC 4512 §5.1) and the schema it
// publishes (RFC 4512 §4.2).
type rootDSE struct {
	schemaKey  directory.Key
	monitorKey directory.Key
	listsKey   directory.Key
	schema     *directory.Entry
	of         map[quality]*directory.Entry
}

func (s *Server) newRootDSE() rootDSE {
	name, _ := directory.ParseDN(tree.SubschemaDN)
	key, _ := s.schema.Key(name)
	monitorKey, _ := s.schema.ParseKey(MonitorDN)
	listsKey, _ := s.schema.ParseKey(ListsDN)
	out := rootDSE{schemaKey: key, monitorKey: monitorKey, listsKey: listsKey, schema: s.subschemaEntry(name), of: map[quality]*directory.Entry{}}
	for _, on := range []quality{{}, {secure: true}, {secure: true, certified: true}, {secure: true, exporter: true}, {secure: true, certified: true, exporter: true}} {
		out.of[on] = s.describeSelf(on)
	}
	return out
}

// rootEntry is the root DSE as a connection sees it: what it is offered depends
// on what would work on it.
func (s *Server) rootEntry(c *conn) *directory.Entry { return s.root.of[c.kind()] }

func (s *Server) describeSelf(on quality) *directory.Entry {
	e := &directory.Entry{}
	e.PutString("objectClass", "top")
	e.PutString("structuralObjectClass", "top")
	for i := range s.suffixes {
		if s.suffixes[i].key != "" {
			e.Put("namingContexts", append(e.Get("namingContexts"), []byte(s.suffixes[i].text))...)
		}
	}
	e.PutString("supportedControl", supportedControls()...)
	extensions := []string{oidPasswordModify, oidWhoAmI, oidCancel}
	if s.config.Writer != nil {
		e.Put("supportedControl", append(e.Get("supportedControl"), directory.Values(updateControls()...)...)...)
		extensions = append(extensions, oidStartTransaction, oidEndTransaction)
	}
	if !on.secure && s.config.TLS != nil {
		extensions = append(extensions, oidStartTLS)
	}
	e.PutString("supportedExtension", extensions...)
	e.PutString("supportedFeatures", supportedFeatures()...)
	e.PutString("supportedLDAPVersion", "3")
	if offered := s.mechanisms(on); len(offered) > 0 {
		e.PutString("supportedSASLMechanisms", offered...)
	}
	e.PutString("subschemaSubentry", tree.SubschemaDN)
	e.PutString("monitorContext", MonitorDN)
	e.PutString("vendorName", "Cardinal")
	e.PutString("entryDN", "")
	return e
}

func (s *Server) subschemaEntry(name directory.DN) *directory.Entry {
	e := &directory.Entry{DN: name}
	e.PutString("objectClass", "top", "subentry", "subschema", "extensibleObject")
	e.PutString("structuralObjectClass", "subentry")
	e.PutString("cn", "Subschema")
	for _, part := range s.schema.Published() {
		e.Put(part.Type, part.Values...)
	}
	e.PutString("entryDN", tree.SubschemaDN)
	e.PutString("subschemaSubentry", tree.SubschemaDN)
	return e
}

// static answers a search with an entry that stands in no tree, and its
// controls: one entry is in any order.
func (q *searching) static(e *directory.Entry) result {
	if s := q.controls.sorting; s != nil {
		if s.resolve(q.conn.server.schema); s.code != directory.Success && s.critical {
			return q.conn.resultOf(q.unsorted())
		}
	}
	if v := q.controls.view; v != nil {
		v.code = directory.UnwillingToPerform
		return q.conn.resultOf(q.unlisted(virtualListViewError, "there is no list here"))
	}
	r := q.showStatic(e)
	if r.code == directory.Success {
		r.controls = q.appendControls(nil, r.code)
	}
	return r
}

// showStatic answers a search with an entry that stands in no tree.
func (q *searching) showStatic(e *directory.Entry) result {
	c := q.conn
	view, err := c.server.schema.View(e)
	if err != nil {
		return c.resultOf(err)
	}
	var s sight
	s.look(c, view.Key())
	grant := s.at(view)
	if !grant.Allows(nil, directory.RightRead) {
		return refuse(directory.NoSuchObject, "")
	}
	if c.server.schema.Match(q.filter, e) != directory.True || q.controls.subentries == subentriesAlone && len(e.DN) == 0 ||
		q.controls.subentries == subentriesHidden && len(e.DN) > 0 {
		return result{}
	}
	b, message := ber.Begin(c.out, ber.Sequence)
	b = ber.AppendInt(b, ber.Integer, q.id)
	b, body := ber.Begin(b, searchResultEntry)
	b = ber.AppendString(b, ber.OctetString, e.DN.String())
	b, list := ber.Begin(b, ber.Sequence)
	for i := range e.Attributes {
		b = q.staticAttribute(b, &e.Attributes[i], grant)
	}
	c.out = ber.End(ber.End(ber.End(b, list), body), message)
	return result{}
}

func (q *searching) staticAttribute(b []byte, a *directory.Attribute, grant *directory.Access) []byte {
	d, ok := q.conn.server.schema.Describe(a.Type)
	if !ok || !q.selection.wants(d, d.Type.Operational()) || !grant.Allows(d.Type, directory.RightRead) {
		return b
	}
	values := a.Values
	if q.matched != nil {
		items := q.matched.about(d)
		values = slices.DeleteFunc(slices.Clone(values), func(v []byte) bool { return !matches(items, v) })
		if len(values) == 0 {
			return b
		}
	}
	b, attr := ber.Begin(b, ber.Sequence)
	b = ber.AppendString(b, ber.OctetString, a.Type)
	b, set := ber.Begin(b, ber.Set)
	if !q.typesOnly {
		for _, v := range values {
			b = ber.Append(b, ber.OctetString, v)
		}
	}
	return ber.End(ber.End(b, set), attr)
}
