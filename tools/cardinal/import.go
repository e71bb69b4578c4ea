package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"cardinal/directory"
	"cardinal/directory/register"
	"cardinal/internal/ledger"
)

func importCommand(a *app) *cobra.Command {
	var dir string
	c := &cobra.Command{Use: "import FILE.ldif…", Short: "Load LDIF into the directory", Args: cobra.MinimumNArgs(1),
		Long: `Into a suffix that holds nothing yet but what init made, the files are loaded whole, as one change:
all of their entries or none. Into any other suffix their records are done one after another: entries
to add, and changes (add, modify, delete, modrdn); what was done before a record that is refused stays
done. Whoever may open the folder may write anywhere, managed subtrees too.`,
		Example: "  cardinal import --dir cards people.ldif",
		RunE: func(cmd *cobra.Command, args []string) error {
			f, config, err := a.open(dir)
			if err != nil {
				return err
			}
			r, err := openRegister(f, config)
			if err != nil {
				return err
			}
			l, err := a.openLedger(cmd.Context(), f, config)
			if err != nil {
				return err
			}
			defer l.Close()
			in := &ldifFiles{paths: args}
			defer in.Close()
			return failing("import", (&importing{a, l, r, in}).run(cmd.Context()))
		}}
	dirFlag(c, &dir)
	return c
}

// importing is one import under way.
type importing struct {
	a        *app
	ledger   *ledger.Ledger
	register *register.Register
	in       *ldifFiles
}

// imported is what import prints.
type imported struct {
	Entries  uint64 `json:"entries"`
	Loaded   bool   `json:"loaded"` // as one change
	Position uint64 `json:"position"`
}

var errOutside = errors.New("is in no suffix of this installation")

func (im *importing) run(ctx context.Context) error {
	first, err := im.in.peek()
	if errors.Is(err, io.EOF) {
		return im.a.printJSON(imported{})
	}
	if err != nil {
		return err
	}
	at, err := im.suffixOf(first.DN)
	if err != nil {
		return err
	}
	fresh, err := im.fresh(ctx, at)
	if err != nil {
		return err
	}
	if fresh && first.Entry != nil {
		return im.load(ctx, at)
	}
	return im.apply(ctx)
}

// suffixOf gives the number of the suffix a name lies in.
func (im *importing) suffixOf(dn directory.DN) (int, error) {
	key, err := im.register.Schema().Key(dn)
	if err != nil {
		return 0, refused("import", fmt.Errorf("%s: %w", dn, err))
	}
	for i, suffix := range im.register.Suffixes() {
		k, err := im.register.Schema().Key(suffix)
		if err != nil {
			return 0, err
		}
		if k.Contains(key) {
			return i, nil
		}
	}
	return 0, refused("import", fmt.Errorf("%s %w", dn, errOutside))
}

var errMore = errors.New("more than init made")

// fresh tells whether a suffix holds nothing, or nothing but what init made.
func (im *importing) fresh(ctx context.Context, at int) (bool, error) {
	base, err := baseEntries(im.register.Suffixes()[at], at == 0)
	if err != nil {
		return false, err
	}
	made := map[directory.Key]bool{}
	for _, e := range base {
		key, err := im.register.Schema().Key(e.DN)
		if err != nil {
			return false, err
		}
		made[key] = true
	}
	err = im.ledger.Read(ctx, func(tx *ledger.Tx) error {
		return im.each(tx, at, func(key directory.Key, e *directory.Entry) error {
			if by := e.Get("creatorsName"); !made[key] || len(by) != 1 || string(by[0]) != founder().DN {
				return errMore
			}
			return nil
		})
	})
	if errors.Is(err, errMore) {
		return false, nil
	}
	return err == nil, err
}

// each walks a suffix that may be empty.
func (im *importing) each(tx *ledger.Tx, at int, fn func(directory.Key, *directory.Entry) error) error {
	suffix := im.register.Suffixes()[at]
	there, err := im.register.Exists(tx, suffix)
	if err != nil || !there {
		return err
	}
	return im.register.Subtree(tx, suffix, func(e *directory.Entry) error {
		key, err := im.register.Schema().Key(e.DN)
		if err != nil {
			return err
		}
		return fn(key, e)
	})
}

// applyBlock and applyTime bound one transaction of records: it holds the
// ledger's head while it runs.
const (
	applyBlock = 256
	applyTime  = 30 * time.Millisecond
)

// apply does records one after another, in short transactions.
func (im *importing) apply(ctx context.Context) error {
	bar := im.a.progress("records", 0)
	var done imported
	for {
		block, err := im.block()
		if len(block) > 0 {
			n, position, err := im.applyBlock(ctx, block)
			done.Entries += uint64(n)
			bar.add(int64(n))
			if err != nil {
				return fmt.Errorf("%w (%d records before it are done)", err, done.Entries)
			}
			done.Position = position
		}
		if errors.Is(err, io.EOF) {
			bar.finish()
			return im.a.printJSON(done)
		}
		if err != nil {
			return fmt.Errorf("%w (%d records before it are done)", err, done.Entries)
		}
	}
}

