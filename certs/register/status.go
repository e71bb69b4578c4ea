package register

import (
	"bytes"
	"cmp"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// TransitionError refuses a step the table of transitions does not have.
type TransitionError struct {
	Ref  certs.Ref
	From certs.Status
	To   certs.Status
}

// Error says from what to what.
func (e *TransitionError) Error() string {
	if e.To.State == certs.StateGood {
		return fmt.Sprintf("certificate %s is %s (%s) and cannot be released", e.Ref, e.From.State, e.From.Reason)
	}
	return fmt.Sprintf("certificate %s is %s (%s) and cannot become %s (%s)",
		e.Ref, e.From.State, e.From.Reason, e.To.State, e.To.Reason)
}

// transition is one step that may be made.
type transition struct {
	from, to certs.State
	keeps    bool         // the date of the status before
	only     certs.Reason // when worse: the one reason it may be made for
	worse    bool
}

// transitions is every step there is. A hold made final keeps the date from
// which the certificate could not be relied on. A revocation never ends, but
// what was cancelled for a mild reason may prove to have been compromised,
// which relying systems judge more strictly.
func transitions() []transition {
	return []transition{
		{from: certs.StateGood, to: certs.StateHeld},
		{from: certs.StateGood, to: certs.StateRevoked},
		{from: certs.StateHeld, to: certs.StateRevoked, keeps: true},
		{from: certs.StateHeld, to: certs.StateGood},
		{from: certs.StateRevoked, to: certs.StateRevoked, keeps: true, worse: true, only: certs.ReasonKeyCompromise},
	}
}

// step gives the status that follows from when to is asked for at now.
func step(from, to certs.Status, now time.Time) (certs.Status, bool) {
	for _, t := range transitions() {
		if t.from != from.State || t.to != to.State || t.worse && (to.Reason != t.only || from.Reason == t.only) {
			continue
		}
		switch {
		case to.State == certs.StateGood:
			return certs.Status{}, true
		case t.keeps:
			to.At = from.At
			if to.Invalidity.IsZero() { // what was known of the key's last good moment stays known
				to.Invalidity = from.Invalidity
			}
		default:
			to.At = wholeSecond(now)
		}
		return to, true
	}
	return from, false
}

func wholeSecond(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// SetStatus suspends or revokes certificates, all or none. The time is the
// transaction's whatever status.At says; a hold made final keeps the hold's.
// Errors: ErrUnknownSerial, *TransitionError, certs.ErrStatus, certs.ErrReason.
// Giving back a good status is Release.
func SetStatus(tx *ledger.Tx, refs []certs.Ref, status certs.Status) error {
	status.At = time.Time{}
	status.Invalidity = wholeSecond(status.Invalidity)
	if err := status.Check(); err != nil {
		return fmt.Errorf("setting a status: %w", err)
	}
	if status.State == certs.StateGood {
		return fmt.Errorf("setting a status: %w: good is given by release alone", certs.ErrStatus)
	}
	return change(tx, refs, status)
}

// Release ends a suspension: held certificates are good again, all or none.
// Errors: ErrUnknownSerial, *TransitionError.
func Release(tx *ledger.Tx, refs []certs.Ref) error {
	return change(tx, refs, certs.Status{})
}

func change(tx *ledger.Tx, refs []certs.Ref, to certs.Status) error {
	refs = distinct(refs)
	rows, next := make([]*row, len(refs)), make([]certs.Status, len(refs))
	for i, ref := range refs {
		var err error
		if rows[i], err = rowOf(tx, ref); err != nil {
			return fmt.Errorf("setting the status of %s: %w", ref, err)
		}
		var allowed bool
		if next[i], allowed = step(rows[i].status, to, tx.Time()); !allowed {
			return &TransitionError{Ref: ref, From: rows[i].status, To: to}
		}
	}
	c := &changing{tx: tx}
	for i := range rows { // after the last was read: each read would send what was written before it on its own
		c.write(rows[i], next[i])
	}
	c.finish()
	return nil
}

func distinct(refs []certs.Ref) []certs.Ref {
	refs = slices.Clone(refs)
	slices.SortFunc(refs, func(a, b certs.Ref) int {
		return cmp.Or(bytes.Compare(a.Issuer[:], b.Issuer[:]), cmp.Compare(a.Serial, b.Serial))
	})
	return slices.Compact(refs)
}

// row is what a change of status needs of a certificate.
type row struct {
	ref    certs.Ref
	shard  uint16
	status certs.Status
}

func rowOf(tx *ledger.Tx, ref certs.Ref) (*row, error) {
	r := &row{ref: ref}
	var revoked, invalidity stamp
	err := tx.QueryRow(`SELECT shard, status, reason, revoked, invalidity FROM certs_serial
		WHERE issuer = $1 AND serial = $2 AND state <> $3`, journal.Hash(ref.Issuer), []byte(ref.Serial), serialReserved).
		Scan(&r.shard, &r.status.State, &r.status.Reason, &revoked, &invalidity)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrUnknownSerial
	}
	r.status.At, r.status.Invalidity = revoked.time(), invalidity.time()
	return r, err
}

// changing collects the changes of one call: one for each issuer and status.
type changing struct {
	tx     *ledger.Tx
	sets   []*certs.StatusChange
	shards map[certs.IssuerID]map[uint16]int
}

func (c *changing) write(r *row, s certs.Status) {
	c.tx.Defer(`UPDATE certs_serial SET status = $1, reason = $2, revoked = $3, invalidity = $4, changed = $5
		WHERE issuer = $6 AND serial = $7`,
		uint8(s.State), uint8(s.Reason), s.At, s.Invalidity, c.tx.Time(), journal.Hash(r.ref.Issuer), []byte(r.ref.Serial))
	c.collect(r, s)
}

// collect notes a change that is written elsewhere.
func (c *changing) collect(r *row, s certs.Status) {
	at := slices.IndexFunc(c.sets, func(set *certs.StatusChange) bool {
		return set.Issuer == r.ref.Issuer && set.Status.Equal(s)
	})
	if at < 0 {
		at = len(c.sets)
		c.sets = append(c.sets, &certs.StatusChange{Issuer: r.ref.Issuer, Status: s})
	}
	c.sets[at].Serials = append(c.sets[at].Serials, r.ref.Serial)
	if c.shards == nil {
		c.shards = map[certs.IssuerID]map[uint16]int{}
	}
	if c.shards[r.ref.Issuer] == nil {
		c.shards[r.ref.Issuer] = map[uint16]int{}
	}
	c.shards[r.ref.Issuer][r.shard]++
}

func (c *changing) finish() {
	for _, set := range c.sets {
		for _, part := range set.Split() {
			c.tx.Append(journal.KindStatusChanged, certs.StatusChangeVersion, part.Append(nil))
		}
	}
	for issuer, counts := range c.shards {
		for shard, n := range counts {
			c.tx.Defer(`UPDATE certs_shard SET changes = changes + $1, changed = $2 WHERE issuer = $3 AND shard = $4`,
				n, c.tx.Time(), journal.Hash(issuer), shard)
		}
	}
}

// StatusOf is a certificate's status; ErrUnknownSerial for a serial that was
// never recorded, even when it is reserved.
func StatusOf(tx *ledger.Tx, ref certs.Ref) (certs.Status, error) {
	r, err := rowOf(tx, ref)
	if err != nil {
		return certs.Status{}, fmt.Errorf("reading the status of %s: %w", ref, err)
	}
	return r.status, nil
}
