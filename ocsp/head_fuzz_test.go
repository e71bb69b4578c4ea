package ocsp

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// FuzzHead: what the short way takes, net/http reads as exactly the same request, up to the same octet. So no proxy in
// front that agrees with either can be told of two requests where there is one.
func FuzzHead(f *testing.F) {
	for _, seed := range []string{
		"GET /ocsp/MFQw HTTP/1.1\r\nHost: status.example:8080\r\n\r\n",
		"GET /ocsp/MFQw HTTP/1.1\r\nHost: [::1]:80\r\nIf-None-Match: \"a\", W/\"b\"\r\nConnection: close\r\n\r\nGET /",
		"HEAD /ocsp HTTP/1.1\r\nhost: x\r\nif-modified-since: Sun, 22 Nov 2026 01:00:00 GMT\r\n\r\n",
		"POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET",
		"POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
		"POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc",
		"POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Length : 3\r\n\r\nabc",
		"POST /ocsp HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
		"GET /ocsp/a HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n",
		"GET /ocsp/a HTTP/1.1\nHost: x\n\n",
		"GET /ocsp/a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
		"GET /ocsp/a?b HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /ocsp/a HTTP/1.0\r\n\r\n",
		"GET /ocsp/%zz HTTP/1.1\r\nHost: x\r\nX: \r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 || bytes.Contains(b, []byte("%")) { // net/http refuses a wrong escape; we call it malformed by OCSP
			return
		}
		var h head
		if h.parse(b) != headTaken || len(b) < h.size+h.body {
			return
		}
		in := bytes.NewReader(b)
		buffered := bufio.NewReaderSize(in, 16)
		r, err := http.ReadRequest(buffered)
		if err != nil {
			t.Fatalf("net/http refuses it: %v\n%q", err, b)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatalf("net/http finds no body: %v\n%q", err, b)
		}
		if end := len(b) - in.Len() - buffered.Buffered(); end != h.size+h.body || !bytes.Equal(body, b[h.size:end]) {
			t.Errorf("it ends at %d, for us at %d\n%q", end, h.size+h.body, b)
		}
		method := map[string]method{"GET": methodGet, "HEAD": methodHead, "POST": methodPost}[r.Method]
		if method != h.method || r.RequestURI != "/ocsp"+string(h.path) || r.Close != h.last || r.Host == "" ||
			strings.Join(r.Header["If-None-Match"], ",") != string(h.noneMatch) ||
			r.Header.Get("If-Modified-Since") != string(h.since) || len(r.Header["Expect"])+len(r.TransferEncoding) != 0 {
			t.Errorf("net/http reads %+v, we %+v\n%q", r, h, b)
		}
	})
}
