package api

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// verdictTime is how long a failed exchange waits to hear whether it was the
// client's certificate.
const verdictTime = 5 * time.Second

// transport tells a server that refused the client's certificate from one that
// is gone. In TLS 1.3 the server judges the certificate after the client may
// already send (RFC 8446 §2), so its alert can be lost under the request that
// crosses it; a handshake that then only listens hears it.
type transport struct {
	*http.Transport
	config *tls.Config
}

// NewTransport is what New sends requests through: TLS 1.3, connections kept.
func NewTransport(config *tls.Config) http.RoundTripper {
	config = config.Clone()
	config.MinVersion = tls.VersionTLS13
	return &transport{config: config, Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true,
		MaxIdleConnsPerHost: 16, IdleConnTimeout: 2 * time.Minute, TLSHandshakeTimeout: 10 * time.Second}}
}

// RoundTrip implements http.RoundTripper. A connection that carried an answer
// before had its certificate accepted: what fails there is the network, even
// when a card's key has changed since and would be refused now.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	var proven atomic.Bool
	traced := httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		if i.Reused {
			proven.Store(true)
		}
	}})
	resp, err := t.Transport.RoundTrip(r.WithContext(traced))
	if err == nil || proven.Load() || r.Context().Err() != nil || isOp(err, "dial") || isOp(err, "remote error") {
		return resp, err
	}
	if alert := t.listen(r.Context(), r.URL.Host); alert != nil {
		return nil, alert
	}
	return nil, err
}

// listen shakes hands, sends nothing, and gives the alert that comes, if any.
func (t *transport) listen(ctx context.Context, host string) error {
	ctx, cancel := context.WithTimeout(ctx, verdictTime)
	defer cancel()
	dialer := tls.Dialer{Config: t.config}
	conn, err := dialer.DialContext(ctx, "tcp", host)
	if err == nil {
		defer conn.Close()
		deadline, _ := ctx.Deadline()
		if err = conn.SetReadDeadline(deadline); err == nil {
			_, err = conn.Read(make([]byte, 1))
		}
	}
	if isOp(err, "remote error") {
		return err
	}
	return nil
}

// isOp looks at what a network operation was; "remote error" is how crypto/tls
// names a received alert, for which it exports no type.
func isOp(err error, op string) bool {
	var operation *net.OpError
	return errors.As(err, &operation) && operation.Op == op
}
