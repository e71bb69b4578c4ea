package tree

import (
	"slices"

	"cardinal/directory"
)

// Kind is what an entry may be to the protocol besides an entry.
type Kind uint8

// The kinds. An entry may be of several.
const (
	KindSubentry Kind = iota // RFC 3672
	KindReferral             // RFC 3296
	kinds
)

func (k Kind) class() string {
	if k == KindSubentry {
		return "subentry"
	}
	return "referral"
}

// kindQueries are the filters that tell the kinds.
func kindQueries(schema *directory.Schema) (out [kinds]*directory.Query) {
	for k := range kinds {
		out[k] = schema.Compile(&directory.Filter{Kind: directory.FilterEquality, Attr: "objectClass", Value: []byte(k.class())})
	}
	return out
}

// kindSet holds the entries of one kind in one snapshot. There are few, mostly
// none, and asking costs no more then.
type kindSet struct {
	known bool
	tests bool // objectClass is not indexed: each entry is tested
	ids   []uint32
	keys  map[directory.Key]uint32 // of referrals, once they are asked for
}

// of finds the entries of a kind, once for each snapshot.
func (rd *reader) of(k Kind) *kindSet {
	set := &rd.kinds[k]
	if set.known {
		return set
	}
	set.known = true
	q := rd.tree.kinds[k]
	switch {
	case rd.index == nil || q.Kind == directory.FilterNone:
	case !rd.tree.indexed[q.Attr.Type]:
		set.tests = true
	default:
		p := planner{rd: rd, indexed: rd.tree.indexed}
		set.ids = ascending(p.exact(&node{Query: q}, nil))
	}
	return set
}

// Is reports whether the entry is of a kind.
func (e *Entry) Is(k Kind) bool {
	set := e.reader.of(k)
	if set.tests || e.past != nil {
		return e.Match(e.reader.tree.kinds[k]) == directory.True
	}
	if len(set.ids) == 0 {
		return false
	}
	_, found := slices.BinarySearch(set.ids, e.ID)
	return found
}

// Referred says that a name lies at or below an entry that refers elsewhere.
type Referred struct{ Key directory.Key }

// Error says so.
func (e *Referred) Error() string { return "the entry is held elsewhere" }

// referral finds the uppermost referral at or above a key; "" if there is none.
func (rd *reader) referral(key directory.Key) (found directory.Key) {
	set := rd.of(KindReferral)
	if len(set.ids) == 0 {
		return ""
	}
	if set.keys == nil {
		set.keys = map[directory.Key]uint32{}
		for _, id := range set.ids {
			e := Entry{reader: rd, ID: id}
			if rec := rd.get(id); rec != nil && e.parse(rec) == nil {
				set.keys[e.Key()] = id
			}
		}
	}
	for ; key != ""; key = key.Parent() {
		if set.keys[key] != 0 {
			found = key
		}
	}
	return found
}

// Referral finds the uppermost referral at or above a name; "" if there is none.
// With managed set, entries that are here are not elsewhere: then there is none
// unless the name does not exist.
func (t *Tree) Referral(key directory.Key, managed bool) (directory.Key, error) {
	s, rd, err := t.open()
	if err != nil {
		return "", err
	}
	defer s.Release()
	at := rd.referral(key)
	if at != "" && managed {
		if id, _ := rd.lookup(key); id != 0 {
			return "", nil
		}
	}
	return at, nil
}

// Refers reports whether References has anything to look at. It is known after
// the first Step.
func (s *Scan) Refers() bool { return s.refers }

// References shows the referrals in the scope of a search that follows them
// (Request.Refer), whether the filter fits them or not. It is for after the
// last Step.
func (s *Scan) References(visit func(e *Entry)) error {
	if !s.refers {
		return nil
	}
	snapshot, rd, err := s.tree.open()
	if err != nil {
		return err
	}
	defer snapshot.Release()
	for _, id := range rd.of(KindReferral).ids {
		e := Entry{reader: rd, ID: id}
		rec := rd.get(id)
		if rec == nil {
			continue
		}
		if err := e.parse(rec); err != nil {
			return err
		}
		if s.inScope(rd, &e) {
			visit(&e)
		}
	}
	return nil
}

// Show shows entries by their numbers, in that order: those that are still in
// the scope and that the filter still fits. It stops when visit returns false
// and tells how many numbers it has used up. It is for after a Step.
func (s *Scan) Show(ids []uint32, visit func(e *Entry) (more bool)) (used int, err error) {
	snapshot, rd, err := s.tree.open()
	if err != nil {
		return 0, err
	}
	defer snapshot.Release()
	s.query.catalog = rd.catalog
	for used < len(ids) {
		e := Entry{reader: rd, ID: ids[used]}
		used++
		rec := rd.get(e.ID)
		if rec == nil {
			continue
		}
		if err := e.parse(rec); err != nil {
			return used, err
		}
		if s.fits(rd, &e) && !visit(&e) {
			break
		}
	}
	return used, nil
}

// fits reports whether an entry belongs to the answer of the search.
func (s *Scan) fits(rd *reader, e *Entry) bool {
	return s.inScope(rd, e) && (s.query.root == nil || s.query.match(s.query.root, e) == directory.True) &&
		!(s.refers && e.Is(KindReferral))
}
