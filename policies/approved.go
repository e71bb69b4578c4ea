package policies

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"cardinal/certs"
)

// approvalLife is how long a decision stands before it must be taken anew.
const approvalLife = 60 * time.Second

// Why an Approved is not accepted.
var (
	ErrNotApproved   = errors.New("policies: not made by Decide")
	ErrApprovalStale = errors.New("policies: approval is over 60 seconds old")
	ErrApprovalSpent = errors.New("policies: approval was spent before")
)

// Approved is the proof that every rule was applied to one to-be-signed
// certificate. Only Decide makes one; the zero value proves nothing and Spend
// refuses it. Copies share one life: spending one spends all.
type Approved struct{ approval *approval }

type approval struct {
	template *x509.Certificate
	issuer   *x509.Certificate
	request  Request
	tbs      []byte
	at       time.Time
	policy   [sha256.Size]byte
	spent    atomic.Bool
}

// Spend uses the approval up. It returns nil once, for one caller, within 60
// seconds of the decision; else ErrNotApproved, ErrApprovalStale or
// ErrApprovalSpent. A now before the decision is stale too.
func (a Approved) Spend(now time.Time) error {
	if a.approval == nil {
		return ErrNotApproved
	}
	if age := now.Sub(a.approval.at); age < 0 || age > approvalLife {
		return ErrApprovalStale
	}
	if !a.approval.spent.CompareAndSwap(false, true) {
		return ErrApprovalSpent
	}
	return nil
}

// Template is a fresh template that makes crypto/x509.CreateCertificate, under
// the issuer's key, produce exactly TBS. Nil for the zero value.
func (a Approved) Template() *x509.Certificate {
	if a.approval == nil {
		return nil
	}
	t := *a.approval.template
	t.RawSubject = bytes.Clone(t.RawSubject)
	t.SubjectKeyId = bytes.Clone(t.SubjectKeyId)
	t.ExtraExtensions = slices.Clone(t.ExtraExtensions)
	return &t
}

// TBS is the DER tbsCertificate (RFC 5280 §4.1.1.1) that may be signed.
func (a Approved) TBS() []byte {
	if a.approval == nil {
		return nil
	}
	return bytes.Clone(a.approval.tbs)
}

// TBSHash is the SHA-256 of TBS, the zero hash for the zero value.
func (a Approved) TBSHash() [sha256.Size]byte {
	if a.approval == nil {
		return [sha256.Size]byte{}
	}
	return sha256.Sum256(a.approval.tbs)
}

// Profile is the name of the profile that was applied.
func (a Approved) Profile() string {
	if a.approval == nil {
		return ""
	}
	return a.approval.request.Profile
}

// Serial is the serial number approved.
func (a Approved) Serial() certs.Serial {
	if a.approval == nil {
		return ""
	}
	return a.approval.request.Serial
}

// Issuer is the authority it was approved for; nil for a root, which signs itself.
func (a Approved) Issuer() *x509.Certificate {
	if a.approval == nil {
		return nil
	}
	return a.approval.issuer
}

// PolicyHash names the policy set the decision was taken under.
func (a Approved) PolicyHash() [sha256.Size]byte {
	if a.approval == nil {
		return [sha256.Size]byte{}
	}
	return a.approval.policy
}
