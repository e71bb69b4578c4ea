// Package server answers stations and commands over HTTPS: it knows who asks by
// the client certificate of the connection, reads what is asked strictly, has
// the issuance desk do it, waits until the replica beside it has seen the
// change, and says what came of it.
//
// What it promises:
//
//   - The routes are exactly api.Routes; each is described by the OpenAPI 3.1
//     document at /openapi.json.
//   - A certificate is judged for every request, in the transaction that serves
//     it, never once for a connection: a card revoked meanwhile gets nothing
//     more, however long its connection stays open.
//   - Every answer that is not a success is a problem document (RFC 9457) with
//     the rule's stable name, its clause, the field at fault and the request's
//     id, which the log has too. What is not known to be fit for showing is a
//     blank internal error.
//   - After a write is answered with visible true, the status and directory
//     services of this node answer by it.
package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"time"

	"cardinal/internal/journal"
	"cardinal/issuance"
	"cardinal/issuance/api"
)

// Limits of a request, and of how long a write waits for the replica.
const (
	bodyMax   = 1 << 20 // a photograph of 512 KiB in base64 and its person
	depthMax  = 8       // the deepest body has 4 levels
	pemMax    = 16384   // as the OpenAPI document has it
	waitLimit = 5 * time.Second
)

// Waiter tells when the replica beside the server has applied a position
// (replica.WaitFor).
type Waiter interface {
	WaitFor(ctx context.Context, p journal.Position) error
}

// Config says what the server stands on. Issuance is required.
type Config struct {
	Issuance *issuance.Desk
	Waiter   Waiter        // nil where no replica runs: no answer is then visible
	Wait     time.Duration // how long a write waits for the replica; 0 = 5 s
	Watch    *Watch        // knows how far the nodes are; nil where there are none
	Logger   *slog.Logger  // one line a request; nil = discard
}

type server struct {
	desk     *issuance.Desk
	waiter   Waiter
	wait     time.Duration
	watch    *Watch
	large    *large
	streams  chan struct{} // one for each stream of events
	logger   *slog.Logger
	document []byte
}

// exchange is one request on its way.
type exchange struct {
	*http.Request
	id       string
	operator issuance.Operator
	query    url.Values
}

// answer is what a handler says when it has not failed.
type answer struct {
	status int
	body   any
	stream func(http.ResponseWriter) // instead of both
}

func done(body any) (answer, error) { return answer{status: http.StatusOK, body: body}, nil }

type handler func(*exchange) (answer, error)

// New makes the handler. It must be served over TLS by TLSConfig.
func New(c Config) (http.Handler, error) {
	if c.Issuance == nil {
		return nil, errors.New("issuance server: the desk is required")
	}
	if c.Wait == 0 {
		c.Wait = waitLimit
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	document, err := api.Description()
	if err != nil {
		return nil, err
	}
	if c.Watch == nil {
		c.Watch = NewWatch(nil, nil)
	}
	s := &server{desk: c.Issuance, waiter: c.Waiter, wait: c.Wait, watch: c.Watch, logger: c.Logger, document: document,
		large: newLarge(), streams: make(chan struct{}, mostStreams)}
	return s.mux()
}

// mux registers every route of the API, and only those.
func (s *server) mux() (http.Handler, error) {
	handlers := s.handlers()
	mux := http.NewServeMux()
	for _, route := range api.Routes() {
		h, ok := handlers[route.Name]
		if !ok {
			return nil, fmt.Errorf("issuance server: nothing handles %s", route.Name)
		}
		delete(handlers, route.Name)
		mux.Handle(route.Method+" "+route.Path, s.serve(route, h))
	}
	if len(handlers) > 0 {
		return nil, fmt.Errorf("issuance server: %d handlers without a route", len(handlers))
	}
	return s.unrouted(mux), nil
}

// unrouted gives problem documents where the mux would answer in plain text.
func (s *server) unrouted(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The mux would redirect an unclean path; the API never redirects.
		if _, pattern := mux.Handler(r); pattern != "" && path.Clean(r.URL.Path) == r.URL.Path {
			mux.ServeHTTP(w, r)
			return
		}
		probe := &allowProbe{header: http.Header{}}
		mux.ServeHTTP(probe, r)
		x := &exchange{Request: r, id: newID()}
		if allow := probe.header.Get("Allow"); allow != "" {
			w.Header().Set("Allow", allow)
			s.refuse(w, x, &wrong{http.StatusMethodNotAllowed, "request.method", "", r.Method + " is not for " + r.URL.Path})
			return
		}
		s.refuse(w, x, &wrong{http.StatusNotFound, "request.path", "", "there is nothing at " + r.URL.Path})
	})
}

