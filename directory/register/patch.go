package register

import (
	"bytes"
	"slices"
	"time"

	"cardinal/directory"
	"cardinal/internal/journal"
)

// patch makes the same modifications on many entries by replacing bytes of their
// rows: no entry is decoded, checked against the schema and encoded again. That
// is right where the slow way is known to come to the same row. What the slow
// way looks at, besides the modifications, is the entry's shape: which attributes
// it has, whether with one value or more, its object classes, and that its name
// is told by a value it has. So the slow way decides for the first entry of each
// shape, and where it refuses, or comes to another row, all of that shape go
// the slow way.
type patch struct {
	w      *setWrite
	puts   []directory.RawAttribute // what the modifications and stamps put
	entry  directory.RawAdded       // the one in hand
	shapes map[string]bool
	shape  []byte
}

// patched is a row that is ready to be written but for the time.
type patched struct {
	key  directory.Key
	uuid directory.UUID
	data []byte
	at   int // of modifyTimestamp in data
}

const attrModified = "modifyTimestamp"

// date sets the time of the modification: every such time is as long.
func (p *patched) date(now time.Time) { copy(p.data[p.at:], directory.FormatTime(now)) }

// newPatch returns a patch that refuses all entries where the modifications are
// not plain replacements by one value, or a value of theirs is looked up
// elsewhere.
func (w *setWrite) newPatch() *patch {
	p := &patch{w: w, shapes: map[string]bool{}}
	for _, m := range slices.Concat(w.mods, w.stamps) {
		d, ok := w.r.schema.Describe(m.Attribute.Type)
		if !ok || m.Op != directory.ModReplace || len(m.Attribute.Values) != 1 || len(m.Attribute.Values[0]) > directory.LargeValue ||
			slices.ContainsFunc(p.puts, func(a directory.RawAttribute) bool { return string(a.Type) == d.String() }) {
			p.shapes = nil
			return p
		}
		p.puts = append(p.puts, directory.NewRawAttribute(&directory.Attribute{Type: d.String(), Values: m.Attribute.Values}))
	}
	if p.watched() {
		p.shapes = nil
	}
	return p
}

// watched reports whether referential integrity or uniqueness asks for what is
// modified, or may come to ask for an entry because of it.
func (p *patch) watched() bool {
	for _, m := range p.w.mods {
		t := p.w.r.schema.Attribute(m.Attribute.Type)
		if p.w.r.isTracked(t) {
			return true
		}
		for i := range p.w.r.uniques {
			if u := &p.w.r.uniques[i]; u.query != nil || slices.Contains(u.types, t) {
				return true
			}
		}
	}
	return false
}

// apply modifies the entry in hand; false leaves it to the slow way.
func (p *patch) apply(key directory.Key) (patched, bool) {
	if p.shapes == nil || !p.outline() {
		return patched{}, false
	}
	right, known := p.shapes[string(p.shape)]
	if !known {
		right = p.agrees()
		p.shapes[string(p.shape)] = right
	}
	if !right {
		return patched{}, false
	}
	for _, a := range p.puts {
		p.entry.Put(a)
	}
	body, at := p.entry.Append(nil, attrModified)
	return patched{key: key, uuid: p.entry.UUID, data: body, at: at + 2}, true // after how many values, and the length of the first
}

// outline sets the shape of the entry in hand; false if it is no ordinary one.
func (p *patch) outline() bool {
	e := &p.entry
	classes := e.Attribute([]byte("objectClass"))
	if e.Large || classes == nil {
		return false
	}
	rdn := journal.NewDecoder(e.Leaf)
	one, typ, value := rdn.Uint() == 1, rdn.Bytes(), rdn.Bytes()
	if !one || rdn.End() != nil {
		return false
	}
	named := false
	p.shape = append(p.shape[:0], typ...)
	for i := range e.Attributes {
		a := &e.Attributes[i]
		if a.Count == 0 || a.Count > outlineAbove {
			return false
		}
		p.shape = append(append(p.shape, 0), a.Type...)
		p.shape = append(p.shape, 0, byte(min(a.Count, 2)))
		named = named || bytes.Equal(a.Type, typ) && a.Holds(value)
	}
	p.shape = append(append(p.shape, 0), classes.Values...)
	return named
}

// agrees has the slow way modify the entry in hand, which is left as it is.
func (p *patch) agrees() bool {
	r := p.w.r
	body, _ := p.entry.Append(nil, "")
	x, err := directory.ParseEntryAdded(body)
	if err != nil || r.needSecrets(x.Entry.Get("objectClass")) {
		return false
	}
	naming := r.schema.Attribute(x.Entry.DN[0][0].Type)
	if naming == nil || naming.Name() != x.Entry.DN[0][0].Type ||
		slices.ContainsFunc(p.puts, func(a directory.RawAttribute) bool { return r.schema.Attribute(string(a.Type)) == naming }) {
		return false
	}
	if x.Entry, err = r.schema.Apply(x.Entry, p.w.mods); err != nil {
		return false
	}
	if x.Entry, err = r.schema.Replay(x.Entry, p.w.stamps); err != nil {
		return false
	}
	mine := p.entry
	mine.Attributes = slices.Clone(mine.Attributes)
	for _, a := range p.puts {
		mine.Put(a)
	}
	got, at := mine.Append(nil, attrModified)
	return at > 0 && bytes.Equal(got, x.Append(nil))
}
