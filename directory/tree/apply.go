package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"

	"go.etcd.io/bbolt"

	"cardinal/directory"
	"cardinal/internal/journal"
	"cardinal/internal/replica"
)

// layout is the form of the buckets; raise it when a record, a key or the set
// of computed things changes.
const layout = 5

// Name is the tree's bucket.
func (t *Tree) Name() string { return "directory" }

// Withheld is replica.Withholder's: verifiers are not for every copy.
func (t *Tree) Withheld() []string { return []string{bucketSecrets} }

// Layout changes with the form of the buckets, with what is indexed and with
// the rule it is indexed by, so a file that lacks an index is rebuilt.
func (t *Tree) Layout() uint32 {
	h := fnv.New32a()
	var names []string
	for typ := range t.indexed {
		names = append(names, typ.Name()+" "+typ.Equality.OID)
	}
	slices.Sort(names)
	for _, n := range names {
		h.Write([]byte(n))
		h.Write([]byte{0})
	}
	return h.Sum32()&^0xFF | layout
}

// Reset forgets what is known of the file served so far.
func (t *Tree) Reset() {
	t.writer = newWriter(t)
	t.recalls.block(false)
	t.groups.Add(1)
}

// Committed tells who remembers memberships that they have changed, and puts
// records into the recall. Nothing else needs to be told: what readers remember
// stays with a snapshot, and the catalog they share only grows.
func (t *Tree) Committed(replica.State) {
	t.writer.remember()
	if t.regrouped {
		t.regrouped = false
		t.groups.Add(1)
	}
}

// Memberships is a number that rises whenever the members of a group may have
// changed, before WaitFor tells of the change: what was found out about groups
// holds as long as it stays the same. Read it first, then look.
func (t *Tree) Memberships() uint64 { return t.groups.Load() }

// Apply writes one change of the directory's entries.
func (t *Tree) Apply(b *replica.Batch, c journal.Change) error {
	switch c.Kind {
	case journal.KindEpochBegan:
		return t.applyEpoch(b, c)
	case journal.KindIssuerAdded, journal.KindStatusChanged:
		return t.applyCertificates(b, c)
	}
	if c.Kind < journal.KindSuffixLoaded || c.Kind > journal.KindSecretsChanged {
		return nil
	}
	if c.Version != directory.ChangeVersion {
		return replica.UnknownVersion(c)
	}
	t.regrouped = t.regrouped || c.Kind == journal.KindSuffixLoaded || c.Kind == journal.KindEntryMoved
	return t.writer.apply(b, c, t.applyEntries)
}

// apply opens the buckets for one change, and brings history up to date when it
// is written.
func (w *writer) apply(b *replica.Batch, c journal.Change, write func(b *replica.Batch, c journal.Change) error) error {
	if err := w.begin(b.Bucket()); err != nil {
		return fmt.Errorf("opening the directory's buckets: %w", err)
	}
	w.records.position, w.records.micro = uint64(c.Position), uint64(c.Time.UnixMicro())
	err := write(b, c)
	if err != nil && !errors.Is(err, replica.ErrMore) {
		return err
	}
	return errors.Join(w.settleHistory(), err)
}

func (t *Tree) applyEntries(b *replica.Batch, c journal.Change) error {
	w := t.writer
	switch c.Kind {
	case journal.KindSuffixLoaded:
		return t.applyLoad(c)
	case journal.KindEntryAdded:
		return w.entryAdded(b, c.Body)
	case journal.KindEntryModified:
		return w.entryModified(b, c.Body)
	case journal.KindEntryDeleted:
		return w.entryDeleted(c.Body)
	case journal.KindEntryMoved:
		return w.entryMoved(c.Body)
	case journal.KindEntriesModified:
		return w.entriesModified(c)
	case journal.KindSecretsChanged:
		return w.secretsChanged(c.Body)
	}
	return nil
}

func (w *writer) entryAdded(b *replica.Batch, body []byte) error {
	x, err := directory.ParseEntryAdded(body)
	if err != nil {
		return err
	}
	if err := x.Resolve(b.Content); err != nil {
		return err
	}
	if err := w.add(x.UUID, x.Entry); err != nil {
		return err
	}
	return w.note(noted{kind: ChangeAdded, uuid: x.UUID, name: x.Entry.DN.String(), now: w.wrote})
}