// allowProbe takes an answer's headers and drops the rest.
type allowProbe struct{ header http.Header }

func (p *allowProbe) Header() http.Header         { return p.header }
func (p *allowProbe) Write(b []byte) (int, error) { return len(b), nil }
func (p *allowProbe) WriteHeader(int)             {}

// serve is what all routes have in common.
func (s *server) serve(route api.Route, h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{Request: r, id: newID(), query: r.URL.Query()}
		if err := x.admit(route); err != nil {
			s.refuse(w, x, err)
			return
		}
		if route.Large {
			leave, err := s.admitLarge(w, x)
			if err != nil {
				s.refuse(w, x, err)
				return
			}
			defer leave()
		} else if route.Body {
			r.Body = http.MaxBytesReader(w, r.Body, bodyMax)
		}
		start := time.Now()
		a, err := h(x)
		if err != nil {
			s.refuse(w, x, err)
			return
		}
		s.logger.Info("answered", "request", x.id, "route", route.Name, "status", a.status, "took", time.Since(start))
		if a.stream != nil {
			a.stream(w)
			return
		}
		s.say(w, x, a)
	})
}

// admit checks where a request comes from before anything of it is read.
func (x *exchange) admit(route api.Route) error {
	if x.TLS == nil || len(x.TLS.PeerCertificates) == 0 {
		return &wrong{http.StatusUnauthorized, "operator.unknown", "", "a client certificate is required"}
	}
	x.operator = issuance.Operator{Certificate: x.TLS.PeerCertificates[0].Raw}
	if !x.sameOrigin() {
		return &wrong{http.StatusForbidden, "request.origin", "", "pages of other origins may not ask here"}
	}
	if route.Body {
		return x.isJSON()
	}
	return nil
}

// sameOrigin refuses what a browser says comes from elsewhere: a client
// certificate is sent with such requests too (RFC 6454; Fetch Metadata).
func (x *exchange) sameOrigin() bool {
	if site := x.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return false
	}
	origin := x.Header.Get("Origin")
	return origin == "" || origin == "https://"+x.Host
}

func (s *server) say(w http.ResponseWriter, x *exchange, a answer) {
	body, ok := a.body.([]byte)
	if !ok {
		var err error
		if body, err = json.Marshal(a.body); err != nil {
			s.refuse(w, x, fmt.Errorf("writing the answer: %w", err))
			return
		}
	}
	header(w, "application/json")
	w.WriteHeader(a.status)
	w.Write(body)
}

func header(w http.ResponseWriter, kind string) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
}

// written waits for the replica and says where the write stands. A replica that
// does not come in time does not undo the write: the answer is success, not
// visible yet.
func (s *server) written(x *exchange, p journal.Position) api.Written {
	w := api.Written{Position: uint64(p)}
	if s.waiter == nil {
		return w
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.Context()), s.wait)
	defer cancel()
	if err := s.waiter.WaitFor(ctx, p); err != nil {
		s.logger.Warn("the replica has not seen a write", "request", x.id, "position", p, "error", err)
		return w
	}
	w.Visible = true
	return w
}

func newID() string {
	var b [12]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
