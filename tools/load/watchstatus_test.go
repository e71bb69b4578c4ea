package main

import (
	"crypto"
	"crypto/x509"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"cardinal/ocsp/relying"
)

// answering is a responder that says of a certificate what it is told to say, in the order of the questions; the last goes
// on. It echoes whatever it was asked, and any nonce with it.
func answering(t *testing.T, says ...string) (*asker, *revocation) {
	t.Helper()
	issuer := &x509.Certificate{RawSubject: []byte{0x30, 0}, RawSubjectPublicKeyInfo: []byte{0x30, 6, 0x30, 0, 3, 2, 0, 1}}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(77), RawIssuer: issuer.RawSubject}
	var asked atomic.Int64
	var id []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := min(int(asked.Add(1)), len(says)) - 1
		body := map[string]string{"good": "\x80\x00", "revoked": "\xa1\x11", "unknown": "\x82\x00"}[says[n]]
		if body != "" {
			body = string(id) + body
		}
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL + "/ocsp")
	if err != nil {
		t.Fatal(err)
	}
	l := &ocspLoad{target: u, host: u.Host}
	q, err := l.question(leaf, []*x509.Certificate{issuer})
	if err != nil {
		t.Fatal(err)
	}
	q.query = relying.Query{Leaf: leaf, Issuer: issuer, Hash: crypto.SHA1}
	id = q.id
	a := &asker{name: "x", from: l, pause: time.Millisecond}
	t.Cleanup(func() { _ = a.Close() })
	return a, &revocation{query: q, binding: true}
}

func TestWhatIsGoodTooLateIsCounted(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		says     []string
		returned bool // the cancel had returned before the first question
		wrong    int
		later    int
	}{
		"in order":                   {[]string{"good", "good", "revoked"}, false, 0, 0},
		"good after revoked":         {[]string{"good", "revoked", "good", "revoked"}, false, 1, 0},
		"good after it had returned": {[]string{"good", "good", "revoked"}, true, 2, 0},
		"no status for a while":      {[]string{"good", "later", "unknown", "revoked"}, false, 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s sight
			seen := 0
			for after := 30 * time.Millisecond; s.asked < len(test.says); after *= 4 { // it may have slept that long
				a, r := answering(t, test.says...)
				if test.returned {
					now := time.Now()
					r.returned.Store(&now)
				}
				var err error
				seen = 0
				if s, err = a.watch(t.Context(), r, func() { seen++ }, after); err != nil {
					t.Fatal(err)
				}
			}
			if s.revoked.IsZero() || s.wrong != test.wrong || s.later != test.later {
				t.Errorf("%+v", s)
			}
			if seen != 1 {
				t.Errorf("was told to be good %d times", seen)
			}
		})
	}
}

func TestWhoWasNeverGoodIsNotMeasured(t *testing.T) {
	t.Parallel()
	a, r := answering(t, "revoked")
	if _, err := a.watch(t.Context(), r, func() {}, time.Millisecond); !errors.Is(err, errNeverGood) {
		t.Errorf("got %v", err)
	}
}

func TestTheNightLeavesTheSpareCardsAlone(t *testing.T) {
	t.Parallel()
	n := &night{spare: 3}
	n.people.People = 100
	if got, want := n.filter(), "(&(state=active)(!(&(card>=C0000000097)(card<=C0000000099))))"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
