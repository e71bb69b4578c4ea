package directory

import (
	"fmt"
	"io"
	"slices"

	"cardinal/internal/journal"
)

// ChangeVersion is the version of every body this package writes.
const ChangeVersion = 1

// UUID is an entryUUID (RFC 4530).
type UUID [16]byte

// String returns the RFC 4122 text form.
func (u UUID) String() string { return string(FormatUUID(u)) }

// LargeValue is the length in bytes above which a value travels by its
// SHA-256 instead of in the body.
const LargeValue = 4 << 10

// Large says that a value is kept as content: the n-th value of the n-th
// attribute (or modification). The decoder leaves that value nil.
type Large struct {
	Attribute, Value int
	Content          journal.Hash
	Size             int64
}

// Opener gives the content of a large value; journal.Feed and replica.Batch
// have such a method.
type Opener func(journal.Hash) (io.ReadCloser, error)

// EntryAdded says that an entry came to be. Entry holds the user attributes
// and the operational ones that are stored (createTimestamp, creatorsName,
// modifyTimestamp, modifiersName, structuralObjectClass), in canonical form.
// entryUUID is UUID; entryDN is the name; entryCSN is CSN of the change's time
// and position: a follower derives them and every follower derives the same.
type EntryAdded struct {
	UUID  UUID
	Entry *Entry
	Large []Large
}

// EntryModified says what was modified in one entry; Mods include those of
// operational attributes and are what the register applied, so that applying
// them in order gives every replica the same entry.
type EntryModified struct {
	UUID  UUID
	DN    DN
	Mods  []Modification
	Large []Large
}

// EntriesModified applies the same modifications to each of many entries. The
// register writes it only for modifications that succeed on every one. UUIDs
// are sorted; MaxSet of them fit one change.
type EntriesModified struct {
	UUIDs []UUID
	Mods  []Modification
}

// MaxSet is how many entries one EntriesModified may name.
const MaxSet = 3500

// EntryDeleted says that a leaf entry is gone.
type EntryDeleted struct {
	UUID UUID
	DN   DN
}

// EntryMoved says that an entry, with all below it, has a new name (RFC 4511
// §4.9). NewSuperior is the full name above, whether it changed or not. Mods
// bring the attributes in line with the new RDN.
type EntryMoved struct {
	UUID        UUID
	Old         DN
	NewRDN      RDN
	NewSuperior DN
	Mods        []Modification
}

// SuffixLoaded says that an empty suffix was filled from a content (see
// LoadReader), all entries at once.
type SuffixLoaded struct {
	Suffix  DN
	Content journal.Hash
	Size    int64 // bytes of the content
	Entries uint64
}

// SecretsChanged replaces values that are kept from their entries: password
// verifiers. It is node-only (journal.ClassNodeOnly) and set-valued, so that a
// load carries many in one change.
type SecretsChanged struct {
	Secrets []Secret
}

// Secret is all values of one secret attribute of one entry; none: it is gone.
type Secret struct {
	UUID      UUID
	Attribute string
	Values    [][]byte
}

// Append appends the body, version ChangeVersion.
func (x *EntryAdded) Append(b []byte) []byte {
	w := writer{journal.NewEncoder(b)}
	w.AppendFixed(x.UUID[:])
	w.dn(x.Entry.DN)
	w.AppendUint(uint64(len(x.Entry.Attributes)))
	for i := range x.Entry.Attributes {
		w.attribute(&x.Entry.Attributes[i], i, x.Large)
	}
	w.large(x.Large)
	return w.Bytes()
}

// ParseEntryAdded reads a body; values point into it.
func ParseEntryAdded(body []byte) (*EntryAdded, error) {
	r := reader{journal.NewDecoder(body)}
	x := &EntryAdded{UUID: r.uuid(), Entry: &Entry{DN: r.dn()}}
	for range r.Count(2) {
		x.Entry.Attributes = append(x.Entry.Attributes, r.attribute())
	}
	x.Large = r.large(func(i int) *Attribute { return at(x.Entry.Attributes, i) })
	return x, r.done("entry added")
}

// Append appends the body, version ChangeVersion.
func (x *EntryModified) Append(b []byte) []byte {
	w := writer{journal.NewEncoder(b)}
	w.AppendFixed(x.UUID[:])
	w.dn(x.DN)
	w.mods(x.Mods, x.Large)
	w.large(x.Large)
	return w.Bytes()
}

// ParseEntryModified reads a body; values point into it.
func ParseEntryModified(body []byte) (*EntryModified, error) {
	r := reader{journal.NewDecoder(body)}
	x := &EntryModified{UUID: r.uuid(), DN: r.dn(), Mods: r.mods()}
	x.Large = r.large(func(i int) *Attribute {
		if i >= len(x.Mods) {
			return nil
		}
		return &x.Mods[i].Attribute
	})
	return x, r.done("entry modified")
}

// Append appends the body, version ChangeVersion. UUIDs must be sorted.
func (x *EntriesModified) Append(b []byte) []byte {
	w := writer{journal.NewEncoder(b)}
	w.mods(x.Mods, nil)
	w.AppendUint(uint64(len(x.UUIDs)))
	for _, u := range x.UUIDs {
		w.AppendFixed(u[:])
	}
	return w.Bytes()
}

