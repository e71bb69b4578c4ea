package directory

import "time"

// Standing is what became of one certificate, as far as it can be told now.
type Standing struct {
	State    CertificateState
	NotAfter time.Time // zero if the certificate could not be read
}

// CertificateState says whether a certificate may be relied on, without regard
// to its dates. The zero value is doubt.
type CertificateState uint8

// The states. CertificateDoubtful may be ours: it was never recorded, or the
// status cannot be told now. CertificateForeign is of none of our issuers.
// CertificateCompromised is revoked because its key may be in other hands.
const (
	CertificateDoubtful CertificateState = iota
	CertificateForeign
	CertificateGood
	CertificateHeld
	CertificateRevoked
	CertificateCompromised
)

// The values of cardStatus.
const (
	CardActive    = "active"
	CardSuspended = "suspended"
	CardLost      = "lost" // or stolen, or used by somebody else
	CardCancelled = "cancelled"
	CardExpired   = "expired"
	CardNone      = "none"
)

// Card is what a person's certificates say of the card that holds them. The
// zero value is of a person without one.
type Card struct {
	worst    CertificateState
	doubtful bool
	NotAfter time.Time // when the first of them ends; zero without any
}

// Add takes one of the certificates into account. One of other issuers is not
// on a card of ours.
func (c *Card) Add(s Standing) {
	switch s.State {
	case CertificateForeign:
		return
	case CertificateDoubtful:
		c.doubtful = true
	default:
		c.worst = max(c.worst, s.State)
	}
	if !s.NotAfter.IsZero() && (c.NotAfter.IsZero() || s.NotAfter.Before(c.NotAfter)) {
		c.NotAfter = s.NotAfter
	}
}

// Status is the value of cardStatus at an instant. Known is false where it
// cannot be told, and then the card must not be relied on: what is revoked is
// said even so.
func (c *Card) Status(now time.Time) (status string, known bool) {
	switch {
	case c.worst == CertificateCompromised:
		return CardLost, true
	case c.worst == CertificateRevoked:
		return CardCancelled, true
	case c.doubtful:
		return "", false
	case c.worst == CertificateDoubtful:
		return CardNone, true
	case c.NotAfter.IsZero():
		return "", false
	case now.After(c.NotAfter):
		return CardExpired, true
	case c.worst == CertificateHeld:
		return CardSuspended, true
	}
	return CardActive, true
}
