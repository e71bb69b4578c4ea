package ocsp_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"strconv"
	"strings"
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/internal/replica"
	"cardinal/ocsp"
)

// stuck is a world with one clock for all, moved by hand, whose keys are in a token that can be held and makes one
// signature at a time.
func stuck(t *testing.T) (*world, *clock, *token) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k, hand := &token{Signer: key}, slowClock()
	w := newWorld(t, func(w *world, c *ocsp.Config, o *replica.Options) {
		w.now, o.Now = hand.now, hand.now
		w.feed.SetNow(hand.now)
		w.spoil = func(c *x509.Certificate) {
			if strings.HasSuffix(c.Subject.CommonName, "signing") {
				c.NotAfter = hand.now().Add(24 * time.Hour)
			}
		}
		c.Key = func(context.Context, string) (crypto.Signer, error) { return k, nil }
		c.Limits.SigningAtOnce, c.Limits.SigningWait = 1, 500*time.Millisecond
	})
	w.serve()
	w.ready()
	return w, hand, k
}

// pass lets time go by, for the copy too.
func (w *world) pass(hand *clock, d time.Duration) {
	w.t.Helper()
	hand.add(d)
	w.eventually("a heartbeat", func() bool { return hand.now().Sub(w.replica.State().Time) < time.Second })
}

func (w *world) pathOf(a *authority, c *x509.Certificate) string {
	return getPath(requestFor(idOf(a, crypto.SHA1, c.SerialNumber)).der(w.t))
}

// In the third quarter of its life an answer is given out as it is, whatever becomes of signing, and caches are told no
// more than it promises; in the last one who asks waits for a signature; and when there is room it is renewed beside.
func TestAnAnswerIsGivenOutUntilAQuarterOfItsLifeIsLeft(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w, hand, k := stuck(t)
	c := w.issued(w.signing) // 10 minutes
	path := w.pathOf(w.signing, c)
	var first []byte
	w.eventually("an answer", func() bool { first = bodyOf(t, w.call("GET", path, nil)); return len(first) > 100 })
	data := parseAnswer(t, first, w.signing)
	k.gate.Lock()
	for _, step := range []time.Duration{4 * time.Minute, 2 * time.Minute, 75 * time.Second} { // until 7:15 of 7:30
		w.pass(hand, step)
		r := w.call("GET", path, nil)
		if got := bodyOf(t, r); !bytes.Equal(got, first) {
			t.Fatalf("%s on: another answer, %x", step, got)
		}
		age, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Cache-Control"), "max-age="), ",")
		if seconds, err := strconv.Atoi(age); err != nil || seconds > 120 ||
			hand.now().Add(time.Duration(seconds)*time.Second).After(data.Responses[0].NextUpdate) {
			t.Errorf("caches keep it by %q; it ends at %s and now is %s", r.Header.Get("Cache-Control"), data.Responses[0].NextUpdate, hand.now())
		}
		if again := w.call("GET", path, nil, "If-None-Match", r.Header.Get("Etag")); again.StatusCode != 304 {
			t.Errorf("its tag is answered %s", again.Status)
		}
	}
	w.pass(hand, time.Minute)
	if got := bodyOf(t, w.call("GET", path, nil)); !bytes.Equal(got, tryLater) {
		t.Errorf("an answer that is due, while nothing is signed: %x", got)
	}
	k.gate.Unlock()
	var next []byte
	w.eventually("a signature", func() bool { next = bodyOf(t, w.call("GET", path, nil)); return len(next) > 100 })
	if bytes.Equal(next, first) {
		t.Fatal("the due answer was given out")
	}
	w.pass(hand, 6*time.Minute)
	w.eventually("a renewal", func() bool { return !bytes.Equal(bodyOf(t, w.call("GET", path, nil)), next) })
	if text := gather(t, w.responder); strings.Contains(text, "cardinal_ocsp_renewed_total 0") {
		t.Error("nothing was renewed beside")
	}
}

// A certificate that is revoked while its answer waits to be renewed is never called good again, and it does not wait
// behind the renewals; nor does one that nobody asked about before.
func TestRenewalsAreBehindEverybodyWhoWaits(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	const many = 200
	w, hand, k := stuck(t)
	issued := make([]*x509.Certificate, many)
	for i := range issued {
		issued[i] = w.leaf(w.auth, "")
	}
	fresh := w.leaf(w.auth, "")
	w.record(w.auth, append(issued, fresh)...)
	ask := func(c *x509.Certificate) int {
		return tagOf(t, bodyOf(t, w.call("GET", w.pathOf(w.auth, c), nil)))
	}
	for _, c := range issued {
		w.eventually("an answer", func() bool { return ask(c) == 0 })
	}
	w.pass(hand, 70*time.Second)
	k.gate.Lock()
	for _, c := range issued {
		if got := ask(c); got != 0 {
			t.Fatalf("wanted anew and given out as %d", got)
		}
	}
	w.set(w.auth, revoked(certs.ReasonKeyCompromise), issued[0])
	if got := ask(issued[0]); got != -1 {
		t.Errorf("revoked, and nothing is signed: %d", got)
	}
	k.slow.Store(int64(100 * time.Millisecond)) // 200 renewals take 20 s, and as long again for their rests
	k.gate.Unlock()
	for what, c := range map[string]*x509.Certificate{"the revoked one": issued[0], "a new one": fresh} {
		before, tag := k.made.Load(), -1
		w.eventually(what, func() bool { tag = ask(c); return tag >= 0 })
		if want := map[bool]int{true: 1, false: 0}[c == issued[0]]; tag != want {
			t.Errorf("%s is %d", what, tag)
		}
		if made := k.made.Load() - before; made > many/4 {
			t.Errorf("%s waited for %d signatures", what, made)
		}
	}
	k.slow.Store(0)
}

// When a node renews its key, what the old one signed is given out as long as the old one's certificate lasts.
func TestAnswersOutliveTheRenewalOfTheKey(t *testing.T) {
	t.Parallel()
	w, hand, k := stuck(t)
	other := requestFor(idOf(w.signing, crypto.SHA1, w.issued(w.signing).SerialNumber)).der(t)
	der := requestFor(idOf(w.auth, crypto.SHA1, w.issued(w.auth).SerialNumber)).der(t)
	ends := func() (line string) {
		for line = range strings.Lines(gather(t, w.responder)) {
			if strings.HasPrefix(line, `cardinal_ocsp_key_end_seconds{issuer="authentication"}`) {
				break
			}
		}
		return line
	}
	w.pass(hand, 24*time.Hour-5*time.Second)
	var first []byte
	w.eventually("an answer", func() bool { first = w.ask(der); return len(first) > 100 })
	end := ends()
	w.pass(hand, 10*time.Second)
	w.eventually("another certificate", func() bool {
		w.ask(other) // its key has ended, and to look after that one is to look after all
		return ends() != end
	})
	k.gate.Lock()
	if got := w.ask(der); !bytes.Equal(got, first) {
		t.Errorf("after the renewal of the key: %x", got)
	}
	k.gate.Unlock()
	parseAnswer(t, first, w.auth)
	w.eventually("an answer under the new certificate", func() bool { return !bytes.Equal(w.ask(der), first) })
}
