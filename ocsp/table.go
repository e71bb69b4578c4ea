package ocsp

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/replica"
)

// tableName is the table's bucket in the replica; tableLayout numbers the form of what stands in it.
const (
	tableName   = "certificates"
	tableLayout = 3
)

// The nested buckets. Those with a zero byte in front are local to this copy.
const (
	bucketIssuers = "issuers"   // IssuerID → issuer
	bucketCross   = "cross"     // IssuerID ‖ SHA-256 → a further certificate of the issuer's key
	bucketStatus  = "status"    // IssuerID → bucket: end of a group of serials → their records
	bucketLists   = "lists"     // IssuerID ‖ shard (‖ kind ‖ delta) → the newest ListPublished
	bucketWanted  = "\x00want"  // the same keys, of lists whose content is still to be fetched
	bucketStored  = "\x00have"  // the same keys → ListPublished whose content is here, and the one before it
	bucketContent = "\x00bytes" // content hash ‖ number of the chunk → bytes
	bucketSlices  = "\x00slice" // how far a change applied in slices has come
)

// ErrUnknown: no certificate with this serial was ever recorded, or none of this issuer.
var ErrUnknown = errors.New("no such certificate was recorded")

// Table is what the read side knows about certificates: the applier "certificates" of a replica. Its questions may be
// asked from any goroutine once it is attached.
type Table struct {
	replica *replica.Replica
	issuers atomic.Pointer[issuerSet]
	touched invalidations
	added   atomic.Pointer[chan struct{}] // closed and replaced when issuers change

	notes   notes // of the following goroutine, until Committed
	fetches fetches
}

// NewTable makes a table to be given to replica.Open.
func NewTable() *Table {
	t := &Table{}
	t.issuers.Store(&issuerSet{})
	c := make(chan struct{})
	t.added.Store(&c)
	return t
}

// Attach implements replica.Attacher.
func (t *Table) Attach(r *replica.Replica) {
	t.replica = r
	t.reloadIssuers()
}

// reloadIssuers reads the issuers again. On an error the set is empty and says so: whose certificate one is cannot be told
// then, and none is good.
func (t *Table) reloadIssuers() {
	var set *issuerSet
	err := t.replica.View(tableName, func(b *bbolt.Bucket, _ replica.State) (err error) {
		set, err = loadIssuers(b)
		return err
	})
	if err != nil {
		set = &issuerSet{unreadable: true}
	}
	t.issuers.Store(set)
	c := make(chan struct{})
	close(*t.added.Swap(&c))
}

// Issuers are all CAs known, in the order they were added.
func (t *Table) Issuers() []*Issuer { return t.issuers.Load().all }

// Issuer is the newest CA of a name, or nil.
func (t *Table) Issuer(name string) *Issuer { return t.issuers.Load().byName[name] }

// Status is what became of a certificate; ErrUnknown if it was never recorded.
func (t *Table) Status(issuer certs.IssuerID, serial certs.Serial) (certs.Status, error) {
	r, err := t.Record(issuer, serial)
	return r.Status, err
}

// Record is all the table knows of a serial; ErrUnknown if nothing.
func (t *Table) Record(issuer certs.IssuerID, serial certs.Serial) (Record, error) {
	s, err := t.replica.Begin(tableName)
	if err != nil {
		return Record{}, err
	}
	defer s.Release()
	r, ok, err := t.issuers.Load().lookUp(s, issuer, []byte(serial))
	if err == nil && !ok {
		err = ErrUnknown
	}
	if err != nil {
		return Record{}, fmt.Errorf("looking up %s: %w", certs.Ref{Issuer: issuer, Serial: serial}, err)
	}
	return r, nil
}

// opened is what a snapshot keeps open for the next question: where an issuer's records are, and what became of the
// issuer itself.
type opened struct {
	status map[certs.IssuerID]*bbolt.Cursor
	fallen map[certs.IssuerID]certs.Status
	wanted [certs.SerialMax + 1]byte // a key that is looked for
}

// lookUp reads a record within a snapshot. What an issuer made that was itself revoked is revoked with it, as of then and
// for the same reason, unless it was before (RFC 6960 §2.7; a path through the issuer is refused anyway, and here nobody
// has to look for it). A damaged page is an error, replica.Damage.
func (set *issuerSet) lookUp(s *replica.Snapshot, issuer certs.IssuerID, serial []byte) (r Record, ok bool, err error) {
	err = s.Guard(func() (err error) {
		if r, ok, err = read(s, issuer, serial); err != nil || !ok || r.Status.State == certs.StateRevoked {
			return err
		}
		fallen, err := set.fallen(s, issuer)
		if fallen.State == certs.StateRevoked {
			r.Status = fallen
		}
		return err
	})
	return r, ok && err == nil, err
}

// fallen is the status of an issuer's own certificate as of a snapshot; good for a root, and for one whose certificate was
// never recorded.
func (set *issuerSet) fallen(s *replica.Snapshot, issuer certs.IssuerID) (certs.Status, error) {
	i := set.byID[issuer]
	if i == nil || i.serial == "" {
		return certs.Status{}, nil
	}
	o := s.Local.(*opened) // read put it there
	known, ok := o.fallen[issuer]
	if ok {
		return known, nil
	}
	own, _, err := read(s, i.above, []byte(i.serial))
	if err != nil {
		return certs.Status{}, err
	}
	o.fallen[issuer] = own.Status
	return own.Status, nil
}

