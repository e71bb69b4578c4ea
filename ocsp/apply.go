package ocsp

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"go.etcd.io/bbolt"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/replica"
)

// sliceSerials is how many serials of one set-valued change are written in one batch: all that a change about serials of
// 16 octets has room for, some 40 ms, so that whoever follows the directory is told of a status when it can be asked for.
// More are shorter serials, which are not ours.
const sliceSerials = 5000

// stripes is over how many counters the serials are spread: a revocation makes the stored answers of one stripe void. They
// take 512 KiB; a block of a mass order, of some thousand serials, leaves nearly all other answers as they are.
const stripes = 1 << 16

// invalidations tell from which generation of the copy an answer must come to be still true.
type invalidations struct {
	all    atomic.Uint64
	stripe [stripes]atomic.Uint64
}

// valid reports whether an answer about a serial made from a generation is still true.
func (v *invalidations) valid(serial []byte, generation uint64) bool {
	return generation >= v.stripe[stripeOf(serial)].Load() && generation >= v.all.Load()
}

func stripeOf(serial []byte) uint32 {
	h := uint32(2166136261)
	for _, c := range serial {
		h = (h ^ uint32(c)) * 16777619
	}
	return (h ^ h>>16) % stripes
}

// notes are what Apply found and Committed acts on.
type notes struct {
	issuers bool
	all     bool
	stripes []uint32
}

// touch notes that a serial's status changed; very many become "all".
func (n *notes) touch(serial []byte) {
	if n.all {
		return
	}
	n.stripes = append(n.stripes, stripeOf(serial))
	if len(n.stripes) >= 2*stripes {
		n.all, n.stripes = true, n.stripes[:0]
	}
}

// Name implements replica.Applier.
func (t *Table) Name() string { return tableName }

// Layout implements replica.Applier.
func (t *Table) Layout() uint32 { return tableLayout }

// Committed implements replica.Applier: stored answers about changed serials are void from here on.
func (t *Table) Committed(replica.State) {
	n := &t.notes
	generation := t.replica.Generation()
	if n.all {
		t.touched.all.Store(generation)
	}
	for _, s := range n.stripes {
		t.touched.stripe[s].Store(generation)
	}
	if n.issuers {
		t.reloadIssuers()
	}
	*n = notes{stripes: n.stripes[:0]}
}

// Reset implements replica.Applier.
func (t *Table) Reset() {
	t.touched.all.Store(t.replica.Generation())
	t.notes = notes{}
	t.fetches.drop()
	t.fetches = fetches{}
	t.reloadIssuers()
}

// Apply implements replica.Applier.
func (t *Table) Apply(b *replica.Batch, c journal.Change) error {
	if !ours(c.Kind) {
		return nil
	}
	if c.Version != 1 && !(c.Kind == journal.KindListPublished && c.Version == certs.ListPublishedVersion) {
		return replica.UnknownVersion(c)
	}
	if c.Erased {
		return fmt.Errorf("%s at position %d has no body any more", c.Kind, c.Position)
	}
	switch c.Kind {
	case journal.KindIssuerAdded:
		return t.issuerAdded(b.Bucket(), c.Body)
	case journal.KindCertificatesRecorded:
		return t.recorded(b.Bucket(), c.Body)
	case journal.KindStatusChanged:
		return t.statusChanged(b.Bucket(), c)
	case journal.KindGenerationChanged:
		return nil // whoever certifies responders knows
	case journal.KindCrossCertified:
		return t.crossCertified(b.Bucket(), c.Body)
	default:
		return listPublished(b.Bucket(), c.Body)
	}
}

func (t *Table) issuerAdded(b *bbolt.Bucket, body []byte) error {
	added, err := certs.ParseIssuerAdded(body)
	if err != nil {
		return err
	}
	outline, err := certs.OutlineOf(added.DER)
	if err != nil {
		return fmt.Errorf("issuer %s: %w", added.Name, err)
	}
	id, err := certs.IssuerIDFromSPKI(outline.SPKI)
	if err != nil {
		return fmt.Errorf("issuer %s: %w", added.Name, err)
	}
	issuers, err := b.CreateBucketIfNotExists([]byte(bucketIssuers))
	if err != nil {
		return err
	}
	order, err := issuers.NextSequence()
	if err != nil {
		return err
	}
	t.notes.issuers, t.notes.all = true, true
	if err := issuers.Put(id[:], appendIssuer(nil, order, added)); err != nil {
		return err
	}
	_, err = statusBucket(b, id)
	return err
}

func (t *Table) crossCertified(b *bbolt.Bucket, body []byte) error {
	change, err := certs.ParseCrossCertified(body)
	if err != nil {
		return err
	}
	cross, err := b.CreateBucketIfNotExists([]byte(bucketCross))
	if err != nil {
		return err
	}
	t.notes.issuers = true
	sum := sha256.Sum256(change.DER)
	return cross.Put(append(change.Issuer[:], sum[:]...), change.DER)
}

