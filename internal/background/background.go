// Package background has requests find a processor while long work is done
// beside them.
//
// Go runs as many goroutines at a time as it believes there are processors
// (GOMAXPROCS). One that computes for long holds its place, and where each
// place is held nobody looks at the network: that is done by a place with
// nothing to do, or else every 10 ms. On two processors a mass order's
// committer and the copy that follows it hold both, and a login waits.
//
// While there is such work Go is therefore given [Spare] places more than there
// are processors. One of them is free then and waits for the network, and the
// kernel shares the processors, which lets what has slept go first. Work says
// nothing but when it begins and ends, and need not be cut into small pieces.
//
// Measured on two processors, others busy on them too, an order of 39,700 cards
// with 500 logins a second (three runs each, medians):
//
//	places        2 (as Go has it)      3        4        6
//	logins p50    1.35 ms            0.99     0.97     1.00
//	logins p99    18.5 ms            13.2      9.5     13.1    (8 to 9 ms without an order)
//	the order     9.0 s               6.5      6.2      7.9
//	CPU           116 µs               85       82      108    (of the server, a certificate)
//
// Where only requests are served the places more cost them a fifteenth (logins
// as fast as they go: 60 µs of a processor each with 2, 64 with 4), which is why
// they are given for the time of long work alone. What did not do better: work
// on threads of its own with a lower priority (setpriority: with a place for
// each it is as good, in a bare server even better, p99 4 ms at nice 19 where it
// is 7 with places alone; with fewer it is worse than nothing, since a thread
// that waits for its processor holds its place meanwhile; SCHED_BATCH and SCHED_IDLE
// were worst), and work that lets the network be looked at every 300 µs (p50 as
// with places, p99 between; each loop has to be written for it).
package background

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Spare is how many more goroutines may run than there are processors while
// work is done beside requests: the committer's and the copy's. The collector
// of garbage takes a quarter of all places, so more of them cost more than they
// give.
const Spare = 2

// linger is how long after the last work it goes on: to change the number stops
// every goroutine for a moment.
const linger = 5 * time.Second

// Work is the long work of a process. Its methods are safe for concurrent use;
// nil is one that changes nothing.
type Work struct {
	mu    sync.Mutex
	going int
	last  time.Time // when some ended
	wide  int       // what GOMAXPROCS was raised to; 0: it was not
	known atomic.Bool
}

// New begins with none. It gives nil where GOMAXPROCS is set in the environment,
// an operator's choice, or below the number of processors, as under a quota of
// a control group: more places would use it up sooner and then stand still.
func New() *Work {
	if os.Getenv("GOMAXPROCS") != "" || runtime.GOMAXPROCS(0) < runtime.NumCPU() {
		return nil
	}
	return &Work{}
}

// Processors is how many processors the process has to compute on, whatever
// work is going on.
func Processors() int { return min(runtime.NumCPU(), runtime.GOMAXPROCS(0)) }

// Going reports whether there is such work, or was shortly before: who lets
// others go first may then wait for that and not for another request. It is as
// cheap as a load.
func (w *Work) Going() bool { return w != nil && w.known.Load() }

// Begin says that work of many milliseconds begins; end, which must be called
// once, that it has ended. It costs no more than a lock unless none has been
// going on lately.
func (w *Work) Begin() (end func()) {
	if w == nil {
		return func() {}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.going++
	if w.wide == 0 {
		w.wide = Processors() + Spare
		w.known.Store(true)
		runtime.GOMAXPROCS(w.wide)
		time.AfterFunc(linger, w.rest)
	}
	return w.end
}

func (w *Work) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.going--
	w.last = time.Now()
}

// rest takes the places back, once none has worked for linger.
func (w *Work) rest() {
	w.mu.Lock()
	defer w.mu.Unlock()
	left := linger
	if w.going == 0 {
		left -= time.Since(w.last)
	}
	if left > 0 {
		time.AfterFunc(left, w.rest)
		return
	}
	runtime.SetDefaultGOMAXPROCS()
	w.wide = 0
	w.known.Store(false)
}
