package ocsp_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal"
)

// tagOf is the tag of the CertStatus in an answer about one certificate: 0 good, 1 revoked, 2 unknown; -1 for no answer.
func tagOf(t testing.TB, response []byte) int {
	var outer struct {
		Status asn1.Enumerated
		Bytes  struct {
			Type     asn1.ObjectIdentifier
			Response []byte
		} `asn1:"explicit,tag:0,optional"`
	}
	if _, err := asn1.Unmarshal(response, &outer); err != nil {
		t.Errorf("answer %x: %v", response, err)
	}
	if outer.Status != 0 {
		return -1
	}
	var basic basicResponse
	if _, err := asn1.Unmarshal(outer.Bytes.Response, &basic); err != nil {
		t.Errorf("answer %x: %v", response, err)
		return -1
	}
	return basic.Data.Responses[0].Status.Tag
}

// Eight clients poll without pause while certificates are revoked one after the other. A request that begins after the
// revoking position is reached never gets "good", neither a stored answer nor a signed one.
func TestNoAnswerBegunAfterCommittedSaysGood(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w := newWorld(t)
	w.serve()
	w.ready()
	const certificates = 60
	issued := make([]*x509.Certificate, certificates)
	for i := range issued {
		issued[i] = w.leaf(w.auth, "")
	}
	w.record(w.auth, issued...)
	var gone [certificates]atomic.Bool // set after WaitFor has returned
	var current atomic.Int64
	var polls, stale, told atomic.Int64
	var clients sync.WaitGroup
	for n := range 8 {
		clients.Go(func() {
			c := client(t)
			for current.Load() < certificates {
				i := min(int(current.Load()), certificates-1)
				request := requestFor(idOf(w.auth, crypto.SHA1, issued[i].SerialNumber))
				if n%4 == 3 {
					request.nonce([]byte{4, 1, byte(n)})
				}
				before := gone[i].Load()
				response, err := c.Post(w.server.URL+"/ocsp", "application/ocsp-request", bytes.NewReader(request.der(t)))
				if err != nil {
					t.Error(err)
					return
				}
				tag := tagOf(t, bodyOf(t, response))
				_ = response.Body.Close()
				polls.Add(1)
				if before && tag == 1 {
					told.Add(1)
				} else if before && tag >= 0 { // to be told to try later, where signing was slow, is no promise
					stale.Add(1)
				}
			}
		})
	}
	var worst time.Duration
	for i := range issued {
		time.Sleep(3 * time.Millisecond) // let the answer be stored
		start := time.Now()
		w.set(w.auth, revoked(certs.ReasonKeyCompromise), issued[i])
		gone[i].Store(true)
		worst = max(worst, time.Since(start))
		time.Sleep(5 * time.Millisecond)
		current.Add(1)
	}
	clients.Wait()
	if n := stale.Load(); n > 0 {
		t.Errorf("%d of %d answers, begun after the revocation, said something else", n, polls.Load())
	}
	t.Logf("%d answers to 8 clients, %d of what was revoked; at most %v from the change to the promise", polls.Load(), told.Load(), worst)
}

// A release shows as fast as a revocation, and a hold made final keeps its date.
func TestHoldReleaseAndFinal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ready()
	c := w.issued(w.auth)
	path := getPath(requestFor(idOf(w.auth, crypto.SHA256, c.SerialNumber)).der(t))
	for _, step := range []struct {
		status certs.Status
		tag    int
	}{{held(), 1}, {certs.Status{}, 0}, {held(), 1}, {revoked(certs.ReasonSuperseded), 1}} {
		w.set(w.auth, step.status, c)
		for range 2 {
			r := w.call(http.MethodGet, path, nil)
			if tag := tagOf(t, bodyOf(t, r)); tag != step.tag {
				t.Errorf("after %v the answer is %d", step.status, tag)
			}
		}
	}
}

func TestMassChangeIsAppliedInSlicesAndVoidsEveryAnswer(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w := newWorld(t)
	w.ready()
	c := w.issued(w.auth)
	path := getPath(requestFor(idOf(w.auth, crypto.SHA1, c.SerialNumber)).der(t))
	if tag := tagOf(t, bodyOf(t, w.call("GET", path, nil))); tag != 0 {
		t.Fatalf("answer %d", tag)
	}
	change := certs.StatusChange{Issuer: w.auth.id, Status: held(), Serials: []certs.Serial{serialOf(t, c)}}
	for range 20_000 {
		change.Serials = append(change.Serials, randomSerial(t))
	}
	var bodies [][]byte
	for _, part := range change.Split() {
		bodies = append(bodies, part.Append(nil))
	}
	start := time.Now()
	w.append(journal.KindStatusChanged, bodies...)
	t.Logf("%d serials in %d changes: %v", len(change.Serials), len(bodies), time.Since(start))
	if tag := tagOf(t, bodyOf(t, w.call("GET", path, nil))); tag != 1 {
		t.Errorf("after the mass change: %d", tag)
	}
	for _, s := range change.Serials[:50] {
		if status, err := w.table.Status(w.auth.id, s); err != nil || status.State != certs.StateHeld {
			t.Errorf("serial %s: %v, %v", s, status, err)
		}
	}
}
