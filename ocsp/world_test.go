package ocsp_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/replica"
	"cardinal/ocsp"
)

// authority is a CA made for a test.
type authority struct {
	name string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	id   certs.IssuerID
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{name: name, key: key}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name + " CA", Organization: []string{"Test"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	a.cert = a.sign(t, template, template, key.Public())
	a.id = certs.IssuerIDOf(a.cert)
	return a
}

func (a *authority) sign(t testing.TB, template, parent *x509.Certificate, pub crypto.PublicKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, a.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// responder makes the certificate an enroller gives out; edit may spoil it.
func (a *authority) responder(pub crypto.PublicKey, now time.Time, edit func(*x509.Certificate)) ([]byte, error) {
	serial, _ := certs.NewSerial(time.Now(), rand.Reader)
	template := &x509.Certificate{SerialNumber: serial.Big(), Subject: pkix.Name{CommonName: "OCSP responder " + a.name},
		NotBefore: now.Add(-5 * time.Minute), NotAfter: now.Add(48 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}, BasicConstraintsValid: true,
		ExtraExtensions: []pkix.Extension{{Id: certs.OID(certs.OIDOCSPNoCheck), Value: []byte{5, 0}}}}
	if edit != nil {
		edit(template)
	}
	return x509.CreateCertificate(rand.Reader, template, a.cert, pub, a.key)
}

// world is a responder with everything it needs.
type world struct {
	t         testing.TB
	feed      *journal.Memory
	table     *ocsp.Table
	replica   *replica.Replica
	responder *ocsp.Responder
	server    *served
	auth      *authority
	signing   *authority
	now       func() time.Time
	refuse    atomic.Pointer[error]
	spoil     func(*x509.Certificate)
	enrolled  atomic.Int64
	gets      atomic.Int64 // that came in, if it counts them
	counts    bool
	keys      map[*x509.Certificate]*ecdsa.PrivateKey // of leaves
	pulse     time.Duration                           // between the ledger's heartbeats
}

// Responder implements ocsp.Enroller.
func (w *world) Responder(_ context.Context, issuer certs.IssuerID, csr []byte) ([]byte, error) {
	if err := w.refuse.Load(); err != nil {
		return nil, *err
	}
	request, err := x509.ParseCertificateRequest(csr)
	if err != nil || request.CheckSignature() != nil {
		return nil, errors.Join(err, errors.New("a request that proves nothing"))
	}
	w.enrolled.Add(1)
	for _, a := range []*authority{w.auth, w.signing} {
		if a.id == issuer {
			return a.responder(request.PublicKey, w.now(), w.spoil)
		}
	}
	return nil, ocsp.ErrNotServed
}

type setting func(*world, *ocsp.Config, *replica.Options)

func newWorld(t testing.TB, settings ...setting) *world {
	t.Helper()
	w := &world{t: t, feed: journal.NewMemory(), table: ocsp.NewTable(), now: time.Now, pulse: 5 * time.Millisecond, keys: map[*x509.Certificate]*ecdsa.PrivateKey{},
		auth: newAuthority(t, "authentication"), signing: newAuthority(t, "signing")}
	options := replica.Options{Path: filepath.Join(t.TempDir(), "replica.db"), Feed: w.feed,
		Appliers: []replica.Applier{w.table}}
	config := ocsp.Config{Table: w.table, Enroller: w}
	for _, set := range settings {
		set(w, &config, &options)
	}
	var err error
	if w.replica, err = replica.Open(t.Context(), options); err != nil {
		t.Fatal(err)
	}
	config.Replica, config.Now, options.Now = w.replica, w.now, w.now
	w.responder = ocsp.New(config)
	ctx, cancel := context.WithCancel(context.Background())
	followed, ran := make(chan error, 1), make(chan error, 1)
	go func() { followed <- w.replica.Follow(ctx) }()
	go func() { ran <- w.responder.Run(ctx) }()
	go beat(ctx, w.feed, w.pulse)
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-followed, <-ran, w.replica.Close()); err != nil {
			t.Errorf("ending: %v", err)
		}
	})
	for _, a := range []*authority{w.auth, w.signing} {
		w.append(journal.KindIssuerAdded, certs.IssuerAdded{Name: a.name, DER: a.cert.Raw, Shards: 4}.Append(nil))
	}
	return w
}

// beat is the ledger's heartbeat, faster than the second it is there.
func beat(ctx context.Context, feed *journal.Memory, pulse time.Duration) {
	tick := time.NewTicker(pulse)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			feed.Beat()
		}
	}
}

