package certs

import (
	"errors"
	"math"
	"time"

	"cardinal/internal/journal"
)

// Versions of the change bodies; a body names its own in journal.Change.Version
// and a reader refuses one it does not know. They start at 1 and a version once
// written is read for ever.
const (
	IssuerAddedVersion   uint8 = 1
	RecordedVersion      uint8 = 1
	StatusChangeVersion  uint8 = 1
	ListPublishedVersion uint8 = 2
)

// ErrChange says that a body is not what its kind and version promise.
var ErrChange = errors.New("not a change about certificates")

// IssuerAdded says that a CA of ours exists from here on, by its certificate.
// Name is an IssuerName as it stands in URLs. Shards is the number of lists its certificates are spread over.
type IssuerAdded struct {
	Name   string
	DER    []byte
	Shards uint16
}

// Append appends the body to b.
func (c IssuerAdded) Append(b []byte) []byte {
	e := journal.NewEncoder(b)
	e.AppendString(c.Name)
	e.AppendUint(uint64(c.Shards))
	e.AppendBytes(c.DER)
	return e.Bytes()
}

// ParseIssuerAdded reads a body of version 1; DER points into body.
func ParseIssuerAdded(body []byte) (IssuerAdded, error) {
	d := journal.NewDecoder(body)
	c := IssuerAdded{Name: d.String(), Shards: uint16(d.UintMax(math.MaxUint16)), DER: d.Bytes()}
	return c, ended(d, "issuer added")
}

// Recorded says that certificates of one issuer exist and are good. Bodies are
// limited by journal.MaxBody; Split cuts larger sets.
type Recorded struct {
	Issuer       IssuerID
	Certificates []RecordedCertificate
}

// RecordedCertificate is one certificate of Recorded. Digest is SHA-256 of its
// DER, all zero for a serial whose certificate was promised and perhaps signed
// but never delivered: a revocation follows in the same transaction. NotAfter
// is in whole seconds. Holder is a 12-digit user id or the name of a machine.
type RecordedCertificate struct {
	Serial   Serial
	Digest   journal.Hash
	NotAfter time.Time
	Shard    uint16
	Profile  string
	Holder   string
}

// recordedMin is the shortest encoding of a RecordedCertificate in octets.
const recordedMin = 2 + 32 + 1 + 1 + 1 + 1

// Append appends the body to b.
func (c Recorded) Append(b []byte) []byte {
	e := journal.NewEncoder(b)
	e.AppendHash(journal.Hash(c.Issuer))
	e.AppendUint(uint64(len(c.Certificates)))
	for i := range c.Certificates {
		r := &c.Certificates[i]
		e.AppendBytes([]byte(r.Serial))
		e.AppendHash(r.Digest)
		e.AppendUint(seconds(r.NotAfter))
		e.AppendUint(uint64(r.Shard))
		e.AppendString(r.Profile)
		e.AppendString(r.Holder)
	}
	return e.Bytes()
}

// ParseRecorded reads a body of version 1.
func ParseRecorded(body []byte) (Recorded, error) {
	d := journal.NewDecoder(body)
	c := Recorded{Issuer: IssuerID(d.Hash())}
	for range d.Count(recordedMin) {
		c.Certificates = append(c.Certificates, RecordedCertificate{
			Serial:   serialIn(d),
			Digest:   d.Hash(),
			NotAfter: timeIn(d),
			Shard:    uint16(d.UintMax(math.MaxUint16)),
			Profile:  d.String(),
			Holder:   d.String(),
		})
	}
	return c, ended(d, "certificates recorded")
}

// Split cuts c into changes whose bodies each fit journal.MaxBody, in order.
func (c Recorded) Split() []Recorded {
	var parts []Recorded
	const fixed, perCertificate = 64, 128
	size, from := fixed, 0
	for i := range c.Certificates {
		r := &c.Certificates[i]
		n := perCertificate + len(r.Profile) + len(r.Holder)
		if size+n > journal.MaxBody && i > from {
			parts = append(parts, Recorded{c.Issuer, c.Certificates[from:i]})
			size, from = fixed, i
		}
		size += n
	}
	if from < len(c.Certificates) {
		parts = append(parts, Recorded{c.Issuer, c.Certificates[from:]})
	}
	return parts
}

// ListPublished says that a list is replaced by the CRL whose bytes travel as
// content. Number is the CRL number (RFC 5280 §5.2.3), times are whole seconds,
// Size is in octets. Base is the number of the list a delta stands on
// (§5.2.4), 0 in a complete one. Packed is the content's form in gzip
// (RFC 1952), PackedSize its octets; zero when it is not worth it.
//
// The complete list of a shard without a packed form has a body of version 1,
// every other of version 2.
type ListPublished struct {
	Issuer     IssuerID
	Shard      uint16
	Kind       ListKind
	Number     uint64
	Base       uint64
	ThisUpdate time.Time
	NextUpdate time.Time
	Content    journal.Hash
	Size       int64
	Packed     journal.Hash
	PackedSize int64
}

// Name is which list of its issuer it is.
func (c ListPublished) Name() ListName {
	return ListName{Kind: c.Kind, Shard: c.Shard, Delta: c.Base != 0}
}

// Version is that of the body Append writes.
func (c ListPublished) Version() uint8 {
	if c.Kind == ListShard && c.Base == 0 && c.PackedSize == 0 {
		return 1
	}
	return 2
}

// listTwo stands in a body of version 2 where version 1 has the shard: more
// than a shard can be, so that a body tells its version by itself.
const listTwo = math.MaxUint16 + 2

// Append appends the body to b.
func (c ListPublished) Append(b []byte) []byte {
	e := journal.NewEncoder(b)
	e.AppendHash(journal.Hash(c.Issuer))
	if c.Version() == 2 {
		e.AppendUint(listTwo)
		e.AppendUint(uint64(c.Kind))
		e.AppendUint(c.Base)
		e.AppendHash(c.Packed)
		e.AppendUint(uint64(c.PackedSize))
	}
	e.AppendUint(uint64(c.Shard))
	e.AppendUint(c.Number)
	e.AppendUint(seconds(c.ThisUpdate))
	e.AppendUint(seconds(c.NextUpdate))
	e.AppendHash(c.Content)
	e.AppendUint(uint64(c.Size))
	return e.Bytes()
}

// ParseListPublished reads a body of version 1 or 2.
func ParseListPublished(body []byte) (ListPublished, error) {
	d := journal.NewDecoder(body)
	c := ListPublished{Issuer: IssuerID(d.Hash())}
	first := d.UintMax(listTwo)
	if first == listTwo {
		c.Kind, c.Base = ListKind(d.UintMax(math.MaxUint8)), d.Uint()
		c.Packed, c.PackedSize = d.Hash(), int64(d.UintMax(math.MaxInt64))
		if !c.Name().Valid() || c.Version() != 2 {
			d.Fail("not a list of version 2")
		}
		first = d.UintMax(math.MaxUint16)
	}
	if first > math.MaxUint16 {
		d.Fail("no such shard")
	}
	c.Shard, c.Number = uint16(first), d.Uint()
	c.ThisUpdate, c.NextUpdate = timeIn(d), timeIn(d)
	c.Content, c.Size = d.Hash(), int64(d.UintMax(math.MaxInt64))
	if !c.Name().Valid() {
		d.Fail("no such list")
	}
	return c, ended(d, "list published")
}
