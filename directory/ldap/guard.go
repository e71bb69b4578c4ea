package ldap

import (
	"context"
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"cardinal/directory"
)

// guard counts failed binds. It stands in memory alone, so that no flood of
// wrong passwords reaches the ledger: what becomes durable is only that an
// identity was locked. A restart forgets the counts.
//
// Everyone is counted by identity and source: the more failures of a pair, the
// longer its next attempt waits, and nobody else's does. Whom a policy locks
// out is counted by identity as well.
type guard struct {
	seed   maphash.Seed
	moved  atomic.Uint64 // locks that were handed over to entries
	mu     sync.Mutex
	people map[directory.UUID]*failures
	pairs  map[pair]*failures
}

// failures of one person or pair, newest last.
type failures struct {
	times []time.Time
	// until is when the person is free again (zero: not locked), or when the
	// next attempt of the pair may be made.
	until   time.Time
	forever bool
}

// pair is a source and whom it tries to be.
type pair struct {
	source netip.Prefix
	whom   uint64 // hash of the name
}

// Bounds of the guard. Past them any one record is forgotten: who can fill
// 100,000 records from as many addresses is not slowed down by them either.
const (
	maxGuarded = 100_000
	// freeFailures of a pair cost nothing; each further one doubles what its
	// next attempt waits, from firstDelay to longestDelay.
	freeFailures = 5
	firstDelay   = 250 * time.Millisecond
	longestDelay = 10 * time.Second
	// pairMemory is how long a pair that makes no attempts is remembered.
	pairMemory  = 15 * time.Minute
	maxFailures = 1_000
)

func newGuard() *guard {
	return &guard{seed: maphash.MakeSeed(), people: map[directory.UUID]*failures{}, pairs: map[pair]*failures{}}
}

// sourceOf is the network a client is counted as: an address of IPv4, or the
// /64 that one IPv6 host can move about in.
func sourceOf(peer netip.Addr) netip.Prefix {
	bits := peer.BitLen()
	if peer.Is6() {
		bits = 64
	}
	p, _ := peer.Prefix(bits) // the zero address has the zero prefix
	return p
}

// room makes place for one more record of a full map.
func room[K comparable](m map[K]*failures) {
	if len(m) < maxGuarded {
		return
	}
	for k, f := range m { // any one: the map's order is random
		if f.until.IsZero() && !f.forever {
			delete(m, k)
			return
		}
	}
	for k := range m {
		delete(m, k)
		return
	}
}

// failed counts a person's failure and reports whether it locks him.
func (g *guard) failed(who directory.UUID, p *policy, now time.Time) (locks bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.people[who]
	if f == nil {
		room(g.people)
		f = &failures{}
		g.people[who] = f
	}
	if p.FailureCountInterval > 0 {
		for len(f.times) > 0 && now.Sub(f.times[0]) > p.FailureCountInterval {
			f.times = f.times[1:]
		}
	}
	f.times = append(f.times, now)
	if len(f.times) < p.MaxFailure {
		return false
	}
	*f = failures{until: now.Add(p.LockoutDuration), forever: p.LockoutDuration == 0}
	return true
}

// locked reports whether this process has locked a person.
func (g *guard) locked(who directory.UUID, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.people[who]
	return f != nil && (f.forever || now.Before(f.until))
}

// handOver forgets a person whose lock stands in his entry now.
func (g *guard) handOver(who directory.UUID) {
	g.moved.Add(1)
	g.forget(who)
	g.moved.Add(1)
}

// forget ends what is held against a person, who has shown who he is.
func (g *guard) forget(who directory.UUID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.people, who)
}

// turn says how long an attempt of a pair has to wait, and takes its place
// in the queue: attempts at the same time wait one after another.
func (g *guard) turn(of pair, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.pairs[of]
	if f == nil || len(f.times) < freeFailures {
		return 0
	}
	if now.Sub(f.times[len(f.times)-1]) > pairMemory {
		delete(g.pairs, of)
		return 0
	}
	start := f.until
	if start.Before(now) {
		start = now
	}
	f.until = start.Add(f.delay())
	return start.Sub(now)
}

func (f *failures) delay() time.Duration {
	d := firstDelay
	for n := len(f.times) - freeFailures; n > 0 && d < longestDelay; n-- {
		d *= 2
	}
	return min(d, longestDelay)
}

// outcome counts an attempt of a pair.
func (g *guard) outcome(of pair, good bool, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.pairs[of]
	switch {
	case good:
		delete(g.pairs, of)
		return
	case f == nil:
		room(g.pairs)
		f = &failures{}
		g.pairs[of] = f
	case now.Sub(f.times[len(f.times)-1]) > pairMemory:
		*f = failures{}
	}
	if f.times = append(f.times, now); len(f.times) > 2*freeFailures {
		f.times = f.times[1:]
	}
	if len(f.times) >= freeFailures && f.until.Before(now.Add(f.delay())) {
		f.until = now.Add(f.delay())
	}
}

// patience waits for the turn of a pair; errCrowd if that takes too long, or
// too many wait already.
func (s *Server) patience(ctx context.Context, of pair) error {
	wait := s.guard.turn(of, s.config.Now())
	if wait == 0 {
		return nil
	}
	defer s.waiting.Add(-1)
	if s.waiting.Add(1) > maxWaiting || wait > 2*longestDelay {
		return errCrowd
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return errCrowd
	}
}

// maxWaiting bounds the connections that wait for their turn at once.
const maxWaiting = 2_000

// errCrowd: too many attempts of one source at one identity.
var errCrowd = &directory.Error{Code: directory.Busy, Message: "too many attempts"}
