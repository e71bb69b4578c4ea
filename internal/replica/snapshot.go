package replica

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"cardinal/internal/journal"
)

// Snapshot is a pinned read transaction on one applier's bucket. It is for one goroutine at a time and must be released
// soon: pages it can see are not reused and the file cannot be remapped.
type Snapshot struct {
	// Local is the reader's own: open sub-buckets, cursors, buffers. It is nil in a fresh snapshot and stays with it while
	// it is reused, so that a hot path opens its buckets once per generation and not once per request.
	Local any

	replica    *Replica
	pool       *pool
	tx         *bbolt.Tx
	bucket     *bbolt.Bucket
	generation uint64
	position   journal.Position
	link       journal.Hash
	epoch      journal.Epoch
	state      State
}

// Bucket is the applier's top-level bucket.
func (s *Snapshot) Bucket() *bbolt.Bucket { return s.bucket }

// State describes what the snapshot shows: Position is exactly the transaction's, and Time is true of its data.
func (s *Snapshot) State() State { return s.state }

// Generation is that of the data the snapshot shows, or one less when it was taken while a batch was being published.
func (s *Snapshot) Generation() uint64 { return s.generation }

// Guard calls fn, which reads the snapshot, and returns Damage for a panic or fault that a damaged page causes in it.
func (s *Snapshot) Guard(fn func() error) error {
	return guarded("reading bucket "+string(s.pool.name), fn)
}

// Release gives the snapshot back. It must not be used afterwards.
func (s *Snapshot) Release() {
	if !s.pool.put(s) {
		s.drop()
	}
}

func (s *Snapshot) drop() {
	_ = s.tx.Rollback() // of a read transaction: it fails only when ended already
}

// pool holds the idle snapshots of one bucket, all of the current generation.
type pool struct {
	name []byte
	mu   sync.Mutex
	idle []*Snapshot
}

func (p *pool) get() *Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	s := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	return s
}

// put keeps a snapshot that is still current. The generation is read under the lock that drain takes after raising it,
// so no old snapshot stays behind.
func (p *pool) put(s *Snapshot) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.generation != s.replica.generation.Load() || len(p.idle) >= 4*runtime.GOMAXPROCS(0) {
		return false
	}
	p.idle = append(p.idle, s)
	return true
}

func (p *pool) drain() {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, s := range idle {
		s.drop()
	}
}

// Begin pins the newest committed data of an applier. Snapshots are reused until the next batch, so that on a hot path
// Begin and Release cost two short locks and no allocation.
//
// A damaged page may lead reading out of the mapped file. From Begin on such a fault is a panic on the goroutine that
// called it, which a server recovers from, and not the end of the process.
func (r *Replica) Begin(name string) (*Snapshot, error) {
	debug.SetPanicOnFault(true)
	p := r.pools[name]
	if p == nil {
		return nil, fmt.Errorf("reading bucket %q: no applier of this name", name)
	}
	// The moment is loaded before the generation and published after it: a snapshot of the generation read here holds
	// at least what the moment says.
	m := r.moment.Load()
	s := p.get()
	if s != nil && s.generation != r.generation.Load() {
		s.drop()
		s = nil
	}
	if s == nil {
		var err error
		if s, err = r.open(p); err != nil {
			return nil, fmt.Errorf("reading bucket %q: %w", name, err)
		}
	}
	s.state = r.stateAt(m)
	s.state.Position, s.state.Link, s.state.Epoch = s.position, s.link, s.epoch
	return s, nil
}

func (r *Replica) open(p *pool) (*Snapshot, error) {
	s := &Snapshot{replica: r, pool: p, generation: r.generation.Load()}
	tx, err := r.beginRead()
	if err != nil {
		return nil, err
	}
	s.tx = tx
	var where progress
	err = guarded("opening bucket "+string(p.name), func() (err error) {
		s.bucket = tx.Bucket(p.name)
		if where, err = readProgress(tx); err == nil && s.bucket == nil {
			err = &Damage{What: "bucket " + string(p.name) + " is missing"}
		}
		return err
	})
	if err != nil {
		s.drop()
		return nil, err
	}
	s.position, s.link, s.epoch = where.position, where.link, where.epoch
	return s, nil
}

// beginRead starts a read transaction on the file that is served now. The lock keeps a swap from closing it in between.
func (r *Replica) beginRead() (*bbolt.Tx, error) {
	r.files.RLock()
	defer r.files.RUnlock()
	if r.file == nil {
		return nil, ErrClosed
	}
	tx, err := r.file.db.Begin(false)
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return nil, ErrClosed
	}
	return tx, err
}

// View calls fn with an applier's bucket as of the newest committed batch. Nothing of the bucket may be used after fn
// returns; bytes it returns must be copied. A damaged page met by fn is Damage.
func (r *Replica) View(name string, fn func(b *bbolt.Bucket, s State) error) error {
	s, err := r.Begin(name)
	if err != nil {
		return err
	}
	defer s.Release()
	return s.Guard(func() error { return fn(s.Bucket(), s.State()) })
}
