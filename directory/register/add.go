package register

import (
	"crypto/rand"
	"slices"

	"cardinal/directory"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// Add makes a new entry (RFC 4511 §4.7). Values of its RDN and superclasses
// are added where absent. Password values that are not verifiers yet are
// hashed, which takes some 20 ms of the transaction: use Updates, or
// directory.SealPassword before. Errors are *directory.Error: those of
// Schema.Canonical and Schema.Check, 19 for an operational attribute, 68 if
// the entry exists, 32 with the deepest ancestor if its parent does not, 65
// below a subentry, 33 below an alias, 53.
func (r *Register) Add(tx *ledger.Tx, by Author, e *directory.Entry) error {
	return r.add(tx, by, e, false)
}

func (r *Register) add(tx *ledger.Tx, by Author, e *directory.Entry, relaxed bool) error {
	p, err := r.locate(e.DN)
	if err != nil {
		return err
	}
	if err := r.permit(by, p, false); err != nil {
		return err
	}
	uuid, e, err := r.userPart(tx, e, relaxed)
	if err != nil {
		return err
	}
	s, secrets, err := r.prepare(p, e)
	if err != nil {
		return err
	}
	s.uuid = uuid
	r.stamp(s.entry, by, tx)
	if err := r.vacant(tx, p); err != nil {
		return err
	}
	if err := r.unshared(tx, s, version{}, version{s.key, s.entry}); err != nil {
		return err
	}
	r.track(tx, s, nil, s.entry)
	if err := r.put(tx, s); err != nil {
		return err
	}
	if err := r.announce(tx, s); err != nil {
		return err
	}
	return r.keepSecrets(tx, s.uuid, secrets)
}

// userPart refuses operational attributes a client brings along, or with
// relaxed rules takes those it may decide, and chooses the entryUUID.
func (r *Register) userPart(tx *ledger.Tx, e *directory.Entry, relaxed bool) (u directory.UUID, out *directory.Entry, err error) {
	rand.Read(u[:])
	if !relaxed {
		for i := range e.Attributes {
			if t := r.schema.Attribute(e.Attributes[i].Type); t != nil && t.NoUserModification {
				return u, nil, refuse(directory.ConstraintViolation, "%s: no user modification allowed", t.Name())
			}
		}
		return u, e, nil
	}
	out = &directory.Entry{DN: e.DN, Attributes: slices.Clone(e.Attributes)}
	brought, err := importable(r.schema.Attribute, out)
	if err != nil || brought == nil {
		return u, out, err
	}
	if err := r.unusedUUID(tx, *brought); err != nil {
		return u, nil, err
	}
	return *brought, out, nil
}

// prepare makes the canonical, checked form of an entry and parts its secrets.
func (r *Register) prepare(p place, e *directory.Entry) (*stored, []directory.Attribute, error) {
	c, err := r.schema.Canonical(e)
	if err != nil {
		return nil, nil, err
	}
	secrets, names := r.takeSecrets(c)
	if err := r.schema.Check(c, names...); err != nil {
		return nil, nil, err
	}
	class, err := r.schema.StructuralClass(c)
	if err != nil {
		return nil, nil, err
	}
	c.PutString("structuralObjectClass", class.Name())
	return &stored{key: p.key, entry: c}, secrets, nil
}

// stamp sets the operational attributes of a new entry (RFC 4512 §3.4) that it
// does not bring along, as an import may.
func (r *Register) stamp(e *directory.Entry, by Author, tx *ledger.Tx) {
	for _, a := range r.stamps(by, tx) {
		if e.Attribute(a.Type) == nil {
			e.Attributes = append(e.Attributes, a)
		}
	}
}

func (r *Register) stamps(by Author, tx *ledger.Tx) []directory.Attribute {
	name, now := r.authorName(by), directory.FormatTime(tx.Time())
	return []directory.Attribute{
		{Type: "creatorsName", Values: [][]byte{name}}, {Type: "createTimestamp", Values: [][]byte{now}},
		{Type: "modifiersName", Values: [][]byte{name}}, {Type: "modifyTimestamp", Values: [][]byte{now}},
	}
}

// authorName is the author's name if it is one, else a name made of it.
func (r *Register) authorName(by Author) []byte {
	if _, err := r.schema.ParseKey(by.DN); err == nil {
		return []byte(by.DN)
	}
	dn := directory.DN{{{Type: "cn", Value: []byte(by.DN)}}}
	return dn.Append(nil)
}

// vacant checks that the place is free and its parent there.
func (r *Register) vacant(tx *ledger.Tx, p place) error {
	there, err := r.find(tx, p)
	if err != nil {
		return err
	}
	if there != nil {
		return refuse(directory.EntryAlreadyExists, "entry %q exists", p.dn)
	}
	if p.key == p.suffix.key {
		return nil
	}
	up := place{dn: p.dn.Parent(), key: p.key.Parent(), suffix: p.suffix}
	parent, err := r.find(tx, up)
	if err != nil {
		return err
	}
	if parent == nil {
		return r.noSuchObject(tx, p)
	}
	return r.maySuperior(parent)
}

// maySuperior refuses what has nothing below it: a subentry (RFC 3672 §2.1) and an
// alias (RFC 4512 §2.6).
func (r *Register) maySuperior(parent *stored) error {
	for _, v := range parent.entry.Get("objectClass") {
		switch c := r.schema.Class(string(v)); {
		case c == nil:
		case c.Name() == "subentry":
			return refuse(directory.ObjectClassViolation, "parent is a subentry")
		case c.Name() == "alias":
			return refuse(directory.AliasProblem, "parent is an alias")
		}
	}
	return nil
}

// announce appends the changes of a new entry: one, or for an entry that does
// not fit a change, one and modifications that add the rest.
func (r *Register) announce(tx *ledger.Tx, s *stored) error {
	x, err := r.added(tx, s)
	if err != nil {
		return err
	}
	body := x.Append(nil)
	if len(body) <= journal.MaxBody {
		tx.Append(journal.KindEntryAdded, directory.ChangeVersion, body)
		return nil
	}
	first := &directory.Entry{DN: s.entry.DN}
	var rest []directory.Modification
	room := partBytes
	for _, a := range s.entry.Attributes {
		n := fits(a.Values, &room)
		if n > 0 {
			first.Attributes = append(first.Attributes, directory.Attribute{Type: a.Type, Values: a.Values[:n]})
		}
		if n < len(a.Values) {
			rest = append(rest, directory.Modification{Op: directory.ModAdd,
				Attribute: directory.Attribute{Type: a.Type, Values: a.Values[n:]}})
		}
	}
	part := &stored{uuid: s.uuid, entry: first, large: s.large}
	if x, err = r.added(tx, part); err != nil {
		return err
	}
	tx.Append(journal.KindEntryAdded, directory.ChangeVersion, x.Append(nil))
	return r.announceMods(tx, s, rest)
}
