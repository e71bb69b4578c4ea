package ca_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cardinal/ca"
	"cardinal/certs"
	"cardinal/internal/replica"
	"cardinal/ocsp"
)

// listenPublic listens where certificates are to say that lists are.
func listenPublic(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// newWorldAt is a world whose certificates name an address that can be asked.
func newWorldAt(t *testing.T, l net.Listener) *world {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ledger.db")
	w := &world{public: "http://" + l.Addr().String(), clock: &clock{now: time.Now()}}
	var err error
	if w.hierarchy, err = ceremony(path, w.public, w.Now()); err != nil {
		t.Fatal(err)
	}
	return openWorld(t, path, w)
}

// nobody certifies no responder keys: the node serves lists alone.
type nobody struct{}

// Responder implements ocsp.Enroller.
func (nobody) Responder(context.Context, certs.IssuerID, []byte) ([]byte, error) {
	return nil, ocsp.ErrNotServed
}

// serveLists serves the ledger's lists at l as a node does, from a copy that follows it, until the test ends.
func (s *shelf) serveLists(l net.Listener) {
	s.Helper()
	table := ocsp.NewTable()
	copied, err := replica.Open(s.Context(), replica.Options{Path: filepath.Join(s.TempDir(), "replica.db"), Feed: s.ledger.Feed(), Appliers: []replica.Applier{table}})
	if err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	followed, served := make(chan error, 1), make(chan error, 1)
	server := ocsp.New(ocsp.Config{Table: table, Replica: copied, Enroller: nobody{}}).NewServer(&http.Server{})
	go func() { followed <- copied.Follow(ctx) }()
	go func() { served <- server.Serve(l) }()
	s.Cleanup(func() {
		cancel()
		last, stop := context.WithTimeout(context.Background(), 10*time.Second)
		defer stop()
		_ = server.Shutdown(last) // a client may hold a connection
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			s.Errorf("serving: %v", err)
		}
		if err := errors.Join(<-followed, copied.Close()); err != nil {
			s.Errorf("following: %v", err)
		}
	})
	head, err := s.ledger.Head(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	if err := copied.WaitFor(s.Context(), head.Position); err != nil {
		s.Fatal(err)
	}
	for _, c := range s.certificates { // what lists hold comes after their announcement
		s.waitFor("its list at "+c.CRLDistributionPoints[0], func() bool {
			r, err := http.Get(c.CRLDistributionPoints[0])
			if err != nil {
				return false
			}
			_ = r.Body.Close()
			return r.StatusCode == http.StatusOK
		})
	}
}

// fetch is the list at the URL in a cell's certificate.
func (s *shelf) fetch(t *testing.T, c cell) []byte {
	t.Helper()
	r, err := http.Get(s.certificates[c.state].CRLDistributionPoints[0])
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	der, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v", r.Status, err)
	}
	return der
}

// dirmngrTakesNoShard: GnuPG 2.2 fetches by the URL too, and takes no list of a part (nor one of an ECDSA key): that it says
// so, and does not call the certificate good, is what can be asked of it.
func (s *shelf) dirmngrTakesNoShard(t *testing.T) {
	need(t, "dirmngr", "dirmngr")
	url := s.certificates["good"].CRLDistributionPoints[0]
	home := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "dirmngr", "--server", "--homedir", home, "--hkp-cacert", s.path(ca.Authentication+".pem"))
	cmd.Stdin = strings.NewReader("LOADCRL --url " + url + "\nBYE\n")
	said, _ := cmd.CombinedOutput()
	out := string(said)
	if !strings.Contains(out, "processing CRL from '"+url) || !strings.Contains(out, "\nERR ") {
		t.Errorf("it was to fetch the list and refuse it: %s", out)
	}
}
