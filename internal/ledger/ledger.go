// Package ledger is one database with one order: it runs every write of the system as a transaction that may append
// changes to the journal, gives those changes their positions, and answers only when they are durable.
//
// It promises:
//
//   - One order. The head row is locked first in every write transaction and positions are given out last, so positions
//     are contiguous in the order of commit and a reader at position P has seen everything up to P. Transactions are
//     serial: each sees all of the ones before and none of the ones after.
//   - Shared commits. Writes that wait at the same time in one process are run one after another in one SQL transaction
//     and share its fsync; when many write at once, a commit waits a moment for those who are about to. A write that
//     fails is taken out of the group and leaves no trace; its neighbours do not notice.
//   - Durability. SQLite runs with WAL and synchronous=FULL, PostgreSQL with fsync and synchronous_commit; both are read
//     back when a connection is opened. When a connection breaks during COMMIT the outcome is looked up before anyone is
//     answered.
//   - Time. Tx.Time is the greatest of the head's time and the database's clock, in microseconds; it never goes back.
//   - Two engines, one text. SQLite and PostgreSQL take the same statements; what differs stands in sqlite.go and
//     postgres.go. Rooms write their tables in the words BIGINT, TEXT and BYTEA; booleans are BIGINT 0 or 1, times are
//     BIGINT microseconds since 1970 in UTC, parameters are $1, $2 … and bound by their number, in any order.
//
// The rooms own their tables; this package owns only those whose names begin with ledger_.
package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"cardinal/internal/background"
	"cardinal/internal/journal"
)

// Options say which database, for which rooms. URL and Rooms are required.
type Options struct {
	// URL is "sqlite:PATH" or "postgres://…" (a libpq URL).
	URL string
	// Rooms whose tables the ledger holds, each name once.
	Rooms []Room
	// ReadOnly opens a ledger another process writes. Write gives ErrReadOnly.
	ReadOnly bool
	// Logger gets slow closures and lost connections; nil discards.
	Logger *slog.Logger
	// Now is the host's clock; nil is time.Now.
	Now func() time.Time
	// MaxSkew is how far the host's clock and PostgreSQL's may differ before writes are refused with ErrClock;
	// 0 is 2 s, negative is any.
	MaxSkew time.Duration
	// Beside is told of mass work; nil: nobody.
	Beside *background.Work
	// EpochAbove is for Restore: the highest epoch any replica is known to have seen, so that the same dump restored
	// twice does not give two histories one number.
	EpochAbove journal.Epoch
	// Faults is for tests.
	Faults *Faults
}

// Faults lets a test stand between the ledger and its database. Before and After are called around each external write
// with its name ("begin", "flush", "commit", "content", "migrate", "restore"); an error from either is that write's. Either may be nil.
type Faults struct {
	Before, After func(step string) error
}

var (
	// ErrReadOnly: the ledger, or the transaction, was opened for reading.
	ErrReadOnly = errors.New("the ledger is open for reading only")
	// ErrExists: there is a ledger at this place already.
	ErrExists = errors.New("a ledger exists already")
	// ErrMissing: there is no ledger at this place.
	ErrMissing = errors.New("there is no ledger")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("the ledger is closed")
	// ErrQuarantine: the ledger was restored and nobody has accepted that yet. The ledger itself goes on taking writes;
	// the rooms return this for what must wait.
	ErrQuarantine = errors.New("the ledger is in quarantine")
	// ErrTooLarge: a change's body is above journal.MaxBody.
	ErrTooLarge = errors.New("the change is larger than 64 KiB")
	// ErrClock: the host's clock and the database's are too far apart to give out times.
	ErrClock = errors.New("the clocks of host and database differ")
	// ErrFull: the disk, or what SQLite may use of it, is full. Nothing was written.
	ErrFull = errors.New("the disk of the ledger is full")
	// ErrUnreachable: there is no connection to the database and none can be made, or it broke again and again. Nothing
	// was read, and nothing written.
	ErrUnreachable = errors.New("the database of the ledger cannot be reached")
	// ErrOutcomeUnknown: the connection broke during COMMIT and the database could not be asked since. The write may
	// or may not have happened.
	ErrOutcomeUnknown = errors.New("it is not known whether the write was committed")
)

