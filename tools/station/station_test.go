package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cardinal/ca"
	"cardinal/internal/journal"
	"cardinal/issuance/api"
	"cardinal/issuance/card"
	"cardinal/issuance/issuancetest"
	"cardinal/issuance/server"
	"cardinal/policies"
)

// office is a world with its server over TLS, and files as operators have them.
type office struct {
	*issuancetest.World
	url, folder string
	lose        atomic.Int32 // so many next answers are lost on the way
}

type atOnce struct{}

func (atOnce) WaitFor(context.Context, journal.Position) error { return nil }

func openOffice(t *testing.T) *office {
	t.Helper()
	if testing.Short() {
		t.Skip("short")
	}
	o := &office{World: issuancetest.New(t, ""), folder: t.TempDir()}
	handler, err := server.New(server.Config{Issuance: o.Desk, Waiter: atOnce{}})
	check(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	issuers := x509.NewCertPool()
	issuers.AddCert(o.Issuers[ca.Authentication].Certificate)
	issuers.AddCert(o.Issuers[ca.Services].Certificate)
	lossy := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && (strings.HasSuffix(r.URL.Path, "/issue") || strings.HasSuffix(r.URL.Path, "/renew")) && o.lose.Add(-1) >= 0 {
			handler.ServeHTTP(discard{http.Header{}}, r)
			panic(http.ErrAbortHandler)
		}
		handler.ServeHTTP(w, r)
	})
	config := server.TLSConfig(o.certificate(), func() *x509.CertPool { return issuers })
	config.Certificates = nil // a new one each time, since the clock is turned by years
	config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		certificate := o.certificate()
		return &certificate, nil
	}
	web := &http.Server{Handler: lossy, TLSConfig: config, ReadHeaderTimeout: time.Minute}
	go func() { _ = web.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = web.Close() })
	o.url = "https://" + listener.Addr().String()
	o.write("trust.pem", block("CERTIFICATE", o.Issuers[ca.Root].Certificate.Raw))
	o.operator("manager.pem", o.Manager)
	o.operator("sponsor.pem", o.Sponsor)
	return o
}

// discard is where an answer goes that is lost on the way.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func (o *office) write(name string, data []byte) string {
	o.Helper()
	path := filepath.Join(o.folder, name)
	check(o, os.WriteFile(path, data, 0o600))
	return path
}

func (o *office) operator(name string, hand *issuancetest.Hand) {
	o.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(hand.Key)
	check(o, err)
	o.write(name, append(block("PRIVATE KEY", key), block("CERTIFICATE", hand.Certificate.Raw)...))
}

func (o *office) certificate() tls.Certificate {
	o.Helper()
	key := issuancetest.NewKey(o)
	issued, _, err := o.Authority.Issue(o.Context(), []ca.Order{{Issuer: ca.Services, Request: policies.Request{
		Profile: policies.ProfileServer, PublicKey: key.Public(),
		Subject: policies.Subject{CommonName: "issuance", IPs: []net.IP{net.IPv4(127, 0, 0, 1)}}}}}, nil)
	check(o, err)
	return tls.Certificate{PrivateKey: key, Certificate: [][]byte{issued[0].Certificate.Raw, o.Issuers[ca.Services].Certificate.Raw}}
}

// station runs one command with the office's clock and trust; stdin answers
// the questions.
func (o *office) station(stdin string, args ...string) (string, error) {
	o.Helper()
	var out, log bytes.Buffer
	s := &station{stdin: strings.NewReader(stdin), out: &out, err: &log, now: o.Now,
		wait: func(context.Context, time.Duration) error { return nil }}
	s.in = bufio.NewReader(s.stdin)
	s.env = func(name string) string {
		return map[string]string{"CARDINAL_TRUST": filepath.Join(o.folder, "trust.pem")}[name]
	}
	err := s.run(o.Context(), append(args, "--json"))
	if err != nil {
		o.Logf("station %s: %v\n%s", strings.Join(args, " "), err, log.String())
	}
	return out.String(), err
}

