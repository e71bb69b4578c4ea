// Package issuancetest sets up an issuance desk with everything under it, for
// tests: a ledger, a hierarchy of authorities, a directory, the bootstrap
// operators, a clock to turn, and hands that do what operators do. Nothing in
// it is a mock: keys, requests and certificates are real.
package issuancetest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cardinal/ca"
	certsregister "cardinal/certs/register"
	"cardinal/directory"
	"cardinal/directory/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/issuance"
	"cardinal/policies"
)

// PublicURL is what the certificates of a World name.
const PublicURL = "http://pki.example.test:8080"

// Clock is the machine's clock with a hand to turn it forward; safe for
// concurrent use.
type Clock struct{ ahead atomic.Int64 }

// Now is the time it shows.
func (c *Clock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// Advance turns it forward.
func (c *Clock) Advance(d time.Duration) { c.ahead.Add(int64(d)) }

// World is a desk and what it stands on.
type World struct {
	testing.TB
	*Clock
	URL       string
	Ledger    *ledger.Ledger
	Issuers   map[string]ca.Issuer
	Authority *ca.Authority
	Directory *register.Register
	Policies  *policies.Set
	Suffix    directory.DN
	Desk      *issuance.Desk
	Alone     int                                           // of the desk's configuration, from Restart on
	Paced     func(context.Context, journal.Position) error // likewise
	Faults    *ledger.Faults                                // set its hooks only while nothing is written
	Manager   *Hand                                         // bootstrap RA manager
	Sponsor   *Hand                                         // bootstrap sponsor
}

// Hand is somebody with a client certificate.
type Hand struct {
	Key         crypto.Signer
	Certificate *x509.Certificate
}

// Operator is how the desk meets the hand.
func (h *Hand) Operator() issuance.Operator {
	return issuance.Operator{Certificate: h.Certificate.Raw}
}

// TLS is how a server meets the hand.
func (h *Hand) TLS() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{h.Certificate.Raw}, PrivateKey: h.Key, Leaf: h.Certificate}
}

// Rooms are the tables a desk needs.
func Rooms() []ledger.Room {
	return []ledger.Room{certsregister.Room(), register.Room(), issuance.Room()}
}

// New sets a world up on a database; url "" is SQLite in a folder of the
// test's. On PostgreSQL, whose own clock counts, the Clock must not be turned.
func New(t testing.TB, url string) *World {
	t.Helper()
	w := &World{TB: t, URL: url, Clock: &Clock{}, Faults: &ledger.Faults{}}
	if url == "" {
		w.URL = "sqlite:" + filepath.Join(t.TempDir(), "ledger.db")
	}
	var err error
	w.Policies, err = policies.Default()
	w.must(err)
	w.Ledger, err = ledger.Create(t.Context(), ledger.Options{URL: w.URL, Rooms: Rooms(), Now: w.Now, Faults: w.Faults})
	w.must(err)
	t.Cleanup(func() { w.Ledger.Close() })
	w.build()
	w.enrol()
	return w
}

func (w *World) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *World) build() {
	w.Helper()
	hierarchy, err := ca.InitHierarchy(w.Context(), ca.Ceremony{Ledger: w.Ledger, Policies: w.Policies, Name: "Example Health",
		PublicURL: PublicURL, Now: w.Now, Key: func(_ context.Context, name string) (crypto.Signer, error) {
			if name == ca.Root {
				return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
			}
			return NewKey(w), nil
		}})
	w.must(err)
	w.Issuers = hierarchy.Issuers
	w.Suffix, err = directory.ParseDN("o=nhs")
	w.must(err)
	schema, err := directory.DefaultSchema()
	w.must(err)
	people, err := directory.ParseDN("ou=People,o=nhs")
	w.must(err)
	w.Directory, err = register.New(schema, register.Config{Suffixes: []directory.DN{w.Suffix},
		Managed: []directory.DN{people}, TempDir: w.TempDir()})
	w.must(err)
	w.Restart()
}

// Restart makes the authority and the desk anew over the same ledger, as a
// process that starts does.
func (w *World) Restart() {
	w.Helper()
	var err error
	w.Authority, err = ca.New(ca.Config{Ledger: w.Ledger, Issuers: w.Issuers, Policies: w.Policies, PublicURL: PublicURL, Now: w.Now})
	w.must(err)
	w.must(w.Authority.Recover(w.Context()))
	w.Desk, err = issuance.New(issuance.Config{Ledger: w.Ledger, CA: w.Authority, Directory: w.Directory,
		Policies: w.Policies, Suffix: w.Suffix, Alone: w.Alone, Paced: w.Paced, Now: w.Now})
	w.must(err)
}

func (w *World) enrol() {
	w.Helper()
	manager, sponsor := NewKey(w), NewKey(w)
	ders, _, err := w.Desk.Enrol(w.Context(),
		issuance.Newcomer{Name: "bootstrap-manager", Role: policies.RoleManager, Key: manager.Public()},
		issuance.Newcomer{Name: "bootstrap-sponsor", Role: policies.RoleSponsor, Key: sponsor.Public()})
	w.must(err)
	w.Manager, w.Sponsor = NewHand(w, manager, ders[0]), NewHand(w, sponsor, ders[1])
}

// NewHand puts a key and its certificate together.
func NewHand(t testing.TB, key crypto.Signer, der []byte) *Hand {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &Hand{Key: key, Certificate: c}
}

// NewKey makes a P-256 key.
func NewKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// FailAt runs fn while the ledger fails at its nth external write with cause,
// before the write or after it took place, and at every later one: the process
// is as good as dead. It gives the name of the write, "" when fn made fewer.
func (w *World) FailAt(n int, after bool, cause error, fn func()) string {
	w.Helper()
	var mu sync.Mutex
	step, count := "", 0
	hook := func(name string) error {
		mu.Lock()
		defer mu.Unlock()
		if count++; count < n {
			return nil
		}
		if step == "" {
			step = name
		}
		return cause
	}
	if after {
		w.Faults.After = hook
	} else {
		w.Faults.Before = hook
	}
	fn()
	w.Faults.Before, w.Faults.After = nil, nil
	return step
}

// Changes are all the journal holds.
func (w *World) Changes() []journal.Change {
	w.Helper()
	var all []journal.Change
	for {
		after := journal.Position(len(all))
		page, err := w.Ledger.Feed().Read(w.Context(), after, 1000)
		w.must(err)
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
	}
}
