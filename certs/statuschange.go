package certs

import (
	"fmt"
	"math"
	"slices"

	"cardinal/internal/journal"
)

// StatusChange gives many serials of one issuer one new status. It is
// set-valued because a change a row would be too slow for mass revocation. The
// body holds the serials sorted, without repeats, each without the octets it
// shares with the one before; there is exactly one body for a set.
type StatusChange struct {
	Issuer  IssuerID
	Serials []Serial
	Status  Status
}

// Append sorts Serials in place, drops repeats and appends the body to b. It
// may exceed journal.MaxBody: Split first where the set can be large.
func (c *StatusChange) Append(b []byte) []byte {
	c.normalise()
	e := journal.NewEncoder(b)
	e.AppendHash(journal.Hash(c.Issuer))
	e.AppendUint(uint64(c.Status.State))
	e.AppendUint(uint64(c.Status.Reason))
	e.AppendUint(seconds(c.Status.At))
	e.AppendUint(seconds(c.Status.Invalidity))
	e.AppendBytes(packSerials(nil, c.Serials))
	return e.Bytes()
}

// ParseStatusChange reads a body of version 1 and refuses with ErrChange what
// Append would not have written.
func ParseStatusChange(body []byte) (StatusChange, error) {
	d := journal.NewDecoder(body)
	c := StatusChange{Issuer: IssuerID(d.Hash())}
	state, reason := d.UintMax(math.MaxUint8), d.UintMax(math.MaxUint8)
	c.Status.At, c.Status.Invalidity = timeIn(d), timeIn(d)
	packed := d.Bytes()
	if err := ended(d, "status changed"); err != nil {
		return c, err
	}
	c.Status.State, c.Status.Reason = State(state), Reason(reason)
	if err := c.Status.Check(); err != nil {
		return c, fmt.Errorf("%w: status changed: %w", ErrChange, err)
	}
	if c.Status.State != StateGood && c.Status.At.IsZero() {
		return c, fmt.Errorf("%w: status changed: no time", ErrChange)
	}
	var err error
	c.Serials, err = unpackSerials(packed)
	return c, err
}

// Split sorts Serials in place, drops repeats and cuts c into changes whose
// bodies each fit journal.MaxBody, in order. An empty set gives none.
func (c *StatusChange) Split() []StatusChange {
	c.normalise()
	const fixed = 96 // issuer, status and lengths
	var parts []StatusChange
	from, size := 0, fixed
	for i := range c.Serials {
		n := len(c.Serials[i]) + 2
		if i > from {
			n = packedSize(c.Serials[i-1], c.Serials[i])
		}
		if size+n > journal.MaxBody {
			parts = append(parts, StatusChange{c.Issuer, c.Serials[from:i:i], c.Status})
			from, size, n = i, fixed, len(c.Serials[i])+2
		}
		size += n
	}
	if from < len(c.Serials) {
		parts = append(parts, StatusChange{c.Issuer, c.Serials[from:], c.Status})
	}
	return parts
}

func (c *StatusChange) normalise() {
	if !slices.IsSorted(c.Serials) {
		slices.Sort(c.Serials)
	}
	c.Serials = slices.Compact(c.Serials)
}

// One packed serial: an octet with the number of leading octets shared with
// the serial before (0 to 19) and the flag lengthFollows; with the flag an
// octet with the whole length, without it the length of the one before; then
// the octets that are not shared.
const (
	sharedMask    = 0x1f
	lengthFollows = 0x20
)

func packSerials(b []byte, serials []Serial) []byte {
	var before Serial
	for _, s := range serials {
		shared := sharedPrefix(before, s)
		if len(s) == len(before) {
			b = append(b, byte(shared))
		} else {
			b = append(b, byte(shared)|lengthFollows, byte(len(s)))
		}
		b = append(b, s[shared:]...)
		before = s
	}
	return b
}

func unpackSerials(b []byte) ([]Serial, error) {
	var serials []Serial
	var before Serial
	for len(b) > 0 {
		head, length := b[0], len(before)
		b = b[1:]
		if head&lengthFollows != 0 {
			if len(b) == 0 || int(b[0]) == length {
				return nil, fmt.Errorf("%w: length of a serial", ErrChange)
			}
			length, b = int(b[0]), b[1:]
		}
		shared := int(head & sharedMask)
		if head&^(sharedMask|lengthFollows) != 0 || shared > len(before) ||
			length < shared || length-shared > len(b) {
			return nil, fmt.Errorf("%w: packed serial", ErrChange)
		}
		s := before[:shared] + Serial(b[:length-shared])
		b = b[length-shared:]
		if !s.Valid() || s <= before || sharedPrefix(before, s) != shared {
			return nil, fmt.Errorf("%w: serials out of order or not minimal", ErrChange)
		}
		serials = append(serials, s)
		before = s
	}
	return serials, nil
}

func packedSize(before, s Serial) int {
	n := 1 + len(s) - sharedPrefix(before, s)
	if len(s) != len(before) {
		n++
	}
	return n
}

func sharedPrefix(a, b Serial) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
