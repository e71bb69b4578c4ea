package ledger

import (
	"slices"
	"sync"

	"cardinal/internal/journal"
)

// tail is what this process committed last, so that a follower in the same process need not read it back: the changes up
// to head, without a gap. It knows nothing (known is false) from when another process is seen to have committed until
// the next commit of this one, which sees all there is under the lock.
type tail struct {
	mu      sync.Mutex
	known   bool
	head    head
	changes []journal.Change
	bytes   int
}

// committed adds a group that is durable. It begins anew where another process has committed before it, and where a
// change was erased, which nobody shall be shown any more.
func (t *tail) committed(g *group) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if g.erased || !t.known || t.head.mark != g.locked.mark {
		t.changes, t.bytes = nil, 0
	}
	t.known, t.head = true, g.head
	for i := range g.changes {
		t.bytes += len(g.changes[i].Body)
	}
	t.changes = append(t.changes, g.changes...)
	drop := 0
	for ; len(t.changes)-drop > tailChanges || t.bytes > tailBytes; drop++ {
		t.bytes -= len(t.changes[drop].Body)
		t.changes[drop] = journal.Change{}
	}
	t.changes = t.changes[drop:]
}

// saw forgets everything when a head that was read is not the one known. A head read before the newest commit does that
// needlessly; it costs a read of the database.
func (t *tail) saw(h head) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known && t.head.mark != h.mark {
		t.known, t.changes, t.bytes = false, nil, 0
	}
}

// sawChange is saw for a change that was read.
func (t *tail) sawChange(p journal.Position) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known && t.head.Position < p {
		t.known, t.changes, t.bytes = false, nil, 0
	}
}

// newest is the head, if it is known.
func (t *tail) newest() (journal.Head, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.head.Head, t.known
}

// read returns what Feed.Read does; nil if that is not kept here.
func (t *tail) read(after journal.Position, limit int) []journal.Change {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.known || len(t.changes) == 0 || after+1 < t.changes[0].Position || after >= t.head.Position {
		return nil
	}
	from := t.changes[after+1-t.changes[0].Position:]
	size, n := 0, 0
	for n < len(from) {
		size += len(from[n].Body)
		if n++; from[n-1].Last && (n >= limit || size >= maxRead) {
			break
		}
	}
	out := slices.Clone(from[:n])
	for i := range out {
		out[i].Body = slices.Clone(out[i].Body)
	}
	return out
}
