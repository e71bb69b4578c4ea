package tree

import (
	"bytes"
	"encoding/binary"
	"slices"

	"cardinal/directory"
)

// Most changes put other values in the place of a few attributes that no index
// holds: a card's state, who changed it and when, or nothing but the change
// sequence number. Such a change is made on the record as it stands, without
// taking the entry apart. The record comes out as it would the long way.

// patch is what a change puts in the place of attributes.
type patch struct {
	ready bool // else the long way it is
	parts []patchPart
}

// patchPart is one attribute: its octets in a record, none if it goes.
type patchPart struct {
	code    uint16
	encoded []byte
}

// patchOf prepares modifications. It is not ready if one of them is not of the
// simple kind, or brings what the catalog has no number for yet: numbers are
// given out as the long way comes to need them.
func (w *writer) patchOf(mods []directory.Modification) (p patch) {
	if len(mods) > 64 {
		return patch{}
	}
	for i := range mods {
		a := mods[i].Attribute
		d, ok := w.tree.schema.Describe(a.Type)
		if !ok || mods[i].Op != directory.ModReplace || len(a.Values) > w.tree.outlineAbove || !w.isPlain(d.Type) {
			return patch{}
		}
		a.Type = d.String()
		code, known := w.catalog.code[a.Type]
		if !known || p.has(code) || !w.hasWords(d.Type, a.Values) {
			return patch{}
		}
		part := patchPart{code: code}
		if len(a.Values) > 0 {
			w.records.outlined = nil
			encoded, err := w.records.attribute(nil, a)
			if err != nil {
				return patch{}
			}
			part.encoded = encoded
		}
		p.parts = append(p.parts, part)
	}
	p.ready = true
	return p
}

// isPlain: no index and no count of memberships follows from a type's values.
func (w *writer) isPlain(typ *directory.AttributeType) bool {
	return !w.tree.indexed[typ] && !w.tree.membership[typ] && typ.Name() != "objectClass"
}

// hasWords reports whether encoding the values needs no new word.
func (w *writer) hasWords(typ *directory.AttributeType, values [][]byte) bool {
	return !w.tree.repeated[typ] || !slices.ContainsFunc(values, func(v []byte) bool { return !w.catalog.hasWord(v) })
}

func (p *patch) has(code uint16) bool {
	return slices.ContainsFunc(p.parts, func(x patchPart) bool { return x.code == code })
}

// apply makes a record of another, of the change the writer is at; false if the
// long way is needed: the name is told by an attribute that changes, or values
// stand apart. What history is to say of it is left in w.told.
func (p *patch) apply(w *recordWriter, old record, h *head) (record, bool) {
	if h.told && p.has(h.code) {
		return nil, false
	}
	// What stands before the attributes and does not end with this change's numbers.
	fixed := len(old) - len(h.attributes) - uvarintLen(h.position) - uvarintLen(h.micro)
	r := append(w.room[:0], old[:fixed]...)
	r = binary.AppendUvarint(binary.AppendUvarint(r, w.position), w.micro)
	w.told.begin()
	var done uint64 // a bit a part
	for rest := h.attributes; len(rest) > 0; {
		d := digits{rest: rest}
		code := uint16(d.uint())
		v := values{rest: d.take(d.uint())}
		if _, apart := v.outlined(); apart || d.short {
			return nil, false
		}
		one := rest[:len(rest)-len(d.rest)]
		i := slices.IndexFunc(p.parts, func(x patchPart) bool { return x.code == code })
		if i < 0 {
			w.told.keep(len(v.rest))
			r = append(r, one...)
		} else {
			w.told.replace(one, p.parts[i].encoded, len(v.rest))
			r = append(r, p.parts[i].encoded...)
			done |= 1 << i
		}
		rest = d.rest
	}
	for i := range p.parts {
		if done&(1<<i) == 0 {
			w.told.add(p.parts[i].encoded)
			r = append(r, p.parts[i].encoded...)
		}
	}
	w.told.end()
	w.room = r
	return slices.Clone(r), true
}

// toldPatch is what history says of a record made by a patch: which attributes
// stay, and those that come, in the form of appendPatch.
type toldPatch struct {
	form  []byte
	whole bool // no attribute is so long that it is left out
	seen  uint64
	run   uint64 // attributes that stay, before the next
}

func (t *toldPatch) begin() { *t = toldPatch{form: t.form[:0], whole: true} }

// keep is told of an attribute that stays, by the octets of its values.
func (t *toldPatch) keep(octets int) {
	t.whole = t.whole && octets <= keptAttribute
	t.seen++
	t.run++
}

// replace is told of one that may come in the place of another.
func (t *toldPatch) replace(old, now []byte, octets int) {
	if bytes.Equal(old, now) {
		t.keep(octets)
		return
	}
	t.end()
	t.whole = t.whole && octets <= keptAttribute
	t.seen++
	t.add(now)
}

// add is told of an attribute that comes; of none, when it is empty.
func (t *toldPatch) add(now []byte) {
	if len(now) == 0 {
		return
	}
	t.end()
	t.whole = t.whole && len(now) <= keptAttribute
	t.form = append(append(t.form, 0), now...)
}

// end writes the attributes that stay, up to here.
func (t *toldPatch) end() {
	if t.run > 0 {
		t.form = binary.AppendUvarint(binary.AppendUvarint(t.form, t.run), t.seen-t.run)
		t.run = 0
	}
}

func uvarintLen(x uint64) int {
	n := 1
	for ; x >= 0x80; x >>= 7 {
		n++
	}
	return n
}
