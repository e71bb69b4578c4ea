package ocsp

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Handler serves /ocsp (POST, and GET with the request in the path), /crl/NAME/N.crl, /ca/NAME.cer and /ca/NAME.p7c. It
// looks at the path as it was sent: http.ServeMux would clean the // that base64 may contain and redirect.
func (r *Responder) Handler() http.Handler { return http.HandlerFunc(r.serve) }

func (r *Responder) serve(w http.ResponseWriter, req *http.Request) {
	path := pathAsSent(req)
	switch rest, found := strings.CutPrefix(path, "/ocsp"); {
	case found && (rest == "" || rest[0] == '/'):
		r.serveOCSP(w, req, rest)
	case strings.HasPrefix(path, "/crl/"), strings.HasPrefix(path, "/ca/"):
		r.metrics.lists.Inc()
		r.serveFile(w, req)
	default:
		http.NotFound(w, req)
	}
}

// pathAsSent is the path before any decoding. RequestURI has it but for clients of a proxy, which send a whole URL.
func pathAsSent(req *http.Request) string {
	if strings.HasPrefix(req.RequestURI, "/") {
		path, _, _ := strings.Cut(req.RequestURI, "?")
		return path
	}
	return req.URL.EscapedPath()
}

// room is what one request needs, kept for the next.
type room struct {
	parsed  Request
	text    []byte // base64
	in      []byte // decoded
	singles []single
	fresh   answer // one that was made for this request
	out     []byte // an OCSPResponse
	wire    []byte // that and what HTTP puts around it
}

// rooms is a pool of room. It belongs to a Responder.
type rooms struct{ pool sync.Pool }

func (p *rooms) get() *room {
	if r, _ := p.pool.Get().(*room); r != nil {
		return r
	}
	return &room{in: make([]byte, 0, 512), out: make([]byte, 0, 2048)}
}

func (p *rooms) put(r *room) { p.pool.Put(r) }

func (r *Responder) serveOCSP(w http.ResponseWriter, req *http.Request, rest string) {
	start := r.config.Now()
	m := r.rooms.get()
	defer r.rooms.put(m)
	var err error
	var request []byte
	switch req.Method {
	case http.MethodPost:
		request, err = r.readBody(m.in[:0], req)
		m.in = request
	case http.MethodGet, http.MethodHead:
		if limit := r.config.Limits.URL; len(rest) > limit {
			err = &tooLargeError{int64(limit), http.StatusRequestURITooLong}
			break
		}
		request, err = m.decodePath([]byte(rest))
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		http.Error(w, "ask by GET or POST", http.StatusMethodNotAllowed)
		return
	}
	if tooLarge, ok := errors.AsType[*tooLargeError](err); ok {
		r.metrics.requests[resultTooLarge].Inc()
		w.Header().Set("Connection", "close")
		http.Error(w, "the request is larger than "+strconv.FormatInt(tooLarge.limit, 10)+" bytes", tooLarge.status)
		return
	}
	kept, why := r.respond(m, request, err, start)
	r.metrics.requests[why].Inc()
	r.write(w, req, &reply{m.out, kept, start})
	r.metrics.seconds.Observe(r.config.Now().Sub(start).Seconds())
}

// tooLargeError: the request is refused with an HTTP status, before it is read.
type tooLargeError struct {
	limit  int64
	status int
}

func (e *tooLargeError) Error() string { return "request too large" }

func (r *Responder) readBody(b []byte, req *http.Request) ([]byte, error) {
	limit := r.config.Limits.Body
	if req.ContentLength > limit {
		return b, &tooLargeError{limit, http.StatusRequestEntityTooLarge}
	}
	body := io.LimitReader(req.Body, limit+1)
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case int64(len(b)) > limit:
			return b, &tooLargeError{limit, http.StatusRequestEntityTooLarge}
		case errors.Is(err, io.EOF):
			return b, nil
		case err != nil:
			return b, err
		}
	}
}

// decodePath takes the request out of a GET's path (RFC 6960 A.1): percent escapes are undone, a space is a + that some
// proxy undid, the URL alphabet and missing padding are accepted, and so is one slash too many in front.
func (m *room) decodePath(rest []byte) (request []byte, err error) {
	rest = bytes.TrimPrefix(rest, []byte("/"))
	rest = bytes.TrimPrefix(rest, []byte("/"))
	b := m.text[:0]
	for i := bytes.IndexByte(rest, '%'); i >= 0; i = bytes.IndexByte(rest, '%') {
		if i+2 >= len(rest) {
			return nil, ErrMalformed
		}
		high, low := unhex(rest[i+1]), unhex(rest[i+2])
		if high|low > 15 {
			return nil, ErrMalformed
		}
		b = append(append(b, rest[:i]...), high<<4|low)
		rest = rest[i+3:]
	}
	b = append(b, rest...)
	m.text = b
	replaceAll(b, ' ', '+')
	replaceAll(b, '-', '+')
	replaceAll(b, '_', '/')
	if b = bytes.TrimRight(b, "="); bytes.IndexByte(b, '=') >= 0 {
		b = slices.DeleteFunc(b, func(c byte) bool { return c == '=' })
	}
	if m.in, err = base64.RawStdEncoding.AppendDecode(m.in[:0], b); err != nil {
		return nil, ErrMalformed
	}
	return m.in, nil
}

func replaceAll(b []byte, old, by byte) {
	for i := bytes.IndexByte(b, old); i >= 0; i = bytes.IndexByte(b, old) {
		b[i] = by
		b = b[i+1:]
	}
}

func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 0xff
}

// reply is an OCSPResponse to be sent.
type reply struct {
	response []byte
	kept     *answer // what it was made from, when caches may keep it
	now      time.Time
}

// write sends an answer. Caches get to know only what they may keep: an answer to a GET, without a nonce, with a status.
func (r *Responder) write(w http.ResponseWriter, req *http.Request, out *reply) {
	kept := out.kept
	h := w.Header()
	h["Content-Type"] = r.headers.response
	switch {
	case req.Method == http.MethodPost:
	case kept == nil:
		h["Cache-Control"] = r.headers.noStore
	default:
		h["Etag"] = []string{string(kept.appendETag(nil))}
		h["Last-Modified"] = []string{string(appendHTTPTime(nil, kept.thisUpdate))}
		h["Cache-Control"] = []string{string(kept.appendControl(nil, out.now))}
		if kept.maxAge > 0 {
			h["Expires"] = []string{string(appendHTTPTime(nil, out.now.Add(kept.mayAge(out.now))))}
		}
		tags := strings.Join(req.Header["If-None-Match"], ",")
		if kept.confirmed([]byte(tags), []byte(req.Header.Get("If-Modified-Since"))) {
			delete(h, "Content-Type")
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	h["Content-Length"] = []string{strconv.Itoa(len(out.response))}
	if req.Method != http.MethodHead {
		// An error is the client's having gone.
		_, _ = w.Write(out.response)
	}
}

// sharedHeaders are header values that are the same for all answers.
type sharedHeaders struct{ response, noStore []string }

func newSharedHeaders() sharedHeaders {
	return sharedHeaders{response: []string{"application/ocsp-response"}, noStore: []string{"no-store"}}
}
