package register

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"cardinal/directory"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/internal/sorter"
)

// LoadJob fills an empty suffix.
type LoadJob struct {
	Ledger *ledger.Ledger
	Suffix directory.DN
	// Next gives the next piece of the input, io.EOF after the last. Entries
	// may come in any order.
	Next func() (*LoadPiece, error)
	// Rest gives entries to add once all pieces are read; may be nil.
	Rest func() []*directory.Entry
	// Progress is called now and then, never twice at a time; may be nil.
	Progress func(LoadProgress)
	// By is the author of entries that do not bring creatorsName along.
	By Author
}

// LoadPiece is some of the entries of a load. Pieces are read at the same time.
type LoadPiece struct {
	File string // for errors; may be empty
	// Next gives the next entry, which is the load's to change, and the line it
	// stands in, 0 if there are no lines; io.EOF after the last.
	Next func() (e *directory.Entry, line int, err error)
}

// LoadProgress says how far a load is.
type LoadProgress struct {
	Stored bool   // false while reading, true while storing
	Done   uint64 // entries
	Total  uint64 // 0 while reading: not known yet
}

// LoadError says which entry of a load was refused.
type LoadError struct {
	File string // empty if not known
	Line int    // 0 if not known
	Nth  uint64 // 1-based, in the order of the input; 0 if it is not one entry
	DN   directory.DN
	Err  error
}

// Error returns where, which entry and why.
func (e *LoadError) Error() string {
	at := fmt.Sprintf("entry %d", e.Nth)
	if e.Line > 0 {
		at = fmt.Sprintf("line %d", e.Line)
	}
	if e.File != "" {
		at = e.File + ": " + at
	}
	return fmt.Sprintf("%s: %s: %v", at, e.DN, e.Err)
}

// Unwrap returns the reason, mostly a *directory.Error.
func (e *LoadError) Unwrap() error { return e.Err }

// FromLDIF makes a job's Next of LDIF: content and add records.
func FromLDIF(r io.Reader) func() (*LoadPiece, error) {
	pieces := directory.NewLDIFPieces(r)
	return func() (*LoadPiece, error) {
		p, err := pieces.Next()
		if err != nil {
			return nil, err
		}
		return &LoadPiece{Next: func() (*directory.Entry, int, error) {
			rec, err := p.Next()
			if err != nil {
				return nil, 0, err
			}
			if rec.Entry == nil {
				return nil, 0, &directory.LDIFError{Line: rec.Line, Offset: rec.Offset, What: "only entries can be loaded, not changes to them"}
			}
			return rec.Entry, rec.Line, nil
		}}, nil
	}
}

// FromEntries makes a job's Next of a source that has no lines and no pieces.
func FromEntries(next func() (*directory.Entry, error)) func() (*LoadPiece, error) {
	whole := &LoadPiece{Next: func() (*directory.Entry, int, error) {
		e, err := next()
		return e, 0, err
	}}
	return func() (*LoadPiece, error) {
		p := whole
		if whole = nil; p == nil {
			return nil, io.EOF
		}
		return p, nil
	}
}

// Load reads all entries, checks them as Add does, sorts them and stores them
// as blocks, then makes them the entries of the suffix in one transaction that
// appends one SuffixLoaded change. Until then nothing can be seen of them, and
// what an interrupted load has stored is removed by the next.
//
// Operational attributes entries bring along are kept where they say who and
// when (createTimestamp …) and which (entryUUID); others are dropped. The
// memory used does not depend on the number of entries, but for some 100 bytes
// each that has a password or brings an entryUUID. Errors are *LoadError for
// an entry, *directory.Error 53 if the suffix is not empty.
func (r *Register) Load(ctx context.Context, job LoadJob) (journal.Position, error) {
	p, err := r.locate(job.Suffix)
	if err != nil {
		return 0, err
	}
	if p.key != p.suffix.key {
		return 0, refuse(directory.UnwillingToPerform, "%q is not a suffix", job.Suffix)
	}
	x := &load{r: r, job: job, suffix: p.suffix}
	defer x.close()
	if err := x.begin(ctx); err != nil {
		return 0, err
	}
	if err := x.read(ctx); err != nil {
		return 0, err
	}
	if err := x.distinctUUIDs(ctx); err != nil {
		return 0, err
	}
	if err := x.store(ctx); err != nil {
		return 0, err
	}
	return x.finish(ctx)
}

// errBlocksGone: another load began meanwhile and took these blocks for those
// of a load that had been interrupted.
var errBlocksGone = errors.New("another load has begun since")

// load is a load under way.
type load struct {
	r         *Register
	job       LoadJob
	suffix    *suffix
	id        [16]byte
	defaults  []directory.Attribute
	names     directory.LoadNames
	sorters   []*sorter.Sorter
	collected sync.Mutex       // guards what follows while entries are read
	uuids     []directory.UUID // brought along
	secrets   secretBodies
	manifest  directory.LoadManifest
	count     uint64
}