func (w *writer) entryModified(b *replica.Batch, body []byte) error {
	x, err := directory.ParseEntryModified(body)
	if err != nil {
		return err
	}
	if err := x.Resolve(b.Content); err != nil {
		return err
	}
	return w.modify(x.UUID, x.DN.String(), x.Mods)
}

// modify changes one entry of a name.
func (w *writer) modify(uuid directory.UUID, name string, mods []directory.Modification) error {
	p := w.patchOf(mods)
	return w.modifyBy(&p, parseID(w.uuids.Get(uuid[:])), name, mods)
}

// modifyBy changes one entry by modifications and the patch made of them; the
// name, for history, is looked for if it is "".
func (w *writer) modifyBy(p *patch, id uint32, name string, mods []directory.Modification) error {
	old := w.recordOf(id)
	before, err := parseHead(old)
	if err != nil {
		return fmt.Errorf("modifying entry %d: %w", id, err)
	}
	if name == "" {
		name = w.nameOf(id, before)
	}
	if p.ready {
		if done, err := w.modifyPatched(p, modified{id, name, old, before}); done || err != nil {
			return err
		}
	}
	if before, err = w.rewrite(id, mods); err != nil {
		return fmt.Errorf("modifying entry %d: %w", id, err)
	}
	return w.note(noted{kind: ChangeModified, uuid: directory.UUID(before.uuid), name: name, old: before, now: w.wrote, mods: mods})
}

// modified is an entry that is to be modified.
type modified struct {
	id   uint32
	name string
	old  record
	head head
}

// modifyPatched changes an entry by a patch; false if that cannot be.
func (w *writer) modifyPatched(p *patch, e modified) (bool, error) {
	r, ok := p.apply(&w.records, e.old, &e.head)
	if !ok {
		return false, nil
	}
	if err := w.putRecord(e.id, r); err != nil {
		return false, err
	}
	n := noted{kind: ChangeModified, uuid: directory.UUID(e.head.uuid), name: e.name, old: e.head, now: w.wrote}
	if w.records.told.whole {
		n.patch = w.records.told.form
	}
	return true, w.note(n)
}

// rewrite changes an entry the long way and gives the record it had.
func (w *writer) rewrite(id uint32, mods []directory.Modification) (before head, err error) {
	h, err := w.takeID(id)
	if err != nil {
		return before, err
	}
	after, err := w.replay(h, mods)
	if err != nil {
		return before, err
	}
	return h.head, w.change(h, after)
}

func (w *writer) entryDeleted(body []byte) error {
	x, err := directory.ParseEntryDeleted(body)
	if err != nil {
		return err
	}
	h, err := w.take(x.UUID)
	if err != nil {
		return err
	}
	if err := w.dropSecrets(x.UUID); err != nil {
		return err
	}
	if err := w.remove(h); err != nil {
		return err
	}
	return w.note(noted{kind: ChangeDeleted, uuid: x.UUID, name: x.DN.String(), old: h.head})
}

// entryMoved costs the same however much hangs below the entry: everything
// below points at its number.
func (w *writer) entryMoved(body []byte) error {
	x, err := directory.ParseEntryMoved(body)
	if err != nil {
		return err
	}
	h, err := w.take(x.UUID)
	if err != nil {
		return err
	}
	after, err := w.replay(h, x.Mods)
	if err != nil {
		return fmt.Errorf("moving entry %s: %w", x.UUID, err)
	}
	if err := w.unlink(h.parent, h.part); err != nil {
		return err
	}
	name := x.NewSuperior.Child(x.NewRDN)
	key, err := w.tree.schema.Key(name)
	if err != nil {
		return err
	}
	parent, part := w.place(key)
	if err := w.link(parent, part, h.id); err != nil {
		return err
	}
	h.parent, after.DN = parent, name
	if err := w.change(h, after); err != nil {
		return err
	}
	return w.note(noted{kind: ChangeMoved, uuid: x.UUID, name: x.Old.String(), after: name.String(),
		children: w.counts.Get(appendID(nil, h.id)) != nil, old: h.head, now: w.wrote, mods: x.Mods})
}

