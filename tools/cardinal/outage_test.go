package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	xocsp "golang.org/x/crypto/ocsp"

	"cardinal/internal/ledger/pgtest"
	"cardinal/issuance/api"
)

// outage stands between a server and its database, which can be taken away.
type outage struct {
	url  string
	to   string
	mu   sync.Mutex
	gone bool
	open []net.Conn
}

func newOutage(t *testing.T, databaseURL string) *outage {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &outage{to: pgtest.Socket(databaseURL)}
	_, parameters, _ := strings.Cut(databaseURL, "?")
	o.url = "postgres://app@" + l.Addr().String() + "/postgres?" + strings.ReplaceAll(parameters, "host=", "application_name=")
	t.Cleanup(func() { l.Close(); o.set(true) })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			o.join(near)
		}
	}()
	return o
}

func (o *outage) join(near net.Conn) {
	far, err := net.Dial("unix", o.to)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil || o.gone {
		near.Close()
		return
	}
	o.open = append(o.open, near, far)
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		go func() {
			_, _ = io.Copy(way[0], way[1])
			near.Close()
			far.Close()
		}()
	}
}

// set takes the database away, or brings it back.
func (o *outage) set(gone bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gone = gone
	for _, c := range o.open {
		c.Close()
	}
	o.open = nil
}

// limitOfOutage is for how long a copy is answered from that is not heard of any more.
const limitOfOutage = 2 * time.Second

// TestADatabaseThatIsGoneIsOutlived: answers go on until the limits, then OCSP says tryLater and LDAP unavailable, lists are
// served throughout, updates are refused in time, and when the database is back everything goes on by itself.
func TestADatabaseThatIsGoneIsOutlived(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	databaseURL := pgtest.URL(t)
	w := &followWorld{t: t, dir: t.TempDir(), feed: "127.0.0.1:0"}
	w.pass = w.path("pass")
	w.check(os.WriteFile(w.pass, []byte("x\n"), 0o600))
	w.run("init", "--dir", w.path("w"), "--public-url", "http://127.0.0.1:1", "--ledger-url", databaseURL, "--passphrase-file", w.pass)
	var err error
	w.services, err = readCertificate(filepath.Join(folder(w.path("w")).certificates(), "services.cer"))
	w.check(err)
	database := newOutage(t, databaseURL)
	w.configure(w.path("w"))
	c, err := readConfig(folder(w.path("w")).config())
	w.check(err)
	c.Ledger.URL = database.url
	c.Limits.OCSPAge, c.Limits.DirectoryAge = limitOfOutage, limitOfOutage+time.Second
	text, err := c.commented()
	w.check(err)
	w.check(os.WriteFile(folder(w.path("w")).config(), text, 0o600))
	w.serveWriter(w.path("w"))

	leaf := w.path("w", "keys", "server.cer")
	good := func() bool {
		r, err := w.ask(w.writer, leaf)
		return err == nil && r.Status == xocsp.Good
	}
	shown := func() bool { _, err := entries(w.writer); return err == nil }
	w.until("OCSP says good", good)
	w.add("before")
	w.list(w.writer)

	database.set(true)
	w.answersUntilTooOld(t)
	w.until("LDAP says unavailable", func() bool {
		_, err := entries(w.writer)
		return ldap.IsErrorWithCode(err, ldap.LDAPResultUnavailable)
	})
	w.list(w.writer)
	w.refusesWhileGone(t)

	database.set(false)
	w.until("OCSP says good again", good)
	w.until("LDAP shows entries again", shown)
	w.add("after")
	w.list(w.writer)
}

