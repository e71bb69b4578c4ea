package ca_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"cardinal/ca"
	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

const publicURL = "http://pki.example.test:8080"

// clock is a clock set by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// world is a ledger with a hierarchy.
type world struct {
	testing.TB
	*clock
	ledger    *ledger.Ledger
	hierarchy ca.Hierarchy
	authority *ca.Authority
	policies  *policies.Set
	faults    *ledger.Faults
}

func newKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldAt(t, time.Now())
}

func newWorldAt(t testing.TB, now time.Time) *world {
	t.Helper()
	w := &world{TB: t, clock: &clock{now: now}, faults: &ledger.Faults{}}
	var err error
	if w.policies, err = policies.Default(); err != nil {
		t.Fatal(err)
	}
	w.ledger, err = ledger.Create(t.Context(), ledger.Options{URL: "sqlite:" + filepath.Join(t.TempDir(), "ledger.db"),
		Rooms: []ledger.Room{register.Room()}, Now: w.Now, Faults: w.faults})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.ledger.Close() })
	w.hierarchy, err = ca.InitHierarchy(t.Context(), ca.Ceremony{Ledger: w.ledger, Policies: w.policies, Name: "Example Health",
		PublicURL: publicURL, Now: w.Now, Key: func(_ context.Context, name string) (crypto.Signer, error) {
			if name == ca.Root {
				return newKey(t, elliptic.P384()), nil
			}
			return newKey(t, elliptic.P256()), nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	w.authority = w.newAuthority(w.hierarchy.Issuers)
	return w
}

func (w *world) newAuthority(issuers map[string]ca.Issuer) *ca.Authority {
	w.Helper()
	a, err := ca.New(ca.Config{Ledger: w.ledger, Issuers: issuers, Policies: w.policies, PublicURL: publicURL, Now: w.Now})
	if err != nil {
		w.Fatal(err)
	}
	return a
}

// pair orders a card's two certificates on fresh keys.
func (w *world) pair(uuid, card string) []ca.Order {
	w.Helper()
	subject := policies.Subject{UUID: uuid, Given: "Alex", Family: "Example"}
	return []ca.Order{
		{Issuer: ca.Authentication, Card: card, RequestID: "r " + card, Request: policies.Request{
			Profile: policies.ProfileAuthentication, Subject: subject, PublicKey: newKey(w, elliptic.P256()).Public()}},
		{Issuer: ca.Signing, Card: card, RequestID: "r " + card, Request: policies.Request{
			Profile: policies.ProfileSignature, Subject: subject, PublicKey: newKey(w, elliptic.P256()).Public()}},
	}
}

func (w *world) issue(orders []ca.Order) []ca.Issued {
	w.Helper()
	issued, _, err := w.authority.Issue(w.Context(), orders, nil)
	if err != nil {
		w.Fatal(err)
	}
	return issued
}

func (w *world) write(fn func(*ledger.Tx) error) {
	w.Helper()
	if _, err := w.ledger.Write(w.Context(), fn); err != nil {
		w.Fatal(err)
	}
}

func (w *world) read(fn func(*ledger.Tx) error) {
	w.Helper()
	if err := w.ledger.Read(w.Context(), fn); err != nil {
		w.Fatal(err)
	}
}

func (w *world) setStatus(s certs.Status, refs ...certs.Ref) {
	w.Helper()
	w.write(func(tx *ledger.Tx) error { return register.SetStatus(tx, refs, s) })
}
