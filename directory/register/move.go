package register

import (
	"bytes"
	"slices"

	"cardinal/directory"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// Delete removes a leaf entry (RFC 4511 §4.8). Errors are *directory.Error:
// 32, 53, and 66 if anything stands below it.
func (r *Register) Delete(tx *ledger.Tx, by Author, dn directory.DN) error {
	p, err := r.locate(dn)
	if err != nil {
		return err
	}
	if err := r.permit(by, p, true); err != nil {
		return err
	}
	s, err := r.find(tx, p)
	if err != nil {
		return err
	}
	if s == nil {
		return r.noSuchObject(tx, p)
	}
	below, err := r.hasChildren(tx, p)
	if err != nil {
		return err
	}
	if below {
		return refuse(directory.NotAllowedOnNonLeaf, "entry %q has entries below it", dn)
	}
	if err := r.remove(tx, s); err != nil {
		return err
	}
	return r.mend(tx, by, []gone{{from: s.entry.DN}})
}

func (r *Register) remove(tx *ledger.Tx, s *stored) error {
	if err := r.drop(tx, s); err != nil {
		return err
	}
	r.untrack(tx, s)
	tables := []string{"secret"}
	if len(s.outlines) > 0 {
		tables = append(tables, "value", "outline")
	}
	for _, table := range tables {
		tx.Defer(`DELETE FROM directory_`+table+` WHERE uuid = $1`, s.uuid[:])
	}
	x := directory.EntryDeleted{UUID: s.uuid, DN: s.entry.DN}
	tx.Append(journal.KindEntryDeleted, directory.ChangeVersion, x.Append(nil))
	return nil
}

// DeleteTree removes an entry and everything below it, all or nothing. Errors
// are those of Delete but 66, and 11 if more than Config.TreeLimit entries
// stand there: nothing has been done then.
func (r *Register) DeleteTree(tx *ledger.Tx, by Author, dn directory.DN) error {
	p, err := r.locate(dn)
	if err != nil {
		return err
	}
	if err := r.permit(by, p, true); err != nil {
		return err
	}
	c, err := r.cursor(tx, p.suffix, p.key, p.key.After())
	if err != nil {
		return err
	}
	var all []*stored
	for {
		s, err := c.next()
		if err != nil {
			return err
		}
		if s == nil {
			break
		}
		if all = append(all, s); len(all) > r.config.TreeLimit {
			return refuse(directory.AdminLimitExceeded, "more than %d entries at and below %q", r.config.TreeLimit, dn)
		}
	}
	if len(all) == 0 || all[0].key != p.key {
		return r.noSuchObject(tx, p)
	}
	list := make([]gone, 0, len(all))
	for _, s := range slices.Backward(all) {
		if err := r.remove(tx, s); err != nil {
			return err
		}
		list = append(list, gone{from: s.entry.DN})
	}
	return r.mend(tx, by, list)
}

// Move gives an entry, with everything below it, a new name (RFC 4511 §4.9).
// Errors are *directory.Error: 32 if it or the new superior does not exist,
// 34, 68 if the new name is taken, 53 for a move below itself or of a suffix,
// 71 into another suffix, 11 for more entries than Config.MoveLimit, and those
// of Schema.Apply.
func (r *Register) Move(tx *ledger.Tx, by Author, m directory.Move) error {
	from, err := r.locate(m.DN)
	if err != nil {
		return err
	}
	to, err := r.destination(from, m)
	if err != nil {
		return err
	}
	if err := r.permit(by, from, true); err != nil {
		return err
	}
	if err := r.permit(by, to, true); err != nil {
		return err
	}
	s, err := r.find(tx, from)
	if err != nil {
		return err
	}
	if s == nil {
		return r.noSuchObject(tx, from)
	}
	if to.key != from.key {
		if err := r.vacant(tx, to); err != nil {
			return err
		}
	}
	moved, err := r.renamed(tx, s, move{by, m, to})
	if err != nil {
		return err
	}
	list, err := r.carry(tx, from, to, moved.entry.DN)
	if err != nil {
		return err
	}
	if to.key != from.key {
		if err := r.drop(tx, s); err != nil {
			return err
		}
	}
	r.moveTracked(tx, moved)
	if err := r.put(tx, moved); err != nil {
		return err
	}
	if from.dn.String() == to.dn.String() {
		return nil
	}
	return r.mend(tx, by, append(list, gone{s.entry.DN, moved.entry.DN}))
}

func (r *Register) destination(from place, m directory.Move) (place, error) {
	superior := m.NewSuperior
	if superior == nil {
		superior = m.DN.Parent()
	}
	if from.key == from.suffix.key {
		return place{}, refuse(directory.UnwillingToPerform, "a suffix cannot be moved")
	}
	if len(m.NewRDN) == 0 {
		return place{}, refuse(directory.InvalidDNSyntax, "no new RDN")
	}
	to, err := r.locate(superior.Child(m.NewRDN))
	if err != nil {
		return place{}, err
	}
	switch {
	case to.suffix != from.suffix:
		return place{}, refuse(directory.AffectsMultipleDSAs, "%q is in another suffix", superior)
	case from.key != to.key && from.key.Contains(to.key):
		return place{}, refuse(directory.UnwillingToPerform, "an entry cannot be moved below itself")
	}
	return to, nil
}

// move is a move that was found to have a place to go.
type move struct {
	by Author
	directory.Move
	to place
}

// renamed makes the entry under its new name and appends the change.
func (r *Register) renamed(tx *ledger.Tx, s *stored, m move) (*stored, error) {
	to := m.to
	if err := r.fill(tx, s); err != nil { // naming values must be in the entry
		return nil, err
	}
	mods, err := r.namingMods(s.entry, m.Move)
	if err != nil {
		return nil, err
	}
	out := &stored{key: to.key, uuid: s.uuid, large: s.large, outlines: s.outlines}
	out.entry = &directory.Entry{DN: to.dn, Attributes: s.entry.Attributes}
	if mods, err = r.modified(tx, out, mods, &directory.Update{}); err != nil {
		return nil, err
	}
	if err := r.unshared(tx, out, version{s.key, out.entry}, version{out.key, out.entry}); err != nil {
		return nil, err
	}
	stamps := r.modifyStamps(m.by, tx)
	if out.entry, err = r.schema.Replay(out.entry, stamps); err != nil {
		return nil, err
	}
	x := directory.EntryMoved{UUID: s.uuid, Old: s.entry.DN, NewRDN: m.NewRDN, NewSuperior: to.dn.Parent(),
		Mods: append(mods, stamps...)}
	tx.Append(journal.KindEntryMoved, directory.ChangeVersion, x.Append(nil))
	return out, nil
}

// namingMods brings the attributes in line with the new RDN.
func (r *Register) namingMods(e *directory.Entry, m directory.Move) ([]directory.Modification, error) {
	var mods []directory.Modification
	gone := map[string]bool{}
	mod := func(op directory.ModOp, a directory.AVA) {
		mods = append(mods, directory.Modification{Op: op, Attribute: directory.Attribute{Type: a.Type, Values: [][]byte{a.Value}}})
	}
	for _, a := range e.DN[0] {
		if !m.DeleteOldRDN || r.inRDN(m.NewRDN, a, bytes.Equal) {
			continue
		}
		mod(directory.ModDelete, a)
		gone[r.avaKey(a)] = true
	}
	for _, a := range m.NewRDN {
		t := r.schema.Attribute(a.Type)
		if t == nil {
			return nil, refuse(directory.InvalidDNSyntax, "unknown attribute type %q in a name", a.Type)
		}
		if gone[r.avaKey(a)] || !r.holds(e, a) {
			mod(directory.ModAdd, a)
		}
	}
	return mods, nil
}

// avaKey is the normal form of an AVA, "" if it has none.
func (r *Register) avaKey(a directory.AVA) string {
	k, err := r.schema.Key(directory.DN{{a}})
	if err != nil {
		return ""
	}
	return string(k)
}

// inRDN reports whether an RDN has the AVA with a value equal as given.
func (r *Register) inRDN(rdn directory.RDN, a directory.AVA, equal func(x, y []byte) bool) bool {
	for _, o := range rdn {
		if r.schema.Attribute(o.Type) == r.schema.Attribute(a.Type) && equal(o.Value, a.Value) {
			return true
		}
	}
	return false
}

// holds reports whether the entry has the AVA's value.
func (r *Register) holds(e *directory.Entry, a directory.AVA) bool {
	for _, v := range e.Get(directory.Description{Type: r.schema.Attribute(a.Type)}.String()) {
		if r.avaKey(directory.AVA{Type: a.Type, Value: v}) == r.avaKey(a) {
			return true
		}
	}
	return false
}

// carry renames what stands below a moved entry, and lists it.
func (r *Register) carry(tx *ledger.Tx, from, to place, newDN directory.DN) (list []gone, err error) {
	c, err := r.cursor(tx, from.suffix, from.key+"\x00", from.key.After())
	if err != nil {
		return nil, err
	}
	for n := 0; ; n++ {
		s, err := c.next()
		if s == nil || err != nil {
			return list, err
		}
		if n == r.config.MoveLimit {
			return nil, refuse(directory.AdminLimitExceeded, "more than %d entries below %q", r.config.MoveLimit, from.dn)
		}
		own := len(s.entry.DN) - len(from.dn)
		dn := append(s.entry.DN[:own:own], newDN...)
		moved := &stored{key: to.key + s.key[len(from.key):], uuid: s.uuid, large: s.large, outlines: s.outlines}
		moved.entry = &directory.Entry{DN: dn, Attributes: s.entry.Attributes}
		if to.key != from.key {
			if err := r.drop(tx, s); err != nil {
				return nil, err
			}
		}
		if err := r.unshared(tx, moved, version{s.key, s.entry}, version{moved.key, moved.entry}); err != nil {
			return nil, err
		}
		r.moveTracked(tx, moved)
		if err := r.put(tx, moved); err != nil {
			return nil, err
		}
		list = append(list, gone{s.entry.DN, moved.entry.DN})
	}
}
