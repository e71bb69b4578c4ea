package ldap

import (
	"math"
	"time"

	"cardinal/directory"
)

// Unlimited in an Allowance lifts a bound.
const Unlimited = -1

// Allowance is what searches of some identities may cost, in place of the
// server's Limits: a nightly export is given more than an application, a
// stranger less. A zero field leaves what Limits say, Unlimited lifts it.
type Allowance struct {
	Who *directory.Subjects
	// Size is how many entries a search returns when the client sets no limit,
	// MaxSize the most it may ask for, also for one page.
	Size, MaxSize int
	// Time is how long a search may take when the client sets no limit, MaxTime
	// the longest it may ask for.
	Time, MaxTime time.Duration
	// Candidates is how many entries a search may test.
	Candidates int
	// FilterNodes is how many parts a filter may have, up to what the server
	// reads at all (2,000).
	FilterNodes int
	// Paged is how many entries all pages of a search return together.
	Paged int
}

// allowance is an Allowance with every bound filled in.
type allowance struct {
	who           *directory.Subjects // nil: everyone else
	size, maxSize int
	time, maxTime time.Duration
	candidates    int // 0: no bound
	filterNodes   int
	paged         int
}

const noBound = math.MaxInt

// settle fills in what stands in the server's limits.
func (a Allowance) settle(l *Limits) allowance {
	out := allowance{who: a.Who, size: bound(a.Size, l.Size), maxSize: bound(a.MaxSize, l.MaxSize),
		time: bound(a.Time, l.Time), maxTime: bound(a.MaxTime, max(l.Time, a.Time)),
		candidates: bound(a.Candidates, l.Candidates), filterNodes: min(bound(a.FilterNodes, maxFilterNodes), maxFilterNodes),
		paged: bound(a.Paged, noBound)}
	if a.MaxSize == 0 {
		out.maxSize = max(out.maxSize, out.size)
	}
	out.size, out.time = min(out.size, out.maxSize), min(out.time, out.maxTime)
	if out.candidates == noBound {
		out.candidates = 0
	}
	return out
}

func bound[T int | time.Duration](given, otherwise T) T {
	switch {
	case given == 0:
		return otherwise
	case given < 0:
		return math.MaxInt
	}
	return given
}

// limit settles how much may be returned and how long it may take: what the
// client asks for, within what it is given. A root identity is bound by time
// alone; a paged search by its pages, unless there is a bound on all of them.
func (q *searching) limit(size int, patience time.Duration) {
	a := q.conn.who.allowed
	q.most, q.sizeLimit = a.maxSize, size
	switch {
	case q.conn.who.rootOf != "" || q.controls.paged != nil:
		if size == 0 {
			q.sizeLimit = noBound
		}
	case size == 0:
		q.sizeLimit = a.size
	default:
		q.sizeLimit = min(size, a.maxSize)
	}
	if patience == 0 {
		patience = a.time
	}
	q.deadline = q.started.Add(min(patience, a.maxTime, longest))
}

// longest keeps the sum of a time and an unlimited duration a time.
const longest = 10 * 365 * 24 * time.Hour
