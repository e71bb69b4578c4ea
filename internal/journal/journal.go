// Package journal says what happened, in order: the numbered, linked changes that carry every write to the copies that
// answer questions. It owns the vocabulary ([Position], [Change], [Head], [Feed]), the hash chain, the checkpoints and
// the encodings; it does no I/O and imports nothing else of this module.
//
// What it promises for ever. The format of the journal can never change, because followers keep what they verified:
//
//   - Positions are 1, 2, 3 … without gaps. Whoever meets a gap stops ([ErrGap]).
//   - The chain. Every change carries
//     Link = SHA-256(domain ‖ previous link ‖ position ‖ time ‖ kind ‖ version ‖ last ‖ BodyHash),
//     all integers fixed width, big endian, with BodyHash = SHA-256(salt ‖ body). The domain string keeps a link from
//     ever being taken for another hash of this system. The Last flag is part of the link, because followers apply whole
//     transactions only: someone who could move the flag could make a follower stop between the two certificates of a
//     pair while every hash still fitted.
//   - Erasure. A body and its salt can be removed ([Change.Erase]); BodyHash stays, so the chain still verifies, and the
//     random salt keeps a short body (a name, a date of birth) from being found again by trying. The same form carries a
//     change to a reader that may not see its body.
//   - Meaning. A Kind never changes its number or its [Class]; a body is read by its Version, and versions are only added.
//   - Epochs. A restore or a failover raises the epoch and appends [KindEpochBegan]. Same epoch, other link at the same
//     position: [ErrDiverged]. Higher epoch: the follower reseeds.
//   - Checkpoints. Now and then (position, link, digest of a state) is signed by a key that is not in the database
//     ([Checkpoint]), so that even someone who rewrites the whole chain is found out.
package journal

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// Position is the number of a change: 1, 2, 3 … without gaps. 0 stands before everything.
type Position uint64

// Epoch counts the lives of a ledger: 1 from its creation, raised by every restore and failover.
type Epoch uint64

// Hash is a SHA-256 digest.
type Hash [32]byte

// String is lower-case hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// ParseHash reads the form String writes.
func ParseHash(s string) (Hash, error) {
	var h Hash
	if len(s) != 2*len(h) {
		return h, fmt.Errorf("parsing hash: %d characters instead of %d", len(s), 2*len(h))
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return h, fmt.Errorf("parsing hash: %w", err)
	}
	return h, nil
}

// MaxBody is the longest body of a change in bytes. A change carries the modification, never the entry; what is larger
// is stored as content and named by its hash.
const MaxBody = 64 << 10

// Change is one numbered step. The zero value is no valid change.
type Change struct {
	Position Position
	Time     time.Time // of the commit; UTC, whole microseconds, never before the change in front
	Kind     Kind
	Version  uint8    // of the body's encoding, counted from 1 for each kind
	Last     bool     // last change of its transaction: followers apply whole transactions only
	Salt     [16]byte // random; zero when erased
	Body     []byte   // at most MaxBody bytes; nil when erased
	BodyHash Hash     // SHA-256(salt ‖ body), kept when erased
	Erased   bool     // body and salt removed, or withheld from this reader
	Link     Hash     // the chain up to and with this change
}

// linkDomain separates the links from every other use of SHA-256 in this system.
const linkDomain = "cardinal journal link 1\x00"

// linkInput is the length of what a link is the hash of.
const linkInput = len(linkDomain) + 32 + 8 + 8 + 2 + 1 + 1 + 32

// LinkAfter computes the link c must carry behind a change with the link previous (zero for position 1). It uses
// BodyHash as it stands and sets nothing.
func (c *Change) LinkAfter(previous Hash) Hash {
	var room [linkInput]byte
	b := append(room[:0], linkDomain...)
	b = append(b, previous[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(c.Position))
	b = binary.BigEndian.AppendUint64(b, uint64(c.Time.UnixMicro()))
	b = binary.BigEndian.AppendUint16(b, uint16(c.Kind))
	b = append(b, c.Version, flag(c.Last))
	b = append(b, c.BodyHash[:]...)
	return sha256.Sum256(b)
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

// HashBody is SHA-256(salt ‖ body), the BodyHash of a change.
func HashBody(salt [16]byte, body []byte) Hash {
	h := sha256.New()
	h.Write(salt[:])
	h.Write(body)
	return Hash(h.Sum(nil))
}

// Seal gives c a fresh random salt, its BodyHash and its Link behind previous. Position, Time, Kind, Version, Last and
// Body must be set; Time must be UTC in whole microseconds.
func (c *Change) Seal(previous Hash) {
	rand.Read(c.Salt[:]) // never returns an error (crypto/rand, since Go 1.24)
	c.BodyHash = HashBody(c.Salt, c.Body)
	c.Link = c.LinkAfter(previous)
}

// Verify checks that c stands unchanged behind a change with the link previous. The error is a *BrokenLink.
func (c *Change) Verify(previous Hash) error {
	switch {
	case c.Erased && (len(c.Body) != 0 || c.Salt != [16]byte{}):
		return &BrokenLink{Position: c.Position, What: "an erased change carries a body or salt"}
	case !c.Erased && HashBody(c.Salt, c.Body) != c.BodyHash:
		return &BrokenLink{Position: c.Position, What: "the body does not match its hash"}
	case c.LinkAfter(previous) != c.Link:
		return &BrokenLink{Position: c.Position, What: "the link does not follow from the change before"}
	}
	return nil
}

// Erase removes body and salt and leaves what the chain needs.
func (c *Change) Erase() {
	c.Body, c.Salt, c.Erased = nil, [16]byte{}, true
}

// BrokenLink names the exact change at which a chain stops being true.
type BrokenLink struct {
	Position Position
	What     string // what was found, in words
}

// Error says where and what.
func (e *BrokenLink) Error() string {
	return fmt.Sprintf("journal broken at position %d: %s", e.Position, e.What)
}

// ErrDiverged: the feed's history is another one than the reader's, in the same epoch. Nobody may go on.
var ErrDiverged = errors.New("the journal's history is not the one followed so far")

// ErrGap: a position is missing. Nobody may go on past it.
var ErrGap = errors.New("the journal has a gap")

// ErrRefused: whoever has the journal does not give it to this reader, or no longer. It may change its mind; until then
// the reader must not vouch for anything.
var ErrRefused = errors.New("the journal is not given to this reader")

// ErrNoContent: no content is stored under this hash.
var ErrNoContent = errors.New("no content with this hash")
