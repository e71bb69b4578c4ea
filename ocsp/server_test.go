package ocsp_test

import (
	"bufio"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/replica"
	"cardinal/ocsp"
)

// wired is one connection on which requests are written as octets.
type wired struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func (w *world) wired(t *testing.T) *wired {
	conn := dial(t, strings.TrimPrefix(w.server.URL, "http://"))
	return &wired{t, conn, bufio.NewReader(conn)}
}

func (c *wired) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.t.Fatal(err)
	}
}

// answer reads one answer to a request by that method.
func (c *wired) answer(method string) (*http.Response, []byte) {
	c.t.Helper()
	r, err := http.ReadResponse(c.in, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("reading an answer: %v", err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Fatalf("reading an answer's body: %v", err)
	}
	return r, body
}

// status is that of the next answer, 0 where the connection ended before: one that is refused is given a second to be told.
func (c *wired) status() int {
	r, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0
	}
	_ = r.Body.Close()
	return r.StatusCode
}

// closed waits until the server has closed the connection.
func (c *wired) closed() {
	c.t.Helper()
	if n, err := io.Copy(io.Discard, c.in); err != nil || n > 0 {
		c.t.Errorf("instead of the end: %d octets, %v", n, err)
	}
}

func postOf(der []byte, fields string) string {
	return fmt.Sprintf("POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s\r\n%s", len(der), fields, der)
}

func getOf(der []byte, fields string) string {
	return "GET " + getPath(der) + " HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n"
}

// handedTotal is how many connections were handed to net/http.
func (w *world) handedTotal() string {
	_, after, _ := strings.Cut(gather(w.t, w.responder), "\ncardinal_status_handed_over_total ")
	count, _, _ := strings.Cut(after, "\n")
	return count
}

func TestBothWaysOfHTTPSayTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serve()
	w.ready()
	good, slow, lost := w.issued(w.auth), w.issued(w.signing), w.issued(w.signing)
	w.set(w.signing, revoked(certs.ReasonKeyCompromise), lost)
	foreign := newAuthority(t, "foreign")
	requests := [][]byte{[]byte("nonsense"), requestFor(idOf(foreign, crypto.SHA1, good.SerialNumber)).der(t)}
	for _, id := range []certID{idOf(w.auth, crypto.SHA1, good.SerialNumber), idOf(w.signing, crypto.SHA256, slow.SerialNumber),
		idOf(w.signing, crypto.SHA1, lost.SerialNumber)} {
		requests = append(requests, requestFor(id).der(t), requestFor(id).nonce([]byte{4, 1, 9}).der(t))
	}
	c := w.wired(t)
	for i, der := range requests {
		w.call("GET", getPath(der), nil) // stores it
		tag := w.call("GET", getPath(der), nil).Header.Get("Etag")
		conditions := []string{"", "If-None-Match: *\r\n", "If-None-Match: \"x\", W/\"y\"\r\n", "If-Modified-Since: yesterday\r\n",
			"If-Modified-Since: " + time.Now().UTC().Format(http.TimeFormat) + "\r\n"}
		if tag != "" {
			conditions = append(conditions, "If-None-Match: "+tag+"\r\n", "If-None-Match: \"x\", W/"+tag+"\r\n")
		}
		for _, fields := range conditions {
			get := getOf(der, fields)
			for method, text := range map[string]string{"GET": get, "HEAD": "HEAD" + get[3:], "POST": postOf(der, fields)} {
				w.compare(c, method, text)
			}
		}
		if t.Failed() {
			t.Fatalf("with request %d", i)
		}
	}
	if n := w.handedTotal(); n != "0" {
		t.Errorf("%s connections were handed over", n)
	}
}

// compare sends a request and has the handler answer the same by net/http.
func (w *world) compare(c *wired, method, text string) {
	w.t.Helper()
	request, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	if err != nil {
		w.t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	w.responder.Handler().ServeHTTP(rec, request)
	c.send(text)
	r, body := c.answer(method)
	r.Header.Del("Date")
	seen := func(status int, header http.Header, octets int) string { // the two may fall into different seconds
		lines := []string{fmt.Sprint(status), fmt.Sprint("body ", octets > 0)}
		for name, values := range header {
			value := strings.Join(values, "|")
			if name == "Expires" || name == "Content-Length" || strings.HasPrefix(value, "max-age=1") {
				value = "one"
			}
			lines = append(lines, name+": "+value)
		}
		slices.Sort(lines)
		return strings.Join(lines, "\n")
	}
	short, long := seen(r.StatusCode, r.Header, len(body)), seen(rec.Code, rec.Header(), rec.Body.Len())
	if short != long {
		w.t.Errorf("%.300q:\n%s\n\nby net/http:\n%s", text, short, long)
	}
}

func TestPipelinedAndTornRequestsAreAnsweredInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serve()
	w.ready()
	good, lost := w.issued(w.auth), w.issued(w.auth)
	w.set(w.auth, revoked(certs.ReasonKeyCompromise), lost)
	a, b := requestFor(idOf(w.auth, crypto.SHA1, good.SerialNumber)).der(t), requestFor(idOf(w.auth, crypto.SHA1, lost.SerialNumber)).der(t)
	whole := postOf(a, "") + getOf(b, "Connection: keep-alive\r\n") + postOf(b, "Content-Type: application/ocsp-request\r\n") + getOf(a, "")
	want := []int{0, 1, 1, 0}
	for name, step := range map[string]int{"pipelined": len(whole), "torn": 7} {
		c := w.wired(t)
		go func() {
			for at := 0; at < len(whole); at += step {
				_, _ = io.WriteString(c.conn, whole[at:min(at+step, len(whole))])
				time.Sleep(time.Duration(min(len(whole)/step-1, 1)) * 100 * time.Microsecond)
			}
		}()
		for i, tag := range want {
			if _, body := c.answer("POST"); tagOf(t, body) != tag {
				t.Errorf("%s: answer %d is %d", name, i, tagOf(t, body))
			}
		}
		c.send(getOf(a, "Connection: close\r\n"))
		if r, _ := c.answer("GET"); !r.Close {
			t.Errorf("%s: the answer does not say that it is the last", name)
		}
		c.closed()
	}
	if n := w.handedTotal(); n != "0" {
		t.Errorf("%s connections were handed over", n)
	}
}

