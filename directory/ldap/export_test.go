package ldap

import (
	"context"
	"io"
	"net"
	"time"

	dto "github.com/prometheus/client_model/go"

	"cardinal/directory"
	"cardinal/internal/ber"
)

// CheapRefusals lets the refusal of an identity that is not there cost next to
// nothing, so that a fuzzer gets somewhere.
func CheapRefusals(s *Server) { s.nobody = []byte("{SSHA}VQysdTiIXUBoDr2TzYj0h8JUBdQxMjM0NTY3OA==") }

// ParseFilter is parseFilter for tests outside the package.
func ParseFilter(b []byte) (*directory.Filter, error) { return parseFilter(b) }

// AppendFilter appends the BER form of a filter. FilterNone is written as a
// choice nobody knows.
func AppendFilter(b []byte, f *directory.Filter) []byte {
	switch f.Kind {
	case directory.FilterPresent:
		return ber.AppendString(b, 0x87, f.Attr)
	case directory.FilterNone:
		return ber.Append(b, 0x8F, nil)
	}
	b, mark := ber.Begin(b, 0xA0|ber.Tag(f.Kind))
	switch f.Kind {
	case directory.FilterAnd, directory.FilterOr, directory.FilterNot:
		for _, c := range f.Children {
			b = AppendFilter(b, c)
		}
	case directory.FilterSubstrings:
		b = appendSubstrings(b, f)
	case directory.FilterExtensible:
		b = appendExtensible(b, f)
	default:
		b = ber.AppendString(b, ber.OctetString, f.Attr)
		b = ber.Append(b, ber.OctetString, f.Value)
	}
	return ber.End(b, mark)
}

func appendSubstrings(b []byte, f *directory.Filter) []byte {
	b = ber.AppendString(b, ber.OctetString, f.Attr)
	b, mark := ber.Begin(b, ber.Sequence)
	if f.Initial != nil {
		b = ber.Append(b, 0x80, f.Initial)
	}
	for _, v := range f.Any {
		b = ber.Append(b, 0x81, v)
	}
	if f.Final != nil {
		b = ber.Append(b, 0x82, f.Final)
	}
	return ber.End(b, mark)
}

func appendExtensible(b []byte, f *directory.Filter) []byte {
	if f.Rule != "" {
		b = ber.AppendString(b, 0x81, f.Rule)
	}
	if f.Attr != "" {
		b = ber.AppendString(b, 0x82, f.Attr)
	}
	b = ber.Append(b, 0x83, f.Value)
	if f.DNAttrs {
		b = ber.AppendBool(b, 0x84, true)
	}
	return b
}

// Handle makes a connection that is bound as an identity and whose socket
// swallows everything, and returns what answers a request on it.
func Handle(s *Server, who directory.Identity) func(pdu []byte) []byte {
	c := newConn(s, discard{}, false)
	c.become(Identity{Identity: who})
	return func(pdu []byte) []byte {
		c.out = c.out[:0]
		c.handle(pdu)
		return c.out
	}
}

// discard is a socket that takes everything and gives nothing.
type discard struct{ net.Conn }

func (discard) Write(b []byte) (int, error)      { return len(b), nil }
func (discard) Read([]byte) (int, error)         { return 0, io.EOF }
func (discard) Close() error                     { return nil }
func (discard) RemoteAddr() net.Addr             { return nil }
func (discard) SetDeadline(time.Time) error      { return nil }
func (discard) SetReadDeadline(time.Time) error  { return nil }
func (discard) SetWriteDeadline(time.Time) error { return nil }

// Panics is how many requests made the server panic.
func Panics(s *Server) float64 {
	var m dto.Metric
	if err := s.metrics.panics.Write(&m); err != nil {
		return -1
	}
	return m.GetCounter().GetValue()
}

// Decode reads the parts of a message that stand for themselves.
func Decode(pdu []byte) error {
	m, err := parseMessage(pdu)
	if err != nil {
		return err
	}
	_, err = parseControls(&m)
	return err
}

