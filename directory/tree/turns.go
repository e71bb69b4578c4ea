package tree

import "sync"

// turns lets goroutines that work on numbered things do a part of it in the
// order of numbers.
type turns struct {
	mu      sync.Mutex
	moved   *sync.Cond
	next    int
	failed  error
	aborted chan struct{}
}

func newTurns() *turns {
	t := &turns{aborted: make(chan struct{})}
	t.moved = sync.NewCond(&t.mu)
	return t
}

// take runs fn when all numbers below n have had their turn; not at all after
// abort, whose error it returns.
func (t *turns) take(n int, fn func() error) error {
	t.mu.Lock()
	for t.next != n && t.failed == nil {
		t.moved.Wait()
	}
	err := t.failed
	t.mu.Unlock()
	if err != nil {
		return err
	}
	if err := fn(); err != nil {
		return err
	}
	t.mu.Lock()
	t.next++
	t.mu.Unlock()
	t.moved.Broadcast()
	return nil
}

func (t *turns) abort(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed == nil {
		t.failed = err
		close(t.aborted)
	}
	t.moved.Broadcast()
}
