package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cardinal/ca"
	"cardinal/issuance"
	"cardinal/issuance/issuancetest"
	"cardinal/issuance/server"
	"cardinal/policies"
)

// counter is a desk behind TLS, and files as operators have them.
type counter struct {
	*issuancetest.World
	dir, url string
}

func openCounter(t *testing.T) *counter {
	t.Helper()
	c := &counter{World: issuancetest.New(t, ""), dir: t.TempDir()}
	handler, err := server.New(server.Config{Issuance: c.Desk})
	c.check(err)
	key := issuancetest.NewKey(t)
	issued, _, err := c.Authority.Issue(t.Context(), []ca.Order{{Issuer: ca.Services, Request: policies.Request{
		Profile: policies.ProfileServer, PublicKey: key.Public(),
		Subject: policies.Subject{CommonName: "issuance", IPs: []net.IP{net.IPv4(127, 0, 0, 1)}}}}}, nil)
	c.check(err)
	issuers := x509.NewCertPool()
	issuers.AddCert(c.Issuers[ca.Authentication].Certificate)
	issuers.AddCert(c.Issuers[ca.Services].Certificate)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	c.check(err)
	web := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute, TLSConfig: server.TLSConfig(tls.Certificate{PrivateKey: key,
		Certificate: [][]byte{issued[0].Certificate.Raw, c.Issuers[ca.Services].Certificate.Raw}}, func() *x509.CertPool { return issuers })}
	go func() { _ = web.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = web.Close() })
	c.url = "https://" + listener.Addr().String()
	private, err := x509.MarshalPKCS8PrivateKey(c.Manager.Key)
	c.check(err)
	c.write("trust.pem", pemOf("CERTIFICATE", c.Issuers[ca.Root].Certificate.Raw))
	c.write("manager.pem", pemOf("CERTIFICATE", c.Manager.Certificate.Raw)+pemOf("PRIVATE KEY", private))
	return c
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func (c *counter) check(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

func (c *counter) file(name string) string { return filepath.Join(c.dir, name) }

func (c *counter) write(name, text string) {
	c.Helper()
	c.check(os.WriteFile(c.file(name), []byte(text), 0o600))
}

// run gives the exit code, what was printed and what was said.
func (c *counter) run(t *testing.T, as string, args ...string) (int, string, string) {
	t.Helper()
	return command(t, append(args, "--as", c.file(as), "--server", c.url, "--trust", c.file("trust.pem"))...)
}

// holding gives somebody an active card, kept in own.card.
func (c *counter) holding(t *testing.T) (card string) {
	t.Helper()
	asked := c.Approved(c.Person("Alex", "Example"))
	code, out, said := c.run(t, "manager.pem", "card", "issue", asked.ID, "--request-id", "counter-1", "--simulated", c.file("own.card"))
	var answer pairIssued
	if code != exitDone || json.Unmarshal([]byte(out), &answer) != nil {
		t.Fatalf("issuing: %d %s", code, said)
	}
	_, _, err := c.Desk.HandOver(t.Context(), issuance.Operator{Certificate: c.Manager.Certificate.Raw}, answer.Card, "")
	c.check(err)
	return answer.Card
}

func TestHolderRenewsTheCardHeSignsInWith(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	c := openCounter(t)
	card := c.holding(t)
	before, err := os.ReadFile(c.file("own.card"))
	c.check(err)
	c.Advance(3*365*24*time.Hour - 30*24*time.Hour)
	code, _, said := c.run(t, "own.card", "card", "renew", card, "--request-id", "counter-2", "--simulated", c.file("own.card"))
	if code != exitDone {
		t.Fatalf("renewing: %d %s", code, said)
	}
	after, err := os.ReadFile(c.file("own.card"))
	c.check(err)
	if string(before) == string(after) {
		t.Error("the card is as it was")
	}
	if code, out, said := c.run(t, "own.card", "card", "show", card); code != exitDone || !strings.Contains(out, "2") {
		t.Errorf("signing in with the new pair: %d %s %s", code, out, said)
	}
}

func TestWrongPINIsARefusalThatSaysHowManyTriesAreLeft(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	c := openCounter(t)
	card := c.holding(t)
	code, _, said := c.run(t, "own.card", "card", "show", card, "--card-pin", "000000")
	if code != exitRefused || !strings.Contains(said, "2 tries left") {
		t.Errorf("signing in: %d %s", code, said)
	}
	code, _, said = c.run(t, "manager.pem", "card", "renew", card, "--request-id", "counter-3", "--simulated", c.file("own.card"), "--pin", "000000")
	if code != exitRefused || !strings.Contains(said, "1 tries left") {
		t.Errorf("renewing: %d %s", code, said)
	}
}
