package ocsp_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/replica"
	"cardinal/ocsp"
)

var tryLater = []byte{0x30, 3, 0x0a, 1, 3}

// clock is the host's clock moved by hand.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
	slow  time.Time // since when it goes a hundred times too slow; zero: it does not
}

// slowClock is a clock that hardly moves but by hand: a machine that stands still for seconds does not move it.
func slowClock() *clock { return &clock{slow: time.Now()} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if !c.slow.IsZero() {
		now = c.slow.Add(now.Sub(c.slow) / 100)
	}
	return now.Add(c.ahead)
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

func TestWithoutAResponderKeyTheAnswerIsTryLater(t *testing.T) {
	t.Parallel()
	refusal := errors.New("the CA is away")
	w := newWorld(t, func(w *world, _ *ocsp.Config, _ *replica.Options) { w.refuse.Store(&refusal) })
	w.serve()
	der := requestFor(idOf(w.auth, crypto.SHA1, w.issued(w.auth).SerialNumber)).der(t)
	if got := w.ask(der); !bytes.Equal(got, tryLater) {
		t.Errorf("answered %x", got)
	}
	if w.responder.Ready() {
		t.Errorf("ready without a key")
	}
}

func TestWrongResponderCertificatesAreNotUsed(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*x509.Certificate){
		"no purpose": func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} },
		"no nocheck": func(c *x509.Certificate) { c.ExtraExtensions = []pkix.Extension{} },
		"expired":    func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) },
		"not yet":    func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(w *world, _ *ocsp.Config, _ *replica.Options) { w.spoil = spoil })
			w.serve()
			der := requestFor(idOf(w.auth, crypto.SHA1, w.issued(w.auth).SerialNumber)).der(t)
			w.eventually("an attempt to enroll", func() bool { return w.enrolled.Load() > 1 })
			if got := w.ask(der); !bytes.Equal(got, tryLater) {
				t.Errorf("answered %x", got)
			}
		})
	}
}

func TestIssuerThatIsNotServedIsUnauthorized(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serve()
	root := newAuthority(t, "root")
	w.append(journal.KindIssuerAdded, certs.IssuerAdded{Name: root.name, DER: root.cert.Raw, Shards: 1}.Append(nil))
	w.ready() // an issuer that is not served does not keep the node from being ready
	if got := errorStatus(t, w.ask(requestFor(idOf(root, crypto.SHA1, big.NewInt(3))).der(t))); got != int(ocsp.Unauthorized) {
		t.Errorf("status %d", got)
	}
}

func TestIssuerIsServedSoonAfterTheCAOpenedItsKey(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	notYet := ocsp.ErrNotServed
	w := newWorld(t, func(w *world, _ *ocsp.Config, _ *replica.Options) { w.refuse.Store(&notYet) })
	w.serve()
	der := requestFor(idOf(w.auth, crypto.SHA1, w.issued(w.auth).SerialNumber)).der(t)
	w.eventually("a refusal that says so", func() bool { return bytes.Equal(w.ask(der), []byte{0x30, 3, 0x0a, 1, 6}) })
	w.refuse.Store(nil)
	began := time.Now()
	w.eventually("an answer", func() bool { return len(w.ask(der)) > 100 })
	t.Logf("served after %s", time.Since(began))
}

// renewing runs a responder on a clock moved by hand; the copy does not age, because it is on another clock.
func renewing(t *testing.T) (*world, *clock) {
	hand := &clock{}
	w := newWorld(t, func(w *world, c *ocsp.Config, _ *replica.Options) { w.now = hand.now })
	w.serve()
	w.ready()
	return w, hand
}

func TestResponderKeyIsRenewedAtHalfItsLife(t *testing.T) {
	t.Parallel()
	w, hand := renewing(t)
	c := w.issued(w.auth)
	der := requestFor(idOf(w.auth, crypto.SHA1, c.SerialNumber)).der(t)
	first := parseAnswer(t, w.ask(der), w.auth).Responder
	hand.add(25 * time.Hour)
	w.append(journal.KindIssuerAdded, certs.IssuerAdded{Name: w.auth.name, DER: w.auth.cert.Raw, Shards: 4}.Append(nil)) // wakes Run
	w.eventually("another key", func() bool {
		return !bytes.Equal(parseAnswer(t, w.ask(der), w.auth).Responder.Bytes, first.Bytes)
	})
}

