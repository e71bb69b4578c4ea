package tree

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"cardinal/directory"
)

// An attribute of very many values is outlined: its record holds how many there
// are, and each value stands under a key of its own in bucketValues, so that
// adding or deleting one of 66,000 members, or asking for one, costs what it
// costs for one of ten. Keys carry a digest of the value's normal form; that is
// also the order in which the values are shown, the same in every copy.
const (
	outlineAbove = 500
	inlineBelow  = 250 // lower, so that one value more or less does not move all

	formOutlined = 7 // x values stand apart, all of the attribute's
	digestOctets = 16
)

// outlined reports whether the values stand apart, and how many they are.
func (v *values) outlined() (n uint64, ok bool) {
	if len(v.rest) == 0 || v.rest[0]&(1<<formBits-1) != formOutlined {
		return 0, false
	}
	x, _ := binary.Uvarint(v.rest)
	return x >> formBits, true
}

func outlineKey(id uint32, code uint16, digest []byte) []byte {
	k := make([]byte, 0, 6+digestOctets)
	return append(binary.BigEndian.AppendUint16(appendID(k, id), code), digest...)
}

func digestOf(form []byte) []byte {
	sum := sha256.Sum256(form)
	return sum[:digestOctets]
}

// eachOutlined runs over the values of an attribute that stand apart. Each
// lives as long as the snapshot.
func (rd *reader) eachOutlined(id uint32, code uint16, visit func(v []byte) bool) {
	b := rd.root.Bucket([]byte(bucketValues))
	if b == nil {
		return
	}
	prefix := outlineKey(id, code, nil)
	c := b.Cursor()
	for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
		if !visit(v) {
			return
		}
	}
}

// matchOutlined is matchValues for values that stand apart: an equality is one
// look-up, everything else goes through all of them.
func (n *node) matchOutlined(e *Entry, code uint16, hide Hide) directory.Truth {
	equality := e.reader.catalog.names[code].description.Type.Equality
	exact := n.Kind == directory.FilterEquality || n.Kind == directory.FilterExtensible
	if exact && hide == nil && n.Rule == equality {
		b := e.reader.root.Bucket([]byte(bucketValues))
		if b != nil && b.Get(outlineKey(e.ID, code, digestOf(n.Value))) != nil {
			return directory.True
		}
		return directory.False
	}
	result := directory.False
	e.reader.eachOutlined(e.ID, code, func(v []byte) bool {
		switch {
		case hide != nil && hide.Hidden(v):
			return true
		case n.Kind == directory.FilterPresent:
			result = directory.True
		default:
			result = max(result, n.MatchValue(v))
		}
		return result != directory.True
	})
	return result
}

// outlines is what the writer knows of the outlined attributes of an entry in
// hand, by description.
type outlines struct {
	apart map[string]uint64 // values that stand apart and are not in the entry
	drop  []string          // read into the entry: what stands apart is old
}

// noteOutlined takes an entry's attributes apart: those that are outlined have
// no values in the list.
func (w *writer) noteOutlined(e *Entry) (list []directory.Attribute, o outlines) {
	e.Each(func(a *Attribute) bool {
		attr := directory.Attribute{Type: a.Name}
		if n, ok := a.values.outlined(); ok {
			if o.apart == nil {
				o.apart = map[string]uint64{}
			}
			o.apart[a.Name] = n
		} else {
			a.Values(func(v []byte) bool {
				attr.Values = append(attr.Values, bytes.Clone(v))
				return true
			})
		}
		list = append(list, attr)
		return true
	})
	return list, o
}

// replay makes recorded modifications on an entry in hand. Those that add or
// delete single values of an outlined attribute are made where the values
// stand; for others all values are read first.
func (w *writer) replay(h *held, mods []directory.Modification) (*directory.Entry, error) {
	if len(h.outlines.apart) == 0 {
		return w.tree.schema.Replay(h.entry, mods)
	}
	var single, rest []directory.Modification
	for _, m := range mods {
		if err := w.prepareOutlined(h, m); err != nil {
			return nil, err
		}
	}
	for _, m := range mods {
		if _, apart := h.outlines.apart[w.canonical(m.Attribute.Type)]; apart {
			single = append(single, m)
		} else {
			rest = append(rest, m)
		}
	}
	after, err := w.tree.schema.Replay(h.entry, rest)
	if err != nil {
		return nil, err
	}
	for _, m := range single {
		if err := w.modifyOutlined(h, m); err != nil {
			return nil, err
		}
	}
	return after, w.shrink(h, after)
}

func (w *writer) canonical(description string) string {
	d, ok := w.tree.schema.Describe(description)
	if !ok {
		return description
	}
	return d.String()
}

// prepareOutlined reads the values a modification cannot do without: all of an
// attribute it replaces, and those of every description of a type that stands
// under several, since an index key may be owed to two of them.
func (w *writer) prepareOutlined(h *held, m directory.Modification) error {
	name := w.canonical(m.Attribute.Type)
	typ, _ := directory.SplitDescription(name)
	single := m.Op == directory.ModAdd || m.Op == directory.ModDelete && len(m.Attribute.Values) > 0
	for apart := range h.outlines.apart {
		other, _ := directory.SplitDescription(apart)
		if other != typ || single && apart == name && sole(h.entry.Attributes, name) != nil {
			continue
		}
		if err := w.fill(h, apart); err != nil {
			return err
		}
	}
	return nil
}

