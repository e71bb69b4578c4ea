package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"go.etcd.io/bbolt"

	"cardinal/internal/journal"
)

// Applier turns changes into one room's bucket of the file. All its methods are called from the goroutine that follows,
// never two at a time.
type Applier interface {
	// Name is the applier's top-level bucket. It never changes. What stands in the bucket follows from the changes alone,
	// so that two copies can be compared byte for byte; nested buckets whose names begin with a zero byte are local
	// (fetched contents, work put off) and not compared.
	Name() string
	// Layout numbers the form of the bucket. A file that was written with another number is thrown away and rebuilt.
	Layout() uint32
	// Apply writes what c means into b's bucket. It is called for every change in order and passes over kinds not its
	// own. It may return ErrMore: what is written so far is committed and Apply is called again with the same change, also
	// after a restart, so the place to go on from must stand in the bucket. A version it does not know is
	// ErrUnknownKind. Any error but ErrMore undoes the whole batch.
	//
	// Apply keeps nothing of c.Body, which may be a part of a larger buffer. What it wants to do in memory it notes and
	// does in Committed. A noted change may turn out not to have been committed, and during a rebuild Apply writes to a
	// file that nobody is served from yet; so a note may say "forget what you know of this", never "this is now so".
	Apply(b *Batch, c journal.Change) error
	// Committed is called when a batch is durable and before State and WaitFor show it: a reader that waited for a
	// position must not find anything older in a cache. During a rebuild it is called once, after Reset, when the new
	// file has taken the old one's place.
	Committed(s State)
	// Reset forgets everything held in memory: another file is served from now on.
	Reset()
}

// Keeper is an Applier with something that no restore of the ledger may take back.
type Keeper interface {
	// Kept says again what b holds because of changes after a position, as changes that Apply understands, each at most
	// journal.MaxBody bytes. They are applied to the rebuilt bucket at the point where the new epoch began, so that what
	// happened since then comes after them.
	Kept(b *bbolt.Bucket, after journal.Position, keep func(kind journal.Kind, version uint8, body []byte) error) error
}

// Settler is an Applier that leaves work for the moment when the copy has caught up, for instance fetching the newest of
// many contents. Failing there holds up no change; it is tried again at the next heartbeat.
type Settler interface {
	// Unsettled reports whether Settle has something to do.
	Unsettled(b *bbolt.Bucket) bool
	// Settle does it, in a transaction of its own. ErrMore commits and calls again, once what is new in the journal has
	// been applied; nil with more to do waits for the next change or heartbeat.
	Settle(b *Batch) error
}

// Attacher is an Applier that also answers questions and so wants the replica it is part of, once, before Open returns.
type Attacher interface{ Attach(r *Replica) }

// ErrMore asks to commit what is written and to be called again with the same change.
var ErrMore = errors.New("more of this change is to be applied")

// ErrUnknownKind: the journal holds a kind of change, or a version of its body, that this program does not know. Going
// on would lose it; a newer program is needed.
var ErrUnknownKind = errors.New("a change this program does not know: upgrade this node")

// UnknownVersion is the error of an Applier that does not know c's version. It wraps ErrUnknownKind.
func UnknownVersion(c journal.Change) error {
	return fmt.Errorf("%s version %d at position %d: %w", c.Kind, c.Version, c.Position, ErrUnknownKind)
}

// Batch is the write transaction an Applier works in. It ends when Apply returns.
type Batch struct {
	ctx    context.Context
	feed   journal.Feed
	bucket *bbolt.Bucket
	time   time.Time
	since  journal.Position
}

// Bucket is the applier's own top-level bucket.
func (b *Batch) Bucket() *bbolt.Bucket { return b.bucket }

// Time is the commit time of the change that is applied.
func (b *Batch) Time() time.Time { return b.time }

// Since is the position behind which the transaction begins that the change belongs to.
func (b *Batch) Since() journal.Position { return b.since }

// Content opens large bytes by their SHA-256; the caller closes the reader. What is read is not checked against the
// hash. journal.ErrNoContent is the applier's to judge; any other error, also from reading, should be returned: it is
// the feed's, and Follow tries again. The reader stays valid while Follow runs, beyond this batch; so does Content, for any
// goroutine.
func (b *Batch) Content(h journal.Hash) (io.ReadCloser, error) {
	r, err := b.feed.Content(b.ctx, h)
	if errors.Is(err, journal.ErrNoContent) {
		return nil, err
	}
	if err != nil {
		return nil, &feedError{err}
	}
	return contentReader{r}, nil
}

// contentReader marks what goes wrong while reading as the feed's fault.
type contentReader struct{ io.ReadCloser }

func (r contentReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &feedError{err}
	}
	return n, err
}

// feedError is trouble on the way to the ledger, which may pass.
type feedError struct{ err error }

func (e *feedError) Error() string { return e.err.Error() }
func (e *feedError) Unwrap() error { return e.err }
