package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"cardinal/ca"
	"cardinal/internal/replica"
	"cardinal/issuance"
	"cardinal/issuance/api"
	"cardinal/issuance/issuancetest"
	"cardinal/issuance/server"
	"cardinal/ocsp"
	"cardinal/policies"
)

// patience is how long an answer may wait for the replica. A busy disk can take a second for one commit.
const patience = time.Minute

// office is a world with its server running over TLS and a replica beside it.
type office struct {
	*issuancetest.World
	url     string
	roots   *x509.CertPool
	table   *ocsp.Table
	routes  routers.Router
	manager *api.Client
	sponsor *api.Client
}

func open(t *testing.T) *office { return openOn(t, "") }

func openOn(t *testing.T, database string) *office {
	t.Helper()
	o := &office{World: issuancetest.New(t, database), table: ocsp.NewTable(), roots: x509.NewCertPool()}
	o.roots.AddCert(o.Issuers[ca.Root].Certificate)
	o.routes = router(t)
	o.serve(o.follow())
	o.manager, o.sponsor = o.as(o.Manager), o.as(o.Sponsor)
	return o
}

func router(t *testing.T) routers.Router {
	t.Helper()
	data, err := api.Description()
	must(t, err)
	doc, err := openapi3.NewLoader().LoadFromData(data)
	must(t, err)
	r, err := gorillamux.NewRouter(doc)
	must(t, err)
	return r
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (o *office) follow() *replica.Replica {
	o.Helper()
	r, err := replica.Open(o.Context(), replica.Options{Path: filepath.Join(o.TempDir(), "replica.db"),
		Feed: o.Ledger.Feed(), Appliers: []replica.Applier{o.table}})
	must(o, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); r.Follow(ctx) }()
	o.Cleanup(func() { stop(); <-ended; r.Close() })
	return r
}

func (o *office) serve(w server.Waiter) {
	o.Helper()
	handler, err := server.New(server.Config{Issuance: o.Desk, Waiter: w, Wait: patience})
	must(o, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(o, err)
	issuers := x509.NewCertPool()
	issuers.AddCert(o.Issuers[ca.Authentication].Certificate)
	issuers.AddCert(o.Issuers[ca.Services].Certificate)
	srv := &http.Server{Handler: handler, TLSConfig: server.TLSConfig(o.serverCertificate(), func() *x509.CertPool { return issuers }), ReadHeaderTimeout: patience}
	go srv.ServeTLS(listener, "", "")
	o.Cleanup(func() { srv.Close() })
	o.url = "https://" + listener.Addr().String()
}

func (o *office) serverCertificate() tls.Certificate {
	o.Helper()
	key := issuancetest.NewKey(o)
	issued, _, err := o.Authority.Issue(o.Context(), []ca.Order{{Issuer: ca.Services, Request: policies.Request{
		Profile: policies.ProfileServer, PublicKey: key.Public(),
		Subject: policies.Subject{CommonName: "issuance", DNSNames: []string{"issuance.example.test"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}}}}}, nil)
	must(o, err)
	return tls.Certificate{PrivateKey: key,
		Certificate: [][]byte{issued[0].Certificate.Raw, o.Issuers[ca.Services].Certificate.Raw}}
}

func (o *office) tls(hand *issuancetest.Hand) *tls.Config {
	return &tls.Config{RootCAs: o.roots, Certificates: []tls.Certificate{hand.TLS()}}
}

// as is a client whose every exchange passes the OpenAPI document's validator.
func (o *office) as(hand *issuancetest.Hand) *api.Client {
	o.Helper()
	transport := api.NewTransport(o.tls(hand))
	c, err := api.NewOver(o.url, &checked{o, transport})
	must(o, err)
	o.Cleanup((&http.Client{Transport: transport}).CloseIdleConnections)
	return c
}

// checked holds requests and answers against the OpenAPI document. A request
// that is meant to be wrong may be refused by the server, but an answer must
// always be as described.
type checked struct {
	office *office
	next   http.RoundTripper
}

func (c *checked) RoundTrip(r *http.Request) (*http.Response, error) {
	t := c.office
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	route, params, err := t.routes.FindRoute(r)
	if err != nil {
		t.Errorf("%s %s is not described: %v", r.Method, r.URL.Path, err)
	}
	resp, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	asked := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true}}
	wellFormed := openapi3filter.ValidateRequest(r.Context(), asked)
	if (wellFormed != nil) && resp.StatusCode/100 == 2 {
		t.Errorf("%s %s was served, and is not as described: %v", r.Method, r.URL.Path, wellFormed)
	}
	err = openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{RequestValidationInput: asked,
		Status: resp.StatusCode, Header: resp.Header, Body: io.NopCloser(bytes.NewReader(answer)), Options: asked.Options})
	if err != nil {
		t.Errorf("answer to %s %s is not as described: %v\n%s", r.Method, r.URL.Path, err, answer)
	}
	return resp, nil
}

// newcomer is a person's registration on the wire.
func (o *office) newcomer(given, family string) api.NewPerson {
	n := issuancetest.Newcomer(o, given, family)
	p := api.NewPerson{Given: n.Given, Family: n.Family, Birth: n.Birth, Photo: n.Photo}
	for _, d := range n.Evidence {
		p.Evidence.Documents = append(p.Evidence.Documents, api.Document(d))
	}
	return p
}

// asking is a pair request on the wire.
func (o *office) asking(id string) (api.PairRequest, issuancetest.Keys) {
	r, keys := issuancetest.Asking(o, id)
	return onWire(r), keys
}

func onWire(r issuance.PairRequest) api.PairRequest {
	csr := func(der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	}
	return api.PairRequest{RequestID: r.RequestID, AuthenticationCSR: csr(r.AuthenticationCSR), SignatureCSR: csr(r.SignatureCSR)}
}

// hand reads the certificate of an answer.
func (o *office) hand(keys issuancetest.Keys, pemText string) *issuancetest.Hand {
	block, _ := pem.Decode([]byte(pemText))
	return issuancetest.NewHand(o, keys.Authentication, block.Bytes)
}
