package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
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
	db   *bbolt.DB
	path string
	progress
}

func boltOptions(readOnly bool) *bbolt.Options {
	return &bbolt.Options{
		Timeout:         lockPatience,
		FreelistType:    bbolt.FreelistMapType, // written, so that opening reads two pages and not the whole file
		InitialMmapSize: mapSize,
		PageSize:        pageSize,
		NoStatistics:    true, // they cost a lock for each read transaction
		ReadOnly:        readOnly,
	}
}

// create makes an empty file with the appliers' buckets. An old one under this name must be gone.
func create(path string, appliers []Applier) (*file, error) {
	db, err := bbolt.Open(path, 0o600, boltOptions(false))
	if err != nil {
		return nil, fmt.Errorf("creating replica %s: %w", path, err)
	}
	f := &file{db: db, path: path, progress: progress{epoch: 1}}
	err = db.Update(func(tx *bbolt.Tx) error {
		own, err := tx.CreateBucket([]byte(ownBucket))
		if err != nil {
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
func load(path string, appliers []Applier) (f *file, err error) {
	if err := checkMeta(path); err != nil {
		return nil, err
	}
	err = guarded("opening it", func() error {
		db, err := bbolt.Open(path, 0o600, boltOptions(false))
		if err != nil {
			return err
		}
		f = &file{db: db, path: path}
		return db.View(func(tx *bbolt.Tx) error {
			if f.progress, err = readProgress(tx); err != nil {
				return err
			}
			return checkLayouts(tx, appliers)
		})
	})
	return f, err
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

// bbolt's two meta pages: where the fields stand behind the 16 bytes of a page's header (github.com/etcd-io/bbolt,
// version 2 of its format).
const (
	metaHeader   = 16
	metaMagic    = 0xED0CDAED
	metaVersion  = 2
	metaPages    = 40 // offset of the number of pages
	metaTxid     = 48
	metaChecksum = 56
	metaLength   = 64
)

// checkMeta looks at a file before it is mapped: a mapping that reaches past the end of a file cut short ends the whole
// process at the first touch. It returns Damage for anything that bbolt cannot have left behind.
func checkMeta(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening replica: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("opening replica: %w", err)
	}
	pages, ok := newestMeta(f)
	if !ok {
		return &Damage{What: "no valid header page"}
	}
	if pages > uint64(info.Size())/pageSize {
		return &Damage{What: fmt.Sprintf("cut short: %d bytes of %d pages", info.Size(), pages)}
	}
	return nil
}

// newestMeta returns the number of pages by the newest valid meta page.
func newestMeta(f io.ReaderAt) (pages uint64, ok bool) {
	var newest uint64
	for i := range int64(2) {
		var raw [metaLength]byte
		if _, err := f.ReadAt(raw[:], i*pageSize+metaHeader); err != nil {
			continue
		}
		sum := fnv.New64a()
		sum.Write(raw[:metaChecksum])
		le := binary.LittleEndian
		if le.Uint32(raw[:]) != metaMagic || le.Uint32(raw[4:]) != metaVersion || le.Uint32(raw[8:]) != pageSize ||
			sum.Sum64() != le.Uint64(raw[metaChecksum:]) {
			continue
		}
		if txid := le.Uint64(raw[metaTxid:]); !ok || txid > newest {
			newest, pages, ok = txid, le.Uint64(raw[metaPages:]), true
		}
	}
	return pages, ok
}

// syncDir makes a rename durable.
func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