func read(s *replica.Snapshot, issuer certs.IssuerID, serial []byte) (Record, bool, error) {
	o, _ := s.Local.(*opened)
	if o == nil {
		o = &opened{status: map[certs.IssuerID]*bbolt.Cursor{}, fallen: map[certs.IssuerID]certs.Status{}}
		s.Local = o
	}
	c := o.status[issuer]
	if c == nil {
		all := s.Bucket().Bucket([]byte(bucketStatus))
		if all == nil {
			return Record{}, false, nil
		}
		b := all.Bucket(issuer[:])
		if b == nil {
			return Record{}, false, nil
		}
		c = b.Cursor()
		o.status[issuer] = c
	}
	if len(serial) == 0 || len(serial) > certs.SerialMax {
		return Record{}, false, nil
	}
	_, group := groupOf(c, serial, &o.wanted)
	raw, ok := findEntry(group, serial)
	if ok && raw == nil {
		return Record{}, false, nil
	}
	var r Record
	if ok {
		r, ok = parseRecord(raw)
	}
	if !ok {
		return Record{}, false, &replica.Damage{What: fmt.Sprintf("the record of serial %x", serial)}
	}
	return r, true, nil
}

// Judgement is what the table says of a certificate.
type Judgement struct {
	Ours     bool         // one of our issuers made it, or that cannot be told; else the rest says nothing
	Certain  bool         // Status is its own: exactly this certificate was recorded, and the copy may say so
	Status   certs.Status // of the certificate when Certain, else zero
	NotAfter time.Time    // zero if the certificate cannot be read
}

// Judge judges a certificate by its DER. A good status is Certain only if exactly this certificate (by its SHA-256) was
// recorded and the copy is not in quarantine; a revocation or a hold is what OCSP says of the serial. When the copy cannot
// be read, or der cannot, nothing is certain.
func (t *Table) Judge(der []byte) Judgement {
	o, err := certs.OutlineOf(der)
	if err != nil {
		return Judgement{Ours: true}
	}
	j := Judgement{NotAfter: o.NotAfter}
	set := t.issuers.Load()
	issuers := set.bySubject[string(o.Issuer)]
	if len(issuers) == 0 {
		j.Ours = set.unreadable
		return j
	}
	j.Ours = true
	s, err := t.replica.Begin(tableName)
	if err != nil {
		return j
	}
	defer s.Release()
	for _, i := range issuers {
		r, ok, err := set.lookUp(s, i.ID, []byte(o.Serial))
		if err != nil || !ok {
			continue
		}
		if r.Status.State != certs.StateGood || r.Recorded && !s.State().Quarantine && r.Digest == sha256.Sum256(der) {
			j.Certain, j.Status = true, r.Status
			return j
		}
	}
	return j
}

// Known judges a certificate by its DER. Known is false when its issuer is none of ours, and then nothing is said about
// it. Good is true only if exactly this certificate (by its SHA-256) was recorded and is neither revoked nor held. When
// the copy cannot be read, or der cannot, the answer is known and not good.
func (t *Table) Known(der []byte) (known, good bool) {
	j := t.Judge(der)
	return j.Ours, j.Certain && j.Status.State == certs.StateGood
}

// Good reports whether a certificate may be relied on as far as this copy can tell: it is of none of our issuers, or
// recorded and neither revoked nor held.
func (t *Table) Good(der []byte) bool {
	known, good := t.Known(der)
	return good || !known
}

// EachRecord calls fn with every record of an issuer in a table's bucket, in the order of serials. It serves whoever
// compares the table with the register; the bucket may be that of a replica.File.
func EachRecord(b *bbolt.Bucket, issuer certs.IssuerID, fn func(certs.Serial, Record) error) error {
	all := b.Bucket([]byte(bucketStatus))
	if all == nil {
		return nil
	}
	records := all.Bucket(issuer[:])
	if records == nil {
		return nil
	}
	return eachRecord(records, func(serial certs.Serial, raw []byte) error {
		r, ok := parseRecord(raw)
		if !ok {
			return &replica.Damage{What: "the record of serial " + serial.Hex()}
		}
		return fn(serial, r)
	})
}

// EachIssuer calls fn with every issuer in a table's bucket, in the order they were added.
func EachIssuer(b *bbolt.Bucket, fn func(*Issuer) error) error {
	set, err := loadIssuers(b)
	if err != nil {
		return err
	}
	for _, i := range set.all {
		if err := fn(i); err != nil {
			return err
		}
	}
	return nil
}

var _ interface {
	replica.Applier
	replica.Attacher
	replica.Keeper
	replica.Settler
} = (*Table)(nil)

// ours says whether the table reads a kind.
func ours(k journal.Kind) bool {
	return k >= journal.KindIssuerAdded && k <= journal.KindCrossCertified
}
