package feed

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"cardinal/internal/journal"
)

// Registry knows the enrolled nodes.
type Registry interface {
	// Admit says which node a certificate (DER, its chain already verified) is of, as of now. Errors: ErrUnknown,
	// ErrDisabled, ErrRevoked, or trouble.
	Admit(ctx context.Context, certificate []byte) (Node, error)
}

// Config is what a Server works with. Feed, Registry and Leases are required.
type Config struct {
	Feed     journal.Feed
	Registry Registry
	Leases   *Leases
	Now      func() time.Time // nil: time.Now
	Logger   *slog.Logger     // nil: silent
	// Snapshots are given to new nodes; nil: they follow the journal from its beginning.
	Snapshots Snapshots
	// Configuration names what nodes of a scope are told of the writer's configuration: another name, another content. It
	// goes along with every answer about the journal; nil: nothing is said.
	Configuration func(Scope) string
	// Joined is called before a node is answered that was not heard of for a while, by this server or by what it was told
	// ([Leases.Note]), so that other servers of the same ledger know that it may answer from what it gets; nil: there are
	// no others. Its error is the node's.
	Joined func(ctx context.Context, node NodeState) error
	// Tell is called when an admitted node has asked something, before it is answered; may be nil.
	Tell func(node Node, what string)
}

// Server answers nodes. It is an http.Handler for a TLS listener that demands client certificates ([TLSConfig]).
type Server struct {
	config Config
	mux    *http.ServeMux
	quota  *quota
	ending context.Context
	end    context.CancelFunc
}

// Handler answers an admitted node.
type Handler func(w http.ResponseWriter, r *http.Request, node Node)

// NewServer makes a Server that answers
//
//	GET /v1/journal?after=P&limit=N&wait=D&since=T
//	GET /v1/blob/SHA256
//	GET /v1/snapshot, GET /v1/snapshot/SHA256
//
// and whatever Handle adds. It does no I/O.
func NewServer(c Config) *Server {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Tell == nil {
		c.Tell = func(Node, string) {}
	}
	if c.Configuration == nil {
		c.Configuration = func(Scope) string { return "" }
	}
	s := &Server{config: c, mux: http.NewServeMux(), quota: newQuota(c.Now)}
	s.ending, s.end = context.WithCancel(context.Background())
	s.Handle("GET /v1/journal", s.journal)
	s.Handle("GET /v1/blob/{hash}", s.blob)
	s.Handle("GET /v1/snapshot", s.manifest)
	s.Handle("GET /v1/snapshot/{hash}", s.part)
	return s
}

// TLSConfig is what the server's listener speaks: TLS 1.3 with a client certificate of one of the authorities, and
// HTTP/1.1.
func TLSConfig(certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error), clients func() *x509.CertPool, now func() time.Time) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAndVerifyClientCert,
		GetCertificate: certificate, Time: now, NextProtos: []string{"http/1.1"}}
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { // authorities come and go
		asked := c.Clone()
		asked.GetConfigForClient, asked.ClientCAs = nil, clients()
		return asked, nil
	}
	return c
}

// Handle adds a handler for a pattern of http.ServeMux. It is called for admitted nodes only; one that works for long asks
// [Server.Admitted] again. Add all before serving.
func (s *Server) Handle(pattern string, h Handler) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		node, err := s.Admitted(r)
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		s.config.Tell(node, pattern)
		h(w, r, node)
	})
}

// HandleCostly is Handle for what may not be asked for without end, as a signature of a CA: a node has certifyBurst of
// such questions, and certifyEvery gives one back. Beyond it gets ErrTooOften.
func (s *Server) HandleCostly(pattern string, h Handler) {
	s.Handle(pattern, func(w http.ResponseWriter, r *http.Request, node Node) {
		wait, first := s.quota.take(node.Name)
		if wait == 0 {
			h(w, r, node)
			return
		}
		if first {
			s.config.Logger.Warn("a node asks too often", "node", node.Name, "path", r.URL.Path, "again in", wait)
		}
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		s.refuse(w, r, ErrTooOften)
	})
}

