package register

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"

	"cardinal/certs"
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
	for i := range rows {
		c.collect(rows[i], next[i])
	}
	return c.finish()
}

func distinct(refs []certs.Ref) []certs.Ref {
	refs = slices.Clone(refs)
	slices.SortFunc(refs, func(a, b certs.Ref) int {
		return cmp.Or(bytes.Compare(a.Issuer[:], b.Issuer[:]), cmp.Compare(a.Serial, b.Serial))
	})
	return slices.Compact(refs)
}

// StatusOf is a certificate's status; ErrUnknownSerial for a serial that was
// never recorded, even when it is reserved. That its authority was revoked does
// not show: see Judged.
func StatusOf(tx *ledger.Tx, ref certs.Ref) (certs.Status, error) {
	r, err := rowOf(tx, ref)
	if err != nil {
		return certs.Status{}, fmt.Errorf("reading the status of %s: %w", ref, err)
	}
	return r.status, nil
}