func (o *office) file(name string) string { return filepath.Join(o.folder, name) }

func (o *office) issue(id, cardFile string, more ...string) (result, error) {
	o.Helper()
	args := []string{"issue", "--case", id, "--card", cardFile, "--url", o.url, "--as", o.file("manager.pem")}
	out, err := o.station(card.DefaultPIN+"\n", append(args, more...)...)
	var r result
	if err == nil {
		check(o, json.Unmarshal([]byte(out), &r))
	}
	return r, err
}

func (o *office) newCard(name string) string {
	o.Helper()
	_, err := o.station("", "card", "create", o.file(name))
	check(o, err)
	return o.file(name)
}

func wantCode(t *testing.T, err error, code int) {
	t.Helper()
	var f *failure
	if !errors.As(err, &f) || f.code != code {
		t.Fatalf("got %v, want exit code %d", err, code)
	}
}

func TestIssueShowAndRenewACard(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	uuid := o.Person("Alex", "Example")
	file := o.newCard("alex.card")
	issued, err := o.issue(o.Approved(uuid).ID, file, "--hand-over")
	check(t, err)
	if issued.State != api.CardActive || issued.Serials.Signature == "" {
		t.Errorf("issued %+v", issued)
	}
	out, err := o.station("", "show", "--card", file, "--url", o.url, "--as", o.file("manager.pem"))
	check(t, err)
	var v shown
	check(t, json.Unmarshal([]byte(out), &v))
	if v.Authentication.Subject != string(uuid) || v.Signature.Subject != string(uuid)+"_Alex_Example" || v.State != api.CardActive || v.Tries != 3 {
		t.Errorf("shown %s", out)
	}
	renew := []string{"renew", "--card", file, "--url", o.url}
	_, err = o.station(card.DefaultPIN+"\n", renew...)
	wantCode(t, err, 3) // his card has years to go
	_, err = o.station("000000\n", renew...)
	wantCode(t, err, 3)
	o.Advance(3*365*24*time.Hour - 60*24*time.Hour)
	out, err = o.station(card.DefaultPIN+"\n", renew...)
	check(t, err)
	var renewed result
	check(t, json.Unmarshal([]byte(out), &renewed))
	if renewed.Card != issued.Card || renewed.Serials == issued.Serials {
		t.Errorf("renewed %+v after %+v", renewed, issued)
	}
}

func TestAgentRenewsForTheHolder(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	o.operator("agent.pem", o.agent())
	file := o.newCard("alex.card")
	_, err := o.issue(o.Approved(o.Person("Alex", "Example")).ID, file, "--hand-over")
	check(t, err)
	_, err = o.station(card.DefaultPIN+"\n", "renew", "--card", file, "--url", o.url, "--as", o.file("agent.pem"))
	check(t, err)
}

func (o *office) agent() *issuancetest.Hand {
	_, _, hand := o.Holder("Robin", "S8000:G8000:R5090")
	return hand
}

// TestLostAnswerIsAskedForAgain loses the answer to the first request, then
// every answer of a run; the next run takes the same request up.
func TestLostAnswerIsAskedForAgain(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	file := o.newCard("alex.card")
	o.lose.Store(1)
	_, err := o.issue(o.Approved(o.Person("Alex", "Example")).ID, file)
	check(t, err)
	second := o.newCard("sam.card")
	id := o.Approved(o.Person("Sam", "Sample")).ID
	o.lose.Store(100)
	_, err = o.issue(id, second)
	wantCode(t, err, 4)
	o.lose.Store(0)
	issued, err := o.issue(id, second)
	check(t, err)
	if issued.Card == "" {
		t.Error("no card")
	}
	if _, err := os.Stat(second + ".pending"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the request is still kept: %v", err)
	}
}