// TestLineEndsBehindABodyArePassedOver: some clients send one more than they
// say (RFC 9112 §2.2), and it may come by itself. Elsewhere it is refused.
func TestLineEndsBehindABodyArePassedOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serve()
	w.ready()
	good := requestFor(idOf(w.auth, crypto.SHA1, w.issued(w.auth).SerialNumber)).der(t)
	c := w.wired(t)
	for _, behind := range []string{"", "\r\n", "\n", "\r\n\r\n"} {
		c.send(postOf(good, ""))
		if r, body := c.answer("POST"); r.StatusCode != http.StatusOK || tagOf(t, body) != 0 {
			t.Errorf("a request is answered %s", r.Status)
		}
		for _, octet := range behind {
			c.send(string(octet))
		}
	}
	if n := w.handedTotal(); n != "0" {
		t.Errorf("%s connections were handed over", n)
	}
	c.send("\r\n" + postOf(good, "")) // behind four already
	if status := c.status(); status != http.StatusBadRequest && status != 0 {
		t.Errorf("too many are answered %d", status)
	}
	c = w.wired(t)
	c.send("\r\n" + postOf(good, ""))
	if status := c.status(); status != http.StatusBadRequest && status != 0 {
		t.Errorf("before anything they are answered %d", status)
	}
}

