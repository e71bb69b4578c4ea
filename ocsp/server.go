package ocsp

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Server answers a Responder's port. A plain OCSP request (see head) is read,
// answered and written on the goroutine of its connection; the first request of
// any other form, an OCSP request or not, hands the connection with all it has
// sent over to net/http, for good. So Handler alone is the whole service, and
// this a shorter way to a part of it.
type Server struct {
	responder *Responder
	rest      *http.Server
	handed    chan net.Conn

	closing atomic.Bool
	ended   chan struct{}
	mu      sync.Mutex
	serving map[net.Listener]struct{}
	conns   map[*conn]struct{}
	here    atomic.Int64 // connections, with those handed over
	loops   sync.WaitGroup
}

// NewServer makes a Server. Its limits are r's; those of connections that are
// handed over are rest's, whose Handler is set to r's where it is nil. rest
// must not be used for anything else.
func (r *Responder) NewServer(rest *http.Server) *Server {
	if rest.Handler == nil {
		rest.Handler = r.Handler()
	}
	return &Server{responder: r, rest: rest, handed: make(chan net.Conn), ended: make(chan struct{}),
		serving: map[net.Listener]struct{}{}, conns: map[*conn]struct{}{}}
}

// Serve answers what comes in at l until Shutdown, and then returns
// http.ErrServerClosed. It may be called for several listeners.
func (s *Server) Serve(l net.Listener) error {
	if !s.listens(l) {
		return errors.Join(http.ErrServerClosed, l.Close())
	}
	defer s.listensNoMore(l)
	rest := make(chan error, 1)
	go func() { rest <- s.rest.Serve(&handedOver{server: s, address: l.Addr()}) }()
	err := s.accept(l)
	if s.closing.Load() {
		return http.ErrServerClosed
	}
	s.stop() // what cannot accept cannot go on
	_ = s.rest.Close()
	<-rest
	return err
}

func (s *Server) listens(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		return false
	}
	s.serving[l] = struct{}{}
	return true
}

func (s *Server) listensNoMore(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.serving, l)
}

// longestPause is how long accepting rests at most while the process is out of
// file descriptors.
const longestPause = time.Second

func (s *Server) accept(l net.Listener) error {
	pause := 5 * time.Millisecond
	for {
		c, err := l.Accept()
		var passing interface{ Temporary() bool }
		switch {
		case err == nil:
			pause = 5 * time.Millisecond
			s.begin(c)
		case errors.As(err, &passing) && passing.Temporary() && !s.closing.Load():
			s.responder.config.Logger.Warn("accepting a connection", "why", err)
			time.Sleep(pause)
			pause = min(2*pause, longestPause)
		default:
			return err
		}
	}
}

// begin starts a connection's loop, unless there are too many.
func (s *Server) begin(c net.Conn) {
	if s.here.Add(1) > int64(s.responder.config.Limits.Connections) {
		s.here.Add(-1)
		s.responder.metrics.refused.Inc()
		// A client that has sent a request already is told by a reset all the same; it asks again elsewhere.
		_ = c.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		_ = c.Close()
		return
	}
	loop := &conn{Conn: c, direct: direct(c), server: s, in: make([]byte, 0, firstBuffer)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		_ = loop.Close()
		return
	}
	s.conns[loop] = struct{}{}
	s.loops.Add(1)
	go loop.run()
}

// finished takes a connection's loop off the books; the connection may live on
// with net/http.
func (s *Server) finished(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.loops.Done()
}

// Shutdown stops accepting, lets requests that have arrived whole be answered,
// closes idle connections, and returns when all are closed. When ctx ends
// before, it closes the rest and returns its error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop()
	quiet := make(chan struct{})
	go func() {
		s.loops.Wait()
		close(quiet)
	}()
	err := s.rest.Shutdown(ctx)
	select {
	case <-quiet:
	case <-ctx.Done():
		s.mu.Lock()
		for c := range s.conns {
			_ = c.Close()
		}
		s.mu.Unlock()
		<-quiet
		err = errors.Join(err, ctx.Err())
	}
	if err != nil {
		err = errors.Join(err, s.rest.Close())
	}
	return err
}

func (s *Server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Swap(true) {
		return
	}
	close(s.ended)
	for l := range s.serving {
		_ = l.Close()
	}
	for c := range s.conns {
		_ = c.SetReadDeadline(time.Unix(1, 0)) // one that waits for a request ends; one that answers finishes first
	}
}

// handedOver is the listener at which net/http accepts what a Server hands over.
type handedOver struct {
	server  *Server
	address net.Addr
}

// Accept implements net.Listener.
func (l *handedOver) Accept() (net.Conn, error) {
	select {
	case c := <-l.server.handed:
		return c, nil
	case <-l.server.ended:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *handedOver) Close() error { return nil }

// Addr implements net.Listener.
func (l *handedOver) Addr() net.Addr { return l.address }