func (x *load) close() {
	for _, s := range x.sorters {
		_ = s.Close() // nothing depends on files that are gone already
	}
}

func (x *load) progress(p LoadProgress) {
	if x.job.Progress != nil {
		x.job.Progress(p)
	}
}

// begin checks that the suffix is empty and removes what a load before this
// one left behind.
func (x *load) begin(ctx context.Context) error {
	x.id = randomID()
	_, err := x.job.Ledger.Write(ctx, func(tx *ledger.Tx) error {
		x.defaults = x.r.stamps(x.job.By, tx)
		if err := x.empty(tx); err != nil {
			return err
		}
		tx.Defer(`DELETE FROM directory_block WHERE load NOT IN (SELECT load FROM directory_load)`)
		return nil
	})
	if err != nil {
		return fmt.Errorf("beginning to load %q: %w", x.job.Suffix, err)
	}
	return nil
}

func (x *load) empty(tx *ledger.Tx) error {
	c, err := x.r.cursor(tx, x.suffix, x.suffix.key, x.suffix.key.After())
	if err != nil {
		return err
	}
	s, err := c.next()
	if err == nil && s != nil {
		return refuse(directory.UnwillingToPerform, "suffix %q is not empty", x.job.Suffix)
	}
	return err
}

// finish makes the load visible.
func (x *load) finish(ctx context.Context) (journal.Position, error) {
	w, err := x.job.Ledger.NewContent(ctx)
	if err != nil {
		return 0, err
	}
	encoded := x.manifest.Append(nil)
	if _, err := w.Write(encoded); err != nil {
		return 0, fmt.Errorf("storing the manifest of a load: %w", err)
	}
	manifest, err := w.Close()
	if err != nil {
		return 0, fmt.Errorf("storing the manifest of a load: %w", err)
	}
	defaults := directory.EntryAdded{Entry: &directory.Entry{DN: x.suffix.dn, Attributes: x.defaults}}
	change := directory.SuffixLoaded{Suffix: x.suffix.dn, Content: manifest, Size: int64(len(encoded)), Entries: x.count}
	position, err := x.job.Ledger.Write(ctx, func(tx *ledger.Tx) error {
		if err := x.empty(tx); err != nil {
			return err
		}
		var blocks int
		err := tx.QueryRow(`SELECT COUNT(*) FROM directory_block WHERE load = $1`, x.id[:]).Scan(&blocks)
		if err != nil || blocks != len(x.manifest.Blocks) {
			return errors.Join(err, errBlocksGone)
		}
		key := []byte(x.suffix.key)
		tx.Defer(`DELETE FROM directory_block WHERE load IN (SELECT load FROM directory_load WHERE suffix = $1)`, key)
		tx.Defer(`DELETE FROM directory_entry WHERE key >= $1 AND key < $2`, key, []byte(x.suffix.key.After()))
		tx.Defer(`INSERT INTO directory_load (suffix, load, manifest, defaults, entries) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (suffix) DO UPDATE SET load = excluded.load, manifest = excluded.manifest,
			defaults = excluded.defaults, entries = excluded.entries`,
			key, x.id[:], manifest[:], defaults.Append(nil), int64(x.count))
		tx.Defer(`UPDATE directory_tracked SET filled = 0`) // Fill has to look at these entries
		tx.Append(journal.KindSuffixLoaded, directory.ChangeVersion, change.Append(nil))
		for _, body := range x.secrets.bodies {
			tx.Append(journal.KindSecretsChanged, directory.ChangeVersion, body)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("finishing the load of %q: %w", x.job.Suffix, err)
	}
	x.progress(LoadProgress{Stored: true, Done: x.count, Total: x.count})
	return position, nil
}

// Loaded opens what a suffix was loaded from, for a verifier; nil if it was
// not. Contents are read through tx.
func (r *Register) Loaded(tx *ledger.Tx, dn directory.DN) (*directory.LoadReader, error) {
	p, err := r.locate(dn)
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query(`SELECT manifest FROM directory_load WHERE suffix = $1`, []byte(p.suffix.key))
	if err != nil {
		return nil, fmt.Errorf("reading the load of %q: %w", dn, err)
	}
	var manifest []byte
	if rows.Next() {
		err = rows.Scan(&manifest)
	}
	if err = errors.Join(err, rows.Err(), rows.Close()); err != nil || manifest == nil {
		return nil, err
	}
	return directory.OpenLoad(func(h journal.Hash) (io.ReadCloser, error) {
		v, err := tx.Content(h)
		return io.NopCloser(bytes.NewReader(v)), err
	}, journal.Hash(manifest))
}
