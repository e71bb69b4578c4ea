package ocsp

import (
	"errors"
	"sync/atomic"
	"time"

	"cardinal/internal/background"
)

// errLate: a signature was not made within the time one may take.
var errLate = errors.New("the responder key did not sign in time")

// queue bounds how many answers are signed at a time, how many wait for that, and how long. Whoever does not get his
// turn is told so; nobody is kept.
type queue struct {
	slots    chan struct{}
	here     *atomic.Int64 // signing or waiting
	overdue  *atomic.Int64 // signing for longer than patience: what holds the key is stuck
	limit    int64
	patience time.Duration
}

// newQueue sizes a queue. Keys in this process sign as many at a time as processors can, and one more each, so that none
// is idle; a token signs as many as its sessions allow.
func newQueue(l *Limits) queue {
	atOnce := l.SigningAtOnce
	if atOnce <= 0 {
		atOnce = 2 * background.Processors()
	}
	return queue{slots: make(chan struct{}, atOnce), here: new(atomic.Int64), overdue: new(atomic.Int64),
		limit: int64(l.Signing), patience: l.SigningWait}
}

// enter waits for a slot: false at once when too many wait already or everything that signs is stuck, false later when
// none became free in time.
func (q *queue) enter() bool {
	if q.here.Add(1) > q.limit || int(q.overdue.Load()) >= cap(q.slots) {
		q.here.Add(-1)
		return false
	}
	select {
	case q.slots <- struct{}{}:
		return true
	default:
	}
	timer := time.NewTimer(q.patience)
	defer timer.Stop()
	select {
	case q.slots <- struct{}{}:
		return true
	case <-timer.C:
		q.here.Add(-1)
		return false
	}
}

// enterBeside takes a slot for work nobody waits for: not when requests use half of the slots, and never while what holds
// the key is stuck.
func (q *queue) enterBeside() bool {
	if q.here.Add(1) > int64(cap(q.slots)+1)/2 || q.overdue.Load() > 0 {
		q.here.Add(-1)
		return false
	}
	select {
	case q.slots <- struct{}{}:
		return true
	default:
		q.here.Add(-1)
		return false
	}
}

func (q *queue) leave() {
	<-q.slots
	q.here.Add(-1)
}

// Where a signature's making stands.
const (
	inTime int32 = iota
	done
	late
)

// sign makes a signature in a slot that was entered, and leaves the slot. A key of this process signs here and now. What
// another process or a token holds signs beside, and only so long is waited for: one that is late keeps its slot, but not
// the client.
func (q *queue) sign(d *delegate, digest []byte, m *signatureMethod) ([]byte, error) {
	if !d.elsewhere {
		defer q.leave()
		return d.sign(digest, m)
	}
	type made struct {
		signature []byte
		err       error
	}
	digest = append([]byte(nil), digest...)
	result := make(chan made, 1)
	state := new(atomic.Int32)
	go func() {
		signature, err := d.sign(digest, m)
		if !state.CompareAndSwap(inTime, done) {
			q.overdue.Add(-1)
		}
		q.leave()
		result <- made{signature, err}
	}()
	timer := time.NewTimer(q.patience)
	defer timer.Stop()
	select {
	case r := <-result:
		return r.signature, r.err
	case <-timer.C:
		q.overdue.Add(1)
		if state.CompareAndSwap(inTime, late) {
			return nil, errLate
		}
		q.overdue.Add(-1)
		r := <-result
		return r.signature, r.err
	}
}
