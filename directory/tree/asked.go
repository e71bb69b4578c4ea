package tree

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"

	"cardinal/directory"
)

// Asker says what the one who asks may know of other entries, for attributes
// that speak of them. An Allow may be one as well.
type Asker interface {
	// Sees reports whether he may know an entry to exist.
	Sees(e *Entry) bool
	// SeesBelow reports whether he may know every entry below a name to exist.
	SeesBelow(key directory.Key) bool
	// Member reports whether he may know the members of a group, which an
	// attribute of it names.
	Member(group *Entry, attribute directory.Description) bool
}

// maxCounted is how many entries are looked at to count those that an asker may
// know of; with more it cannot be told how many there are.
const maxCounted = 1000

// subordinates counts the entries directly below one that an asker may know of.
// Enough is how many need be counted, 0 for all. A nil asker knows all.
func (e *Entry) subordinates(by Asker, enough uint64) (n uint64, known bool) {
	all := e.Children()
	if by == nil || all == 0 || by.SeesBelow(e.Key()) {
		return all, true
	}
	var ids []uint32
	e.reader.each(e.ID, nil, func(_ []byte, id uint32) bool {
		ids = append(ids, id)
		return len(ids) < maxCounted
	})
	for _, id := range ids {
		below := Entry{reader: e.reader, ID: id}
		if below.parse(e.reader.get(id)) != nil || !by.Sees(&below) {
			continue
		}
		if n++; n == enough {
			return n, true
		}
	}
	return n, all <= maxCounted
}

func hasSubordinates(e *Entry, by Asker, into [][]byte) ([][]byte, bool) {
	n, known := e.subordinates(by, 1)
	return append(into, []byte(map[bool]string{true: "TRUE", false: "FALSE"}[n > 0])), known
}

func numSubordinates(e *Entry, by Asker, into [][]byte) ([][]byte, bool) {
	n, known := e.subordinates(by, 0)
	return append(into, strconv.AppendUint(nil, n, 10)), known
}

func membershipTypes() []string { return []string{"member", "uniqueMember"} }

// memberships are the attributes of groups that name their members.
func (t *Tree) memberships() (out []directory.Description, indexed bool) {
	for _, name := range membershipTypes() {
		d, ok := t.schema.Describe(name)
		if !ok {
			continue
		}
		if !t.indexed[d.Type] {
			return nil, false
		}
		out = append(out, d)
	}
	return out, true
}

// memberOf is computed from the index of members, so it cannot drift: the groups
// an entry is a direct member of, as far as the asker may know.
type memberOf struct{ tree *Tree }

func (m memberOf) values(e *Entry, by Asker, into [][]byte) ([][]byte, bool) {
	types, ok := m.tree.memberships()
	if !ok {
		return into, false
	}
	for _, id := range e.reader.groupsOf(e.Key(), types, by) {
		group := Entry{reader: e.reader, ID: id}
		if group.parse(e.reader.get(id)) != nil {
			continue
		}
		if text, err := group.appendDN(nil); err == nil {
			into = append(into, text)
		}
	}
	return into, true
}

// groupsOf gives the groups that name a member, ascending.
func (rd *reader) groupsOf(member directory.Key, types []directory.Description, by Asker) (ids []uint32) {
	if rd.index == nil || member == "" {
		return nil
	}
	for _, d := range types {
		attr, ok := rd.catalog.indexCode(d.Type)
		if !ok {
			continue
		}
		from := len(ids)
		r := keyRange{low: appendIndexValue(nil, attr, []byte(member)), one: true}
		for k, v := rd.index.Seek(r.low); r.within(k); k, v = rd.index.Next() {
			ids = chunk(v).appendTo(ids, binary.BigEndian.Uint16(k[len(k)-2:]))
		}
		if by != nil {
			known := slices.DeleteFunc(ids[from:], func(id uint32) bool {
				group := Entry{reader: rd, ID: id}
				return group.parse(rd.get(id)) != nil || !by.Member(&group, d)
			})
			ids = ids[:from+len(known)]
		}
	}
	return ascending(ids)
}

// match decides "memberOf=GROUP" by one look into the index.
func (m memberOf) match(q *query, n *node, e *Entry) directory.Truth {
	types, ok := m.tree.memberships()
	if !ok {
		return directory.Undefined
	}
	by := askerOf(q.allow)
	id, _ := e.reader.lookup(directory.Key(n.Value))
	if id == 0 {
		return directory.False
	}
	return truth(slices.Contains(e.reader.groupsOf(e.Key(), types, by), id))
}

// nobody may know nothing: an Allow that does not say what an asker may know of
// other entries.
type nobody struct{}

func (nobody) Sees(*Entry) bool                          { return false }
func (nobody) SeesBelow(directory.Key) bool              { return false }
func (nobody) Member(*Entry, directory.Description) bool { return false }

// askerOf is the asker behind an Allow; nil, who may know everything, if there
// is no Allow.
func askerOf(allow Allow) Asker {
	if allow == nil {
		return nil
	}
	if by, ok := allow.(Asker); ok {
		return by
	}
	return nobody{}
}

// estimate and collect propose the members of the group.
func (m memberOf) estimate(p *planner, n *node, limit int) int {
	if n.Kind != directory.FilterEquality {
		return -1
	}
	size := 0
	ok := m.group(p, n, func(vs *values) {
		if apart, ok := vs.outlined(); ok {
			size += int(apart)
			return
		}
		for _, more := vs.next(p.rd.value[:]); more; _, more = vs.next(p.rd.value[:]) {
			size++
		}
	})
	if !ok {
		return -1
	}
	return min(size, limit)
}

// group calls visit for the membership attributes of the group an item names.
func (m memberOf) group(p *planner, n *node, visit func(vs *values)) (ok bool) {
	types, ok := m.tree.memberships()
	id, _ := p.rd.lookup(directory.Key(n.Value))
	if !ok || id == 0 {
		return ok
	}
	group := Entry{reader: p.rd, ID: id}
	if group.parse(p.rd.get(id)) != nil {
		return false
	}
	for it := group.attributes(); ; {
		code, vs, more := it.next()
		if !more || int(code) >= len(p.rd.catalog.names) {
			return true
		}
		have := p.rd.catalog.names[code].description
		if slices.ContainsFunc(types, func(d directory.Description) bool { return d.Type == have.Type }) {
			visit(&vs)
		}
	}
}

func (m memberOf) collect(p *planner, n *node) (ids []uint32, ok bool) {
	types, ok := m.tree.memberships()
	id, _ := p.rd.lookup(directory.Key(n.Value))
	if n.Kind != directory.FilterEquality || !ok {
		return nil, false
	}
	if id == 0 {
		return nil, true
	}
	group := Entry{reader: p.rd, ID: id}
	if group.parse(p.rd.get(id)) != nil {
		return nil, false
	}
	for _, d := range types {
		var keys [][]byte
		group.EachOf(d, func(v []byte) bool {
			keys = append(keys, bytes.Clone(d.Type.Form(v)))
			return true
		})
		for _, key := range keys {
			if id, _ := p.rd.lookup(directory.Key(key)); id != 0 {
				ids = append(ids, id)
			}
		}
	}
	return ascending(ids), true
}
