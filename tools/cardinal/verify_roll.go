package main

import (
	"fmt"
	"iter"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal"
)

// roll is every certificate the journal recorded and what became of it. There is no pointer in what it keeps of one, so
// that millions of them, at about 170 octets each, are nothing to the garbage collector.
type roll struct {
	issuers  []certs.IssuerID
	numbers  map[certs.IssuerID]uint16
	profiles []string
	profile  map[string]uint16
	holders  []byte // one after another, without anything between
	places   map[rollKey]uint32
	blocks   [][]recorded
}

// rollBlock is how many certificates are kept in one piece: a roll that grows copies none.
const rollBlock = 1 << 14

// rollKey is a certs.Ref in one piece.
type rollKey struct {
	serial [certs.SerialMax]byte
	length uint8
	issuer uint16
}

// recorded is one certificate. Times are in seconds since 1970, but changed, which is in microseconds.
type recorded struct {
	key                             rollKey
	shard, profile, holder          uint16 // holder is its length, which a change of 64 KiB bounds
	state, reason                   uint8
	seen, standing, listed          bool // in the register; with a status of its own there; in the list that is checked
	digest                          journal.Hash
	holderAt, notAfter              int64
	revokedAt, invalidFrom, changed int64
}

func newRoll() *roll {
	return &roll{numbers: map[certs.IssuerID]uint16{}, profile: map[string]uint16{}, places: map[rollKey]uint32{}}
}

func (r *roll) len() int { return len(r.places) }

// numbered gives a name a number of its own, the same each time.
func numbered[T comparable](of T, numbers map[T]uint16, names *[]T) (uint16, error) {
	n, known := numbers[of]
	if !known {
		if len(*names) > 1<<16-1 {
			return 0, fmt.Errorf("more than %d different: %v", len(*names), of)
		}
		n = uint16(len(*names))
		*names = append(*names, of)
		numbers[of] = n
	}
	return n, nil
}

// add takes a certificate in; it is good until its status changes. One that is there already is left as it is.
func (r *roll) add(issuer certs.IssuerID, c *certs.RecordedCertificate) (added bool, err error) {
	by, err := numbered(issuer, r.numbers, &r.issuers)
	if err != nil {
		return false, err
	}
	profile, err := numbered(c.Profile, r.profile, &r.profiles)
	if err != nil {
		return false, err
	}
	n := recorded{key: keyOf(by, c.Serial), shard: c.Shard, profile: profile, digest: c.Digest, notAfter: c.NotAfter.Unix(),
		holder: uint16(len(c.Holder)), holderAt: int64(len(r.holders)), changed: time.Time{}.UnixMicro()}
	n.setStatus(certs.Status{})
	if _, twice := r.places[n.key]; twice {
		return false, nil
	}
	place := len(r.places)
	if place%rollBlock == 0 {
		r.blocks = append(r.blocks, make([]recorded, 0, rollBlock))
	}
	last := &r.blocks[len(r.blocks)-1]
	*last = append(*last, n)
	r.places[n.key] = uint32(place)
	r.holders = append(r.holders, c.Holder...)
	return true, nil
}

func keyOf(issuer uint16, serial certs.Serial) rollKey {
	k := rollKey{issuer: issuer, length: uint8(len(serial))}
	copy(k.serial[:], serial)
	return k
}

// at is the certificate of a serial number, nil if none was recorded.
func (r *roll) at(issuer certs.IssuerID, serial certs.Serial) *recorded {
	by, known := r.numbers[issuer]
	if !known || len(serial) > certs.SerialMax {
		return nil
	}
	place, known := r.places[keyOf(by, serial)]
	if !known {
		return nil
	}
	return r.place(place)
}

func (r *roll) place(n uint32) *recorded { return &r.blocks[n/rollBlock][n%rollBlock] }

// all gives every certificate, in the order they were recorded in.
func (r *roll) all() iter.Seq2[uint32, *recorded] {
	return func(yield func(uint32, *recorded) bool) {
		for n := range uint32(len(r.places)) {
			if !yield(n, r.place(n)) {
				return
			}
		}
	}
}

func (r *roll) holderOf(c *recorded) string {
	return string(r.holders[c.holderAt:][:c.holder])
}

func (r *roll) profileOf(c *recorded) string { return r.profiles[c.profile] }

func (r *roll) issuerOf(c *recorded) certs.IssuerID { return r.issuers[c.key.issuer] }

func (c *recorded) serial() certs.Serial { return certs.Serial(c.key.serial[:c.key.length]) }

func (c *recorded) hex() string { return c.serial().Hex() }

func (c *recorded) setStatus(s certs.Status) {
	c.state, c.reason, c.revokedAt, c.invalidFrom = uint8(s.State), uint8(s.Reason), s.At.Unix(), s.Invalidity.Unix()
}

func (c *recorded) status() certs.Status {
	return certs.Status{State: certs.State(c.state), Reason: certs.Reason(c.reason), At: second(c.revokedAt), Invalidity: second(c.invalidFrom)}
}

// changedSince tells whether the status changed after a moment: a hold made final keeps its own date.
func (c *recorded) changedSince(t time.Time) bool { return c.changed > t.UnixMicro() }

func second(n int64) time.Time { return time.Unix(n, 0).UTC() }
