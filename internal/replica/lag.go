package replica

import (
	"encoding/binary"
	"errors"
	"os"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
)

// A batch of the store is two syncs, and an update is answered only when its batch is shown. The ledger has it on disk
// by then, so the copy need not: with Options.SyncAfter its batches are written and not synced, and one sync follows for
// all of a moment.
//
// A killed process loses nothing by that: what it wrote, the system has, and in order. A power cut may leave any of the
// pages written since the last sync and not the others, so that the newest header tells of pages that are not there.
// Therefore
//
//   - a record beside the file holds the header of a transaction whose pages were all synced before the record was
//     written. It is there before the first write that is not synced;
//   - a read transaction stays open on that transaction until the next record is written, so that the store writes over
//     none of its pages;
//   - the record names the run of the system it was made in. Opened in another run, the file gets that header back
//     (rewind), and stands where it stood a moment before the cut. The ledger has the rest.
//
// The list of free pages, which the store would write with each batch, is written only when the file is closed; opened
// without one it is read through, twice: 0.3 s of CPU for each 100 MB.

// lagging keeps the record of a file whose batches are not synced.
type lagging struct {
	db     *bbolt.DB
	path   string
	record record
	slots  *os.File
	pinned *bbolt.Tx // on the recorded transaction
	every  time.Duration
	dirty  chan struct{}
	many   chan struct{} // so many were written
	most   int64         // batches without a record
	count  atomic.Int64  // batches since the last one
	stop   chan struct{}
	ended  chan struct{}
	large  atomic.Bool // the file has grown past lagLimit
	failed func(error)
}

// syncError: the system could not say that what was written is on disk. It may have forgotten it.
type syncError struct{ error }

// Unwrap is what the system said.
func (e syncError) Unwrap() error { return e.error }

// lagLimit is the size of a file above which every batch is synced again: to grow the mapping, the store would wait for
// the pinned transaction.
const lagLimit = mapSize / 4 * 3

// lagBatches is how many batches at most go without a record: the store looks through what each of them freed and the
// pinned transaction keeps, three times a batch. A thousand of them made a batch half as expensive again.
const lagBatches = 128

// lag begins to sync f once a moment only. Nobody may be writing. Where it cannot, f stays as it was.
func (r *Replica) lag(f *file) error {
	f.db.NoFreelistSync = false
	if r.options.SyncAfter <= 0 || sizeOf(f.path) > lagLimit {
		return settleRecord(f.path)
	}
	l := &lagging{db: f.db, path: f.path, record: record{boot: r.options.boot, mark: f.mark}, every: r.options.SyncAfter,
		dirty: make(chan struct{}, 1), many: make(chan struct{}, 1), most: int64(r.options.most), stop: make(chan struct{}), ended: make(chan struct{})}
	l.failed = func(err error) {
		r.options.Logger.Error("syncing the replica", "path", f.path, "why", err)
		f.doubt(err)
	}
	if err := l.begin(); err != nil {
		r.options.Logger.Warn("each batch of the replica is synced", "path", f.path, "why", err)
		return settleRecord(f.path)
	}
	f.lagging = l
	f.db.NoSync, f.db.NoFreelistSync = true, true
	go l.run()
	return nil
}

// begin syncs the file and makes the first record.
func (l *lagging) begin() (err error) {
	if l.slots, err = createRecord(l.path); err != nil {
		return err
	}
	if err = l.checkpoint(); err == nil {
		err = placeRecord(l.path)
	}
	if err != nil {
		l.end()
	}
	return err
}

// run makes a new record a while after the file was written to.
func (l *lagging) run() {
	defer close(l.ended)
	for {
		select {
		case <-l.stop:
			return
		case <-l.dirty:
		}
		select {
		case <-l.stop:
			return
		case <-l.many:
		case <-time.After(l.every):
		}
		l.count.Store(0)
		if err := guarded("syncing it", l.checkpoint); err != nil {
			l.failed(err)
			l.touched() // to try again
		}
		l.large.Store(sizeOf(l.path) > lagLimit)
	}
}

// doubt gives a file up when an error means that it may not be what was written.
func (f *file) doubt(err error) {
	var lost syncError
	var damage *Damage
	if errors.As(err, &lost) || errors.As(err, &damage) {
		f.distrust.Store(&Damage{What: "what was written may not be what is on disk", Err: err})
	}
}

func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// written is called after each batch.
func (f *file) written() {
	if f.lagging == nil {
		return
	}
	f.lagging.touched()
	if f.lagging.large.Load() {
		f.doubt(f.sync())
	}
}

// touched tells that the file was written to.
func (l *lagging) touched() {
	select {
	case l.dirty <- struct{}{}:
	default:
	}
	if l.count.Add(1) == l.most {
		select {
		case l.many <- struct{}{}:
		default:
		}
	}
}

// checkpoint syncs the file and records its newest transaction.
func (l *lagging) checkpoint() error {
	tx, err := l.db.Begin(false)
	if err != nil {
		return err
	}
	header, err := headerOf(l.path, uint64(tx.ID()))
	for range 100 { // writes may be faster than reading their header
		if !errors.Is(err, errMoved) {
			break
		}
		_ = tx.Rollback()
		if tx, err = l.db.Begin(false); err != nil {
			return err
		}
		header, err = headerOf(l.path, uint64(tx.ID()))
	}
	if err == nil {
		if err = l.db.Sync(); err != nil {
			err = syncError{err}
		}
	}
	if err == nil {
		l.record.header = header
		l.record.number++
		err = l.record.write(l.slots)
	}
	if err != nil {
		_ = tx.Rollback()
		return err
	}
	l.unpin()
	l.pinned = tx
	return nil
}

func (l *lagging) unpin() {
	if l.pinned != nil {
		_ = l.pinned.Rollback()
		l.pinned = nil
	}
}

func (l *lagging) end() {
	l.unpin()
	_ = l.slots.Close()
}

// leave ends the lag without syncing, for a file that is not written to any more.
func (f *file) leave() {
	if l := f.lagging; l != nil {
		f.lagging = nil
		close(l.stop)
		<-l.ended
		l.end()
	}
}

// sync ends the lag: all that was written is on disk, with the list of free pages, and there is no record any more. After
// an error the record stands, and the file must not be written to.
func (f *file) sync() error {
	l := f.lagging
	if l == nil {
		return nil
	}
	f.lagging = nil
	close(l.stop)
	<-l.ended
	defer l.end()
	err := guarded("syncing it", l.checkpoint) // what follows writes over pages of earlier transactions
	if err == nil {
		f.db.NoSync, f.db.NoFreelistSync = false, false
		err = guarded("syncing it", func() error { return f.db.Update(func(*bbolt.Tx) error { return nil }) })
	}
	if err == nil {
		err = settleRecord(f.path)
	}
	if err != nil {
		f.distrust.Store(&Damage{What: "it could not be synced", Err: err})
	}
	return err
}

// headerOf reads the header page of a transaction as far as it says something.
func headerOf(path string, txid uint64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for _, page := range []int64{int64(txid % 2), int64(1 - txid%2)} {
		header := make([]byte, headerLength)
		if _, err := f.ReadAt(header, page*pageSize); err != nil {
			return nil, err
		}
		if m, ok := parseMeta(header[pageHeader:]); ok && m.txid == txid {
			binary.NativeEndian.PutUint64(header, txid%2)
			return header, nil
		}
	}
	return nil, errMoved
}
