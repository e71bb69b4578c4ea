package feed_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"cardinal/internal/journal"
	"cardinal/internal/journal/feed"
)

// byCertificate admits a node by all certificates but one that has ended.
type byCertificate struct{ ended atomic.Pointer[[]byte] }

func (b *byCertificate) Admit(_ context.Context, der []byte) (feed.Node, error) {
	if ended := b.ended.Load(); ended != nil && bytes.Equal(*ended, der) {
		return feed.Node{}, feed.ErrRevoked
	}
	return feed.Node{Name: "n1", Scope: feed.Central}, nil
}

// behind serves handler as the writer of a world would, to nodes that show what current gives.
func behind(t *testing.T, handler http.Handler, current func() *tls.Certificate) feed.ClientConfig {
	t.Helper()
	authority, key := newAuthority(t)
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	serving := leaf(t, authority, key, x509.ExtKeyUsageServerAuth)
	s := httptest.NewUnstartedServer(handler)
	s.TLS = feed.TLSConfig(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &serving, nil }, func() *x509.CertPool { return pool }, time.Now)
	s.StartTLS()
	t.Cleanup(s.Close)
	mine := leaf(t, authority, key, x509.ExtKeyUsageClientAuth)
	if current == nil {
		current = func() *tls.Certificate { return &mine }
	}
	return feed.ClientConfig{URLs: []string{s.URL}, TLS: &tls.Config{RootCAs: pool, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if c := current(); c != nil {
			return c, nil
		}
		next := leaf(t, authority, key, x509.ExtKeyUsageClientAuth)
		return &next, nil
	}}}
}

func newClient(t *testing.T, c feed.ClientConfig) *feed.Client {
	t.Helper()
	client, err := feed.NewClient(c.Patient())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// TestWhatIsAskedAfterARenewalShowsTheNewCertificate: a connection in use shows the certificate it was made with for as
// long as it stands, past the end of that.
func TestWhatIsAskedAfterARenewalShowsTheNewCertificate(t *testing.T) {
	t.Parallel()
	j, registry := journal.NewMemory(), &byCertificate{}
	p := j.Append(journal.KindEntryAdded, 1, []byte("entry"))
	var shown atomic.Pointer[[]byte]
	var waiting atomic.Bool
	server := feed.NewServer(feed.Config{Feed: j, Registry: registry, Leases: feed.NewLeases(nil)})
	c := newClient(t, behind(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown.Store(&r.TLS.PeerCertificates[0].Raw)
		waiting.Store(r.URL.Query().Get("wait") != "0")
		server.ServeHTTP(w, r)
	}), func() *tls.Certificate { return nil })) // a new one for each connection
	if _, err := c.Head(t.Context()); err != nil {
		t.Fatal(err)
	}
	old := *shown.Load()
	waited := make(chan error, 1)
	go func() { waited <- c.Wait(t.Context(), p) }()
	for !waiting.Load() {
		time.Sleep(time.Millisecond)
	}
	c.Reconnect() // in the middle of a question, as it always will be
	j.Append(journal.KindEntryAdded, 1, []byte("entry"))
	if err := <-waited; err != nil {
		t.Errorf("the question under way: %v", err)
	}
	registry.ended.Store(&old)
	if _, err := c.Read(t.Context(), 0, 1); err != nil || bytes.Equal(*shown.Load(), old) {
		t.Errorf("after the old certificate's end: %v", err)
	}
	// Who never renewed is refused once, and shows what it has by then.
	late := *shown.Load()
	registry.ended.Store(&late)
	if _, err := c.Read(t.Context(), 0, 1); !errors.Is(err, feed.ErrRevoked) {
		t.Errorf("with a certificate that has ended: %v", err)
	}
	if _, err := c.Read(t.Context(), 0, 1); err != nil {
		t.Errorf("asked again: %v", err)
	}
}

func TestANodeMayNotAskForCertificatesWithoutEnd(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	now := func() time.Time { return time.Unix(1e9, 0).Add(time.Duration(ahead.Load())) }
	server := feed.NewServer(feed.Config{Feed: journal.NewMemory(), Registry: &byCertificate{}, Leases: feed.NewLeases(nil), Now: now})
	answered := 0
	server.HandleCostly("POST /v1/certificate", func(http.ResponseWriter, *http.Request, feed.Node) { answered++ })
	c := newClient(t, behind(t, server, nil))
	ask := func() error { _, err := c.Post(t.Context(), "/v1/certificate", nil, 10); return err }
	for range 60 {
		if err := ask(); err != nil {
			t.Fatalf("after %d: %v", answered, err)
		}
	}
	if err := ask(); !errors.Is(err, feed.ErrTooOften) || errors.Is(err, journal.ErrRefused) || answered != 60 {
		t.Errorf("once more: %v, %d answered", err, answered)
	}
	if _, err := c.Head(t.Context()); err != nil {
		t.Errorf("it may follow: %v", err)
	}
	ahead.Store(int64(time.Minute))
	if err := ask(); err != nil {
		t.Errorf("a minute later: %v", err)
	}
	if err := ask(); !errors.Is(err, feed.ErrTooOften) {
		t.Errorf("and once more: %v", err)
	}
}