func statusBucket(b *bbolt.Bucket, issuer certs.IssuerID) (*bbolt.Bucket, error) {
	all, err := b.CreateBucketIfNotExists([]byte(bucketStatus))
	if err != nil {
		return nil, err
	}
	return all.CreateBucketIfNotExists(issuer[:])
}

func (t *Table) recorded(b *bbolt.Bucket, body []byte) error {
	change, err := certs.ParseRecorded(body)
	if err != nil {
		return err
	}
	records, err := statusBucket(b, change.Issuer)
	if err != nil {
		return err
	}
	slices.SortStableFunc(change.Certificates, func(a, b certs.RecordedCertificate) int { // neighbours share groups and pages
		return strings.Compare(string(a.Serial), string(b.Serial))
	})
	serials := make([]certs.Serial, len(change.Certificates))
	for i := range change.Certificates {
		serials[i] = change.Certificates[i].Serial
	}
	return editRecords(records, serials, func(i int, r *Record) outcome {
		c := &change.Certificates[i]
		r.Recorded, r.Digest, r.NotAfter = true, c.Digest, c.NotAfter
		t.notes.touch([]byte(c.Serial))
		return recordPut
	})
}

// statusChanged writes at most sliceSerials of a change and asks to be called again for the rest.
func (t *Table) statusChanged(b *bbolt.Bucket, c journal.Change) error {
	change, err := certs.ParseStatusChange(c.Body)
	if err != nil {
		return err
	}
	records, err := statusBucket(b, change.Issuer)
	if err != nil {
		return err
	}
	cursor, err := openCursor(b, c.Position)
	if err != nil {
		return err
	}
	if t.authorityAmong(change) {
		t.notes.all = true // what is below it falls with it
	}
	from := min(cursor.at, len(change.Serials))
	to := min(from+sliceSerials, len(change.Serials))
	serials := change.Serials[from:to]
	if !slices.IsSorted(serials) {
		serials = slices.Sorted(slices.Values(serials))
	}
	err = editRecords(records, serials, func(i int, r *Record) outcome {
		if r.Status.State == certs.StateRevoked && change.Status.State != certs.StateRevoked {
			return recordStays // the register takes no revocation back: this one was kept from a history it has lost
		}
		r.Status, r.Changed = change.Status, c.Position
		t.notes.touch([]byte(serials[i]))
		if !r.Recorded && r.Status.State == certs.StateGood {
			return recordGoes // released, but no certificate is known: nothing may be called good
		}
		return recordPut
	})
	if err != nil {
		return err
	}
	return cursor.move(to, len(change.Serials))
}

// authorityAmong reports whether a change is about the certificate of a CA of ours.
func (t *Table) authorityAmong(change certs.StatusChange) bool {
	for _, i := range t.issuers.Load().all {
		if i.serial != "" && i.above == change.Issuer && slices.Contains(change.Serials, i.serial) {
			return true
		}
	}
	return false
}

// keyCursor holds position and index.
const keyCursor = "cursor"

// cursor remembers how far a change applied in slices has come.
type cursor struct {
	bucket   *bbolt.Bucket
	position journal.Position
	at       int
}

func openCursor(b *bbolt.Bucket, p journal.Position) (*cursor, error) {
	bucket, err := b.CreateBucketIfNotExists([]byte(bucketSlices))
	if err != nil {
		return nil, err
	}
	c := &cursor{bucket: bucket, position: p}
	if raw := bucket.Get([]byte(keyCursor)); len(raw) == 16 && binary.BigEndian.Uint64(raw) == uint64(p) {
		c.at = int(binary.BigEndian.Uint64(raw[8:]))
	}
	return c, nil
}

// move notes how far it got: ErrMore unless that is the end.
func (c *cursor) move(at, end int) error {
	if at >= end {
		if c.at == 0 {
			return nil // never written
		}
		return c.bucket.Delete([]byte(keyCursor))
	}
	raw := binary.BigEndian.AppendUint64(nil, uint64(c.position))
	if err := c.bucket.Put([]byte(keyCursor), binary.BigEndian.AppendUint64(raw, uint64(at))); err != nil {
		return err
	}
	return replica.ErrMore
}

// Kept implements replica.Keeper: what was revoked or held after a position stays so, whatever a restore forgot.
func (t *Table) Kept(b *bbolt.Bucket, after journal.Position, keep func(journal.Kind, uint8, []byte) error) error {
	return EachIssuer(b, func(i *Issuer) error {
		sets := map[certs.Status]*certs.StatusChange{}
		var order []*certs.StatusChange
		err := EachRecord(b, i.ID, func(serial certs.Serial, r Record) error {
			if r.Changed <= after || r.Status.State == certs.StateGood {
				return nil
			}
			set := sets[r.Status]
			if set == nil {
				set = &certs.StatusChange{Issuer: i.ID, Status: r.Status}
				sets[r.Status] = set
				order = append(order, set)
			}
			set.Serials = append(set.Serials, serial)
			return nil
		})
		if err != nil {
			return err
		}
		for _, set := range order {
			for _, part := range set.Split() {
				if err := keep(journal.KindStatusChanged, certs.StatusChangeVersion, part.Append(nil)); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