// slice is how many entries one call changes before it asks for a commit: all
// that one change may name, so that no search sees half of it.
const slice = directory.MaxSet

// entriesModified goes on where the slice before it ended: how many entries
// are done stands in the bucket, with the position it belongs to.
func (w *writer) entriesModified(c journal.Change) error {
	x, err := directory.ParseEntriesModified(c.Body)
	if err != nil {
		return err
	}
	done := w.progress(c.Position)
	if done > len(x.UUIDs) {
		done = 0
	}
	todo := x.UUIDs[done:]
	if err := w.modifySet(todo[:min(slice, len(todo))], x.Mods); err != nil {
		return err
	}
	if len(todo) > slice {
		if err := w.setProgress(c.Position, done+slice); err != nil {
			return err
		}
		w.tree.recalls.end() // two commits will show one position
		return replica.ErrMore
	}
	return w.states.Delete([]byte(stateProgress))
}

// modifySet makes the same modifications on many entries, in the order they
// stand in, so that each page is looked for once.
func (w *writer) modifySet(uuids []directory.UUID, mods []directory.Modification) error {
	ids := make([]uint32, len(uuids))
	for i := range uuids {
		if ids[i] = w.idOf(&uuids[i]); ids[i] == 0 {
			return fmt.Errorf("modifying entry %s: %w", uuids[i], errDamaged)
		}
	}
	slices.Sort(ids)
	p := patch{}
	for _, id := range ids {
		if !p.ready { // the first may have brought new words
			p = w.patchOf(mods)
		}
		if err := w.modifyBy(&p, id, "", mods); err != nil {
			return err
		}
	}
	return nil
}

const stateProgress = "progress"

func (w *writer) progress(p journal.Position) int {
	v := w.states.Get([]byte(stateProgress))
	if len(v) != 16 || binary.BigEndian.Uint64(v) != uint64(p) {
		return 0
	}
	return int(binary.BigEndian.Uint64(v[8:]))
}

func (w *writer) setProgress(p journal.Position, done int) error {
	v := binary.BigEndian.AppendUint64(nil, uint64(p))
	return w.states.Put([]byte(stateProgress), binary.BigEndian.AppendUint64(v, uint64(done)))
}

// Secrets stand apart from the entries, so that no search can meet them.

func (w *writer) secretsChanged(body []byte) error {
	x, err := directory.ParseSecretsChanged(body)
	if err != nil {
		return err
	}
	for i := range x.Secrets {
		if err := w.putSecret(&x.Secrets[i]); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) putSecret(x *directory.Secret) error {
	secrets := w.root.Bucket([]byte(bucketSecrets))
	key := secretKey(x.UUID, x.Attribute)
	if len(x.Values) == 0 {
		return secrets.Delete(key)
	}
	e := journal.NewEncoder(nil)
	for _, v := range x.Values {
		e.AppendBytes(v)
	}
	return secrets.Put(key, e.Bytes())
}

func secretKey(uuid directory.UUID, attribute string) []byte { return append(uuid[:], attribute...) }

func parseSecrets(b []byte) (out [][]byte, err error) {
	d := journal.NewDecoder(b)
	for len(d.Rest()) > 0 {
		out = append(out, slices.Clone(d.Bytes()))
	}
	return out, d.Err()
}

func (w *writer) dropSecrets(uuid directory.UUID) error {
	c := w.root.Bucket([]byte(bucketSecrets)).Cursor()
	var keys [][]byte
	for k, _ := c.Seek(uuid[:]); len(k) >= 16 && string(k[:16]) == string(uuid[:]); k, _ = c.Next() {
		keys = append(keys, slices.Clone(k))
	}
	return deleteAll(w.root.Bucket([]byte(bucketSecrets)), keys)
}

func deleteAll(b *bbolt.Bucket, keys [][]byte) error {
	for _, k := range keys {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}