// End has questions that wait answered as they are, for a server that is shut down.
func (s *Server) End() { s.end() }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Admitted is the node that asks, if it still may.
func (s *Server) Admitted(r *http.Request) (Node, error) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return Node{}, ErrUnknown
	}
	return s.config.Registry.Admit(r.Context(), r.TLS.PeerCertificates[0].Raw)
}

// problemHeader names what is wrong, for the client; the body says it for people.
const problemHeader = "Cardinal-Problem"

// problems are the errors that travel, by their names.
func problems() map[string]error {
	return map[string]error{"unknown": ErrUnknown, "disabled": ErrDisabled, "revoked": ErrRevoked,
		"gap": journal.ErrGap, "no-content": journal.ErrNoContent, "unreadable": ErrUnreadable, "not-yet": ErrNotYet, "too-often": ErrTooOften}
}

// refuse answers with what is wrong. What is nobody's fault but ours is logged and not told.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status, text := http.StatusServiceUnavailable, "not now"
	for name, known := range problems() {
		if errors.Is(err, known) {
			w.Header().Set(problemHeader, name)
			text = known.Error()
			status = statusOf(known)
			break
		}
	}
	switch {
	case r.Context().Err() != nil:
	case status == http.StatusServiceUnavailable:
		s.config.Logger.Error("answering a node", "path", r.URL.Path, "from", r.RemoteAddr, "why", err)
	case errors.Is(err, journal.ErrRefused):
		s.config.Logger.Warn("a node is refused", "path", r.URL.Path, "from", r.RemoteAddr, "subject", subject(r), "why", err)
	}
	http.Error(w, text, status)
}

func subject(r *http.Request) string {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return ""
	}
	return r.TLS.PeerCertificates[0].Subject.String()
}

func statusOf(err error) int {
	switch {
	case errors.Is(err, journal.ErrRefused):
		return http.StatusForbidden
	case errors.Is(err, journal.ErrNoContent):
		return http.StatusNotFound
	case errors.Is(err, journal.ErrGap):
		return http.StatusGone
	case errors.Is(err, ErrNotYet):
		return http.StatusConflict
	case errors.Is(err, ErrTooOften):
		return http.StatusTooManyRequests
	}
	return http.StatusBadRequest
}

// question is what a node asks about the journal.
type question struct {
	after journal.Position
	limit int
	wait  time.Duration // 0: answer at once
	since time.Time     // the newest head's time the node knows
}

func parseQuestion(r *http.Request) (q question, err error) {
	values := r.URL.Query()
	number := func(key string) uint64 {
		n, bad := strconv.ParseUint(values.Get(key), 10, 63)
		if bad != nil && values.Has(key) {
			err = errors.Join(err, ErrUnreadable, bad)
		}
		return n
	}
	q.after = journal.Position(number("after"))
	q.limit = int(min(number("limit"), maxBatch))
	q.wait = min(time.Duration(min(number("wait"), uint64(maxWait.Milliseconds())))*time.Millisecond, maxWait)
	q.since = time.UnixMicro(int64(number("since"))).UTC()
	return q, err
}

