package server

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"cardinal/policies"
)

// Limits of large requests, the orders: a million cards by name take 16 MiB.
const (
	orderMax  = 16 << 20
	ordersAt  = 2                // read at once
	orderWait = 20 * time.Second // for all of one, 7 Mbit/s
)

// large are the large requests being read, by whose they are: few, as each is
// held in memory, and of one operator one, so that nobody keeps others out who
// sends slowly.
type large struct {
	mu    sync.Mutex
	by    map[string]struct{}
	moved chan struct{}
}

func newLarge() *large { return &large{by: map[string]struct{}{}, moved: make(chan struct{})} }

// enter waits for a place, until ctx ends.
func (l *large) enter(ctx context.Context, who string) error {
	for {
		l.mu.Lock()
		_, mine := l.by[who]
		if !mine && len(l.by) < ordersAt {
			l.by[who] = struct{}{}
			l.mu.Unlock()
			return nil
		}
		moved := l.moved
		l.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-moved:
		}
	}
}

func (l *large) leave(who string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.by, who)
	close(l.moved)
	l.moved = make(chan struct{})
}

// admitLarge bounds a large request's body, and has it wait for its place. Who
// asks is judged first: the handshake lets any card of ours in, cancelled ones
// too. Whoever holds a card and nothing else names his own, which is not large.
func (s *server) admitLarge(w http.ResponseWriter, x *exchange) (leave func(), err error) {
	self, err := s.desk.Self(x.Context(), x.operator)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(self.Roles, func(r policies.Role) bool { return r != policies.RoleHolder }) {
		x.Body = http.MaxBytesReader(w, x.Body, bodyMax)
		return func() {}, nil
	}
	if err := s.large.enter(x.Context(), self.Identity); err != nil {
		return nil, err
	}
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(orderWait)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		s.large.leave(self.Identity)
		return nil, err
	}
	x.Body = http.MaxBytesReader(w, x.Body, orderMax)
	return func() { s.large.leave(self.Identity) }, nil
}
