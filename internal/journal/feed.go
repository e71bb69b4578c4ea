package journal

import (
	"context"
	"io"
	"time"
)

// Head is the newest state of a journal.
type Head struct {
	Epoch      Epoch
	Position   Position  // of the newest change; 0 = none yet
	Link       Hash      // of the newest change; zero when there is none
	Time       time.Time // the last heartbeat or commit: every copy that has applied Position is complete as of Time
	Quarantine bool      // restored and not yet accepted: no status "good", no issuing
}

// Feed is how a journal travels to a follower. Implementations are safe for concurrent use and pass feedtest.
type Feed interface {
	// Head reads the committed head.
	Head(ctx context.Context) (Head, error)
	// Read returns the changes after a position, ascending, contiguous, in whole transactions: about limit of them (more
	// when a transaction would be cut, fewer when bodies are large). Empty means that nothing is newer. The caller may
	// keep and change what it gets. A missing position is ErrGap.
	Read(ctx context.Context, after Position, limit int) ([]Change, error)
	// Wait returns nil once Head.Position > after or once Head.Time has moved on since the call; otherwise the
	// context's error.
	Wait(ctx context.Context, after Position) error
	// Content opens the bytes with this SHA-256; the caller closes the reader. Unknown: ErrNoContent.
	Content(ctx context.Context, h Hash) (io.ReadCloser, error)
}

// Dated is a Feed that can tell of a head it was told of earlier, with what came along, instead of asking again.
type Dated interface {
	Feed
	// HeadSince returns a head and how long ago, at the most, it was true. What it returns was not returned before.
	HeadSince(ctx context.Context) (Head, time.Duration, error)
}
