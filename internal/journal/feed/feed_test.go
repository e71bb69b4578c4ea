package feed_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"cardinal/internal/journal"
	"cardinal/internal/journal/feed"
	"cardinal/internal/journal/feedtest"
)

// world is a writer over a journal in memory and what a node needs to follow it.
type world struct {
	journal *journal.Memory
	leases  *feed.Leases
	server  *feed.Server
	gate    *gate
	url     string
	tls     *tls.Config
	mine    tls.Certificate
}

// gate admits one node, as long as nothing is set against it.
type gate struct {
	mu   sync.Mutex
	node feed.Node
	err  error
}

func (g *gate) Admit(context.Context, []byte) (feed.Node, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.node, g.err
}

func (g *gate) set(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err = err
}

func newWorld(t *testing.T, scope feed.Scope) *world {
	t.Helper()
	w := &world{journal: journal.NewMemory(), gate: &gate{node: feed.Node{Name: "n1", Scope: scope}}}
	w.leases = feed.NewLeases(func(context.Context) ([]feed.Node, error) { return []feed.Node{w.gate.node}, nil })
	w.server = feed.NewServer(feed.Config{Feed: w.journal, Registry: w.gate, Leases: w.leases})
	authority, key := newAuthority(t)
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	serving := leaf(t, authority, key, x509.ExtKeyUsageServerAuth)
	w.mine = leaf(t, authority, key, x509.ExtKeyUsageClientAuth)
	config := feed.TLSConfig(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &serving, nil }, func() *x509.CertPool { return pool }, time.Now)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: w.server, TLSConfig: config}
	s.RegisterOnShutdown(w.server.End)
	go func() { _ = s.ServeTLS(l, "", "") }()
	t.Cleanup(func() { _ = s.Close() })
	w.url, w.tls = "https://"+l.Addr().String(), &tls.Config{Certificates: []tls.Certificate{w.mine}, RootCAs: pool}
	return w
}

func newAuthority(t *testing.T) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Services"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}

func leaf(t *testing.T, authority *x509.Certificate, by *ecdsa.PrivateKey, usage x509.ExtKeyUsage) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "n1"}, ExtKeyUsage: []x509.ExtKeyUsage{usage},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, authority, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (w *world) client(t *testing.T) *feed.Client {
	t.Helper()
	c, err := feed.NewClient(feed.ClientConfig{URLs: []string{w.url}, TLS: w.tls}.Patient())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestTheFeedOverTheNetworkKeepsTheContract(t *testing.T) {
	t.Parallel()
	feedtest.Run(t, func(t *testing.T) (journal.Feed, feedtest.Writer) {
		w := newWorld(t, feed.Central)
		return w.client(t), feedtest.Writer{
			Append: func(kind journal.Kind, version uint8, bodies ...[]byte) (journal.Position, error) {
				return w.journal.Append(kind, version, bodies...), nil
			},
			PutContent: func(data []byte) (journal.Hash, error) { return w.journal.PutContent(data), nil },
			Beat:       func() error { w.journal.Beat(); return nil },
		}
	})
}

func TestAnEdgeIsGivenNoPasswordVerifiersAndStillVerifiesTheChain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, feed.Edge)
	w.journal.Append(journal.KindEntryAdded, 1, []byte("entry"))
	w.journal.Append(journal.KindSecretsChanged, 1, []byte("verifier"))
	w.journal.Append(journal.KindStatusChanged, 1, []byte("revoked"))
	c := w.client(t)
	changes, err := c.Read(t.Context(), 0, 10)
	if err != nil || len(changes) != 3 {
		t.Fatalf("%d changes: %v", len(changes), err)
	}
	if !changes[1].Erased || changes[1].Body != nil || changes[0].Erased || string(changes[2].Body) != "revoked" {
		t.Errorf("an edge got %+v", changes)
	}
	if _, err := journal.VerifyChain(t.Context(), c); err != nil {
		t.Errorf("the chain does not verify: %v", err)
	}
}

func TestADisabledNodeIsRefusedWhileItWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, feed.Central)
	p := w.journal.Append(journal.KindEntryAdded, 1, []byte("entry"))
	c := w.client(t)
	if _, err := c.Head(t.Context()); err != nil {
		t.Fatal(err)
	}
	waited := make(chan error, 1)
	go func() { waited <- c.Wait(t.Context(), p) }()
	time.Sleep(20 * time.Millisecond)
	w.gate.set(feed.ErrDisabled)
	w.journal.Append(journal.KindEntryAdded, 1, []byte("not for it"))
	if err := <-waited; !errors.Is(err, feed.ErrDisabled) || !errors.Is(err, journal.ErrRefused) {
		t.Errorf("the wait of a node disabled meanwhile ended with %v", err)
	}
	if _, err := c.Read(t.Context(), 0, 1); !errors.Is(err, feed.ErrDisabled) {
		t.Errorf("reading: %v", err)
	}
	if _, err := c.Content(t.Context(), journal.Hash{}); !errors.Is(err, feed.ErrDisabled) {
		t.Errorf("content: %v", err)
	}
}

func TestADisabledNodeIsCutOffInTheMiddleOfAContent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, feed.Central)
	h := w.journal.PutContent(make([]byte, 32<<20))
	r, err := w.client(t).Content(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.CopyN(io.Discard, r, 1<<20); err != nil {
		t.Fatal(err)
	}
	w.gate.set(feed.ErrDisabled)
	if n, err := io.Copy(io.Discard, r); err == nil {
		t.Errorf("%d bytes more came, and an end", n)
	}
}

func TestACertificateNobodyKnowsIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, feed.Central)
	w.gate.set(feed.ErrUnknown)
	if _, err := w.client(t).Head(t.Context()); !errors.Is(err, feed.ErrUnknown) {
		t.Errorf("unknown to the register: %v", err)
	}
	authority, key := newAuthority(t)
	w.tls.Certificates = []tls.Certificate{leaf(t, authority, key, x509.ExtKeyUsageClientAuth)}
	if _, err := w.client(t).Head(t.Context()); err == nil || errors.Is(err, journal.ErrRefused) {
		t.Errorf("of another authority: %v", err)
	}
	w.tls.Certificates = []tls.Certificate{w.mine}
	w.tls.RootCAs = x509.NewCertPool()
	w.tls.RootCAs.AddCert(authority)
	if _, err := w.client(t).Head(t.Context()); err == nil {
		t.Error("a writer of another authority was believed")
	}
}

func TestAWriterThatIsGoneIsReplacedByTheNext(t *testing.T) {
	t.Parallel()
	w := newWorld(t, feed.Central)
	w.journal.Append(journal.KindEntryAdded, 1, []byte("entry"))
	c, err := feed.NewClient(feed.ClientConfig{URLs: []string{"https://127.0.0.1:1", w.url}, TLS: w.tls}.Patient())
	if err != nil {
		t.Fatal(err)
	}
	if head, err := c.Head(t.Context()); err != nil || head.Position != 1 {
		t.Errorf("head %+v: %v", head, err)
	}
	if c.Counts().URL != w.url {
		t.Errorf("%s is asked", c.Counts().URL)
	}
}

func TestAHeadThatLayOnTheWayIsKnownToBeOld(t *testing.T) {
	t.Parallel()
	w := newWorld(t, feed.Central)
	c := w.client(t)
	if _, err := c.Head(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.journal.Beat()
	if err := c.Wait(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	const pause = 200 * time.Millisecond
	time.Sleep(pause)
	_, since, err := c.HeadSince(t.Context())
	if err != nil || since < pause {
		t.Errorf("a head of %s ago is said to be %s old: %v", pause, since, err)
	}
	asked := time.Now()
	if _, since, err := c.HeadSince(t.Context()); err != nil || since > time.Since(asked) {
		t.Errorf("a head that was asked for just now is said to be %s old: %v", since, err)
	}
}

func TestTheWriterKeepsWhatANodeSaysOfItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t, feed.Central)
	said := feed.Lease{Epoch: 2, Position: 7, AsOf: time.UnixMicro(1e15).UTC(), OCSPAge: time.Minute, DirectoryAge: time.Hour, Version: "v1"}
	c, err := feed.NewClient(feed.ClientConfig{URLs: []string{w.url}, TLS: w.tls, Lease: func() feed.Lease { return said }}.Patient())
	if err != nil {
		t.Fatal(err)
	}
	changed := w.leases.Changed()
	if _, err := c.Head(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-changed
	states, err := w.leases.Applied(t.Context())
	if err != nil || len(states) != 1 || states[0].Lease != said || !states[0].Live(time.Now()) {
		t.Errorf("states %+v: %v", states, err)
	}
	if ocsp, directory := states[0].Refuses(); !ocsp.Equal(said.AsOf.Add(time.Minute)) || !directory.Equal(said.AsOf.Add(time.Hour)) {
		t.Errorf("refuses at %s and %s", ocsp, directory)
	}
}
