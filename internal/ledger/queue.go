package ledger

import (
	"slices"
	"sync"
	"time"
)

// queue is the writes that wait for the committer, in the order they came.
type queue struct {
	mu     sync.Mutex
	list   []*request
	want   int           // with how many the committer is told
	enough chan struct{} // there are as many
	closed bool
	waited bool // the committer found one at once; its own
}

func newQueue() queue { return queue{want: 1, enough: make(chan struct{}, 1)} }

// put adds a request; false after close.
func (q *queue) put(r *request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.list = append(q.list, r)
	if len(q.list) >= q.want {
		q.tell()
	}
	return true
}

func (q *queue) tell() {
	select {
	case q.enough <- struct{}{}:
	default:
	}
}

// take removes the first request; nil if there is none, or if it must begin a
// commit and one is under way.
func (q *queue) take(underWay bool) *request {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) == 0 || underWay && q.list[0].begins {
		return nil
	}
	r := q.list[0]
	q.list[0] = nil
	q.list = q.list[1:]
	return r
}

// close refuses what comes and returns what waits.
func (q *queue) close() []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	left := q.list
	q.list, q.closed = nil, true
	return left
}

// ask sets with how many requests to be told, and says how many there are.
func (q *queue) ask(want int) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.want = want
	select { // told of what was taken meanwhile
	case <-q.enough:
	default:
	}
	if len(q.list) >= want {
		q.tell()
	}
	return len(q.list)
}

// wait returns when there is a request; false when done was closed first.
func (q *queue) wait(done <-chan struct{}) bool {
	q.waited = q.ask(1) > 0
	select {
	case <-done:
		return false
	default:
	}
	select {
	case <-q.enough:
		return true
	case <-done:
		return false
	}
}

// crowd is how many shared the last commits.
type crowd struct {
	sizes [8]int
	next  int
}

func (c *crowd) note(size int) {
	c.sizes[c.next] = size
	c.next = (c.next + 1) % len(c.sizes)
}

func (c *crowd) most() int { return min(slices.Max(c.sizes[:]), maxGroup/2) }

// several tells whether more than one writes at a time: someone came during the last commit, or several shared it. One
// who waits for each of his answers would wait for nobody.
func (c *crowd) several(cameMeanwhile bool) bool {
	return cameMeanwhile || c.sizes[(c.next+len(c.sizes)-1)%len(c.sizes)] > 1
}

// gather returns when there are as many requests as wanted, when a turn and a lull have brought nobody, or after
// maxGather.
func (q *queue) gather(want int, turns *turns) {
	want = max(want, 2)
	end := time.Now().Add(maxGather)
	for had, idle := q.ask(want), false; had < want; {
		turns.take()
		has := q.ask(want)
		switch {
		case has > had:
			idle = false
		case idle || time.Now().After(end):
			return
		default:
			idle = true
			q.pause()
		}
		had = has
	}
}

// pause waits for a lull, unless there are enough before it is over.
func (q *queue) pause() {
	timer := time.NewTimer(lull)
	defer timer.Stop()
	select {
	case <-q.enough:
	case <-timer.C:
	}
}