func TestExpiredResponderKeyFailsClosed(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w, hand := renewing(t)
	c := w.issued(w.auth)
	der := requestFor(idOf(w.auth, crypto.SHA1, c.SerialNumber)).der(t)
	if got := w.ask(der); len(got) < 100 {
		t.Fatalf("answered %x", got)
	}
	refusal := errors.New("the CA is away")
	w.refuse.Store(&refusal)
	hand.add(47 * time.Hour)
	if got := w.ask(der); len(got) < 100 {
		t.Errorf("an hour before the end: answered %x", got)
	}
	hand.add(time.Hour)
	if got := w.ask(der); !bytes.Equal(got, tryLater) {
		t.Errorf("after the end: answered %x", got)
	}
	w.refuse.Store(nil)
	w.eventually("a new key", func() bool { return len(w.ask(der)) > 100 })
}

func TestClockSetBackGetsAnotherKey(t *testing.T) {
	t.Parallel()
	w, hand := renewing(t)
	c := w.issued(w.auth)
	der := requestFor(idOf(w.auth, crypto.SHA1, c.SerialNumber)).der(t)
	hand.add(-time.Hour)
	w.eventually("an answer on the earlier clock", func() bool { return len(w.ask(der)) > 100 })
	d := parseAnswer(t, w.ask(der), w.auth)
	if s := d.Responses[0]; s.ThisUpdate.After(d.ProducedAt) || d.ProducedAt.After(hand.now()) {
		t.Errorf("this %s, produced %s, now %s", s.ThisUpdate, d.ProducedAt, hand.now())
	}
}

func TestFloodIsToldToTryLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *world, c *ocsp.Config, _ *replica.Options) { c.Limits.Signing = 1 })
	w.ready()
	der := requestFor(idOf(w.auth, crypto.SHA1, w.issued(w.auth).SerialNumber)).nonce([]byte{4, 1, 1}).der(t)
	var signed, later atomic.Int64
	w.eventually("one answer and one refusal", func() bool {
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				if body := bodyOf(t, w.call("POST", "/ocsp", der)); bytes.Equal(body, tryLater) {
					later.Add(1)
				} else if tagOf(t, body) == 0 {
					signed.Add(1)
				}
			})
		}
		all.Wait()
		return signed.Load() > 0 && later.Load() > 0
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ready()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.responder.Run(ctx); err != nil {
		t.Error(err)
	}
}

// patient is an enroller that notes how long it may take.
type patient struct {
	*world
	bounded chan bool
}

func (p patient) Responder(ctx context.Context, issuer certs.IssuerID, csr []byte) ([]byte, error) {
	_, bounded := ctx.Deadline()
	select {
	case p.bounded <- bounded:
	default:
	}
	return p.world.Responder(ctx, issuer, csr)
}

// A CA that hangs over one issuer must not keep the keys of the others from being renewed.
func TestEnrollingIsBoundedInTime(t *testing.T) {
	t.Parallel()
	bounded := make(chan bool, 1)
	newWorld(t, func(w *world, c *ocsp.Config, _ *replica.Options) { c.Enroller = patient{w, bounded} })
	if !<-bounded {
		t.Error("a request to the CA may take for ever")
	}
}

// On an edge a certificate lives little longer than a node that is cut off may answer: it is renewed so early that it
// always outlasts that.
func TestShortCertificatesAreRenewedBeforeTheyCannotOutlastAnOutage(t *testing.T) {
	t.Parallel()
	hand := &clock{}
	w := newWorld(t, func(w *world, c *ocsp.Config, _ *replica.Options) {
		w.now, c.Limits.Stale = hand.now, 4*time.Hour
		w.spoil = func(c *x509.Certificate) { c.NotAfter = hand.now().Add(5 * time.Hour) }
	})
	w.serve()
	w.ready()
	der := requestFor(idOf(w.auth, crypto.SHA1, w.issued(w.auth).SerialNumber)).der(t)
	wake := func() {
		w.append(journal.KindIssuerAdded, certs.IssuerAdded{Name: w.auth.name, DER: w.auth.cert.Raw, Shards: 4}.Append(nil))
	}
	first := parseAnswer(t, w.ask(der), w.auth).Responder
	hand.add(40 * time.Minute)
	wake()
	if again := parseAnswer(t, w.ask(der), w.auth).Responder; !bytes.Equal(again.Bytes, first.Bytes) {
		t.Error("renewed after 40 minutes, with 4 h 20 min left")
	}
	hand.add(10 * time.Minute)
	wake()
	w.eventually("another key, before only 4 h are left", func() bool {
		return !bytes.Equal(parseAnswer(t, w.ask(der), w.auth).Responder.Bytes, first.Bytes)
	})
}
