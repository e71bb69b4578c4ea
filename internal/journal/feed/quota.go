package feed

import (
	"sync"
	"time"
)

// quota counts what each node asks for that costs. Its size is bounded by the nodes that were ever enrolled. Safe for
// concurrent use.
type quota struct {
	now  func() time.Time
	mu   sync.Mutex
	left map[string]*allowance
}

// allowance is what a node has left, as of a time.
type allowance struct {
	left  float64
	at    time.Time
	empty bool // it was told so
}

func newQuota(now func() time.Time) *quota { return &quota{now: now, left: map[string]*allowance{}} }

// take takes one, or says how long until there is one again, and whether that is new.
func (q *quota) take(node string) (wait time.Duration, first bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	a := q.left[node]
	if a == nil {
		a = &allowance{left: certifyBurst, at: now}
		q.left[node] = a
	}
	a.left = min(certifyBurst, a.left+float64(max(0, now.Sub(a.at)))/float64(certifyEvery))
	a.at = now
	if a.left < 1 {
		first, a.empty = !a.empty, true
		return time.Duration((1 - a.left) * float64(certifyEvery)), first
	}
	a.left--
	a.empty = false
	return 0, false
}
