package ocsp

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"strconv"
	"sync"
	"time"
)

// conn is one connection to a Server: its loop, and after that what net/http
// reads from.
type conn struct {
	net.Conn
	direct  io.ReadWriter // to Conn
	server  *Server
	in      []byte // what has arrived and is not answered yet
	head    head
	loose   int       // CRs and LFs that may still come between a POST and the next request
	begun   bool      // the deadline for reading is that of a request
	readBy  time.Time // the deadlines in force
	writeBy time.Time
	closed  sync.Once
}

// How connections are timed. An idle one is closed after idleWait, or up to half
// of it earlier: the deadline is not moved for each request. A request must have
// arrived whole requestWait after its first octets: it is a few hundred bytes.
// An answer must be taken within answerWait, or up to half of it earlier.
const (
	idleWait    = 2 * time.Minute
	requestWait = 10 * time.Second
	answerWait  = time.Minute
)

// firstBuffer holds usual requests; it grows up to what the limits allow, and
// one above keptBuffer is given up when its request is answered.
const (
	firstBuffer = 1 << 10
	keptBuffer  = 4 << 10
)

// headRoom is how long a plain request's line and header may be beside its path.
const headRoom = 8 << 10

var errIdle = errors.New("idle for too long, or shutting down")

// run answers requests until the connection ends or is handed over.
func (c *conn) run() {
	defer c.server.finished(c)
	defer func() {
		if p := recover(); p != nil {
			c.server.responder.config.Logger.Error("answering on a connection", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			_ = c.Close()
		}
	}()
	for {
		switch v, err := c.next(); {
		case err != nil:
			_ = c.Close()
			return
		case v == headOther:
			c.handOver()
			return
		}
		if err := c.exchange(); err != nil || c.head.last {
			_ = c.Close()
			return
		}
	}
}

// next waits until a request stands whole in c.in, or something that is none of
// the plain form.
func (c *conn) next() (verdict, error) {
	limits := &c.server.responder.config.Limits
	for {
		if c.skipLoose(); len(c.in) > 0 {
			v := c.head.parse(c.in)
			switch {
			case v == headTaken && (int64(c.head.body) > limits.Body || len(c.head.path) > limits.URL):
				return headOther, nil // refused there in so many words
			case v == headTaken && len(c.in) >= c.head.size+c.head.body, v == headOther:
				return v, nil
			case v == headPartial && len(c.in) > limits.URL+headRoom:
				return headOther, nil
			}
		}
		if err := c.read(); err != nil {
			return headOther, err
		}
	}
}

// mostLoose is how many CRs and LFs after a POST's body are passed over, as
// net/http does: some clients send them (RFC 9112 §2.2).
const mostLoose = 4

func (c *conn) skipLoose() {
	n := 0
	for n < len(c.in) && n < c.loose && (c.in[n] == '\r' || c.in[n] == '\n') {
		n++
	}
	c.in = c.in[:copy(c.in, c.in[n:])]
	if c.loose -= n; len(c.in) > 0 {
		c.loose = 0
	}
}

// read takes in more. While nothing of a request is here the connection is idle.
func (c *conn) read() error {
	if err := c.time(time.Now()); err != nil {
		return err
	}
	if c.server.closing.Load() { // looked at after the deadline was set: stop sets it after closing
		return errIdle
	}
	if len(c.in) == cap(c.in) {
		c.in = append(make([]byte, 0, 2*cap(c.in)), c.in...)
	}
	n, err := c.direct.Read(c.in[len(c.in):cap(c.in)])
	c.in = c.in[:len(c.in)+n]
	if n > 0 {
		return nil
	}
	return err
}

// time sets the deadline for the next read: of a request that has begun, or is
// the first, once; of an idle connection when the one in force is near.
func (c *conn) time(now time.Time) error {
	switch {
	case c.begun:
		return nil
	case len(c.in) > 0 || c.readBy.IsZero():
		c.begun, c.readBy = true, now.Add(requestWait)
	case c.readBy.Sub(now) < idleWait/2:
		c.readBy = now.Add(idleWait)
	default:
		return nil
	}
	return c.SetReadDeadline(c.readBy)
}

// exchange answers the request in c.in and takes it out.
func (c *conn) exchange() error {
	r := c.server.responder
	start := r.config.Now()
	c.begun = false
	m := r.rooms.get()
	defer r.rooms.put(m)
	h := &c.head
	var err error
	whole := h.size + h.body
	request := c.in[h.size:whole]
	if h.method != methodPost {
		request, err = m.decodePath(h.path)
	}
	kept, why := r.respond(m, request, err, start)
	m.wire = h.appendHTTP(m.wire[:0], &reply{m.out, kept, start})
	r.metrics.requests[why].Inc()
	err = c.write(m.wire)
	r.metrics.seconds.Observe(r.config.Now().Sub(start).Seconds())
	c.in, c.loose = c.in[:copy(c.in, c.in[whole:])], 0
	if h.method == methodPost {
		c.loose = mostLoose
	}
	if cap(c.in) > keptBuffer && len(c.in) <= firstBuffer {
		c.in = append(make([]byte, 0, firstBuffer), c.in...)
	}
	return err
}

func (c *conn) write(b []byte) error {
	now := time.Now()
	if c.writeBy.Sub(now) < answerWait/2 {
		c.writeBy = now.Add(answerWait)
		if err := c.SetWriteDeadline(c.writeBy); err != nil {
			return err
		}
	}
	_, err := c.direct.Write(b)
	return err
}

// appendHTTP appends the whole answer as HTTP/1.1. What it says is what
// Responder.write says by net/http.
func (h *head) appendHTTP(b []byte, r *reply) []byte {
	kept := r.kept
	confirmed := kept != nil && h.method != methodPost && kept.confirmed(h.noneMatch, h.since)
	if confirmed {
		b = append(b, "HTTP/1.1 304 Not Modified\r\nDate: "...)
	} else {
		b = append(b, "HTTP/1.1 200 OK\r\nContent-Type: application/ocsp-response\r\nDate: "...)
	}
	b = appendHTTPTime(b, r.now)
	switch {
	case h.method == methodPost:
	case kept == nil:
		b = append(b, "\r\nCache-Control: no-store"...)
	default:
		b = append(kept.appendETag(append(b, "\r\nEtag: "...)), "\r\nLast-Modified: "...)
		b = append(appendHTTPTime(b, kept.thisUpdate), "\r\nCache-Control: "...)
		b = kept.appendControl(b, r.now)
		if kept.maxAge > 0 {
			b = appendHTTPTime(append(b, "\r\nExpires: "...), r.now.Add(kept.mayAge(r.now)))
		}
	}
	if h.last {
		b = append(b, "\r\nConnection: close"...)
	}
	if confirmed {
		return append(b, "\r\n\r\n"...)
	}
	b = strconv.AppendInt(append(b, "\r\nContent-Length: "...), int64(len(r.response)), 10)
	b = append(b, "\r\n\r\n"...)
	if h.method == methodHead {
		return b
	}
	return append(b, r.response...)
}

// appendHTTPTime appends an HTTP-date (RFC 9110 §5.6.7).
func appendHTTPTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	const days, months = "SunMonTueWedThuFriSat", "JanFebMarAprMayJunJulAugSepOctNovDec"
	b = append(append(b, days[3*t.Weekday():][:3]...), ", "...)
	b = append(appendTwo(b, day), ' ')
	b = append(append(b, months[3*(month-1):][:3]...), ' ')
	b = append(appendTwo(appendTwo(b, year/100), year%100), ' ')
	b = append(appendTwo(b, hour), ':')
	b = append(appendTwo(b, minute), ':')
	return append(appendTwo(b, second), " GMT"...)
}

