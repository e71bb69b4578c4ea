package tree

import (
	"cardinal/directory"
	"cardinal/internal/ber"
	"cardinal/internal/journal"
)

// Entry is one entry as a Scan or Get found it. It looks into the store: it is
// valid only inside the function it was handed to, and so is every slice it
// gives out. It is for one goroutine.
type Entry struct {
	ID     uint32 // number in this copy; rises with the order of arrival
	reader *reader
	head   head
	past   *past // of an entry out of history; else nil
	card   card  // of SignIn
}

func (e *Entry) parse(r record) (err error) {
	e.card.class, e.card.done = classUnknown, false
	e.head, err = parseHead(r)
	return err
}

// UUID is the entryUUID (RFC 4530).
func (e *Entry) UUID() directory.UUID { return directory.UUID(e.head.uuid) }

// Position is that of the entry's last change.
func (e *Entry) Position() journal.Position { return journal.Position(e.head.position) }

// CSN is the entryCSN: the time and position of the entry's last change. What
// changed before the ledger's last epoch carries the time at which that began:
// a restore may have taken back what others have seen, and they drop what is
// older than what they have.
func (e *Entry) CSN() []byte {
	return e.reader.csn(e.head.position, e.head.micro)
}

// Names are the attribute numbers of the store the entry is in. They outlive it.
func (e *Entry) Names() *Names { return e.reader.catalog }

// AppendDN appends the name in the form of RFC 4514, spelled as it was given
// when the entry and its superiors were added.
func (e *Entry) AppendDN(b []byte) ([]byte, error) { return e.appendDN(b) }

// Key is the normal form of the name (directory.EntryView).
func (e *Entry) Key() directory.Key {
	if e.past != nil {
		return e.pastKey()
	}
	above := directory.Key("")
	if e.head.parent != 0 {
		if above = e.reader.keyOf(e.head.parent); above == "" {
			return ""
		}
	}
	rdn, err := directory.ParseDN(string(e.appendRDN(nil)))
	if err != nil {
		return ""
	}
	key, err := e.reader.tree.schema.AppendKey([]byte(above), rdn)
	if err != nil {
		return ""
	}
	return directory.Key(key)
}

// Match decides a compiled filter for the entry (directory.EntryView). Filters
// of access rules come back for every entry and are kept ready.
func (e *Entry) Match(q *directory.Query) directory.Truth {
	known := e.reader.views[q]
	if known == nil {
		known = &query{root: e.reader.tree.newNode(q), catalog: e.reader.catalog}
		if e.reader.views == nil || len(e.reader.views) > maxViews {
			e.reader.views = map[*directory.Query]*query{}
		}
		e.reader.views[q] = known
	}
	if known.lacks(known.root, e) { // what is not known of the entry must open no door
		return directory.Undefined
	}
	return known.match(known.root, e)
}

// Decide decides a compiled filter for the entry as a Scan would for who asks:
// what allow refuses is Undefined, what hide hides is not there. Both may be
// nil.
func (e *Entry) Decide(q *directory.Query, allow Allow, hide Hide) directory.Truth {
	once := query{root: e.reader.tree.newNode(q), catalog: e.reader.catalog, allow: allow, hide: hide}
	return once.match(once.root, e)
}

// maxViews bounds the filters one reader keeps; rules are few.
const maxViews = 256

func (e *Entry) appendDN(b []byte) ([]byte, error) {
	if e.past != nil {
		return append(b, e.past.name...), nil
	}
	b = e.appendRDN(b)
	if e.head.parent == 0 {
		return b, nil
	}
	above, err := e.reader.nameOf(e.head.parent)
	if err != nil {
		return b, err
	}
	return append(append(b, ','), above.dn...), nil
}

// isNamed reports whether the last part of the entry's key is this one. False
// says nothing of names that are not plain.
func (e *Entry) isNamed(part directory.Key) bool {
	if !e.head.told || int(e.head.code) >= len(e.reader.catalog.names) {
		return false
	}
	typ := e.reader.catalog.names[e.head.code].description.Type
	v := e.namer()
	return typ != nil && v != nil && typ.Gives(part, v)
}

// namer is the value that tells the RDN; nil if there is none.
func (e *Entry) namer() []byte {
	for it := e.attributes(); ; {
		code, vs, ok := it.next()
		if !ok {
			return nil
		}
		if code != e.head.code {
			continue
		}
		for i := uint64(0); ; i++ {
			v, ok := vs.next(e.reader.value[:])
			if !ok || i == e.head.index {
				return v
			}
		}
	}
}

