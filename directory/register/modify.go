package register

import (
	"bytes"
	"slices"
	"strings"

	"cardinal/directory"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// Modify makes the modifications of one entry, all or none (RFC 4511 §4.6).
// For passwords see Add. Errors are *directory.Error: 32, 53 and those of
// Schema.Apply. An empty list changes nothing and succeeds.
func (r *Register) Modify(tx *ledger.Tx, by Author, dn directory.DN, mods []directory.Modification) error {
	return r.modify(tx, by, &directory.Update{DN: dn, Mods: mods})
}

func (r *Register) modify(tx *ledger.Tx, by Author, u *directory.Update) error {
	mods := u.Mods
	p, err := r.locate(u.DN)
	if err != nil {
		return err
	}
	if err := r.permit(by, p, false); err != nil && !(by.State && r.onlyState(mods)) {
		return err
	}
	s, err := r.find(tx, p)
	if err != nil {
		return err
	}
	if s == nil {
		return r.noSuchObject(tx, p)
	}
	if len(mods) == 0 {
		return nil
	}
	public, secret := r.partMods(mods)
	if err := r.permitSecrets(by, secret); err != nil {
		return err
	}
	public, state := r.partState(by, public)
	changed, err := r.modifySecrets(tx, s, secret, u.Permissive)
	if err != nil {
		return err
	}
	recorded, err := r.modified(tx, s, public, u)
	if err != nil {
		return err
	}
	if u.Permissive && !changed && len(recorded)+len(state) == 0 {
		return nil
	}
	stamps := append(state, r.modifyStamps(by, tx)...)
	if u.Relax {
		stamps = unsaid(stamps, recorded)
	}
	if s.entry, err = r.schema.Replay(s.entry, stamps); err != nil {
		return err
	}
	if err := r.put(tx, s); err != nil {
		return err
	}
	return r.announceMods(tx, s, append(recorded, stamps...))
}

// modified applies a user's modifications to s and returns them as they must
// be recorded: with the superclasses that were added.
func (r *Register) modified(tx *ledger.Tx, s *stored, mods []directory.Modification, u *directory.Update) ([]directory.Modification, error) {
	if err := r.project(tx, s, mods); err != nil {
		return nil, err
	}
	elsewhere, err := r.elsewhere(tx, s, mods)
	if err != nil {
		return nil, err
	}
	if u.Permissive {
		mods = r.schema.Permissive(s.entry, mods)
	}
	apply := r.schema.Apply
	if u.Relax {
		apply = r.schema.ApplyRelaxed
	}
	after, err := apply(s.entry, mods, elsewhere...)
	if err != nil {
		return nil, err
	}
	replayed, err := r.schema.Replay(s.entry, mods)
	if err != nil {
		return nil, err
	}
	recorded := slices.Clone(mods)
	if classes := after.Get("objectClass"); !slices.EqualFunc(classes, replayed.Get("objectClass"), bytes.Equal) {
		recorded = append(recorded, replace("objectClass", classes...))
	}
	if err := r.unshared(tx, s, version{s.key, s.entry}, version{s.key, after}); err != nil {
		return nil, err
	}
	r.track(tx, s, s.entry, after)
	s.entry = after
	return recorded, nil
}

// unsaid are the stamps whose attributes the modifications say nothing of.
func unsaid(stamps, mods []directory.Modification) []directory.Modification {
	return slices.DeleteFunc(stamps, func(s directory.Modification) bool {
		return slices.ContainsFunc(mods, func(m directory.Modification) bool {
			return strings.EqualFold(m.Attribute.Type, s.Attribute.Type)
		})
	})
}

func replace(name string, values ...[]byte) directory.Modification {
	return directory.Modification{Op: directory.ModReplace, Attribute: directory.Attribute{Type: name, Values: values}}
}

func (r *Register) modifyStamps(by Author, tx *ledger.Tx) []directory.Modification {
	return []directory.Modification{
		replace("modifiersName", r.authorName(by)), replace("modifyTimestamp", directory.FormatTime(tx.Time())),
	}
}

// ModifyAll makes the same modifications on every entry named, all or none,
// recorded as few set-valued changes: mass work. Give at most some hundred, in
// the order of their keys so that each loaded block is read once,
// to one transaction. Secrets and objectClass cannot be modified so.
func (r *Register) ModifyAll(tx *ledger.Tx, by Author, dns []directory.DN, mods []directory.Modification) error {
	if public, secret := r.partMods(mods); len(secret) > 0 || r.touchesClasses(public) {
		return refuse(directory.UnwillingToPerform, "neither secrets nor object classes can be modified on many entries at once")
	}
	w := setWrite{r: r, by: by, mods: mods, stamps: r.modifyStamps(by, tx)}
	uuids := make([]directory.UUID, 0, len(dns))
	for _, dn := range dns {
		u, err := w.modify(tx, dn)
		if err != nil {
			return err
		}
		uuids = append(uuids, u)
	}
	w.announce(tx, uuids)
	return nil
}

// setWrite is a set-valued modification under way.
type setWrite struct {
	r            *Register
	by           Author
	mods, stamps []directory.Modification
}

func (w *setWrite) modify(tx *ledger.Tx, dn directory.DN) (u directory.UUID, err error) {
	p, err := w.r.locate(dn)
	if err != nil {
		return u, err
	}
	if err := w.r.permit(w.by, p, false); err != nil {
		return u, err
	}
	s, err := w.r.find(tx, p)
	if err != nil {
		return u, err
	}
	if s == nil {
		return u, w.r.noSuchObject(tx, p)
	}
	return s.uuid, w.modifyStored(tx, s)
}

func (w *setWrite) modifyStored(tx *ledger.Tx, s *stored) error {
	if _, err := w.r.modified(tx, s, w.mods, &directory.Update{}); err != nil {
		return err
	}
	var err error
	if s.entry, err = w.r.schema.Replay(s.entry, w.stamps); err != nil {
		return err
	}
	return w.r.put(tx, s)
}

// announce appends the modifications of all entries as few changes.
func (w *setWrite) announce(tx *ledger.Tx, uuids []directory.UUID) {
	slices.SortFunc(uuids, func(a, b directory.UUID) int { return bytes.Compare(a[:], b[:]) })
	for part := range slices.Chunk(slices.Compact(uuids), directory.MaxSet) {
		x := directory.EntriesModified{UUIDs: part, Mods: append(slices.Clone(w.mods), w.stamps...)}
		tx.Append(journal.KindEntriesModified, directory.ChangeVersion, x.Append(nil))
	}
}

func (r *Register) touchesClasses(mods []directory.Modification) bool {
	class := r.schema.Attribute("objectClass")
	return slices.ContainsFunc(mods, func(m directory.Modification) bool { return r.schema.Attribute(m.Attribute.Type) == class })
}

// partBytes is how many bytes of values one change carries, well below
// journal.MaxBody because names and lengths are not counted.
const partBytes = 48 << 10

// valueCost is what a value costs in a change's body besides its bytes; a
// large one is replaced by its hash.
const valueCost = 48

func cost(v []byte) int {
	if len(v) > directory.LargeValue {
		return valueCost
	}
	return len(v) + 4
}

// fits returns how many of the values fit the room left, and takes it.
func fits(values [][]byte, room *int) int {
	for i, v := range values {
		if *room -= cost(v); *room < 0 {
			return i
		}
	}
	return len(values)
}

// announceMods appends the modifications as changes that each fit.
func (r *Register) announceMods(tx *ledger.Tx, s *stored, mods []directory.Modification) error {
	room := partBytes
	var part []directory.Modification
	flush := func() error {
		err := r.announcePart(tx, s, part)
		part, room = nil, partBytes
		return err
	}
	for _, m := range mods {
		for {
			n := fits(m.Attribute.Values, &room)
			if n == len(m.Attribute.Values) && len(part) < 1000 {
				part = append(part, m)
				break
			}
			if n > 0 {
				head := m
				head.Attribute.Values = m.Attribute.Values[:n]
				part = append(part, head)
				m = remainder(m, n)
			}
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// remainder is what is left of a modification after its first n values: a
// replacement goes on as an addition.
func remainder(m directory.Modification, n int) directory.Modification {
	m.Attribute.Values = m.Attribute.Values[n:]
	if m.Op == directory.ModReplace {
		m.Op = directory.ModAdd
	}
	return m
}

func (r *Register) announcePart(tx *ledger.Tx, s *stored, mods []directory.Modification) error {
	if len(mods) == 0 {
		return nil
	}
	x := directory.EntryModified{UUID: s.uuid, DN: s.entry.DN, Mods: mods}
	for i := range mods {
		l, err := storeLarge(tx, &mods[i].Attribute, i, nil)
		if err != nil {
			return err
		}
		x.Large = append(x.Large, l...)
	}
	tx.Append(journal.KindEntryModified, directory.ChangeVersion, x.Append(nil))
	return nil
}
