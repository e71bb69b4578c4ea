package replica

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"cardinal/internal/journal"
)

// The replica's own top-level buckets. A room's name never begins with a zero byte.
const (
	ownBucket  = "\x00replica"
	keptBucket = "\x00kept"
)

// progressKey holds the encoded progress and its SHA-256; layoutPrefix + name the layout of a bucket; markKey what no
// other file has.
const (
	progressKey  = "progress"
	layoutPrefix = "layout/"
	markKey      = "mark"
	markLength   = 16
)

// progress says how far a file has come. It is written in the same transaction as the data.
type progress struct {
	epoch    journal.Epoch
	position journal.Position // last whole transaction
	link     journal.Hash
	time     time.Time // of the change at position
	// Within a transaction, or a change applied in slices, the data runs ahead of position: all changes up to applied
	// are in, and of the next one those appliers named in done have had all.
	applied     journal.Position
	appliedLink journal.Hash
	done        []string
	slicing     bool // part of the next one is in
	quarantine  bool
	kept        uint64
}

// progressVersion 3: the file may have a record beside it, which a program that does not know of it would not keep.
const progressVersion = 3

// Damage says that a file is not what was written.
type Damage struct {
	What string
	Err  error // what found it, or nil
}

// Error says what was found.
func (d *Damage) Error() string {
	if d.Err != nil {
		return fmt.Sprintf("replica damaged: %s: %v", d.What, d.Err)
	}
	return "replica damaged: " + d.What
}

// Unwrap is what found it.
func (d *Damage) Unwrap() error { return d.Err }

func (p *progress) append(b []byte) []byte {
	e := journal.NewEncoder(b)
	e.AppendUint(progressVersion)
	e.AppendUint(uint64(p.epoch))
	e.AppendUint(uint64(p.position))
	e.AppendHash(p.link)
	e.AppendTime(p.time)
	e.AppendUint(uint64(p.applied))
	e.AppendHash(p.appliedLink)
	e.AppendUint(uint64(len(p.done)))
	for _, name := range p.done {
		e.AppendString(name)
	}
	e.AppendBool(p.slicing)
	e.AppendBool(p.quarantine)
	e.AppendUint(p.kept)
	return e.Bytes()
}

func parseProgress(raw []byte) (progress, error) {
	n := len(raw) - sha256.Size
	if n < 0 {
		return progress{}, &Damage{What: "the record of its progress is cut off"}
	}
	if sum := sha256.Sum256(raw[:n]); !bytes.Equal(sum[:], raw[n:]) {
		return progress{}, &Damage{What: "the record of its progress does not match its checksum"}
	}
	d := journal.NewDecoder(raw[:n])
	if v := d.Uint(); v != progressVersion {
		return progress{}, errOtherFormat
	}
	p := progress{epoch: journal.Epoch(d.Uint()), position: journal.Position(d.Uint()), link: d.Hash(), time: d.Time(),
		applied: journal.Position(d.Uint()), appliedLink: d.Hash()}
	for range d.Count(1) {
		p.done = append(p.done, d.String())
	}
	p.slicing, p.quarantine, p.kept = d.Bool(), d.Bool(), d.Uint()
	if err := d.End(); err != nil {
		return progress{}, &Damage{What: "the record of its progress", Err: err}
	}
	return p, nil
}

// errOtherFormat: a file of another version of this package. It is rebuilt like one of another layout.
var errOtherFormat = errors.New("replica of another format")

func readProgress(tx *bbolt.Tx) (progress, error) {
	own := tx.Bucket([]byte(ownBucket))
	if own == nil {
		return progress{}, &Damage{What: "its own bucket is missing"}
	}
	return parseProgress(own.Get([]byte(progressKey)))
}

func writeProgress(tx *bbolt.Tx, p *progress) error {
	return tx.Bucket([]byte(ownBucket)).Put([]byte(progressKey), p.sealed())
}

// sealed is the record of a progress with its checksum.
func (p *progress) sealed() []byte {
	raw := p.append(nil)
	sum := sha256.Sum256(raw)
	return append(raw, sum[:]...)
}