// Connections is how many are open.
func Connections(s *Server) int64 { return s.connections.Load() }

// ParseEndTransaction and ParsePasswordModify are for fuzzing.
func ParseEndTransaction(b []byte) (commit bool, id []byte, err error) { return parseEndTransaction(b) }

// ParsePasswordModify returns the three parts of the request.
func ParsePasswordModify(b []byte) (identity, before, after []byte, err error) {
	p, err := parsePasswordModify(b)
	return p.identity, p.before, p.after, err
}

// Counting makes what counts one search on a connection of its own.
func Counting(s *Server) func() {
	c := newConn(s, discard{}, false)
	return func() {
		c.begin(searchRequest)
		c.count(searchRequest, directory.Success, time.Now())
	}
}

// SpanBucket and SpanEnd are the buckets of times.
func SpanBucket(d time.Duration) int { return spanBucket(d) }

// SpanEnd is where a bucket of times ends.
func SpanEnd(bucket int) time.Duration { return spanEnd(bucket) }

// Quantile is that of searches which took as long as is given.
func Quantile(share float64, took []time.Duration) time.Duration {
	var s Spans
	for _, d := range took {
		s.Buckets[spanBucket(d)]++
		s.Count++
	}
	return s.Quantile(share)
}

// SpanBuckets is how many there are.
const SpanBuckets = spanBuckets

// ReferralURI is where a value of ref sends a client that asks for a name.
func ReferralURI(value string, dn directory.DN) string {
	return target{below: dn[:min(1, len(dn))], whole: dn, scope: "sub"}.uri(value)
}

// ParseFollowing decodes whatever a client can send to follow changes.
func ParseFollowing(b []byte) (rid string, csns int, ok bool) {
	_, err1 := parseSyncRequest(b)
	_, err2 := parsePersistentSearch(b)
	c, known := parseSyncCookie(b)
	scope := syncScope{0xAB, 0xCD, 0xEF}
	_, found := scope.place(c)
	return c.rid, len(c.csns), err1 == nil || err2 == nil || known && found
}

// SyncCookie is the cookie of a place, and whether it is found in it again.
func SyncCookie(scope [16]byte, rid, csn string) (cookie []byte, found bool) {
	s := syncScope(scope)
	cookie = s.cookie(rid, []byte(csn))
	c, ok := parseSyncCookie(cookie)
	at, placed := s.place(c)
	return cookie, ok && placed && at == csn && (rid == "" || c.rid == rid)
}

// HoldSorts takes every place of searches that sort much, until leave.
func HoldSorts(s *Server) (leave func()) {
	for range cap(s.sorts) {
		s.sorts <- struct{}{}
	}
	return func() {
		for range cap(s.sorts) {
			<-s.sorts
		}
	}
}

// ParsePlain is parsePlain for tests outside the package.
func ParsePlain(message []byte) (authz, authc string, password []byte, err error) {
	return parsePlain(message)
}

// Resting is how many goroutines wait for connections to serve.
func Resting(s *Server) int { return int(s.rested.Load()) }

// TakeSeats takes every seat there is for work that takes turns, until they
// are given back.
func TakeSeats(s *Server) (giveBack func()) {
	var taken []*turn
	for range s.config.Limits.Turns {
		t := s.turns.of(0, laneComing)
		_ = t.enter(context.Background())
		taken = append(taken, &t)
	}
	return func() {
		for _, t := range taken {
			t.leave()
		}
	}
}

// Waiting is how many wait for a seat.
func Waiting(s *Server) int { return s.turns.waits() }

// Idle reports whether no request is being worked on: what was answered is then counted, too.
func Idle(s *Server) bool { return s.inFlight.Load() == 0 }

// FreeSeats is how many seats nobody holds.
func FreeSeats(s *Server) int {
	s.turns.mu.Lock()
	defer s.turns.mu.Unlock()
	return len(s.turns.free)
}
