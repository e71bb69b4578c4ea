package ocsp_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"io"
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/internal/replica"
	"cardinal/ocsp"
)

// inOrder checks that an answer is not from the future and not over (RFC 6960 §4.2.2.1), by the clock the node goes by.
func inOrder(t *testing.T, der []byte, a *authority, now time.Time) *responseData {
	t.Helper()
	d := parseAnswer(t, der, a)
	for _, s := range d.Responses {
		if s.ThisUpdate.After(d.ProducedAt) || d.ProducedAt.After(now) {
			t.Errorf("this %s, produced %s, now %s", s.ThisUpdate, d.ProducedAt, now)
		}
	}
	return d
}

// A node's clock is set back and forth, by less and by more than its answers last. No answer is ever from the future,
// none older than what the copy is complete as of, and what was revoked meanwhile is revoked at every time.
func TestClockStepsNeverMakeAnswersFromTheFuture(t *testing.T) {
	t.Parallel()
	w, hand := renewing(t)
	still, gone := w.issued(w.auth), w.issued(w.auth)
	request := func(c *x509.Certificate) []byte {
		return requestFor(idOf(w.auth, crypto.SHA1, c.SerialNumber)).der(t)
	}
	answered := func(c *x509.Certificate) (body []byte) {
		w.eventually("an answer after the step", func() bool { body = w.ask(request(c)); return len(body) > 100 })
		return body
	}
	answered(gone) // and it is stored
	for i, step := range []time.Duration{2 * time.Second, -2 * time.Second, -3 * time.Minute, 10 * time.Minute, -time.Hour, time.Hour, 24 * time.Hour, -24 * time.Hour} {
		answered(still)
		if i == 2 {
			w.set(w.auth, revoked(certs.ReasonKeyCompromise), gone)
		}
		hand.add(step)
		for range 2 { // a new one and, where it may be kept, the stored one
			body := answered(still)
			d := inOrder(t, body, w.auth, hand.now())
			if limit := time.Now().Add(2 * time.Minute); d.Responses[0].NextUpdate.After(limit) {
				t.Errorf("after a step of %s: lasts until %s, which no copy of now may promise", step, d.Responses[0].NextUpdate)
			}
		}
		want := 0
		if i >= 2 {
			want = 1
		}
		d := inOrder(t, answered(gone), w.auth, hand.now())
		if d.Responses[0].Status.Tag != want {
			t.Errorf("after a step of %s: status %d, want %d", step, d.Responses[0].Status.Tag, want)
		}
	}
}

// A step back by less than a copy's age: the stored answer would not be newer than the copy, but made in the future.
func TestAnswersStoredInTheFutureAreDropped(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w, hand := renewing(t)
	c := w.issued(w.auth)
	der := requestFor(idOf(w.auth, crypto.SHA1, c.SerialNumber)).der(t)
	w.feed.SetFault(func(string) error { return io.ErrUnexpectedEOF }) // the copy's time stands still
	hand.add(30 * time.Second)
	inOrder(t, w.ask(der), w.auth, hand.now())
	hand.add(-20 * time.Second)
	inOrder(t, w.ask(der), w.auth, hand.now())
	w.feed.SetFault(nil)
}

// A site is cut off: while its limit lasts its answers can be relied on, but never for longer than that limit; then there
// are none.
func TestASiteThatIsCutOffAnswersUntilItsLimitAndNoLonger(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	const limit, lasts = 4 * time.Second, time.Second
	w := newWorld(t, func(_ *world, c *ocsp.Config, _ *replica.Options) {
		c.Limits.Stale = limit
		c.Policy = func(string) ocsp.Policy { return ocsp.Policy{NextUpdate: lasts} }
	})
	w.serve()
	w.ready()
	c := w.issued(w.auth)
	der := requestFor(idOf(w.auth, crypto.SHA1, c.SerialNumber)).der(t)
	w.feed.SetFault(func(string) error { return io.ErrUnexpectedEOF })
	cut := time.Now()
	late := 0
	w.eventually("its limit", func() bool {
		asked := time.Now()
		body := w.ask(der)
		if bytes.Equal(body, tryLater) {
			if age := time.Since(w.replica.State().Time); age < limit-time.Second {
				t.Errorf("it answers no more, and knows what was so %s ago", age)
			}
			return true
		}
		s := inOrder(t, body, w.auth, time.Now()).Responses[0]
		if asked.Sub(cut) > lasts+time.Second {
			late++
		}
		if over := s.NextUpdate.Before(asked.Truncate(time.Second)); over || s.NextUpdate.After(s.ThisUpdate.Add(limit)) {
			t.Errorf("%s after the cut: as of %s, until %s", asked.Sub(cut), s.ThisUpdate, s.NextUpdate)
		}
		time.Sleep(50 * time.Millisecond)
		return time.Since(cut) > limit+20*time.Second
	})
	if took := time.Since(cut); took > limit+15*time.Second {
		t.Errorf("it stopped after %s", took)
	}
	t.Logf("it answered %d times after the first answers were over", late) // never, when the machine slept that long
	w.feed.SetFault(nil)
	w.eventually("answers again", func() bool { return len(w.ask(der)) > 100 })
}
