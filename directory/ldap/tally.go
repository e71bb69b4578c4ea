package ldap

import (
	"math/bits"
	"sync/atomic"
	"time"

	"cardinal/directory"
	"cardinal/internal/background"
	"cardinal/internal/ber"
)

// tally counts what the server does. It is spread over stripes, and a
// connection counts in one of them, so that processors do not fight over a
// counter: counting an operation and its time costs a few tens of nanoseconds.
// Reading adds the stripes up.
type tally struct {
	stripes []stripe
	results [kinds][maxResult + 1]atomic.Uint64 // but success
}

// stripe is what some of the connections did.
type stripe struct {
	begun    [kinds]atomic.Uint64
	buckets  [kinds][spanBuckets]atomic.Uint64
	nanos    [kinds]atomic.Uint64
	received atomic.Uint64 // octets
	sent     atomic.Uint64
	entries  atomic.Uint64 // search result entries
	tested   atomic.Uint64 // entries that searches looked at
	_        [64]byte      // the next stripe is of other processors
}

// maxResult is the highest result code counted by itself; others count as it.
const maxResult = 127

// kind is an operation as metrics order them.
type kind uint8

const (
	kindBind kind = iota
	kindUnbind
	kindSearch
	kindCompare
	kindModify
	kindModifyDN
	kindAdd
	kindDelete
	kindAbandon
	kindExtended
	kinds
)

func kindOf(op ber.Tag) kind {
	switch op {
	case searchRequest:
		return kindSearch
	case bindRequest:
		return kindBind
	case unbindRequest:
		return kindUnbind
	case compareRequest:
		return kindCompare
	case modifyRequest:
		return kindModify
	case modDNRequest:
		return kindModifyDN
	case addRequest:
		return kindAdd
	case delRequest:
		return kindDelete
	case abandonRequest:
		return kindAbandon
	}
	return kindExtended
}

// String is the label of a kind.
func (k kind) String() string {
	return [kinds]string{"bind", "unbind", "search", "compare", "modify", "modifyDN", "add", "delete", "abandon", "extended"}[k]
}

// Spans of time are counted in buckets, four for each doubling from 2 µs to
// 69 s: what a bucket says of a span is at most a fifth off.
const (
	spanFirst   = 11 // 2^11 ns is the end of the first bucket
	spanOctaves = 25
	spanParts   = 4
	spanBuckets = 1 + spanOctaves*spanParts + 1
)

func spanBucket(d time.Duration) int {
	n := uint64(max(d, 0))
	top := bits.Len64(n) - 1
	if top < spanFirst {
		return 0
	}
	at := 1 + (top-spanFirst)*spanParts + int(n>>(top-2)&(spanParts-1))
	return min(at, spanBuckets-1)
}

// spanEnd is where a bucket ends.
func spanEnd(bucket int) time.Duration {
	if bucket == 0 {
		return 1 << spanFirst
	}
	octave, part := (bucket-1)/spanParts, (bucket-1)%spanParts
	return time.Duration(1) << (spanFirst + octave) * time.Duration(spanParts+part+1) / spanParts
}

func newTally() *tally {
	n := 1
	for n < 2*background.Processors() && n < 64 {
		n *= 2
	}
	return &tally{stripes: make([]stripe, n)}
}

// of is where a connection counts.
func (t *tally) of(connection uint64) *stripe { return &t.stripes[connection&uint64(len(t.stripes)-1)] }

// begin counts a request that is being worked on.
func (c *conn) begin(op ber.Tag) { c.counts.begun[kindOf(op)].Add(1) }

// count counts a request that was answered, or given up.
func (c *conn) count(op ber.Tag, code directory.Code, started time.Time) {
	k, took := kindOf(op), time.Since(started)
	c.counts.buckets[k][spanBucket(took)].Add(1)
	c.counts.nanos[k].Add(uint64(took))
	if code != directory.Success {
		c.server.tally.results[k][min(code, maxResult)].Add(1)
	}
}

// Spans are how long operations took.
type Spans struct {
	Count   uint64              `json:"count"`
	Nanos   uint64              `json:"nanos"` // of all together
	Buckets [spanBuckets]uint64 `json:"buckets"`
}

func (t *tally) spans(k kind) (s Spans) {
	for i := range t.stripes {
		for b := range s.Buckets {
			n := t.stripes[i].buckets[k][b].Load()
			s.Buckets[b] += n
			s.Count += n
		}
		s.Nanos += t.stripes[i].nanos[k].Load()
	}
	return s
}

// Since is what came after an earlier reading of the same server; all of it if
// the server began anew meanwhile.
func (s Spans) Since(earlier Spans) Spans {
	out := s
	for b := range s.Buckets {
		if s.Buckets[b] < earlier.Buckets[b] {
			return s
		}
		out.Buckets[b] -= earlier.Buckets[b]
	}
	out.Count, out.Nanos = s.Count-earlier.Count, s.Nanos-earlier.Nanos
	return out
}

// Quantile is the time within which a share of the operations ended, as far as
// the buckets tell: at most a fifth off. It is 0 if there were none.
func (s *Spans) Quantile(share float64) time.Duration {
	rank, seen := share*float64(s.Count), 0.0
	for b, n := range s.Buckets {
		if n == 0 || seen+float64(n) < rank {
			seen += float64(n)
			continue
		}
		low := time.Duration(0)
		if b > 0 {
			low = spanEnd(b - 1)
		}
		return low + time.Duration(float64(spanEnd(b)-low)*(rank-seen)/float64(n))
	}
	return 0
}

func (t *tally) begun(k kind) (n uint64) {
	for i := range t.stripes {
		n += t.stripes[i].begun[k].Load()
	}
	return n
}

// short is how many requests began that are mostly answered at once.
func (t *tally) short() (n uint64) {
	for i := range t.stripes {
		n += t.stripes[i].begun[kindSearch].Load() + t.stripes[i].begun[kindCompare].Load()
	}
	return n
}

// sum adds one of the plain counters up.
func (t *tally) sum(of func(s *stripe) *atomic.Uint64) (n uint64) {
	for i := range t.stripes {
		n += of(&t.stripes[i]).Load()
	}
	return n
}

// failed is how many operations of a kind ended with another code than success
// or an answer to a comparison.
func (t *tally) failed(k kind) (n uint64) {
	for code := range t.results[k] {
		if c := directory.Code(code); c != directory.CompareTrue && c != directory.CompareFalse {
			n += t.results[k][code].Load()
		}
	}
	return n
}

func (s *Server) received() uint64 {
	return s.tally.sum(func(s *stripe) *atomic.Uint64 { return &s.received })
}

func (s *Server) sent() uint64 {
	return s.tally.sum(func(s *stripe) *atomic.Uint64 { return &s.sent })
}

func (s *Server) entries() uint64 {
	return s.tally.sum(func(s *stripe) *atomic.Uint64 { return &s.entries })
}

func (s *Server) tested() uint64 {
	return s.tally.sum(func(s *stripe) *atomic.Uint64 { return &s.tested })
}