// fill reads the values of an outlined attribute into the entry.
func (w *writer) fill(h *held, name string) error {
	code, err := w.catalog.codeOf(w.root, name)
	if err != nil {
		return err
	}
	var all [][]byte
	w.reader().eachOutlined(h.id, code, func(v []byte) bool {
		all = append(all, bytes.Clone(v))
		return true
	})
	if uint64(len(all)) != h.outlines.apart[name] {
		return fmt.Errorf("reading %d values of %s: %w", h.outlines.apart[name], name, errDamaged)
	}
	h.entry.Attribute(name).Values = all
	delete(h.outlines.apart, name)
	h.outlines.drop = append(h.outlines.drop, name)
	return nil
}

// modifyOutlined adds or deletes values where they stand.
func (w *writer) modifyOutlined(h *held, m directory.Modification) error {
	name := w.canonical(m.Attribute.Type)
	code, err := w.catalog.codeOf(w.root, name)
	if err != nil {
		return err
	}
	typ, values := w.tree.schema.Attribute(name), w.values()
	for _, v := range m.Attribute.Values {
		k := outlineKey(h.id, code, digestOf(typ.Form(v)))
		there, add := values.Get(k) != nil, m.Op == directory.ModAdd
		switch {
		case there == add:
			return fmt.Errorf("replaying %s of %s on %s: the copy has diverged", m.Op, name, h.uuid)
		case add:
			err = values.Put(k, v)
			h.outlines.apart[name]++
		default:
			err = values.Delete(k)
			h.outlines.apart[name]--
		}
		if err != nil {
			return err
		}
		for _, key := range w.appendIndexKeys(nil, directory.Attribute{Type: name, Values: [][]byte{v}}) {
			if err := w.post(key, h.id, add); err != nil {
				return err
			}
		}
	}
	return nil
}

// shrink takes attributes that have few values left back into the entry, on
// both sides of the change: the index has been told already.
func (w *writer) shrink(h *held, after *directory.Entry) error {
	for name, n := range h.outlines.apart {
		if n >= uint64(w.tree.inlineBelow) {
			continue
		}
		if err := w.fill(h, name); err != nil {
			return err
		}
		left := h.entry.Get(name)
		h.entry.Put(name, left...)
		after.Put(name, left...)
	}
	return nil
}

// outline parts very large attributes from an entry that is about to be
// written under a number, and tells the record writer. The entry keeps its values.
func (w *writer) outline(id uint32, e *directory.Entry, o outlines) error {
	w.records.outlined = nil
	for _, name := range o.drop {
		if err := w.dropOutlined(id, name); err != nil {
			return err
		}
	}
	for name, n := range o.apart {
		w.records.outline(name, n)
	}
	for i := range e.Attributes {
		a := &e.Attributes[i]
		if len(a.Values) <= w.tree.outlineAbove {
			continue
		}
		if err := w.outlineOne(id, a); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) outlineOne(id uint32, a *directory.Attribute) error {
	typ := w.tree.schema.Attribute(a.Type)
	if typ == nil || typ.Equality == nil || !typ.Equality.Indexable() {
		return nil
	}
	code, err := w.catalog.codeOf(w.root, a.Type)
	if err != nil {
		return err
	}
	type pair struct{ key, value []byte }
	pairs := make([]pair, len(a.Values))
	for i, v := range a.Values {
		pairs[i] = pair{outlineKey(id, code, digestOf(typ.Form(v))), v}
	}
	slices.SortFunc(pairs, func(x, y pair) int { return bytes.Compare(x.key, y.key) })
	for i := 1; i < len(pairs); i++ {
		if bytes.Equal(pairs[i-1].key, pairs[i].key) {
			return nil // values that are equal by the rule: they stay as they were given
		}
	}
	values := w.values()
	for _, p := range pairs {
		if err := values.Put(p.key, p.value); err != nil {
			return err
		}
	}
	w.records.outline(a.Type, uint64(len(pairs)))
	return nil
}

func (w *writer) dropOutlined(id uint32, name string) error {
	code, err := w.catalog.codeOf(w.root, name)
	if err != nil {
		return err
	}
	values, prefix := w.values(), outlineKey(id, code, nil)
	var keys [][]byte
	c := values.Cursor()
	for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		keys = append(keys, bytes.Clone(k))
	}
	return deleteAll(values, keys)
}

// fillAll reads every value into the entry and removes them where they stand.
func (w *writer) fillAll(h *held) error {
	for name := range h.outlines.apart {
		if err := w.fill(h, name); err != nil {
			return err
		}
		if err := w.dropOutlined(h.id, name); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) values() *bbolt.Bucket { return w.root.Bucket([]byte(bucketValues)) }

func (w *writer) reader() *reader { return &w.read }
