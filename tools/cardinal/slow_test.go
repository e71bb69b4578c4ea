package main

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// oneConnection is a listener that has one client and then nobody.
type oneConnection struct {
	client chan net.Conn
	closed chan struct{}
}

func (l *oneConnection) Accept() (net.Conn, error) {
	select {
	case c := <-l.client:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *oneConnection) Close() error   { close(l.closed); return nil }
func (l *oneConnection) Addr() net.Addr { return &net.UnixAddr{Name: "test", Net: "unix"} }

func TestClientsThatStopHalfwayAreCut(t *testing.T) {
	t.Parallel()
	const wait = time.Hour
	for name, handle := range map[string]func(w http.ResponseWriter, r *http.Request) error{
		"asking":    func(_ http.ResponseWriter, r *http.Request) error { _, err := io.ReadAll(r.Body); return err },
		"listening": func(w http.ResponseWriter, _ *http.Request) error { _, err := w.Write(make([]byte, 1<<20)); return err },
	} {
		synctest.Test(t, func(t *testing.T) {
			ended := make(chan error, 1)
			s := (&node{logger: slog.New(slog.DiscardHandler)}).bounded(&http.Server{Handler: http.HandlerFunc(
				func(w http.ResponseWriter, r *http.Request) { ended <- handle(w, r) })})
			l := &oneConnection{client: make(chan net.Conn, 1), closed: make(chan struct{})}
			go s.Serve(l)
			defer s.Close()
			mine, theirs := net.Pipe()
			defer mine.Close()
			l.client <- theirs
			if _, err := io.WriteString(mine, "POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n0"); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-ended:
				if err == nil {
					t.Errorf("%s: what was cut was taken for whole", name)
				}
			case <-time.After(wait):
				t.Errorf("%s: after %s the handler still waits", name, wait)
			}
		})
	}
}