// What is not of the plain form is answered by net/http, on the same connection and with nothing lost.
func TestEverythingElseIsHandedOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serve()
	w.ready()
	der := requestFor(idOf(w.auth, crypto.SHA1, w.issued(w.auth).SerialNumber)).der(t)
	chunked := fmt.Sprintf("POST /ocsp HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(der), der)
	for i, test := range []struct {
		text   string
		status int
		octets int // at least
		more   bool
	}{
		{"GET /ca/signing.cer HTTP/1.1\r\nHost: x\r\n\r\n", 200, 200, true},
		{"GET /crl/authentication/1.crl HTTP/1.1\r\nHost: x\r\n\r\n", 503, 1, true},
		{chunked, 200, 300, true},
		{"GET http://x" + getPath(der) + " HTTP/1.1\r\nHost: x\r\n\r\n", 200, 300, true},
		{"GET " + getPath(der) + "?x HTTP/1.1\r\nHost: x\r\n\r\n", 200, 300, true},
		{"GET " + getPath(der) + " HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, 300, true},
		{"PUT /ocsp HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405, 1, true},
		{"GET /ocspx HTTP/1.1\r\nHost: x\r\n\r\n", 404, 1, true},
		{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404, 1, true},
		{"GET " + getPath(der) + " HTTP/1.1\r\n\r\n", 400, 1, false},                       // no Host
		{"GET " + getPath(der) + " HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400, 1, false}, // two
		{"POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400, 1, false},
		{"POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n", 413, 1, false},
		{"POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", 413, 1, false},
		{"GET /ocsp/" + strings.Repeat("A", 9000) + " HTTP/1.1\r\nHost: x\r\n\r\n", 414, 1, false},
	} {
		c := w.wired(t)
		c.send(getOf(der, ""))
		c.answer("GET")
		go func() { _, _ = io.WriteString(c.conn, test.text) }()
		if r, body := c.answer("GET"); r.StatusCode != test.status || len(body) < test.octets {
			t.Errorf("%d, %.60q: %s, %d octets", i, test.text, r.Status, len(body))
		}
		if !test.more {
			continue
		}
		c.send(getOf(der, ""))
		if r, body := c.answer("GET"); r.StatusCode != 200 || tagOf(t, body) != 0 {
			t.Errorf("%d, then: %s", i, r.Status)
		}
	}
	c := w.wired(t)
	c.send(fmt.Sprintf("POST /ocsp HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", len(der)))
	if r, _ := c.answer("POST"); r.StatusCode != http.StatusContinue {
		t.Errorf("expecting 100: %s", r.Status)
	}
	c.send(string(der))
	if _, body := c.answer("POST"); tagOf(t, body) != 0 {
		t.Errorf("after 100: %x", body)
	}
	c = w.wired(t)
	go func() {
		_, _ = io.WriteString(c.conn, "GET /ocsp/AAAA HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("A", 40<<10)+"\r\n\r\n")
	}()
	if line, err := c.in.ReadString('\n'); err != nil || !strings.Contains(line, " 431 ") { // what follows may be cut off by a reset
		t.Errorf("a long header: %q, %v", line, err)
	}
}

func TestTooManyConnectionsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *world, c *ocsp.Config, _ *replica.Options) { c.Limits.Connections = 2 })
	w.serve()
	w.ready()
	der := requestFor(idOf(w.auth, crypto.SHA1, w.issued(w.auth).SerialNumber)).der(t)
	first, second := w.wired(t), w.wired(t)
	first.send(getOf(der, ""))
	first.answer("GET")
	second.send("GET /ca/signing.cer HTTP/1.1\r\nHost: x\r\n\r\n") // one that was handed over counts too
	second.answer("GET")
	w.eventually("the third is refused", func() bool { return w.wired(t).status() == http.StatusServiceUnavailable })
	_ = second.conn.Close()
	w.eventually("another is taken", func() bool {
		c := w.wired(t)
		defer c.conn.Close()
		_, _ = io.WriteString(c.conn, getOf(der, ""))
		return c.status() == http.StatusOK
	})
	if text := gather(t, w.responder); strings.Contains(text, "\ncardinal_status_refused_total 0") {
		t.Errorf("nothing was counted as refused")
	}
}

func TestShutdownAnswersWhatHasArrivedAndClosesTheRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ready()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := w.responder.NewServer(&http.Server{})
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	w.server = &served{"http://" + l.Addr().String()}
	der := requestFor(idOf(w.auth, crypto.SHA1, w.issued(w.auth).SerialNumber)).der(t)
	idle, fresh, torn, other := w.wired(t), w.wired(t), w.wired(t), w.wired(t)
	for _, c := range []*wired{idle, torn} {
		c.send(getOf(der, ""))
		c.answer("GET")
	}
	other.send("GET /ca/signing.cer HTTP/1.1\r\nHost: x\r\n\r\n")
	other.answer("GET")
	torn.send(postOf(der, "")[:60])
	ctx, cancel := contextWithTimeout(t)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("serving ended with %v", err)
	}
	for _, c := range []*wired{idle, fresh, torn, other} {
		_, _ = io.Copy(io.Discard, c.conn)
	}
	if _, err := net.DialTimeout("tcp", l.Addr().String(), 5*time.Second); err == nil {
		t.Error("it still listens")
	}
	again, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(again); !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("serving again: %v", err)
	}
}

// piped is a listener whose connections are pipes, on the bubble's clock.
type piped chan net.Conn

func (l piped) Accept() (net.Conn, error) {
	c, ok := <-l
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (l piped) Close() error   { close(l); return nil }
func (l piped) Addr() net.Addr { return &net.TCPAddr{} }

func TestSlowAndIdleClientsAreCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := ocsp.NewTable()
		r, err := replica.Open(t.Context(), replica.Options{Path: t.TempDir() + "/replica.db", Feed: journal.NewMemory(), Appliers: []replica.Applier{table}})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		s := ocsp.New(ocsp.Config{Table: table, Replica: r}).NewServer(&http.Server{ReadHeaderTimeout: 10 * time.Second})
		l := make(piped)
		ended := make(chan error, 1)
		go func() { ended <- s.Serve(l) }()
		for name, test := range map[string]struct {
			sent  []string // a second between them
			cut   time.Duration
			until time.Duration
		}{
			"silent from the start": {nil, 10 * time.Second, 10 * time.Second},
			"dripping":              {strings.Split(strings.Repeat("GET /ocsp/AAAAAAA", 3), ""), 10 * time.Second, 10 * time.Second},
			"no body":               {[]string{"POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"}, 10 * time.Second, 10 * time.Second},
			"idle":                  {[]string{"GET /ocsp/AAAA HTTP/1.1\r\nHost: x\r\n\r\n"}, time.Minute, 2*time.Minute + time.Second},
		} {
			client, server := net.Pipe()
			start := time.Now()
			l <- server
			var writing sync.WaitGroup
			writing.Go(func() {
				for _, text := range test.sent {
					if _, err := io.WriteString(client, text); err != nil {
						return
					}
					time.Sleep(time.Second)
				}
			})
			_, _ = io.Copy(io.Discard, client)
			if took := time.Since(start); took < test.cut || took > test.until {
				t.Errorf("%s: cut off after %v", name, took)
			}
			_ = client.Close()
			writing.Wait()
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		<-ended
	})
}