// block reads the next records, with passwords hashed before any transaction
// begins.
func (im *importing) block() (block []*placed, err error) {
	for len(block) < applyBlock {
		p, err := im.in.next()
		if err != nil {
			return block, err
		}
		if p.Entry != nil {
			p.Entry = im.register.SealEntry(p.Entry)
		}
		p.Mods = im.register.SealMods(p.Mods)
		block = append(block, p)
	}
	return block, nil
}

// applyBlock does a block in as many transactions as its time needs, and says
// how many records are durable. A refused record ends it; what stands before
// that record is done.
func (im *importing) applyBlock(ctx context.Context, block []*placed) (done int, position uint64, refusal error) {
	for done < len(block) {
		n, at, err := im.applySome(ctx, block[done:])
		var bad *recordError
		if errors.As(err, &bad) && n > 0 {
			block, refusal = block[:done+n], err // again without it
			continue
		}
		if err != nil {
			return done, position, err
		}
		done, position = done+n, at
	}
	return done, position, refusal
}

// applySome does as many records as fit into one transaction. With a
// *recordError nothing is done, and the number is of those that were good.
func (im *importing) applySome(ctx context.Context, block []*placed) (n int, position uint64, err error) {
	at, err := im.ledger.Write(ctx, func(tx *ledger.Tx) error {
		n = 0
		begun := time.Now()
		for _, p := range block {
			if n > 0 && time.Since(begun) > applyTime {
				return nil
			}
			if err := im.applyOne(tx, p); err != nil {
				return &recordError{p, err}
			}
			n++
		}
		return nil
	})
	return n, uint64(at), err
}

func (im *importing) applyOne(tx *ledger.Tx, p *placed) error {
	switch p.Kind {
	case directory.RecordDelete:
		return im.register.Delete(tx, founder(), p.DN)
	case directory.RecordModify:
		return im.register.Modify(tx, founder(), p.DN, p.Mods)
	case directory.RecordMove:
		return im.register.Move(tx, founder(), p.Move)
	}
	return im.register.Add(tx, founder(), p.Entry)
}

// recordError is a record the directory refused.
type recordError struct {
	at  *placed
	err error
}

func (e *recordError) Error() string { return fmt.Sprintf("%s: %s: %v", e.at.where(), e.at.DN, e.err) }
func (e *recordError) Unwrap() error { return e.err }

// placed is a record and the file it came from.
type placed struct {
	*directory.Record
	path string
}

func (p *placed) where() string { return fmt.Sprintf("%s line %d", p.path, p.Line) }

// ldifFiles reads several files as one, in pieces that may be read at the same
// time.
type ldifFiles struct {
	paths  []string
	path   string
	open   *os.File
	pieces *directory.LDIFPieces
	reader *directory.LDIFReader
	ahead  *placed
}

// Close closes the file being read.
func (f *ldifFiles) Close() error {
	if f.open == nil {
		return nil
	}
	return f.open.Close()
}

// peek gives the first record without taking it.
func (f *ldifFiles) peek() (*placed, error) {
	p, err := f.next()
	f.ahead = p
	return p, err
}

// next gives the next record, io.EOF after the last file.
func (f *ldifFiles) next() (*placed, error) {
	if p := f.ahead; p != nil {
		f.ahead = nil
		return p, nil
	}
	for {
		if f.reader == nil {
			if err := f.begin(); err != nil {
				return nil, err
			}
		}
		record, err := f.reader.Next()
		switch {
		case err == nil:
			return &placed{record, f.path}, nil
		case !errors.Is(err, io.EOF):
			return nil, fmt.Errorf("%s: %w", f.path, err)
		}
		f.reader = nil
	}
}

// begin goes on to the next piece.
func (f *ldifFiles) begin() (err error) {
	for {
		if f.pieces == nil {
			if err := f.beginFile(); err != nil {
				return err
			}
		}
		f.reader, err = f.pieces.Next()
		if !errors.Is(err, io.EOF) {
			break
		}
		f.pieces = nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	return nil
}

func (f *ldifFiles) beginFile() (err error) {
	if len(f.paths) == 0 {
		return io.EOF
	}
	if err := f.Close(); err != nil {
		return err
	}
	f.path, f.paths = f.paths[0], f.paths[1:]
	if f.open, err = os.Open(f.path); err != nil {
		return usage("reading LDIF", err)
	}
	f.pieces = directory.NewLDIFPieces(f.open)
	return nil
}

// piece takes what is left of the piece in hand, or the next one.
func (f *ldifFiles) piece() (*ldifFiles, error) {
	if f.reader == nil {
		if err := f.begin(); err != nil {
			return nil, err
		}
	}
	p := &ldifFiles{path: f.path, reader: f.reader, ahead: f.ahead}
	f.reader, f.ahead = nil, nil
	return p, nil
}
