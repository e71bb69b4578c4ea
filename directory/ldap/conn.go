package ldap

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"cardinal/directory"
	"cardinal/internal/ber"
)

// conn is one connection. The goroutine in serve reads it and runs what is
// short; other goroutines run what may take long and write their answers
// through write.
type conn struct {
	server  *Server
	number  uint64
	counts  *stripe // where it counts what it does
	plain   *socket
	net     net.Conn // the same, or TLS over it
	tls     *tls.ConnectionState
	who     Identity  // changed by Bind alone, while nothing else runs
	checked time.Time // when the certificate behind it was last seen to be good
	names   names
	bound   bool     // a bind has succeeded: larger requests are read
	ongoing *ongoing // a SASL exchange that waits for the next bind
	// mustChange: the identity is to set a new password first.
	mustChange atomic.Bool

	turn   turn   // of the reading goroutine
	streak streak // what it did without a turn since it last waited
	bunch  bunch  // of the reading goroutine's answers

	in       []byte // read but not yet used: in[from:to]
	from, to int
	out      []byte // answers of the reading goroutine, not yet written
	search   *searching
	readBy   time.Time // the read deadline in force
	draining atomic.Bool

	ctx         context.Context
	cancel      context.CancelFunc
	running     sync.WaitGroup
	mu          sync.Mutex // guards requests, tasks and transaction
	requests    map[int64]*task
	transaction *transaction
	renewed     atomic.Pointer[Identity] // who, when terms or memberships had changed since the bind
	tasks       int                      // running; requests that share a message id count one by one

	writing sync.Mutex
	writeBy time.Time // the write deadline in force
}

func newConn(s *Server, nc net.Conn, secure bool) *conn {
	n := s.numbers.Add(1)
	c := &conn{server: s, number: n, counts: s.tally.of(n), turn: s.turns.of(n, laneComing), requests: map[int64]*task{}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.plain = &socket{Conn: nc, ctx: c.ctx}
	c.net = c.plain
	if secure {
		c.net = tls.Server(c.plain, s.config.TLS)
	}
	c.become(Identity{})
	return c
}

// serve runs the connection to its end.
func (c *conn) serve() {
	defer c.close()
	defer func() { c.fault(recover()) }()
	if t, ok := c.net.(*tls.Conn); ok {
		if err := c.handshake(t); err != nil {
			return
		}
	}
	first := true
	for {
		pdu, err := c.next(first)
		if err != nil {
			c.goodbye(err)
			return
		}
		first = false
		if !c.handle(pdu) {
			return
		}
	}
}

// fault reports what a request made panic, if anything: one connection's fault
// does not end the process.
func (c *conn) fault(p any) bool {
	if p != nil {
		c.server.metrics.panics.Inc()
		c.server.config.Logger.Error("a request made the server panic", "connection", c.number, "panic", p, "stack", string(debug.Stack()))
	}
	return p != nil
}

func (c *conn) close() {
	c.cancel()
	c.dropTransaction()
	_ = c.flush()
	_ = c.net.Close()
	if c.tls != nil {
		c.server.secured.Add(-1)
	}
	c.running.Wait()
}

// cut ends the connection at once.
func (c *conn) cut() {
	c.cancel()
	_ = c.plain.Close()
}

func (c *conn) handshake(t *tls.Conn) error {
	deadline := time.Now().Add(c.server.config.Limits.Handshake)
	if err := c.plain.SetDeadline(deadline); err != nil {
		return err
	}
	if err := c.shakeHands(t); err != nil {
		c.server.metrics.handshakes.Inc()
		return err
	}
	c.server.secured.Add(1)
	state := t.ConnectionState()
	c.tls, c.readBy, c.writeBy = &state, deadline, deadline
	if c.who.Anonymous() {
		c.become(c.byCertificate("certificate"))
	} else {
		c.become(c.who) // the same, on a stronger connection
	}
	return c.plain.SetDeadline(time.Time{})
}

// shakeHands computes in turns: thousands may want it at once, and each costs
// as much as dozens of searches.
func (c *conn) shakeHands(t *tls.Conn) error {
	if err := c.turn.enter(c.ctx); err != nil {
		return err
	}
	c.plain.reading = &c.turn
	defer func() { c.plain.reading = nil; c.turn.leave() }()
	return t.HandshakeContext(c.ctx)
}

// next returns the next whole request. Before it waits it writes what is
// gathered. The request lives until the next call.
func (c *conn) next(first bool) ([]byte, error) {
	if len(c.out) >= stepOutput { // answers to many requests that came at once
		if err := c.flush(); err != nil {
			return nil, err
		}
	}
	for {
		h, err := c.header()
		if err != nil {
			return nil, err
		}
		if n := h.Total(); n > 0 && c.to-c.from >= n {
			pdu := c.in[c.from : c.from+n : c.from+n]
			c.from += n
			return pdu, nil
		}
		if len(c.out) > 0 {
			c.streak.skip(c.bunch.gather(c.server.config.Beside))
		}
		if err := c.flush(); err != nil {
			return nil, err
		}
		if err := c.fill(h.Total(), first); err != nil {
			return nil, err
		}
	}
}

// header decides from the first octets whether a request may come. A zero
// Header means more octets are needed for that.
func (c *conn) header() (ber.Header, error) {
	pending := c.in[c.from:c.to]
	if len(pending) > 0 && pending[0] != byte(ber.Sequence) {
		return ber.Header{}, errMessage
	}
	h, err := ber.ParseHeader(pending)
	if errors.Is(err, ber.ErrShort) {
		return ber.Header{}, nil
	}
	limit := c.server.config.Limits.MaxAnonymousPDU
	if c.bound {
		limit = c.server.config.Limits.MaxPDU
	}
	if err == nil && h.Length > limit {
		err = ber.ErrLength
	}
	return h, err
}

// fill reads more. The buffer grows with what arrives, never with what is
// announced.
func (c *conn) fill(need int, first bool) error {
	if c.from == c.to {
		c.from, c.to = 0, 0
		if cap(c.in) > keptBuffer {
			c.in = nil
		}
	}
	if c.in == nil {
		c.in = make([]byte, readBuffer)
	}
	if c.from > 0 && (c.to == len(c.in) || need > len(c.in)-c.from) {
		c.to = copy(c.in, c.in[c.from:c.to])
		c.from = 0
	}
	if c.to == len(c.in) {
		c.in = append(c.in, make([]byte, len(c.in))...)
	}
	if err := c.patience(first); err != nil {
		return err
	}
	n, err := c.net.Read(c.in[c.to:])
	c.to += n
	c.counts.received.Add(uint64(max(n, 0)))
	if n > 0 || c.mayRest(err) {
		return nil
	}
	return err
}

// mayRest reports whether a connection that said nothing for long may go on: it
// is told of changes, and needs to say nothing for that.
func (c *conn) mayRest(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) || c.draining.Load() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.following() > 0
}

