package api_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"cardinal/issuance/api"
)

// answering is a TLS server that always says the same, and a client of it.
func answering(t *testing.T, status int, kind, body string) *api.Client {
	t.Helper()
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	t.Cleanup(srv.Close)
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	c, err := api.New(srv.URL, &tls.Config{RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestFailuresAreSortedForExitCodes(t *testing.T) {
	t.Parallel()
	const problem = "application/problem+json"
	for _, c := range []struct {
		status     int
		kind, body string
		want       api.Class
	}{
		{200, "application/json", `{"identity":"x","kind":"card","roles":[],"activities":[]}`, api.ClassDone},
		{200, "application/json", `not JSON`, api.ClassUnreachable},
		{302, "text/html", `elsewhere`, api.ClassUnreachable},
		{400, problem, `{"rule":"request.body","field":"person"}`, api.ClassUsage},
		{403, problem, `{"rule":"role"}`, api.ClassRefused},
		{404, problem, `{"rule":"case.unknown"}`, api.ClassUsage},
		{404, "text/plain", `404 page not found`, api.ClassUnreachable},
		{409, problem, `{"rule":"case.state"}`, api.ClassRefused},
		{413, problem, `{"rule":"request.size"}`, api.ClassUsage},
		{422, problem, `{"rule":"rsa-roca"}`, api.ClassRefused},
		{500, problem, `{"rule":"internal"}`, api.ClassUnreachable},
		{502, "text/html", `<h1>bad gateway</h1>`, api.ClassUnreachable},
		{503, problem, `{"rule":"ledger.quarantine"}`, api.ClassUnreachable},
	} {
		_, err := answering(t, c.status, c.kind, c.body).Self(t.Context())
		if got := api.ClassOf(err); got != c.want {
			t.Errorf("%d %s %s: class %d (%v), want %d", c.status, c.kind, c.body, got, err, c.want)
		}
	}
}

func TestNobodyListeningIsUnreachable(t *testing.T) {
	t.Parallel()
	c := answering(t, 200, "application/json", `{}`)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Health(ctx)
	var u *api.Unreachable
	if !errors.As(err, &u) || !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled request: %v", err)
	}
	c, err = api.New("https://127.0.0.1:1", &tls.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Health(t.Context()); !errors.As(err, &u) {
		t.Errorf("nobody listens: %v", err)
	}
}

func TestRequestsThatCannotBeAskedAreUsage(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"http://127.0.0.1:1", "127.0.0.1:1", "https://", "https://%"} {
		if _, err := api.New(base, &tls.Config{}); err == nil {
			t.Errorf("%q was taken for an address", base)
		}
	}
	_, err := answering(t, 200, "application/json", `{}`).Case(t.Context(), "")
	if err == nil || api.ClassOf(err) != api.ClassUsage {
		t.Errorf("an empty path value: %v", err)
	}
}

func TestHolderProofIsForOneCardAndRequest(t *testing.T) {
	t.Parallel()
	elliptical, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	modular, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	first, err := api.NewHolderProof(elliptical, "C0000000001", "request-1", now)
	if err != nil {
		t.Fatal(err)
	}
	second, err := api.NewHolderProof(modular, "C0000000001", "request-1", now)
	if err != nil {
		t.Fatal(err)
	}
	for name, ok := range map[string]bool{
		"its own key":     first.Verify(elliptical.Public(), "C0000000001", "request-1"),
		"an RSA key":      second.Verify(modular.Public(), "C0000000001", "request-1"),
		"another key":     !first.Verify(modular.Public(), "C0000000001", "request-1"),
		"another card":    !first.Verify(elliptical.Public(), "C0000000002", "request-1"),
		"another request": !first.Verify(elliptical.Public(), "C0000000001", "request-2"),
	} {
		if !ok {
			t.Errorf("judged wrongly under %s", name)
		}
	}
	first.SignedAt = first.SignedAt.Add(time.Second)
	if first.Verify(elliptical.Public(), "C0000000001", "request-1") {
		t.Error("believed with another time")
	}
}