// answersUntilTooOld asks without pause: whatever the server says it knows as of a time in its limit, until it says tryLater,
// which it says for no other reason than that its copy is too old. It asks about a serial that nobody has: such answers are
// made when they are asked for, while one about a certificate stands until it is used up, as of when it was made.
func (w *followWorld) answersUntilTooOld(t *testing.T) {
	gone, answers := time.Now(), 0
	question := w.questionAboutNothing()
	w.until("OCSP says tryLater", func() bool {
		asked := time.Now()
		r, err := w.askIn(w.writer, question, w.services)
		if isLater(err) {
			if age := readyz(w.writer).Age; age < limitOfOutage.Seconds() {
				t.Errorf("it answers no more, and knows what was so %f s ago", age)
			}
			return true
		}
		w.check(err)
		if r.Status != xocsp.Unknown || asked.Sub(r.ThisUpdate) > limitOfOutage+2*time.Second { // the limit, and what a second and its rounding take
			t.Errorf("%s after the database went: status %d as of %s ago", asked.Sub(gone), r.Status, asked.Sub(r.ThisUpdate))
		}
		answers++
		return false
	})
	t.Logf("%d answers in %s after the database went", answers, time.Since(gone))
}

// questionAboutNothing is a question about a serial of the Services CA that was never given out.
func (w *followWorld) questionAboutNothing() []byte {
	w.t.Helper()
	found, err := readCertificates(w.path("w", "keys", "server.cer"))
	w.check(err)
	known, err := xocsp.CreateRequest(found[0], w.services, nil)
	w.check(err)
	about, err := xocsp.ParseRequest(known)
	w.check(err)
	about.SerialNumber = big.NewInt(0x1234567890)
	question, err := about.Marshal()
	w.check(err)
	return question
}

// stationsAreToldToWait: what reads and what writes is answered 503 with a time to ask again.
func (w *followWorld) stationsAreToldToWait(t *testing.T) {
	operator := w.path("w", "operators", "manager.pem")
	own, err := tls.LoadX509KeyPair(operator, operator)
	w.check(err)
	trust, err := os.ReadFile(w.path("w", "trust.pem"))
	w.check(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(trust)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{own}}}
	defer transport.CloseIdleConnections()
	station := &http.Client{Transport: transport, Timeout: time.Minute}
	reason := `{"reason":"found again"}`
	for _, ask := range [][3]string{{"GET", "/v1/persons", ""}, {"POST", "/v1/cards/C0000000001/resume", reason}, {"GET", "/v1/health", ""}} {
		request, err := http.NewRequest(ask[0], w.writer.Issuance+ask[1], strings.NewReader(ask[2]))
		w.check(err)
		if ask[2] != "" {
			request.Header.Set("Content-Type", "application/json")
		}
		response, err := station.Do(request)
		w.check(err)
		var problem api.Problem
		err = json.NewDecoder(response.Body).Decode(&problem)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusServiceUnavailable || problem.Rule != "ledger.unreachable" || response.Header.Get("Retry-After") == "" {
			t.Errorf("%s %s: %s, Retry-After %q, %+v, %v", ask[0], ask[1], response.Status, response.Header.Get("Retry-After"), problem, err)
		}
	}
	if code, _, stderr := program(t, "person", "list", "--as", operator, "--server", w.writer.Issuance, "--trust", w.path("w", "trust.pem")); code != exitUnreachable {
		t.Errorf("a station's command ends with %d: %s", code, stderr)
	}
}

// refusesWhileGone: an update and a station's request end in time, and the server is alive and not ready.
func (w *followWorld) refusesWhileGone(t *testing.T) {
	c, err := ldap.DialURL(w.writer.LDAP)
	w.check(err)
	defer c.Close()
	c.SetTimeout(60 * time.Second)
	add := ldap.NewAddRequest("cn=meanwhile,ou=Services,o=nhs", nil)
	add.Attribute("objectClass", []string{"applicationProcess"})
	if err = c.Bind("cn=root,o=nhs", "root"); err == nil {
		err = c.Add(add)
	}
	if !ldap.IsErrorWithCode(err, ldap.LDAPResultUnavailable) {
		t.Errorf("an update while the database is gone: %v", err)
	}
	w.stationsAreToldToWait(t)
	if r := readyz(w.writer); r.Ready {
		t.Errorf("it calls itself ready: %+v", r)
	}
	answer, err := http.Get(w.writer.Operations + "/healthz")
	w.check(err)
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("healthz: %s", answer.Status)
	}
}