// patience moves the read deadline on. Setting one costs as much as a small
// search, so it is set again only when an eighth of the time is used up.
func (c *conn) patience(first bool) error {
	patience := c.server.config.Limits.Idle
	if first {
		patience = c.server.config.Limits.Handshake
	}
	now := time.Now()
	c.streak.asked = now
	if left := c.readBy.Sub(now); left > patience-patience/8 && left <= patience {
		return nil
	}
	c.readBy = now.Add(patience)
	if err := c.plain.SetReadDeadline(c.readBy); err != nil {
		return err
	}
	if c.draining.Load() { // drain may have come just before
		return errDraining
	}
	return nil
}

var errDraining = errors.New("the server is stopping")

// goodbye tells the client why the connection ends, if he made it end.
func (c *conn) goodbye(err error) {
	switch {
	case c.draining.Load():
		c.running.Wait()
		c.out = notice(c.out, directory.Unavailable, "the server is stopping")
	case isDecoding(err):
		c.server.metrics.malformed.Inc()
		c.out = notice(c.out, directory.ProtocolError, "the request could not be decoded")
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
	}
}

// drain stops reading; what runs is answered.
func (c *conn) drain() {
	c.draining.Store(true)
	c.giveUpFollowing(true)
	_ = c.plain.SetReadDeadline(time.Unix(1, 0))
}

// flush writes the reading goroutine's answers.
func (c *conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	err := c.writeIn(&c.turn, c.out)
	if cap(c.out) > keptBuffer {
		c.out = nil
	}
	c.out = c.out[:0]
	return err
}

// write sends whole messages. It takes at most the write timeout; a client
// that does not read loses the connection.
func (c *conn) write(b []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.send(b)
}

// writeIn is write for work that takes turns. It keeps the turn if it need not
// wait for anybody; over TLS, whose own messages are written without one, never.
func (c *conn) writeIn(t *turn, b []byte) error {
	if !t.held() {
		return c.write(b)
	}
	if c.net != net.Conn(c.plain) || !c.writing.TryLock() {
		t.makeWay()
		return c.write(b)
	}
	c.plain.writing = t
	defer func() { c.plain.writing = nil; c.writing.Unlock() }()
	return c.send(b)
}

// send is called under the lock.
func (c *conn) send(b []byte) error {
	patience := c.server.config.Limits.Write
	now := time.Now()
	if left := c.writeBy.Sub(now); left < patience/2 || left > patience {
		c.writeBy = now.Add(patience)
		if err := c.net.SetWriteDeadline(c.writeBy); err != nil {
			return err
		}
	}
	if _, err := c.net.Write(b); err != nil {
		c.cut()
		return err
	}
	c.counts.sent.Add(uint64(len(b)))
	return nil
}

func isExhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) ||
		errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM) || errors.Is(err, syscall.ECONNABORTED)
}