// ParseEntriesModified reads a body; values point into it.
func ParseEntriesModified(body []byte) (*EntriesModified, error) {
	r := reader{journal.NewDecoder(body)}
	x := &EntriesModified{Mods: r.mods()}
	for i := range r.Count(16) {
		x.UUIDs = append(x.UUIDs, r.uuid())
		if i > 0 && slices.Compare(x.UUIDs[i-1][:], x.UUIDs[i][:]) >= 0 {
			r.Fail("entries out of order")
			break
		}
	}
	return x, r.done("entries modified")
}

// Append appends the body, version ChangeVersion.
func (x *EntryDeleted) Append(b []byte) []byte {
	w := writer{journal.NewEncoder(b)}
	w.AppendFixed(x.UUID[:])
	w.dn(x.DN)
	return w.Bytes()
}

// ParseEntryDeleted reads a body.
func ParseEntryDeleted(body []byte) (*EntryDeleted, error) {
	r := reader{journal.NewDecoder(body)}
	x := &EntryDeleted{UUID: r.uuid(), DN: r.dn()}
	return x, r.done("entry deleted")
}

// Append appends the body, version ChangeVersion.
func (x *EntryMoved) Append(b []byte) []byte {
	w := writer{journal.NewEncoder(b)}
	w.AppendFixed(x.UUID[:])
	w.dn(x.Old)
	w.rdn(x.NewRDN)
	w.dn(x.NewSuperior)
	w.mods(x.Mods, nil)
	return w.Bytes()
}

// ParseEntryMoved reads a body; values point into it.
func ParseEntryMoved(body []byte) (*EntryMoved, error) {
	r := reader{journal.NewDecoder(body)}
	x := &EntryMoved{UUID: r.uuid(), Old: r.dn(), NewRDN: r.rdn(), NewSuperior: r.dn(), Mods: r.mods()}
	return x, r.done("entry moved")
}

// Append appends the body, version ChangeVersion.
func (x *SuffixLoaded) Append(b []byte) []byte {
	w := writer{journal.NewEncoder(b)}
	w.dn(x.Suffix)
	w.AppendHash(x.Content)
	w.AppendUint(uint64(x.Size))
	w.AppendUint(x.Entries)
	return w.Bytes()
}

// ParseSuffixLoaded reads a body.
func ParseSuffixLoaded(body []byte) (*SuffixLoaded, error) {
	r := reader{journal.NewDecoder(body)}
	x := &SuffixLoaded{Suffix: r.dn(), Content: r.Hash(), Size: int64(r.UintMax(1 << 62)), Entries: r.Uint()}
	return x, r.done("suffix loaded")
}

// Append appends the body, version ChangeVersion.
func (x *SecretsChanged) Append(b []byte) []byte {
	w := writer{journal.NewEncoder(b)}
	w.AppendUint(uint64(len(x.Secrets)))
	for i := range x.Secrets {
		w.AppendFixed(x.Secrets[i].UUID[:])
		w.attribute(&Attribute{Type: x.Secrets[i].Attribute, Values: x.Secrets[i].Values}, 0, nil)
	}
	return w.Bytes()
}

// ParseSecretsChanged reads a body; values point into it.
func ParseSecretsChanged(body []byte) (*SecretsChanged, error) {
	r := reader{journal.NewDecoder(body)}
	x := &SecretsChanged{}
	for range r.Count(18) {
		s := Secret{UUID: r.uuid()}
		a := r.attribute()
		s.Attribute, s.Values = a.Type, a.Values
		x.Secrets = append(x.Secrets, s)
	}
	return x, r.done("secrets changed")
}

// Resolve fetches the large values of the entry.
func (x *EntryAdded) Resolve(open Opener) error {
	for _, l := range x.Large {
		v, err := l.fetch(open)
		if err != nil {
			return err
		}
		x.Entry.Attributes[l.Attribute].Values[l.Value] = v
	}
	return nil
}

// Resolve fetches the large values of the modifications.
func (x *EntryModified) Resolve(open Opener) error {
	for _, l := range x.Large {
		v, err := l.fetch(open)
		if err != nil {
			return err
		}
		x.Mods[l.Attribute].Attribute.Values[l.Value] = v
	}
	return nil
}

func (l *Large) fetch(open Opener) (v []byte, err error) {
	rc, err := open(l.Content)
	if err != nil {
		return nil, fmt.Errorf("opening value %s: %w", l.Content, err)
	}
	defer func() {
		if cerr := rc.Close(); err == nil && cerr != nil {
			v, err = nil, fmt.Errorf("closing value %s: %w", l.Content, cerr)
		}
	}()
	v, err = io.ReadAll(io.LimitReader(rc, l.Size+1))
	if err != nil {
		return nil, fmt.Errorf("reading value %s: %w", l.Content, err)
	}
	if int64(len(v)) != l.Size {
		return nil, fmt.Errorf("reading value %s: it has not the %d bytes promised", l.Content, l.Size)
	}
	return v, nil
}