// cutter ends an answer after so many bytes, once each.
type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(p []byte) (int, error) {
	if c.left < len(p) {
		_, _ = c.ResponseWriter.Write(p[:c.left])
		panic(http.ErrAbortHandler)
	}
	c.left -= len(p)
	return c.ResponseWriter.Write(p)
}

func (c *cutter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func TestAContentGoesOnWhereItWasCut(t *testing.T) {
	t.Parallel()
	data := make([]byte, 5<<20)
	for i := range data {
		data[i] = byte(rand.Int())
	}
	for name, ranges := range map[string]bool{"a writer that knows ranges": true, "one that does not": false} {
		j := journal.NewMemory()
		hash := j.PutContent(data)
		server := feed.NewServer(feed.Config{Feed: j, Registry: &byCertificate{}, Leases: feed.NewLeases(nil)})
		var asked []string
		c := newClient(t, behind(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, r.Header.Get("Range"))
			if !ranges {
				r.Header.Del("Range")
			}
			left := len(data)
			if len(asked) < 3 {
				left = 2 << 20
				if !ranges {
					left *= len(asked)
				}
			}
			server.ServeHTTP(&cutter{w, left}, r)
		}), nil))
		r, err := c.Content(t.Context(), hash)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes of %d: %v", name, len(got), len(data), err)
		}
		if len(asked) != 3 || asked[0] != "" || asked[1] == "" || asked[1] == asked[2] {
			t.Errorf("%s was asked for %q", name, asked)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestARangeBeyondTheEndIsRefused(t *testing.T) {
	t.Parallel()
	j := journal.NewMemory()
	hash := j.PutContent([]byte("short"))
	server := feed.NewServer(feed.Config{Feed: j, Registry: &byCertificate{}, Leases: feed.NewLeases(nil)})
	config := behind(t, server, nil)
	secure := config.TLS.Clone()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: secure}}
	defer client.CloseIdleConnections()
	for asked, want := range map[string]string{"bytes=0-": "200 short", "bytes=2-": "206 ort", "bytes=5-": "206 ", "bytes=6-": "400", "bytes=-2": "200 short",
		"bytes=1-2": "200 short", "lines=1-": "200 short", "bytes=99999999999999999999-": "200 short"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, config.URLs[0]+"/v1/blob/"+hash.String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Range", asked)
		answer, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		got := answer.Status[:3] + " " + string(body)
		if err != nil || got != want && got[:3] != want {
			t.Errorf("%s: %q, %v", asked, got, err)
		}
	}
}

// TestAClockThatIsSetBetweenAnswersIsNoticed: so is a host that slept.
func TestAClockThatIsSetBetweenAnswersIsNoticed(t *testing.T) {
	t.Parallel()
	server := feed.NewServer(feed.Config{Feed: journal.NewMemory(), Registry: &byCertificate{}, Leases: feed.NewLeases(nil)})
	var set atomic.Int64
	config := behind(t, server, nil)
	config.Now = func() time.Time { return time.Now().Round(0).Add(time.Duration(set.Load())) }
	c := newClient(t, config)
	if _, err := c.Head(t.Context()); err != nil {
		t.Fatal(err)
	}
	if skew := c.Skew(); skew.Abs() > 10*time.Second {
		t.Errorf("clocks that agree differ by %s", skew)
	}
	for _, leap := range []time.Duration{3 * time.Hour, -3 * time.Hour} {
		set.Store(int64(leap))
		if off := (c.Skew() + leap).Abs(); off > 10*time.Second {
			t.Errorf("a clock set by %s: differs by %s before anything is asked", leap, c.Skew())
		}
		if _, err := c.Head(t.Context()); err != nil {
			t.Fatal(err)
		}
		if off := (c.Skew() + leap).Abs(); off > 10*time.Second {
			t.Errorf("a clock set by %s: differs by %s", leap, c.Skew())
		}
	}
}

func TestANodeHearsOfAnotherConfiguration(t *testing.T) {
	t.Parallel()
	var name atomic.Pointer[string]
	set := func(s string) { name.Store(&s) }
	set("one")
	server := feed.NewServer(feed.Config{Feed: journal.NewMemory(), Registry: &byCertificate{}, Leases: feed.NewLeases(nil),
		Configuration: func(s feed.Scope) string { return string(s) + " " + *name.Load() }})
	c := newClient(t, behind(t, server, nil))
	told, changed := c.Configuration()
	if told != "" {
		t.Errorf("before anything was asked: %q", told)
	}
	for _, next := range []string{"one", "two"} {
		set(next)
		if _, err := c.Head(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-changed
		if told, changed = c.Configuration(); told != "central "+next {
			t.Errorf("told %q", told)
		}
	}
}
