package ldap

import (
	"context"
	"slices"
	"sync"
	"time"
)

// lane is a kind of work that takes turns; a lower one is more urgent.
type lane uint8

const (
	// laneComing is what thousands may do in the same moment and waits for an
	// answer: connections that are accepted, handshakes, binds, and requests
	// that come in a row on one connection.
	laneComing lane = iota
	// laneLong are searches that go on beyond what is done at once.
	laneLong
	// laneLongest are those that have used longSearch of a processor's time.
	laneLongest
	lanes
)

// turns keeps short requests short. They run where they are read, as soon as
// they are read, and need no turn. Whatever may take long, or come in floods,
// works only while it holds one of a few seats, in small pieces; between the
// pieces it lets everything run that is ready, and while there are short
// requests they get shortShare times what it used. So however much such work
// there is, a short request waits for a piece of it in each seat, and the work
// is never held up for good.
//
// Who waits is served by lanes, in a lane each connection in its turn, on a
// connection in order. Nobody waits for a seat who holds one, nor for anything
// else that may take long: a client, a lock, another's answer.
type turns struct {
	requests func() uint64 // short requests begun so far

	mu      sync.Mutex
	free    []*seat
	waiting [lanes]queue
	passed  [lanes]int // how often others were served while a lane waited
}

func newTurns(seats int, requests func() uint64) *turns {
	t := &turns{requests: requests}
	for range seats {
		t.free = append(t.free, &seat{})
	}
	for l := range t.waiting {
		t.waiting[l].of = map[uint64][]*turn{}
	}
	return t
}

// turn is one piece of work that takes turns. It is for one goroutine at a time.
type turn struct {
	turns *turns
	of    uint64 // the connection
	lane  lane
	seat  *seat         // held; nil: none
	given chan *seat    // a seat that came free, while it waits
	since time.Time     // what is used since then is not accounted for
	kept  time.Duration // of the slice
	used  time.Duration // in all
}

func (t *turns) of(connection uint64, l lane) turn { return turn{turns: t, of: connection, lane: l} }

// held reports whether the work holds a seat.
func (t *turn) held() bool { return t.seat != nil }

// enter waits for a seat. Without one it returns why ctx ended.
func (t *turn) enter(ctx context.Context) error {
	s := t.turns
	s.mu.Lock()
	if n := len(s.free); n > 0 { // then nobody waits
		t.seat, s.free = s.free[n-1], s.free[:n-1]
		s.mu.Unlock()
	} else {
		if t.given == nil {
			t.given = make(chan *seat, 1)
		}
		s.waiting[t.lane].add(t)
		s.mu.Unlock()
		if err := t.wait(ctx); err != nil {
			return err
		}
	}
	if t.kept >= slice {
		t.kept = 0
	}
	t.since = t.seat.settle(s.requests)
	return nil
}

func (t *turn) wait(ctx context.Context) error {
	select {
	case t.seat = <-t.given:
		return nil
	case <-ctx.Done():
	}
	t.turns.mu.Lock()
	waits := t.turns.waiting[t.lane].remove(t)
	t.turns.mu.Unlock()
	if !waits { // it has got one meanwhile
		t.turns.give(<-t.given)
	}
	return ctx.Err()
}

// leave gives the seat up, if one is held: the work has ended, or waits.
func (t *turn) leave() {
	t.makeWay()
	t.kept = 0
}

// makeWay gives the seat up in the middle of a slice; the rest of it comes
// before others of its kind.
func (t *turn) makeWay() {
	if t.seat == nil {
		return
	}
	t.account(time.Now())
	s := t.seat
	t.seat = nil
	t.turns.give(s)
}

func (t *turn) account(now time.Time) {
	spent := now.Sub(t.since)
	t.since = now
	t.kept, t.used = t.kept+spent, t.used+spent
	t.seat.charge(spent, now)
}

// breathe is called by work between two small steps, with a seat: it lets
// others run once that is due.
func (t *turn) breathe() {
	now := time.Now()
	if now.Sub(t.since)+t.seat.debt < quantum {
		return
	}
	t.account(now)
	if t.lane == laneLong && t.used >= longSearch {
		t.lane = laneLongest
	}
	t.since = t.seat.settle(t.turns.requests)
}

// over reports whether others wait for the seat that work has held for long
// enough.
func (t *turn) over() bool {
	s := t.turns
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.waiting {
		if len(s.waiting[l].order) > 0 {
			return t.kept >= slice || lane(l) == laneComing && t.kept >= quantum
		}
	}
	return false
}

// next is called by work before a small step. It waits until that may be taken,
// and lets others have the seat before if that is due.
func (t *turn) next(ctx context.Context) error {
	switch {
	case t.held() && t.over():
		t.makeWay()
	case t.held():
		t.breathe()
		return ctx.Err()
	}
	return t.enter(ctx)
}

// spend accounts for time that was used without a seat, and waits until it
// would have been had with one.
func (t *turn) spend(ctx context.Context, spent time.Duration) error {
	if err := t.enter(ctx); err != nil {
		return err
	}
	t.since = t.since.Add(-spent)
	t.leave()
	return nil
}

// give hands a seat to whoever is next.
func (s *turns) give(p *seat) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if next := s.pick(); next != nil {
		next.given <- p // has room: each waits for one seat
		return
	}
	s.free = append(s.free, p)
}

// pick takes the next that waits: of the most urgent lane, but after
// lanePatience of those another that waits has its turn.
func (s *turns) pick() *turn {
	best := -1
	for l := range s.waiting {
		switch {
		case len(s.waiting[l].order) == 0:
			s.passed[l] = 0
		case best < 0 || s.passed[l] >= lanePatience:
			best = l
		}
	}
	if best < 0 {
		return nil
	}
	for l := range s.waiting {
		s.passed[l]++
	}
	s.passed[best] = 0
	return s.waiting[best].next()
}

// waits is how many wait for a seat.
func (s *turns) waits() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.waiting {
		for _, all := range s.waiting[l].of {
			n += len(all)
		}
	}
	return n
}

// queue is who waits in a lane.
type queue struct {
	order []uint64 // connections with someone who waits
	of    map[uint64][]*turn
}

// add puts work at the end, or at the beginning if it has had a part of its
// slice and made room for something more urgent.
func (q *queue) add(t *turn) {
	all := q.of[t.of]
	switch first := t.kept > 0 && t.kept < slice; {
	case len(all) > 0 && first:
		q.of[t.of] = slices.Insert(all, 0, t)
		return
	case len(all) > 0:
		q.of[t.of] = append(all, t)
		return
	case first:
		q.order = slices.Insert(q.order, 0, t.of)
	default:
		q.order = append(q.order, t.of)
	}
	q.of[t.of] = []*turn{t}
}

// next takes the first of the connection whose turn it is.
func (q *queue) next() *turn {
	connection := q.order[0]
	q.order = q.order[1:]
	all := q.of[connection]
	if len(all) > 1 {
		q.of[connection] = all[1:]
		q.order = append(q.order, connection)
	} else {
		delete(q.of, connection)
	}
	return all[0]
}

// remove reports whether t was waiting still.
func (q *queue) remove(t *turn) bool {
	all := q.of[t.of]
	i := slices.Index(all, t)
	switch {
	case i < 0:
		return false
	case len(all) > 1:
		q.of[t.of] = slices.Delete(all, i, i+1)
		return true
	}
	delete(q.of, t.of)
	at := slices.Index(q.order, t.of)
	q.order = slices.Delete(q.order, at, at+1)
	return true
}