// TestAgentFinishesALostRenewal: the holder's own renewal was recorded, its
// answer lost, and his old key is gone.
func TestAgentFinishesALostRenewal(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	o.operator("agent.pem", o.agent())
	file := o.newCard("alex.card")
	issued, err := o.issue(o.Approved(o.Person("Alex", "Example")).ID, file, "--hand-over")
	check(t, err)
	o.Advance(3*365*24*time.Hour - 60*24*time.Hour)
	renew := []string{"renew", "--card", file, "--url", o.url}
	o.lose.Store(100)
	_, err = o.station(card.DefaultPIN+"\n", renew...)
	wantCode(t, err, 4)
	o.lose.Store(0)
	_, err = o.station(card.DefaultPIN+"\n", renew...)
	wantCode(t, err, 3)
	out, err := o.station(card.DefaultPIN+"\n", append(renew, "--as", o.file("agent.pem"))...)
	check(t, err)
	var renewed result
	check(t, json.Unmarshal([]byte(out), &renewed))
	if renewed.Card != issued.Card || renewed.Serials == issued.Serials {
		t.Errorf("finished %+v after %+v", renewed, issued)
	}
}

func TestIssuedCaseIsNotIssuedToAnotherCard(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	first, second := o.newCard("alex.card"), o.newCard("other.card")
	id := o.Approved(o.Person("Alex", "Example")).ID
	_, err := o.issue(id, first)
	check(t, err)
	before, err := os.ReadFile(second)
	check(t, err)
	_, err = o.issue(id, second)
	wantCode(t, err, 3)
	after, err := os.ReadFile(second)
	check(t, err)
	if !bytes.Equal(before, after) {
		t.Error("the second card's keys are gone for nothing")
	}
}

func TestDeskWorksThroughTheDay(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	file := o.newCard("alex.card")
	o.Approved(o.Person("Alex", "Example"))
	answers := "7\n1\n" + o.file("none.card") + "\n" + // no such number; no such card
		"1\n" + file + "\n" + card.DefaultPIN + "\ny\n"
	out, err := o.station(answers, "desk", "--url", o.url, "--as", o.file("manager.pem"))
	check(t, err)
	var r result
	check(t, json.Unmarshal([]byte(out), &r))
	if r.State != api.CardActive {
		t.Errorf("state %s", r.State)
	}
}

func TestRefusalsLeaveTheCardAlone(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	file := o.newCard("alex.card")
	before, err := os.ReadFile(file)
	check(t, err)
	uuid := o.Person("Alex", "Example")
	c, _, err := o.Desk.RequestCase(t.Context(), o.Manager.Operator(), uuid, "")
	check(t, err)
	_, err = o.issue(c.ID, file)
	wantCode(t, err, 3)
	_, err = o.issue("no-such-case", file)
	if err == nil {
		t.Error("issued a case that is not there")
	}
	after, err := os.ReadFile(file)
	check(t, err)
	if !bytes.Equal(before, after) {
		t.Error("a refused case changed the card")
	}
}

func TestUsageIsToldApart(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"issue"}, {"nothing"}, {"show"}, {"show", "--card", "a", "--reader", "b"},
		{"show", "--reader", "b", "extra"}, {"issue", "--case", "c"}, {"renew", "--card"}} {
		var out, log bytes.Buffer
		err := run(t.Context(), args, streams{strings.NewReader(""), &out, &log})
		if len(args) > 1 && args[1] == "--reader" && err == nil {
			continue
		}
		var f *failure
		if !errors.As(err, &f) || f.code != 2 {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func TestPINIsChangedAndUnblocked(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "alex.card")
	do := func(stdin string, args ...string) error {
		var out, log bytes.Buffer
		return run(t.Context(), args, streams{strings.NewReader(stdin), &out, &log})
	}
	check(t, do("", "card", "create", path, "--serial", "4711"))
	wantCode(t, do("", "card", "create", path), 1)
	check(t, do("123456\n654321\n654321\n", "pin", "change", "--card", path))
	wantCode(t, do("123456\n111111\n111111\n", "pin", "change", "--card", path), 3)
	wantCode(t, do("654321\n111111\n222222\n", "pin", "change", "--card", path), 2)
	check(t, do("12345678\n111111\n111111\n", "pin", "unblock", "--card", path))
	wantCode(t, do("", "pin", "unblock", "--card", path), 2)
}
