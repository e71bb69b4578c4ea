package ocsp

import (
	"container/heap"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"cardinal/internal/replica"
)

// A stored answer lives in three parts, measured from when it was made to its nextUpdate. In the first half it is given
// out. In the third quarter it is given out and a fresh one is wanted: one is signed beside, when there is room, and
// nobody waits for it. In the last quarter it is due: who asks waits for a signature, so that what a client is given may
// be relied on for a quarter of its life at least (30 s of the usual 2 minutes, 150 s of 10), which is also how far a
// client's clock may be ahead. Whether the status is still the one it tells is looked at with each request, in every part.
//
// Without the middle part everything that was made together is signed again together: at more questions a second than
// can be signed all of them wait, although each could be answered.

// plan sets when a fresh answer is wanted and when it is due.
func (a *answer) plan() {
	left := a.nextUpdate.Sub(a.producedAt)
	a.wanted, a.due = a.producedAt.Add(left/2), a.nextUpdate.Add(-left/4)
}

// How renewals leave the processor to requests. One that renews works for renewalSlice, four or five signatures, and then
// rests as long as it worked: who asks meanwhile waits for a slice at most. When requests take the slots of the queue, or
// signing fails, it looks again after a pause.
const (
	renewalSlice = 250 * time.Microsecond
	renewalPause = 5 * time.Millisecond
	renewalAfter = time.Second // a failure
)

// renewals are the stored answers of which a fresh one is wanted, those that are due first in front. Each stands in it
// once.
type renewals struct {
	mu    sync.Mutex
	heap  byDue
	limit int
	wake  chan struct{}
}

func newRenewals(limit int) *renewals {
	return &renewals{limit: limit, wake: make(chan struct{}, 1)}
}

// add takes an answer in, unless it is here or there is no room; then the next who asks brings it again.
func (q *renewals) add(a *answer) {
	if atomic.LoadUint32(&a.queued) != 0 || !atomic.CompareAndSwapUint32(&a.queued, 0, 1) {
		return
	}
	q.mu.Lock()
	full := len(q.heap) >= q.limit
	if !full {
		heap.Push(&q.heap, a)
	}
	q.mu.Unlock()
	if full {
		atomic.StoreUint32(&a.queued, 0)
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// next takes the most urgent one out, or gives nil.
func (q *renewals) next() *answer {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.heap) == 0 {
		return nil
	}
	return heap.Pop(&q.heap).(*answer)
}

func (q *renewals) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.heap)
}

// byDue is a heap.Interface.
type byDue []*answer

func (h byDue) Len() int           { return len(h) }
func (h byDue) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h byDue) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *byDue) Push(x any) { *h = append(*h, x.(*answer)) }

// Pop implements heap.Interface.
func (h *byDue) Pop() any {
	last := len(*h) - 1
	a := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return a
}

// renew signs what is wanted until ctx ends.
func (r *Responder) renew(ctx context.Context) {
	m, worked := &room{}, time.Duration(0)
	for ctx.Err() == nil {
		a := r.renewals.next()
		if a == nil {
			select {
			case <-ctx.Done():
			case <-r.renewals.wake:
			}
			continue
		}
		for !r.signing.enterBeside() {
			if !rest(ctx, renewalPause) {
				return
			}
		}
		start := time.Now()
		err := r.renewOne(m, a)
		atomic.StoreUint32(&a.queued, 0)
		if worked += time.Since(start); err != nil {
			worked = renewalAfter
		}
		if worked >= renewalSlice {
			rest(ctx, worked)
			worked = 0
		}
	}
}

// rest waits; false when ctx ended.
func rest(ctx context.Context, d time.Duration) bool {
	if d < time.Millisecond {
		time.Sleep(d)
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// renewOne makes an answer anew, as for somebody who asks now, in a slot of the queue, and leaves that. Where nobody could
// be answered now, or it was made anew already, it does nothing.
func (r *Responder) renewOne(m *room, a *answer) error {
	now := r.config.Now()
	state := r.config.Replica.State()
	in := cryptobyte.String(a.id())
	id, ok := readCertID(&in)
	issuer := r.config.Table.issuers.Load().find(&id)
	if !ok || issuer == nil || r.answers.get(a.id()) != a || state.Quarantine || state.Age > r.config.Limits.Stale {
		r.signing.leave()
		return nil
	}
	signer := r.delegate(issuer.ID)
	if signer == nil || !signer.valid(now) {
		r.signing.leave()
		return nil
	}
	m.parsed.CertIDs, m.parsed.Nonce = append(m.parsed.room[:0], id), nil
	m.fresh = answer{bytes: m.fresh.bytes[:0], signer: signer, method: &signer.kind.methods[0]}
	err := r.sign(m, issuer, moment{now, state.Time})
	switch {
	case errors.Is(err, replica.ErrClosed), errors.Is(err, errLate):
		return err
	case err != nil:
		r.config.Logger.Error("renewing an OCSP answer", "why", err)
		return err
	case m.fresh.result != resultUnknown:
		r.answers.put(m.fresh.copyOf())
		r.metrics.renewed.Inc()
	}
	return nil
}
