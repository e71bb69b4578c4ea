package ocsp_test

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	xocsp "golang.org/x/crypto/ocsp"

	"cardinal/certs"
	"cardinal/internal/replica"
	"cardinal/ocsp"
)

// call runs one request through the handler, as net/http would give it.
func (w *world) call(method, target string, body []byte, header ...string) *http.Response {
	w.t.Helper()
	r := httptest.NewRequest(method, target, bytes.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	w.responder.Handler().ServeHTTP(rec, r)
	return rec.Result()
}

func bodyOf(t testing.TB, r *http.Response) []byte {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// slashed finds a certificate whose request contains what base64 writes as // and +.
func (w *world) slashed(a *authority) ([]byte, string) {
	for {
		c := w.leaf(a, "")
		der := requestFor(idOf(a, crypto.SHA1, c.SerialNumber)).der(w.t)
		text := base64.StdEncoding.EncodeToString(der)
		if strings.Contains(text, "//") && strings.Contains(text, "+") {
			w.record(a, c)
			return der, text
		}
	}
}

func TestGetAcceptsEverySpellingOfBase64(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w := newWorld(t)
	w.serve()
	w.ready()
	der, text := w.slashed(w.auth)
	for name, path := range map[string]string{
		"as it is":              "/ocsp/" + text,
		"escaped":               "/ocsp/" + url.QueryEscape(text),
		"escaped in lower case": "/ocsp/" + strings.ToLower(url.QueryEscape("+")) + "", // replaced below
		"spaces for plus":       "/ocsp/" + strings.ReplaceAll(text, "+", "%20"),
		"no padding":            "/ocsp/" + strings.TrimRight(text, "="),
		"one slash too many":    "/ocsp//" + text,
		"url alphabet":          "/ocsp/" + base64.URLEncoding.EncodeToString(der),
		"escaped twice a slash": "/ocsp/" + strings.ReplaceAll(text, "//", "%2F/"),
	} {
		if name == "escaped in lower case" {
			path = "/ocsp/" + strings.NewReplacer("+", "%2b", "/", "%2f", "=", "%3d").Replace(text)
		}
		request, err := http.NewRequest(http.MethodGet, w.server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		c := client(t)
		c.CheckRedirect = func(*http.Request, []*http.Request) error { t.Errorf("%s: redirected", name); return nil }
		response, err := c.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body := bodyOf(t, response)
		_ = response.Body.Close()
		if parsed, err := xocsp.ParseResponse(body, w.auth.cert); err != nil || parsed.Status != xocsp.Good {
			t.Errorf("%s: %s, %x, %v", name, response.Status, body, err)
		}
	}
	for _, path := range []string{"/ocsp/", "/ocsp/%%%", "/ocsp/!!!!", "/ocsp/AAAA", "/ocsp/" + text + "/x%zz"} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RequestURI = path
		rec := httptest.NewRecorder()
		w.responder.Handler().ServeHTTP(rec, r)
		if rec.Code != http.StatusOK || !bytes.Equal(rec.Body.Bytes(), []byte{0x30, 3, 0x0a, 1, 1}) {
			t.Errorf("%s: %d %x", path, rec.Code, rec.Body.Bytes())
		}
	}
}

func TestCachesAreToldWhatTheyMayKeep(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ready()
	for _, a := range []*authority{w.auth, w.signing} {
		c := w.issued(a)
		path := getPath(requestFor(idOf(a, crypto.SHA1, c.SerialNumber)).der(t))
		first := w.call("GET", path, nil)
		h := first.Header
		etag := h.Get("Etag")
		want := "no-cache"
		if a == w.signing {
			want = "max-age=120,public,no-transform,must-revalidate"
		}
		if h.Get("Cache-Control") != want || etag == "" || h.Get("Last-Modified") == "" || h.Get("Content-Length") == "" {
			t.Errorf("%s: headers %v", a.name, h)
		}
		for name, again := range map[string]*http.Response{
			"same tag":       w.call("GET", path, nil, "If-None-Match", etag),
			"one of several": w.call("GET", path, nil, "If-None-Match", `"x", W/`+etag),
			"any":            w.call("HEAD", path, nil, "If-None-Match", "*"),
			"date":           w.call("GET", path, nil, "If-Modified-Since", h.Get("Last-Modified")),
		} {
			if again.StatusCode != http.StatusNotModified || len(bodyOf(t, again)) != 0 || again.Header.Get("Etag") != etag {
				t.Errorf("%s, %s: %s", a.name, name, again.Status)
			}
		}
		head := w.call("HEAD", path, nil)
		if head.StatusCode != http.StatusOK || head.Header.Get("Content-Length") != h.Get("Content-Length") || len(bodyOf(t, head)) != 0 {
			t.Errorf("HEAD: %s %v", head.Status, head.Header)
		}
		// The status changes: neither tag nor date may confirm the old answer.
		w.set(a, held(), c)
		for _, header := range [][]string{{"If-None-Match", etag}, {"If-Modified-Since", time.Now().UTC().Format(http.TimeFormat)}} {
			if after := w.call("GET", path, nil, header...); after.StatusCode != http.StatusOK || after.Header.Get("Etag") == etag {
				t.Errorf("%s after a change: %s", header[0], after.Status)
			}
		}
	}
	r := w.call("GET", getPath(requestFor(idOf(w.auth, crypto.SHA1, w.issued(w.auth).SerialNumber)).nonce([]byte{4, 1, 1}).der(t)), nil)
	if r.Header.Get("Cache-Control") != "no-store" || r.Header.Get("Etag") != "" {
		t.Errorf("an answer with a nonce has %v", r.Header)
	}
	r = w.call("GET", "/ocsp/AAAA", nil)
	if r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("an error has %v", r.Header)
	}
}

func TestLimitsAreDecidedFromTheHeader(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *world, c *ocsp.Config, _ *replica.Options) {
		c.Limits = ocsp.Limits{Body: 200, URL: 300}
	})
	w.ready()
	body := &untouched{t: t}
	r := httptest.NewRequest("POST", "/ocsp", body)
	r.ContentLength = 201
	rec := httptest.NewRecorder()
	w.responder.Handler().ServeHTTP(rec, r)
	if rec.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("201 bytes announced: %d", rec.Code)
	}
	r = httptest.NewRequest("POST", "/ocsp", bytes.NewReader(make([]byte, 5000)))
	r.ContentLength = -1
	rec = httptest.NewRecorder()
	w.responder.Handler().ServeHTTP(rec, r)
	if rec.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("5000 bytes in chunks: %d", rec.Code)
	}
	if got := w.call("GET", "/ocsp/"+strings.Repeat("A", 301), nil); got.StatusCode != http.StatusRequestURITooLong {
		t.Errorf("a long path: %s", got.Status)
	}
	for method, path := range map[string]string{"PUT": "/ocsp", "DELETE": "/ocsp/AAAA", "POST": "/crl/authentication/0.crl"} {
		if got := w.call(method, path, nil); got.StatusCode != http.StatusMethodNotAllowed || got.Header.Get("Allow") == "" {
			t.Errorf("%s %s: %s", method, path, got.Status)
		}
	}
	for _, path := range []string{"/", "/ocspx", "/ca/", "/ca/x.cer", "/ca/authentication.pem", "/crl/", "/crl/x/0.crl", "/crl/authentication/00.crl",
		"/crl/authentication/-1.crl", "/crl/authentication/70000.crl", "/crl/authentication/9.crl", "/crl/authentication/x.crl"} {
		if got := w.call("GET", path, nil); got.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: %s", path, got.Status)
		}
	}
}

