// Package ca is the only hand that signs. It is given the keys of the issuing
// authorities as crypto.Signers and makes three things with them: the hierarchy
// (once, in a ceremony), certificates, and revocation lists.
//
// What it promises:
//
//   - A certificate is signed only for a policies.Approved, spent at that
//     moment. What was signed is compared octet for octet with what was
//     approved; a difference spoils the serial and stops the authority.
//   - Before a key is used the serial and the to-be-signed content stand in the
//     register. Whatever fails afterwards, the serial ends recorded with its
//     certificate or revoked without one: at once where possible, else by
//     Recover at the next start.
//   - Certificates ordered together (a card's pair) are recorded together, in
//     one transaction with the caller's own writes, or not at all.
//   - A list is read back, parsed and verified before it is announced. Its
//     number only rises.
//
// It follows RFC 5280 for certificates and lists. Signing goes through
// smallstep's softcas and uses CreateCertificate alone of it.
package ca

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/background"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

// The kinds of authority. The first generation of each is called by its kind
// (certs.IssuerName).
const (
	Root           = "root"
	Authentication = "authentication"
	Signing        = "signing"
	Services       = "services"
)

// Shards is how many lists the certificates of an issuing authority are spread
// over; the root has one.
const Shards = 16

// maxClockSkew is how far the host's clock and the ledger's may differ before
// nothing more is issued.
const maxClockSkew = 2 * time.Second

// clockLooks is how often the clocks are looked at before they are said to differ: a machine that pauses between the one
// and the other makes them seem to once, clocks that do differ each time.
const clockLooks = 3

var (
	// ErrStopped: the authority found its own key to have signed something
	// else than was approved, and issues nothing until it is started again.
	ErrStopped = errors.New("the authority has stopped")
	// ErrUnknownIssuer: no authority of this name or key is configured here.
	ErrUnknownIssuer = errors.New("no such authority here")
	// ErrNoKey: the authority's key is kept elsewhere (the root's).
	ErrNoKey = errors.New("the authority's key is not here")
)

// Issuer is an authority. Signer is nil when its key is kept elsewhere; it must
// be safe for concurrent use. Shards is the number of its lists.
type Issuer struct {
	Certificate *x509.Certificate
	Signer      crypto.Signer
	Shards      uint16
}

// Config is what an Authority works with. All fields but Now and Logger are
// required.
type Config struct {
	Ledger   *ledger.Ledger
	Issuers  map[string]Issuer // by name, as in the URLs; Refresh adds those of the register
	Policies *policies.Set
	// Open opens the key of an authority by its name, for those Issuers lacks;
	// nil: they have none here. The root's is never asked for.
	Open      func(ctx context.Context, name string) (crypto.Signer, error)
	PublicURL string           // http://host[:port][/path]; the URLs in certificates and lists begin with it
	Lists     ListPolicy       // which there are, and how often
	TempDir   string           // where long lists are put together; "": the system's
	Beside    *background.Work // is told while lists are made; nil: nobody is
	Now       func() time.Time // nil: time.Now
	Logger    *slog.Logger     // nil: discard
}

// Authority issues and publishes. All methods are safe for concurrent use.
type Authority struct {
	Config
	known    atomic.Pointer[hierarchy]
	changing sync.Mutex // of known
	stopped  atomic.Pointer[error]
	last     lastMade
}

// hand is one Issuer at work. Stage is nil until Refresh has read it; unopened
// is why its key could not be opened, and again when that is tried again.
type hand struct {
	Issuer
	name     string
	id       certs.IssuerID
	stage    *register.Generation
	unopened error
	again    time.Time
}

// New checks the configuration; it does no I/O. Call Refresh and Recover before
// the first Issue.
func New(c Config) (*Authority, error) {
	if c.Ledger == nil || c.Policies == nil || c.PublicURL == "" {
		return nil, errors.New("an authority needs a ledger, policies and a public URL")
	}
	c.PublicURL = strings.TrimSuffix(c.PublicURL, "/")
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Lists = c.Lists.withDefaults()
	a := &Authority{Config: c}
	a.known.Store(&hierarchy{byName: map[string]*hand{}, byKey: map[certs.IssuerID]*hand{}})
	for name, issuer := range c.Issuers {
		at, err := newHand(name, issuer)
		if err == nil {
			err = a.add(at)
		}
		if err != nil {
			return nil, err
		}
	}
	return a, nil
}

func newHand(name string, issuer Issuer) (*hand, error) {
	if issuer.Certificate == nil || issuer.Shards == 0 {
		return nil, fmt.Errorf("authority %s has no certificate or no lists", name)
	}
	if _, err := certs.ParseIssuerName(name); err != nil {
		return nil, err
	}
	if issuer.Signer != nil && !samePublicKey(issuer.Signer.Public(), issuer.Certificate.PublicKey) {
		return nil, fmt.Errorf("the key of authority %s does not belong to its certificate", name)
	}
	return &hand{Issuer: issuer, name: name, id: certs.IssuerIDOf(issuer.Certificate)}, nil
}

// isRoot reports whether the authority is a root, of any generation.
func (at *hand) isRoot() bool { return certs.IssuerKind(at.name) == Root }

func samePublicKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// Certificate is the certificate of an authority, nil when there is none of
// that name.
func (a *Authority) Certificate(name string) *x509.Certificate {
	if at := a.known.Load().byName[name]; at != nil {
		return at.Issuer.Certificate
	}
	return nil
}

// Stopped is why the authority issues no more, or nil.
func (a *Authority) Stopped() error {
	if cause := a.stopped.Load(); cause != nil {
		return fmt.Errorf("%w: %w", ErrStopped, *cause)
	}
	return nil
}

// stop latches the first cause.
func (a *Authority) stop(cause error) {
	if a.stopped.CompareAndSwap(nil, &cause) {
		a.Logger.Error("the authority stops: nothing is issued until it is started again", "cause", cause)
	}
}

// ready refuses to issue while stopped or in quarantine.
func (a *Authority) ready(ctx context.Context) error {
	if err := a.Stopped(); err != nil {
		return err
	}
	head, err := a.Ledger.Head(ctx)
	if err != nil {
		return fmt.Errorf("reading the ledger's head: %w", err)
	}
	if head.Quarantine {
		return ledger.ErrQuarantine
	}
	return nil
}
