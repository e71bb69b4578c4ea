package ldap

import (
	"context"
	"time"
)

// streak is what a goroutine does without a turn and without waiting: requests
// that come in a row on one connection, or connections accepted one after
// another. Each is short, but a flood of them is not: it takes its turn after
// every inRow of them.
type streak struct {
	asked time.Time // when it last looked for more to do; zero: it has not had to
	began time.Time
}

// keep is called when there is something to do.
func (s *streak) keep(ctx context.Context, t *turn, now time.Time) error {
	if s.began.IsZero() || !s.asked.IsZero() && now.Sub(s.asked) > atOnce { // it had to wait
		s.began = now
	}
	s.asked = time.Time{}
	if now.Sub(s.began) < inRow {
		return nil
	}
	s.began = time.Time{}
	return t.spend(ctx, inRow)
}

// skip does not count what others did meanwhile.
func (s *streak) skip(others time.Duration) {
	if others > 0 && !s.began.IsZero() {
		s.began = s.began.Add(others)
	}
}