// untouched is a body that must not be read.
type untouched struct{ t *testing.T }

func (u *untouched) Read([]byte) (int, error) {
	u.t.Error("a body above the limit is read")
	return 0, io.EOF
}

func TestOldHTTPClientsAreAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.serve()
	w.ready()
	der := requestFor(idOf(w.auth, crypto.SHA1, w.issued(w.auth).SerialNumber)).der(t)
	conn := dial(t, strings.TrimPrefix(url, "http://"))
	_, _ = io.WriteString(conn, "GET "+getPath(der)+" HTTP/1.0\r\n\r\n")
	raw, err := io.ReadAll(conn)
	if err != nil || !bytes.HasPrefix(raw, []byte("HTTP/1.0 200")) {
		t.Fatalf("%v: %.60s", err, raw)
	}
	_, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	if parsed, err := xocsp.ParseResponse(body, w.auth.cert); err != nil || parsed.Status != xocsp.Good {
		t.Errorf("HTTP/1.0: %v", err)
	}
}

func TestStaleCopyAndQuarantineSayTryLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *world, c *ocsp.Config, _ *replica.Options) { c.Limits.Stale = 2 * time.Second })
	w.serve()
	w.ready()
	c := w.issued(w.auth)
	der := requestFor(idOf(w.auth, crypto.SHA1, c.SerialNumber)).der(t)
	w.eventually("a good answer", func() bool { // two seconds without a heartbeat make it stale
		body := w.ask(der)
		return len(body) > 5 && answerOf(t, body, c, w.auth).Status == xocsp.Good
	})
	w.feed.SetQuarantine(true)
	w.eventually("tryLater in quarantine", func() bool { return bytes.Equal(w.ask(der), []byte{0x30, 3, 0x0a, 1, 3}) })
	if known, good := w.table.Known(c.Raw); !known || good {
		t.Errorf("in quarantine a certificate is known %t, good %t", known, good)
	}
	w.feed.SetQuarantine(false)
	w.eventually("answers again", func() bool { return len(w.ask(der)) > 5 })
	if testing.Short() {
		return
	}
	w.feed.SetFault(func(string) error { return io.ErrUnexpectedEOF })
	w.eventually("tryLater when stale", func() bool { return bytes.Equal(w.ask(der), []byte{0x30, 3, 0x0a, 1, 3}) })
	w.feed.SetFault(nil)
	w.eventually("answers after the outage", func() bool { return len(w.ask(der)) > 5 })
}

// eventually waits for a condition.
func (w *world) eventually(what string, holds func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !holds() {
		if time.Now().After(deadline) {
			w.t.Fatalf("never: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func TestMetricsCountByResult(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serve()
	w.ready()
	c := w.issued(w.auth)
	for range 3 {
		w.statusOf(c, w.auth)
	}
	w.set(w.auth, revoked(certs.ReasonSuperseded), c)
	w.statusOf(c, w.auth)
	w.ask([]byte("nonsense"))
	// The time is taken when the answer is written, which is when the client may have it.
	w.eventually("five times taken", func() bool { return strings.Contains(gather(t, w.responder), "cardinal_ocsp_seconds_count 5") })
	text := gather(t, w.responder)
	for _, line := range []string{`cardinal_ocsp_requests_total{result="good"} 3`, `cardinal_ocsp_requests_total{result="revoked"} 1`,
		`cardinal_ocsp_requests_total{result="malformed"} 1`, "cardinal_ocsp_stored_total 2", "cardinal_ocsp_seconds_count 5"} {
		if !strings.Contains(text, line) {
			t.Errorf("%s is missing in\n%s", line, text)
		}
	}
}
