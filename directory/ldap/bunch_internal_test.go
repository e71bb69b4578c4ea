package ldap

import (
	"testing"
	"time"
)

func TestAnswersWaitForOthersOnlyWhereThereAreOthers(t *testing.T) {
	t.Parallel()
	waits := func(b *bunch, each time.Duration, answers int) (n int) {
		for range answers {
			if b.rest > 0 {
				b.rest--
				continue
			}
			n++
			b.note(each)
		}
		return n
	}
	for name, c := range map[string]struct {
		each time.Duration
		most int // of a thousand answers
	}{
		"others are ready":             {50 * time.Microsecond, 1000},
		"nobody else is ready":         {time.Microsecond, 5 + 1000/(bunchAlone+1) + 1},
		"something else is in the way": {10 * time.Millisecond, 1000/(bunchHeld+1) + 1},
	} {
		var b bunch
		if n := waits(&b, c.each, 1000); n > c.most || n < c.most-10 {
			t.Errorf("%s: %d answers of 1000 waited, want %d", name, n, c.most)
		}
	}
	var b bunch
	waits(&b, time.Microsecond, 1000)
	if waits(&b, 50*time.Microsecond, 1000) < 1000-bunchAlone {
		t.Error("it is not noticed that others are ready again")
	}
}

func TestAStreakDoesNotCountWhatOthersDid(t *testing.T) {
	t.Parallel()
	turns := newTurns(1, func() uint64 { return 0 })
	turn := turns.of(1, laneComing)
	var s streak
	at := time.Now()
	for range 100 { // each takes a microsecond, others take as long as is too long
		if err := s.keep(t.Context(), &turn, at); err != nil {
			t.Fatal(err)
		}
		at = at.Add(time.Microsecond + inRow)
		s.skip(inRow)
		s.asked = at
	}
	if turn.used != 0 {
		t.Errorf("a hundred microseconds in a row took a turn of %s", turn.used)
	}
}
