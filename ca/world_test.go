package ca_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"os"
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
	url       string // of an embedded one
	public    string // what certificates name
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

// fixture is a ledger after the ceremony, made once and copied for each world.
type fixture struct {
	ledger    []byte
	hierarchy ca.Hierarchy
	now       time.Time
	err       error
}

var made = sync.OnceValue(func() (f fixture) {
	dir, err := os.MkdirTemp("", "ca-test-*")
	if err != nil {
		return fixture{err: err}
	}
	defer os.RemoveAll(dir)
	f.now = time.Now()
	f.hierarchy, f.err = ceremony(filepath.Join(dir, "ledger.db"), publicURL, f.now)
	if f.err == nil {
		f.ledger, f.err = os.ReadFile(filepath.Join(dir, "ledger.db"))
	}
	return f
})

func ceremony(path, public string, now time.Time) (ca.Hierarchy, error) {
	set, err := policies.Default()
	if err != nil {
		return ca.Hierarchy{}, err
	}
	clock := func() time.Time { return now }
	l, err := ledger.Create(context.Background(), ledger.Options{URL: "sqlite:" + path, Rooms: []ledger.Room{register.Room()}, Now: clock})
	if err != nil {
		return ca.Hierarchy{}, err
	}
	h, err := ca.InitHierarchy(context.Background(), ca.Ceremony{Ledger: l, Policies: set, Name: "Example Health",
		PublicURL: public, Now: clock, Key: makeKey})
	return h, errors.Join(err, l.Close())
}

func makeKey(_ context.Context, name string) (crypto.Signer, error) {
	if name == ca.Root {
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

func newWorld(t testing.TB) *world {
	t.Helper()
	f := made()
	if f.err != nil {
		t.Fatal(f.err)
	}
	path := filepath.Join(t.TempDir(), "ledger.db")
	if err := os.WriteFile(path, f.ledger, 0o600); err != nil {
		t.Fatal(err)
	}
	return openWorld(t, path, &world{public: publicURL, clock: &clock{now: f.now}, hierarchy: f.hierarchy})
}

// openWorld opens the ledger that w's ceremony left.
func openWorld(t testing.TB, path string, w *world) *world {
	t.Helper()
	w.TB, w.faults, w.url = t, &ledger.Faults{}, "sqlite:"+path
	var err error
	if w.policies, err = policies.Default(); err != nil {
		t.Fatal(err)
	}
	w.ledger, err = ledger.Open(t.Context(), ledger.Options{URL: w.url,
		Rooms: []ledger.Room{register.Room()}, Now: w.Now, Faults: w.faults})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.ledger.Close() })
	w.authority = w.newAuthority(w.hierarchy.Issuers)
	return w
}

func (w *world) newAuthority(issuers map[string]ca.Issuer) *ca.Authority {
	w.Helper()
	return w.authorityOf(issuers, ca.ListPolicy{Debounce: 10 * time.Millisecond})
}

// with is the authority under another policy for lists.
func (w *world) with(p ca.ListPolicy) *ca.Authority {
	w.Helper()
	return w.authorityOf(w.hierarchy.Issuers, p)
}

func (w *world) authorityOf(issuers map[string]ca.Issuer, p ca.ListPolicy) *ca.Authority {
	w.Helper()
	a, err := ca.New(ca.Config{Ledger: w.ledger, Issuers: issuers, Policies: w.policies, PublicURL: w.public, Now: w.Now, Lists: p, TempDir: w.TempDir()})
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

// list is the published list of a shard as crypto/x509 reads it, its signature checked.
func (w *world) list(issuer string, shard uint16) *x509.RevocationList {
	w.Helper()
	list, err := x509.ParseRevocationList(w.listDER(issuer, shard))
	if err != nil {
		w.Fatal(err)
	}
	if err := list.CheckSignatureFrom(w.hierarchy.Issuers[issuer].Certificate); err != nil {
		w.Fatal(err)
	}
	return list
}

func (w *world) listDER(issuer string, shard uint16) (der []byte) {
	w.Helper()
	w.read(func(tx *ledger.Tx) error {
		s, err := register.LastList(tx, certs.IssuerIDOf(w.hierarchy.Issuers[issuer].Certificate), certs.ShardList(shard))
		if err != nil {
			return err
		}
		der, err = tx.Content(s.List.Content)
		return err
	})
	return der
}
