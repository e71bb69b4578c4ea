package ocsp

import (
	"runtime"
	"sync/atomic"
)

// queue bounds how many sign at a time, to what the processors can do, and how many wait for it.
type queue struct {
	slots chan struct{}
	here  *atomic.Int64 // signing or waiting
	limit int64
}

func newQueue(limit int) queue {
	return queue{slots: make(chan struct{}, 2*runtime.GOMAXPROCS(0)), here: new(atomic.Int64), limit: int64(limit)}
}

// enter waits for a slot; false at once when too many wait already.
func (q *queue) enter() bool {
	if q.here.Add(1) > q.limit {
		q.here.Add(-1)
		return false
	}
	q.slots <- struct{}{}
	return true
}

func (q *queue) leave() {
	<-q.slots
	q.here.Add(-1)
}
