package ldap

import (
	"runtime"
	"time"

	"cardinal/internal/background"
)

// bunch has the answers of several connections written one after another: who
// has one first lets the requests be answered that are ready on others. Then
// the processor searches, and after that sends, a dozen times in a row, and a
// peer that has to be woken is woken once. It costs no answer more than the
// others take, and where nobody else is ready, or others take long, it is done
// without for a while, as it is while there is long work beside requests.
type bunch struct {
	alone int // how many answers went out without it when that was last decided
	rest  int // how many are still to
}

// gather lets others go first, if that has proved worth while, and returns how
// long they took.
func (b *bunch) gather(beside *background.Work) time.Duration {
	if b.rest > 0 {
		b.rest--
		return 0
	}
	if beside.Going() {
		return 0
	}
	began := time.Now()
	runtime.Gosched()
	waited := time.Since(began)
	b.note(waited)
	return waited
}

// note decides from how long others took when it is tried again.
func (b *bunch) note(waited time.Duration) {
	switch {
	case waited > bunchMost:
		b.alone = bunchHeld
	case waited < bunchLeast:
		b.alone = min(2*b.alone+1, bunchAlone)
	default:
		b.alone = 0
	}
	b.rest = b.alone
}
