package replica

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
)

const (
	// pageSize: 4 KiB keeps the resident part of random lookups small.
	pageSize = 4 << 10
	// mapSize is reserved address space, not memory: growing past it would wait for every reader.
	mapSize = 16 << 30
	// lockPatience is how long Open waits for another process to let go of the file.
	lockPatience = 2 * time.Second
)

// file is one bbolt file and how far it has come, as committed.
type file struct {
	db       *bbolt.DB
	path     string
	mark     []byte // its own, of all files
	lagging  *lagging
	distrust atomic.Pointer[Damage] // why the file is to be given up
	progress
}

// open opens a store. It writes nothing to a file that is there: the list of free pages would take pages that the record
// of what is on disk still speaks of.
func open(path string, readOnly bool) (*bbolt.DB, error) {
	return bbolt.Open(path, 0o600, boltOptions(readOnly))
}

func boltOptions(readOnly bool) *bbolt.Options {
	return &bbolt.Options{
		Timeout:         lockPatience,
		FreelistType:    bbolt.FreelistMapType,
		NoFreelistSync:  !readOnly, // until it is known how the file is synced: see lag
		InitialMmapSize: mapSize,
		PageSize:        pageSize,
		NoStatistics:    true, // they cost a lock for each read transaction
		ReadOnly:        readOnly,
	}
}

// newSuffix marks a file that is not yet what it should be.
const newSuffix = ".new"

// begin makes the first file. It gets its name when it is whole, so that a process killed meanwhile leaves none that
// looks damaged.
func begin(path string, appliers []Applier) (*file, error) {
	if err := os.Remove(path + newSuffix); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("removing a replica just begun: %w", err)
	}
	f, err := create(path+newSuffix, appliers)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.Rename(f.path, path), syncDir(path)); err != nil {
		return nil, errors.Join(fmt.Errorf("creating replica %s: %w", path, err), f.db.Close())
	}
	f.path = path
	return f, nil
}

// create makes an empty file with the appliers' buckets. An old one under this name must be gone.
func create(path string, appliers []Applier) (*file, error) {
	db, err := open(path, false)
	if err != nil {
		return nil, fmt.Errorf("creating replica %s: %w", path, err)
	}
	db.NoFreelistSync = false
	f := &file{db: db, path: path, mark: make([]byte, markLength), progress: progress{epoch: 1}}
	rand.Read(f.mark)
	err = db.Update(func(tx *bbolt.Tx) error {
		own, err := tx.CreateBucket([]byte(ownBucket))
		if err != nil {
			return err
		}
		if err := own.Put([]byte(markKey), f.mark); err != nil {
			return err
		}
		if _, err := tx.CreateBucket([]byte(keptBucket)); err != nil {
			return err
		}
		for _, a := range appliers {
			if _, err := tx.CreateBucket([]byte(a.Name())); err != nil {
				return err
			}
			layout := binary.BigEndian.AppendUint32(nil, a.Layout())
			if err := own.Put([]byte(layoutPrefix+a.Name()), layout); err != nil {
				return err
			}
		}
		return writeProgress(tx, &f.progress)
	})
	if err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("creating replica %s: %w", path, err)
	}
	return f, nil
}

// errOtherLayout: a bucket is missing or was written by another version of its room.
var errOtherLayout = errors.New("replica of another layout")

// load opens an existing file. Damage and another layout are errors the caller answers by rebuilding; the file is still
// open then when f is not nil.
func load(o Options) (f *file, err error) {
	mark, err := rewind(o.Path, o.boot)
	if err != nil {
		return nil, err
	}
	if mark != nil {
		o.Logger.Warn("the system was started anew since the replica was written to: it goes back to what was on disk", "path", o.Path)
	}
	if err := inspectHead(o.Path); err != nil {
		return nil, err
	}
	err = guarded("opening it", func() error {
		db, err := open(o.Path, false)
		if err != nil {
			return err
		}
		f = &file{db: db, path: o.Path}
		return db.View(func(tx *bbolt.Tx) error {
			if err := f.read(tx, mark); err != nil {
				return err
			}
			return checkLayouts(tx, o.Appliers)
		})
	})
	return f, err
}

// read reads what a file says of itself. After it was put back to a record it must be the one that was recorded.
func (f *file) read(tx *bbolt.Tx, recorded []byte) (err error) {
	if f.progress, err = readProgress(tx); err != nil {
		return err
	}
	f.mark = bytes.Clone(tx.Bucket([]byte(ownBucket)).Get([]byte(markKey)))
	if recorded != nil && !bytes.Equal(f.mark, recorded) {
		return &Damage{What: "it is not the file that was recorded"}
	}
	return nil
}

func checkLayouts(tx *bbolt.Tx, appliers []Applier) error {
	own := tx.Bucket([]byte(ownBucket))
	for _, a := range appliers {
		layout := own.Get([]byte(layoutPrefix + a.Name()))
		if len(layout) != 4 || binary.BigEndian.Uint32(layout) != a.Layout() || tx.Bucket([]byte(a.Name())) == nil {
			return fmt.Errorf("bucket %q: %w", a.Name(), errOtherLayout)
		}
	}
	return nil
}

// guarded turns a panic or a memory fault, as a damaged page causes in the store, into Damage.
func guarded(doing string, fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = &Damage{What: doing, Err: fmt.Errorf("%v", p)}
		}
	}()
	return fn()
}

// syncDir makes a rename durable.
func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