func appendTwo(b []byte, n int) []byte { return append(b, '0'+byte(n/10), '0'+byte(n%10)) }

// handOver gives the connection to net/http.
func (c *conn) handOver() {
	c.server.responder.metrics.handed.Inc()
	if err := c.Conn.SetDeadline(time.Time{}); err != nil {
		_ = c.Close()
		return
	}
	select {
	case c.server.handed <- &handed{conn: c}:
	case <-c.server.ended:
		_ = c.Close()
	}
}

// Close closes the connection and takes it off the count, once.
func (c *conn) Close() (err error) {
	c.closed.Do(func() {
		err = c.Conn.Close()
		c.server.here.Add(-1)
	})
	return err
}

// handed is a connection that net/http answers: first it reads what the loop
// had read.
type handed struct{ *conn }

// Read implements net.Conn.
func (h *handed) Read(p []byte) (int, error) {
	if len(h.in) == 0 {
		return h.conn.Conn.Read(p)
	}
	n := copy(p, h.in)
	if h.in = h.in[n:]; len(h.in) == 0 {
		h.in = nil
	}
	return n, nil
}

// ReadFrom implements io.ReaderFrom, so that files are sent by the kernel.
func (h *handed) ReadFrom(r io.Reader) (int64, error) { return io.Copy(h.conn.Conn, r) }

// CloseWrite lets net/http end its side first, so that a refusal is read before
// the connection is reset.
func (h *handed) CloseWrite() error {
	if half, ok := h.conn.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