// served is where a world can be asked.
type served struct{ URL string }

// serve starts a server on a free port.
func (w *world) serve() string {
	gets := &w.gets
	if !w.counts {
		gets = nil
	}
	w.server = &served{"http://" + listen(w.t, w.responder.NewServer(&http.Server{MaxHeaderBytes: 32 << 10}), gets)}
	return w.server.URL
}

// listen serves on a free port until the test ends, and counts the GETs that come in when asked to.
func listen(t testing.TB, s *ocsp.Server, gets *atomic.Int64) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	if gets != nil {
		l = counting{l, gets}
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("shutting down: %v", err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serving: %v", err)
		}
	})
	return address
}

// counting counts what arrives as a GET.
type counting struct {
	net.Listener
	gets *atomic.Int64
}

func (l counting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return countingConn{c, l.gets}, nil
}

type countingConn struct {
	net.Conn
	gets *atomic.Int64
}

func (c countingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 4 && string(b[:4]) == "GET " {
		c.gets.Add(1)
	}
	return n, err
}

// append writes changes and waits until they are applied.
func (w *world) append(kind journal.Kind, bodies ...[]byte) journal.Position {
	w.t.Helper()
	return w.wait(w.feed.Append(kind, 1, bodies...))
}

func (w *world) wait(p journal.Position) journal.Position {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.replica.WaitFor(ctx, p); err != nil {
		w.t.Fatalf("waiting for position %d: %v", p, err)
	}
	return p
}

// ready waits until the responder may sign for every issuer.
func (w *world) ready() {
	w.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !w.responder.Ready() || w.replica.State().Loading || w.replica.State().Age > time.Minute {
		if time.Now().After(deadline) {
			w.t.Fatalf("the responder never became ready: %+v", w.replica.State())
		}
		time.Sleep(time.Millisecond)
	}
}

// leaf issues a certificate without recording it; url, when given, is where its status is.
func (w *world) leaf(a *authority, url string) *x509.Certificate {
	w.t.Helper()
	serial, err := certs.NewSerial(time.Now(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: serial.Big(), Subject: pkix.Name{CommonName: "123456789012"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(3, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if url != "" {
		template.OCSPServer = []string{url + "/ocsp"}
	}
	c := a.sign(w.t, template, a.cert, key.Public())
	w.keys[c] = key
	return c
}

func serialOf(t testing.TB, c *x509.Certificate) certs.Serial {
	t.Helper()
	s, err := certs.SerialFromBig(c.SerialNumber)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// record writes certificates down.
func (w *world) record(a *authority, issued ...*x509.Certificate) {
	w.t.Helper()
	change := certs.Recorded{Issuer: a.id}
	for _, c := range issued {
		change.Certificates = append(change.Certificates, certs.RecordedCertificate{Serial: serialOf(w.t, c),
			Digest: sha256.Sum256(c.Raw), NotAfter: c.NotAfter, Shard: 1, Profile: "authentication", Holder: "123456789012"})
	}
	w.append(journal.KindCertificatesRecorded, change.Append(nil))
}

// issued is a leaf that is recorded.
func (w *world) issued(a *authority) *x509.Certificate {
	w.t.Helper()
	c := w.leaf(a, "")
	w.record(a, c)
	return c
}

func statusBody(a *authority, status certs.Status, serials ...certs.Serial) []byte {
	change := certs.StatusChange{Issuer: a.id, Serials: serials, Status: status}
	return change.Append(nil)
}

// set gives certificates a status.
func (w *world) set(a *authority, status certs.Status, issued ...*x509.Certificate) journal.Position {
	w.t.Helper()
	var serials []certs.Serial
	for _, c := range issued {
		serials = append(serials, serialOf(w.t, c))
	}
	return w.append(journal.KindStatusChanged, statusBody(a, status, serials...))
}

func revoked(reason certs.Reason) certs.Status {
	return certs.Status{State: certs.StateRevoked, Reason: reason, At: time.Now().UTC().Truncate(time.Second)}
}

func held() certs.Status {
	return certs.Status{State: certs.StateHeld, Reason: certs.ReasonCertificateHold, At: time.Now().UTC().Truncate(time.Second)}
}

// client keeps connections; its transport belongs to the test.
func client(t testing.TB) *http.Client {
	transport := &http.Transport{DialContext: (&net.Dialer{Timeout: time.Minute}).DialContext, MaxIdleConnsPerHost: 16}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}
