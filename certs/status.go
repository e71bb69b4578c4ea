package certs

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Reason is a CRLReason (RFC 5280 §5.3.1).
type Reason uint8

// The reasons of RFC 5280 §5.3.1. ReasonRemoveFromCRL belongs to delta lists
// alone and is never accepted as input: releasing a hold is its own verb.
const (
	ReasonUnspecified          Reason = 0
	ReasonKeyCompromise        Reason = 1
	ReasonCACompromise         Reason = 2
	ReasonAffiliationChanged   Reason = 3
	ReasonSuperseded           Reason = 4
	ReasonCessationOfOperation Reason = 5
	ReasonCertificateHold      Reason = 6
	ReasonRemoveFromCRL        Reason = 8
	ReasonPrivilegeWithdrawn   Reason = 9
	ReasonAACompromise         Reason = 10
)

// ErrReason says that a number or name is no reason, or none that may be
// given. ErrStatus says that the parts of a Status contradict each other.
var (
	ErrReason = errors.New("not a revocation reason")
	ErrStatus = errors.New("not a certificate status")
)

func reasonNames() []string {
	return []string{
		"unspecified", "keyCompromise", "cACompromise", "affiliationChanged",
		"superseded", "cessationOfOperation", "certificateHold", "",
		"removeFromCRL", "privilegeWithdrawn", "aACompromise",
	}
}

// String is the name RFC 5280 gives the reason.
func (r Reason) String() string {
	if names := reasonNames(); int(r) < len(names) && names[r] != "" {
		return names[r]
	}
	return fmt.Sprintf("reason(%d)", uint8(r))
}

// Valid reports whether r may be given as a reason: every one of RFC 5280
// except removeFromCRL and the unused 7.
func (r Reason) Valid() bool {
	return r <= ReasonAACompromise && r != 7 && r != ReasonRemoveFromCRL
}

// ParseReason takes a name of RFC 5280 §5.3.1 in any case; removeFromCRL is
// refused with ErrReason.
func ParseReason(name string) (Reason, error) {
	at := slices.IndexFunc(reasonNames(), func(n string) bool {
		return n != "" && strings.EqualFold(n, name)
	})
	if at < 0 || !Reason(at).Valid() {
		return 0, fmt.Errorf("%w: %q", ErrReason, name)
	}
	return Reason(at), nil
}

// State is what a relying system must do with a certificate: accept it, refuse
// it for now, refuse it for ever.
type State uint8

// A certificate starts good. Held is a revocation with certificateHold, which
// can be released; revoked never goes back.
const (
	StateGood State = iota
	StateHeld
	StateRevoked
)

// String is good, held or revoked.
func (s State) String() string {
	switch s {
	case StateGood:
		return "good"
	case StateHeld:
		return "held"
	case StateRevoked:
		return "revoked"
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// Status is a certificate's state since when and why. At is the revocation
// time (whole seconds, UTC, RFC 5280 §5.1.2.6), Invalidity the date from which
// the key is suspect (§5.3.2); zero times are absent. A good status is the
// zero value.
type Status struct {
	State      State
	Reason     Reason
	At         time.Time
	Invalidity time.Time
}

// Revoked is the status of a final revocation whose time the register sets.
func Revoked(reason Reason) Status { return Status{State: StateRevoked, Reason: reason} }

// Held is the status of a suspension whose time the register sets.
func Held() Status { return Status{State: StateHeld, Reason: ReasonCertificateHold} }

// Check reports with ErrStatus whether the parts fit: good carries nothing,
// held has the reason certificateHold and revoked any other valid one. At is
// not judged, since the register sets it.
func (s Status) Check() error {
	switch {
	case s.State > StateRevoked:
		return fmt.Errorf("%w: %s", ErrStatus, s.State)
	case s.State == StateGood && s != Status{}:
		return fmt.Errorf("%w: good with a reason or a time", ErrStatus)
	case s.State != StateGood && !s.Reason.Valid():
		return fmt.Errorf("%w: %s", ErrReason, s.Reason)
	case s.State != StateGood && (s.State == StateHeld) != (s.Reason == ReasonCertificateHold):
		return fmt.Errorf("%w: %s with %s", ErrStatus, s.State, s.Reason)
	}
	return nil
}

// Equal compares instants, not spellings of them.
func (s Status) Equal(o Status) bool {
	return s.State == o.State && s.Reason == o.Reason &&
		s.At.Equal(o.At) && s.Invalidity.Equal(o.Invalidity)
}

// StricterThan reports whether s tells a relying system more than o does to
// stay away: a worse state, or a revocation that proved to be for a compromised
// key.
func (s Status) StricterThan(o Status) bool {
	if s.State != o.State {
		return s.State > o.State
	}
	return s.State == StateRevoked && s.Reason == ReasonKeyCompromise && o.Reason != ReasonKeyCompromise
}
