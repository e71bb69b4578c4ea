package ocsp_test

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal"
)

// sink is the cheapest ResponseWriter.
type sink struct {
	header http.Header
	n      int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Write(b []byte) (int, error) { s.n += len(b); return len(b), nil }

// population is a world with that many recorded serials and a POST body and a GET path for each of some of them.
func population(b *testing.B, n int) (w *world, bodies [][]byte) {
	b.Helper()
	w = newWorld(b)
	w.ready()
	for len(bodies) < n {
		change := certs.Recorded{Issuer: w.auth.id}
		for range min(400, n-len(bodies)) {
			s := randomSerial(b)
			change.Certificates = append(change.Certificates, certs.RecordedCertificate{Serial: s,
				Digest: sha256.Sum256([]byte(s)), Profile: "authentication", Holder: "123456789012"})
			bodies = append(bodies, requestFor(idOf(w.auth, crypto.SHA1, s.Big())).der(b))
		}
		w.feed.Append(journal.KindCertificatesRecorded, 1, change.Append(nil))
	}
	head, _ := w.feed.Head(b.Context())
	w.wait(head.Position)
	return w, bodies
}

// cpu reports the CPU time of this process per operation: steadier than the clock on a machine that is shared.
func cpu(b *testing.B) func() {
	used := func() time.Duration {
		var u syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	return func() { b.ReportMetric(float64((used()-before).Nanoseconds())/1000/float64(b.N), "cpu-µs/op") }
}

// post runs bodies through the handler, one after the other.
func post(b *testing.B, w *world, bodies [][]byte) {
	b.Helper()
	h := w.responder.Handler()
	target := &url.URL{Path: "/ocsp"}
	out := &sink{header: http.Header{}}
	reader := bytes.NewReader(nil)
	body := io.NopCloser(reader)
	b.ReportAllocs()
	i := 0
	defer cpu(b)()
	for b.Loop() {
		request := bodies[i%len(bodies)]
		i++
		reader.Reset(request)
		clear(out.header)
		h.ServeHTTP(out, &http.Request{Method: "POST", URL: target, Body: body, ContentLength: int64(len(request))})
	}
	if out.n < 500*i {
		b.Fatalf("%d bytes in %d answers", out.n, i)
	}
}

func BenchmarkHandlerStored(b *testing.B) {
	w, bodies := population(b, 2000)
	for range 2 {
		for _, body := range bodies {
			w.responder.Handler().ServeHTTP(&sink{header: http.Header{}}, &http.Request{Method: "POST", URL: &url.URL{Path: "/ocsp"},
				Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body))})
		}
	}
	post(b, w, bodies)
}

func BenchmarkHandlerStoredGet(b *testing.B) {
	w, bodies := population(b, 2000)
	h := w.responder.Handler()
	out := &sink{header: http.Header{}}
	var requests []*http.Request
	for _, body := range bodies {
		requests = append(requests, &http.Request{Method: "GET", RequestURI: getPath(body), Header: http.Header{}})
		h.ServeHTTP(out, requests[len(requests)-1])
	}
	b.ReportAllocs()
	i := 0
	defer cpu(b)()
	for b.Loop() {
		clear(out.header)
		h.ServeHTTP(out, requests[i%len(requests)])
		i++
	}
}

func BenchmarkHandlerFirst(b *testing.B) {
	w, bodies := population(b, 200_000)
	post(b, w, bodies)
}

func BenchmarkHandlerNonce(b *testing.B) {
	w, _ := population(b, 1)
	c := randomSerial(b)
	post(b, w, [][]byte{requestFor(idOf(w.auth, crypto.SHA1, c.Big())).nonce(append([]byte{4, 16}, make([]byte, 16)...)).der(b)})
}

// wire sends prepared requests over keep-alive connections and reads whole answers.
func wire(b *testing.B, address string, requests [][]byte) {
	b.Helper()
	var next atomic.Int64
	b.SetParallelism(4)
	b.ResetTimer()
	defer cpu(b)()
	b.RunParallel(func(pb *testing.PB) {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			b.Error(err)
			return
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		for pb.Next() {
			if _, err := conn.Write(requests[int(next.Add(1))%len(requests)]); err != nil {
				b.Error(err)
				return
			}
			if err := skipAnswer(in); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func skipAnswer(in *bufio.Reader) error {
	length := 0
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && !bytes.Contains(line, []byte(" 200 ")) {
			return fmt.Errorf("answer %q", line)
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(value)))
		}
		if len(line) <= 2 {
			_, err = in.Discard(length)
			return err
		}
	}
}

func get(path string) []byte { return []byte("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n") }

// The floor: net/http with a handler that writes a fixed answer of the same size and headers.
func BenchmarkWireFixed(b *testing.B) {
	w, bodies := population(b, 100)
	r := w.call("GET", getPath(bodies[0]), nil)
	fixed := bodyOf(b, r)
	header := r.Header
	w.responder = nil
	handler := func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		for k, v := range header {
			h[k] = v
		}
		_, _ = w.Write(fixed)
	}
	wire(b, byNetHTTP(b, http.HandlerFunc(handler)), [][]byte{get(getPath(bodies[0]))})
}

// byNetHTTP serves a handler by net/http on a free port.
func byNetHTTP(b *testing.B, h http.Handler) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := &http.Server{Handler: h}
	go func() { _ = s.Serve(l) }()
	b.Cleanup(func() { _ = s.Close() })
	return l.Addr().String()
}

func BenchmarkWireStored(b *testing.B) {
	w, bodies := population(b, 1000)
	address := listen(b, w.responder.NewServer(&http.Server{}), nil)
	var requests [][]byte
	for _, body := range bodies {
		requests = append(requests, get(getPath(body)))
		w.call("GET", getPath(body), nil)
	}
	wire(b, address, requests)
}

func BenchmarkWireFirst(b *testing.B) {
	w, bodies := population(b, 100_000)
	address := listen(b, w.responder.NewServer(&http.Server{}), nil)
	var requests [][]byte
	for _, body := range bodies {
		requests = append(requests, get(getPath(body)))
	}
	wire(b, address, requests)
}

// BenchmarkJudge measures what the directory asks of each certificate it shows
// the state of: parsing, digest and look-up.
func BenchmarkJudge(b *testing.B) {
	w := newWorld(b)
	w.ready()
	leaf := w.issued(w.auth)
	if j := w.table.Judge(leaf.Raw); !j.Certain {
		b.Fatalf("%+v", j)
	}
	b.ReportAllocs()
	defer cpu(b)()
	for b.Loop() {
		w.table.Judge(leaf.Raw)
	}
}
