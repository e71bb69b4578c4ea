package server

import (
	"context"
	"sync"
	"time"

	"cardinal/internal/journal"
)

// Node is a node that answers from a copy of the journal, and how far it is.
// Times are zero where they are not known.
type Node struct {
	Name             string
	Live             bool // heard of a moment ago, and may follow
	Disabled         time.Time
	Position         journal.Position // in the history that counts; 0 for one that answers from another
	AsOf             time.Time        // complete as of
	Seen             time.Time        // heard of last
	RefusesStatus    time.Time        // when it stops answering OCSP, then LDAP, if it learns nothing more
	RefusesDirectory time.Time
}

// Nodes tells of every node that is, or was, allowed to follow.
type Nodes interface {
	Applied(ctx context.Context) ([]Node, error)
	// Gather takes what other processes on the same ledger have heard: after it Applied tells of every node that may
	// answer from something older than what was committed before the call.
	Gather(ctx context.Context) error
	// Changed is closed when a node is further than it was. Take it before Applied.
	Changed() <-chan struct{}
}

// The limits of watching.
const (
	// mostStreams is how many follow the events at once: every security desk and
	// its spare, since each costs a read a second.
	mostStreams = 32
	// stepsKept is how many advances of a node are remembered: minutes of a busy
	// night, so that how long a change took is known to who asks late.
	stepsKept = 4096
	// watchEvery is how often nodes are looked at when none says it is further.
	watchEvery = time.Second
)

// Watch remembers when each node was known to have come to a position. Run it
// beside the server.
type Watch struct {
	nodes Nodes
	now   func() time.Time
	over  chan struct{}
	once  sync.Once

	looking sync.Mutex

	mu    sync.Mutex
	known map[string]*advances
	order []string
	moved chan struct{}
}

// advances are where a node was from when on, oldest first.
type advances struct {
	Node
	steps []advance
}

type advance struct {
	position journal.Position
	at       time.Time
	first    bool // it may have been there before anybody looked
}

// NewWatch watches nodes, of which there may be nil; now may be nil for the
// machine's clock.
func NewWatch(nodes Nodes, now func() time.Time) *Watch {
	if now == nil {
		now = time.Now
	}
	return &Watch{nodes: nodes, now: now, over: make(chan struct{}), known: map[string]*advances{}, moved: make(chan struct{})}
}

// Run watches until ctx ends.
func (w *Watch) Run(ctx context.Context) error {
	if w.nodes == nil {
		return nil
	}
	for {
		changed := w.nodes.Changed()
		_ = w.look(ctx) // what is not known now is looked for again
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-time.After(watchEvery):
		}
	}
}

// gather looks at the nodes as they are now.
func (w *Watch) gather(ctx context.Context) error {
	if w.nodes == nil {
		return nil
	}
	if err := w.nodes.Gather(ctx); err != nil {
		return err
	}
	return w.look(ctx)
}

// look notes how far the nodes are. One look at a time: they must be noted in the order they were taken in.
func (w *Watch) look(ctx context.Context) error {
	w.looking.Lock()
	defer w.looking.Unlock()
	all, err := w.nodes.Applied(ctx)
	if err == nil {
		w.note(all)
	}
	return err
}

// End ends every stream, so that a server can be shut down.
func (w *Watch) End() { w.once.Do(func() { close(w.over) }) }

func (w *Watch) note(all []Node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.order = w.order[:0]
	for _, n := range all {
		w.order = append(w.order, n.Name)
		a := w.known[n.Name]
		if a == nil {
			a = &advances{}
			w.known[n.Name] = a
		}
		a.note(n, w.now())
	}
	close(w.moved)
	w.moved = make(chan struct{})
}

func (a *advances) note(n Node, now time.Time) {
	first := len(a.steps) == 0 || a.Position == 0 // where it was is not known
	if !first && n.Position < a.Position {        // a new epoch: what it was known to have is not certain
		a.steps, first = nil, true
	}
	if first || n.Position > a.Position {
		if len(a.steps) == stepsKept {
			a.steps = append(a.steps[:0], a.steps[stepsKept/2:]...)
			a.steps[0].first = true
		}
		a.steps = append(a.steps, advance{n.Position, now, first})
	}
	a.Node = n
}

// since is when a node was known to have a position; zero when that was before
// anybody looked.
func (a *advances) since(p journal.Position) (at time.Time, has bool) {
	for i := range a.steps {
		if a.steps[i].position >= p {
			if a.steps[i].first {
				return time.Time{}, true
			}
			return a.steps[i].at, true
		}
	}
	return time.Time{}, false
}

// standing is a node and whether it has a position, and since when.
type standing struct {
	Node
	has bool
	at  time.Time
}

// standings asks all nodes about a position. moved is closed when one is
// further.
func (w *Watch) standings(p journal.Position) (all []standing, moved <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range w.order {
		a := w.known[name]
		s := standing{Node: a.Node}
		s.at, s.has = a.since(p)
		all = append(all, s)
	}
	return all, w.moved
}