// journal answers with the head, and changes if there are any, waiting for them if asked to.
func (s *Server) journal(w http.ResponseWriter, r *http.Request, node Node) {
	arrived := time.Now()
	q, err := parseQuestion(r)
	if err == nil {
		err = s.hear(r, node)
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	o, err := s.await(r.Context(), q)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	o.held = o.now.Sub(arrived)
	o.now = s.config.Now().Add(time.Since(o.now) * -1)
	if node, err = s.Admitted(r); err != nil { // it may have been disabled meanwhile
		s.refuse(w, r, err)
		return
	}
	changes, err := s.changes(r.Context(), q, o.head, node.Scope)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set(configurationHeader, s.config.Configuration(node.Scope))
	if err := writeAnswer(w, o, changes); err != nil {
		s.config.Logger.Debug("sending changes", "node", node.Name, "why", err)
	}
}

// hear takes what the node says of itself.
func (s *Server) hear(r *http.Request, node Node) error {
	text := r.Header.Get(leaseHeader)
	if text == "" {
		return nil
	}
	lease, err := parseLeaseHeader(text)
	if err != nil {
		return err
	}
	now := s.config.Now()
	if s.config.Joined != nil && !s.config.Leases.heard(node.Name, now) {
		if err := s.config.Joined(r.Context(), NodeState{Node: node, Lease: lease, Seen: now}); err != nil {
			return err
		}
	}
	s.config.Leases.Note(node.Name, lease, now)
	return nil
}

// leaseHeader carries a node's Lease; configurationHeader names the writer's configuration.
const (
	leaseHeader         = "Cardinal-Lease"
	configurationHeader = "Cardinal-Configuration"
)

// await reads the head once it has something for the node, or the wait is over. The outline's now is on the monotonic
// clock.
func (s *Server) await(ctx context.Context, q question) (o outline, err error) {
	waiting, cancel := context.WithTimeout(ctx, q.wait)
	defer cancel()
	defer context.AfterFunc(s.ending, cancel)()
	for {
		o, err = s.head(ctx)
		if err != nil || o.head.Position > q.after || o.head.Time.After(q.since) || waiting.Err() != nil {
			return o, err
		}
		if err := s.slice(waiting, q.after); err != nil {
			return o, err
		}
	}
}

// slice waits for a while: a heartbeat between reading the head and waiting wakes nobody, so the head is read again soon.
func (s *Server) slice(ctx context.Context, after journal.Position) error {
	slice, cancel := context.WithTimeout(ctx, waitSlice)
	defer cancel()
	if err := s.config.Feed.Wait(slice, after); err != nil && slice.Err() == nil {
		return err
	}
	return nil
}

func (s *Server) head(ctx context.Context) (o outline, err error) {
	o.now = time.Now() // before it is read: what is committed after counts for the next answer
	o.head, err = s.config.Feed.Head(ctx)
	return o, err
}

// changes reads what the node wants and may have.
func (s *Server) changes(ctx context.Context, q question, head journal.Head, scope Scope) ([]journal.Change, error) {
	if q.limit == 0 || head.Position <= q.after {
		return nil, nil
	}
	changes, err := s.config.Feed.Read(ctx, q.after, q.limit)
	for i := range changes {
		if scope.Withholds(changes[i].Kind) {
			changes[i].Erase()
		}
	}
	return changes, err
}

// blob sends a content by its hash.
func (s *Server) blob(w http.ResponseWriter, r *http.Request, node Node) {
	hash, err := journal.ParseHash(r.PathValue("hash"))
	if err != nil {
		s.refuse(w, r, errors.Join(ErrUnreadable, err))
		return
	}
	content, err := s.config.Feed.Content(r.Context(), hash)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	defer content.Close()
	from := rangeOf(r)
	if skipped, err := io.CopyN(io.Discard, content, from); err != nil {
		s.refuse(w, r, fmt.Errorf("%w: the content ends at %d: %w", ErrUnreadable, skipped, err))
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if from > 0 {
		w.WriteHeader(http.StatusPartialContent)
	}
	s.Send(w, r, content)
}

// rangeOf is where a node wants a content from: it asks for the rest (RFC 9110 §14.1.2), or for all of it. Whatever else
// is asked for is answered with all of it.
func rangeOf(r *http.Request) int64 {
	first, open := strings.CutSuffix(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-")
	n, err := strconv.ParseInt(first, 10, 63)
	if err != nil || !open {
		return 0
	}
	return max(0, n)
}

// Send copies to a node as long as it may have it; the answer is cut off when it may not any more, or when the source
// fails, so that the node sees that it is not whole.
func (s *Server) Send(w http.ResponseWriter, r *http.Request, from io.Reader) {
	control := http.NewResponseController(w)
	for {
		_ = control.SetWriteDeadline(time.Now().Add(stepPatience)) // where it cannot be set the server's own holds
		n, err := io.CopyN(w, from, copyStep)
		if err == nil && n == copyStep {
			_, err = s.Admitted(r)
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			s.config.Logger.Warn("cutting off an answer", "path", r.URL.Path, "subject", subject(r), "why", err)
			panic(http.ErrAbortHandler) // net/http's own way to end an answer so that it is seen to be cut off
		}
	}
}