func (e *Entry) appendRDN(b []byte) []byte {
	if !e.head.told {
		return append(b, e.head.text...)
	}
	v := e.namer()
	if v == nil {
		return b
	}
	b = append(append(b, e.reader.catalog.names[e.head.code].text...), '=')
	return append(b, v...)
}

func (e *Entry) attributes() attributes {
	return attributes{rest: e.head.attributes, words: e.reader.catalog.words}
}

// Children is how many entries lie directly below this one.
func (e *Entry) Children() uint64 { return e.reader.countChildren(e.ID) }

// Depth is the number of entries above this one within its suffix.
func (e *Entry) Depth() int {
	if e.past != nil {
		return max(0, e.pastKey().Depth()-1)
	}
	n, parent := 0, e.head.parent
	for ; parent != 0 && n < maxDepth; n++ {
		parent = e.reader.parentOf(parent)
	}
	return n
}

// Attribute is one attribute of an Entry, valid as long as the entry.
type Attribute struct {
	Code        int                   // its number, see Entry.Names
	Name        string                // canonical description
	Description directory.Description // resolved; its Type is nil if the schema lost the type
	Header      []byte                // the name as an OCTET STRING
	Operational bool
	values      values
	scratch     []byte
	reader      *reader // where outlined values
	entry       uint32  // of this entry stand
}

// Each runs over the attributes in the order they were given. Each is valid
// until the next.
func (e *Entry) Each(visit func(a *Attribute) bool) {
	for it := e.attributes(); ; {
		code, vs, ok := it.next()
		if !ok || int(code) >= len(e.reader.catalog.names) {
			return
		}
		if !visit(e.attribute(int(code), vs)) {
			return
		}
	}
}

// attribute is what Each shows.
func (e *Entry) attribute(code int, vs values) *Attribute {
	a, n := &e.reader.shown, &e.reader.catalog.names[code]
	*a = Attribute{Code: code, Name: n.text, Description: n.description, Header: n.header, Operational: n.operational,
		values: vs, scratch: e.reader.value[:], reader: e.reader, entry: e.ID}
	return a
}

// AppendValues appends every value as an OCTET STRING.
func (a *Attribute) AppendValues(b []byte) []byte {
	vs := a.values
	if _, apart := vs.outlined(); apart {
		a.Values(func(v []byte) bool {
			b = ber.Append(b, ber.OctetString, v)
			return true
		})
		return b
	}
	return appendValues(b, vs.rest, vs.words)
}

// Values runs over the values. Each lives until the next.
func (a *Attribute) Values(visit func(v []byte) bool) {
	vs := a.values
	if _, apart := vs.outlined(); apart {
		a.reader.eachOutlined(a.entry, uint16(a.Code), visit)
		return
	}
	for {
		v, ok := vs.next(a.scratch)
		if !ok || !visit(v) {
			return
		}
	}
}

// eachValue runs over the values of an attribute of the record. It returns
// false if visit did.
func (e *Entry) eachValue(code uint16, vs *values, visit func(v []byte) bool) (more bool) {
	if _, apart := vs.outlined(); apart {
		more = true
		e.reader.eachOutlined(e.ID, code, func(v []byte) bool {
			more = visit(v)
			return more
		})
		return more
	}
	for {
		v, ok := vs.next(e.reader.value[:])
		if !ok {
			return true
		}
		if !visit(v) {
			return false
		}
	}
}

// Decode copies the entry out of the store, with the name and attributes as
// they were given.
func (e *Entry) Decode() (*directory.Entry, error) {
	text, err := e.appendDN(nil)
	if err != nil {
		return nil, err
	}
	dn, err := directory.ParseDN(string(text))
	if err != nil {
		return nil, err
	}
	return &directory.Entry{DN: dn, Attributes: e.decodeAttributes()}, nil
}

func (e *Entry) decodeAttributes() []directory.Attribute {
	var out []directory.Attribute
	e.Each(func(a *Attribute) bool {
		attr := directory.Attribute{Type: a.Name}
		a.Values(func(v []byte) bool {
			attr.Values = append(attr.Values, append([]byte{}, v...))
			return true
		})
		out = append(out, attr)
		return true
	})
	return out
}
