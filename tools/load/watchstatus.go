package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"cardinal/ocsp/relying"
)

// asker asks one responder about one certificate after another, on a
// connection that stays.
type asker struct {
	name  string
	from  *ocspLoad
	pause time.Duration // between an answer and the next question
	conn  net.Conn
	in    *bufio.Reader
	asked int
}

// status is what an answer says of a certificate.
type status int

const (
	statusLater status = iota // tryLater or another error: no status
	statusGood
	statusRevoked
	statusUnknown
)

func (a *asker) Close() error {
	if a.conn == nil {
		return nil
	}
	return a.conn.Close()
}

// ask asks once. One question in four has a nonce, so that its answer is made
// and not taken from a store.
func (a *asker) ask(ctx context.Context, q ocspQuery) (status, error) {
	if a.conn == nil {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", a.from.host)
		if err != nil {
			return statusLater, err
		}
		a.conn, a.in = conn, bufio.NewReaderSize(conn, 1<<14)
	}
	if a.asked++; a.asked%4 == 0 {
		l := *a.from
		l.nonce = true
		if err := q.renew(&l); err != nil {
			return statusLater, err
		}
	}
	err := a.conn.SetDeadline(time.Now().Add(30 * time.Second))
	if err == nil {
		_, err = a.conn.Write(q.request)
	}
	var body []byte
	if err == nil {
		body, err = readBody(a.in)
	}
	if err != nil {
		_ = a.conn.Close()
		a.conn = nil
		return statusLater, err
	}
	if q.query.Nonce != nil && len(body) > 100 && !bytes.Contains(body, q.query.Nonce) {
		return statusLater, wrong("%s: the nonce is missing", a.name)
	}
	return statusIn(body, q.id), nil
}

// readBody reads the body of an HTTP answer.
func readBody(in *bufio.Reader) ([]byte, error) {
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answered with %s", answer.Status)
	}
	return io.ReadAll(io.LimitReader(answer.Body, relying.MaxResponse))
}

// statusIn reads the CertStatus that follows a CertID (RFC 6960 §4.2.1).
func statusIn(body, id []byte) status {
	at := bytes.Index(body, id)
	if at < 0 || at+len(id) >= len(body) {
		return statusLater
	}
	switch body[at+len(id)] {
	case 0x80:
		return statusGood
	case 0xa1:
		return statusRevoked
	}
	return statusUnknown
}

// revocation is one certificate being revoked, as those who ask see it.
type revocation struct {
	query    ocspQuery
	returned atomic.Pointer[time.Time] // when who revoked was told that it is done
	binding  bool                      // from then on no answer may be good
}

// sight is what one asker saw of a revocation.
type sight struct {
	revoked time.Time // when the first such answer was there
	wrong   int       // good answers to questions begun too late for them
	later   int       // answers without a status
	asked   int
}

var errNeverGood = errors.New("was never told to be good before it was revoked")

// watch asks until it was told that the certificate is revoked, and for a while
// after. It says on seen when the certificate was good.
func (a *asker) watch(ctx context.Context, r *revocation, seen func(), after time.Duration) (s sight, err error) {
	good := false
	for ctx.Err() == nil && (s.revoked.IsZero() || time.Since(s.revoked) < after) {
		returned, known := r.returned.Load(), !s.revoked.IsZero()
		is, err := a.ask(ctx, r.query)
		now := time.Now()
		if err != nil {
			return s, fmt.Errorf("%s: %w", a.name, err)
		}
		s.asked++
		switch {
		case is == statusGood:
			if known || r.binding && returned != nil {
				s.wrong++
			}
			if !good {
				good = true
				seen()
			}
		case is == statusRevoked && !good:
			return s, fmt.Errorf("%s: certificate %x %w", a.name, r.query.query.Leaf.SerialNumber, errNeverGood)
		case is == statusRevoked && !known:
			s.revoked = now
		case is == statusLater || is == statusUnknown:
			s.later++
		}
		if a.pause > 0 {
			time.Sleep(a.pause)
		}
	}
	return s, ctx.Err()
}

// askersOf opens one for each node.
func askersOf(i *installation, names []string, urls map[string]string, pause time.Duration) ([]*asker, error) {
	var all []*asker
	for _, name := range slices.Compact(names) {
		l, _, err := i.questions(urls[name], "authentication")
		if err != nil {
			return nil, err
		}
		all = append(all, &asker{name: name, from: l, pause: pause})
	}
	return all, nil
}