// Ledger is an open database. All methods are safe for concurrent use.
type Ledger struct {
	options Options
	engine  engine
	write   *sql.DB // nil when read-only
	read    *sql.DB
	readers readers
	writer  *conn // the committer's, nil after it broke
	queue   queue
	turns   *turns
	tail    tail
	done    chan struct{} // closed by Close
	stopped chan struct{} // closed when the committer has ended
	close   sync.Once
	wake    wake
}

// Create makes a new ledger in epoch 1 with the tables of all rooms. ErrExists if there is one.
func Create(ctx context.Context, o Options) (*Ledger, error) {
	e, err := o.prepare()
	if err != nil {
		return nil, err
	}
	if err := (&builder{e: e, options: o}).create(ctx); err != nil {
		return nil, fmt.Errorf("creating ledger: %w", err)
	}
	return Open(ctx, o)
}

// Open opens an existing ledger. ErrMissing if there is none, *SchemaError if its tables are of another version than the rooms'.
func Open(ctx context.Context, o Options) (*Ledger, error) {
	e, err := o.prepare()
	if err != nil {
		return nil, err
	}
	l := &Ledger{options: o, engine: e, queue: newQueue(), done: make(chan struct{}), stopped: make(chan struct{})}
	l.wake.ch = make(chan struct{})
	if err := l.open(ctx); err != nil {
		l.closePools()
		return nil, fmt.Errorf("opening ledger: %w", err)
	}
	if o.ReadOnly {
		close(l.stopped)
		return l, nil
	}
	if l.turns, err = newTurns(); err != nil {
		l.closePools()
		return nil, fmt.Errorf("opening ledger: %w", err)
	}
	go l.commitLoop()
	return l, nil
}

// prepare checks the options, sets the defaults and finds the engine.
func (o *Options) prepare() (engine, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxSkew == 0 {
		o.MaxSkew = maxSkew
	}
	if o.Faults == nil {
		o.Faults = &Faults{}
	}
	if err := checkRooms(o.Rooms); err != nil {
		return nil, fmt.Errorf("opening ledger: %w", err)
	}
	return engineOf(o.URL)
}

func (f *Faults) around(step string, write func() error) error {
	if f.Before != nil {
		if err := f.Before(step); err != nil {
			return err
		}
	}
	if err := write(); err != nil {
		return err
	}
	if f.After != nil {
		return f.After(step)
	}
	return nil
}

func engineOf(url string) (engine, error) {
	switch {
	case strings.HasPrefix(url, "sqlite:"):
		return sqliteEngine{path: strings.TrimPrefix(url, "sqlite:")}, nil
	case strings.HasPrefix(url, "postgres://"), strings.HasPrefix(url, "postgresql://"):
		return postgresEngine{url: url}, nil
	}
	scheme, _, _ := strings.Cut(url, ":")
	return nil, fmt.Errorf("opening ledger: URL with scheme %q is neither sqlite nor postgres", scheme)
}

func (l *Ledger) open(ctx context.Context) error {
	var err error
	if l.read, err = l.engine.pool(false, l.options.ReadOnly); err != nil {
		return err
	}
	if !l.options.ReadOnly {
		if l.write, err = l.engine.pool(true, false); err != nil {
			return err
		}
		if err := l.connectWriter(ctx); err != nil {
			return err
		}
	}
	if err := checkPresent(ctx, l.engine, l.read); err != nil {
		return err
	}
	return checkVersions(ctx, l.read, l.options.rooms())
}

// Close ends the committer after the group it is at, and closes the database.
func (l *Ledger) Close() error {
	l.close.Do(func() { close(l.done) })
	<-l.stopped
	return l.closePools()
}

func (l *Ledger) closePools() error {
	l.closeReaders()
	var errs []error
	for _, db := range []*sql.DB{l.write, l.read} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// wake tells waiting readers of this process that a commit happened.
type wake struct {
	mu sync.Mutex
	ch chan struct{}
}

func (w *wake) all() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.ch)
	w.ch = make(chan struct{})
}

func (w *wake) next() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ch
}
