package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
)

// listening answers on a listener until it is shut down.
type listening struct {
	name     string
	serve    func() error // returns an error that is closed when shut down
	shutdown func(context.Context) error
	closed   error
}

// task runs until its context ends, then returns nil.
type task struct {
	name string
	run  func(context.Context) error
}

func (n *node) task(name string, run func(context.Context) error) {
	n.tasks = append(n.tasks, task{name, run})
}

// listen opens a listener, so that an address in use is found before anything
// is announced.
func listen(what, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, usage("listening for "+what, err)
	}
	return l, nil
}

// Limits of an HTTP connection: slow clients do not hold sockets for ever.
const (
	httpHeaderWait = 10 * time.Second
	httpBodyWait   = time.Minute      // with the headers: a photograph over a slow line
	httpAnswerWait = 10 * time.Minute // a long revocation list over one
	httpIdle       = 2 * time.Minute
	httpHeaderSize = 32 << 10 // a GET of OCSP carries its request in the path
)

// serveHTTP adds a plain HTTP server.
func (n *node) serveHTTP(name string, l net.Listener, handler http.Handler) {
	s := n.bounded(&http.Server{Handler: handler})
	n.servers = append(n.servers, listening{name: name, serve: func() error { return s.Serve(l) }, shutdown: s.Shutdown, closed: http.ErrServerClosed})
}

// serveHTTPS adds an HTTP server that speaks TLS by its own configuration.
func (n *node) serveHTTPS(name string, l net.Listener, s *http.Server) {
	n.bounded(s)
	n.servers = append(n.servers, listening{name: name, serve: func() error { return s.ServeTLS(l, "", "") }, shutdown: s.Shutdown, closed: http.ErrServerClosed})
}

func (n *node) bounded(s *http.Server) *http.Server {
	s.ReadHeaderTimeout, s.IdleTimeout, s.MaxHeaderBytes = httpHeaderWait, httpIdle, httpHeaderSize
	s.ReadTimeout, s.WriteTimeout = httpBodyWait, httpAnswerWait
	s.ErrorLog = slog.NewLogLogger(n.logger.Handler(), slog.LevelDebug) // what clients get wrong in a handshake
	return s
}

// run works until ctx ends or something cannot go on. Servers are drained
// while what they need still works; then that ends too.
func (n *node) run(ctx context.Context) error {
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, broken := errgroup.WithContext(working)
	for _, t := range n.tasks {
		g.Go(func() error { return named(t.name, t.run(broken)) })
	}
	for _, s := range n.servers {
		g.Go(func() error {
			if err := s.serve(); !errors.Is(err, s.closed) {
				return named(s.name, err)
			}
			return nil
		})
	}
	g.Go(func() error { return n.announce(broken) })
	select {
	case <-ctx.Done():
		n.logger.Info("ending: draining what is in hand")
	case <-broken.Done():
	}
	n.drain()
	stop()
	return g.Wait()
}

func named(name string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}

// drain lets each server finish what it has in hand, all at the same time.
func (n *node) drain() {
	os.Remove(n.folder.ready(n.role))
	ctx, cancel := context.WithTimeout(context.Background(), n.config.Limits.Drain)
	defer cancel()
	var g errgroup.Group
	for _, s := range n.servers {
		g.Go(func() error {
			if err := s.shutdown(ctx); err != nil {
				n.logger.Warn("cut what did not end in time", "server", s.name, "error", err)
			}
			return nil
		})
	}
	_ = g.Wait()
}

// readyCheck is how often a starting node looks whether it can be asked.
const readyCheck = 20 * time.Millisecond

// announce prints the ready line once every part can answer.
func (n *node) announce(ctx context.Context) error {
	for len(n.unready()) > 0 || n.tooOld() {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(readyCheck):
		}
	}
	return n.writeReady(n.addresses)
}

// tooOld: the copy beside a writer is as old as the ledger's last heartbeat, which is of the process before, until the
// first of this one arrives in it. A copy whose writer is elsewhere may stay old, and is served for its lists.
func (n *node) tooOld() bool {
	return n.write != nil && n.read != nil && n.read.replica.State().Age > n.config.Limits.OCSPAge
}

func (n *node) writeReady(r ready) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := replaceFile(n.folder.ready(n.role), append(data, '\n')); err != nil {
		return err
	}
	_, err = n.a.out.Write(append(data, '\n'))
	return err
}
