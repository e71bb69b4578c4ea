package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"cardinal/internal/ledger"
)

var (
	errOccupied  = errors.New("there is something in this folder already: restore makes a new one")
	errPieces    = errors.New("the backup's ledger is not whole")
	errEscapes   = errors.New("the backup names a file outside the folder")
	errNoAccept  = errors.New("there is nothing to accept: the ledger is not in quarantine")
	errNoMerge   = errors.New("there is nothing to merge into: the ledger is not in quarantine")
	errRestoreBy = errors.New("give either a FILE to restore, or --accept, or --merge")
)

func restoreCommand(a *app) *cobra.Command {
	r := &restoring{a: a}
	var dir, passphrase, merge string
	var accept bool
	c := &cobra.Command{Use: "restore FILE", Short: "Make a new folder from a backup; then --merge a later replica, or --accept what was lost", Args: cobra.MaximumNArgs(1),
		Long:    restoreLong,
		Example: "  cardinal restore --dir cards-again cards.backup --passphrase-file pass\n  cardinal restore --dir cards-again --merge cards/replica/replica.db\n  cardinal restore --dir cards-again --accept",
		RunE: func(cmd *cobra.Command, args []string) error {
			switch ways := len(args) + number(accept) + number(merge != ""); {
			case ways != 1:
				return usage("restore", errRestoreBy)
			case accept:
				return a.accept(cmd.Context(), dir)
			case merge != "":
				return a.merge(cmd.Context(), dir, merge)
			}
			pass, err := a.passphrase(passphrase, false)
			if err != nil {
				return err
			}
			return failing("restore", r.restore(cmd.Context(), or(dir, a.env("CARDINAL_DIR")), args[0], pass))
		}}
	dirFlag(c, &dir)
	passphraseFlag(c, &passphrase)
	c.Flags().StringVar(&r.ledgerURL, "ledger-url", "", "database to restore into, when it is another than was backed up")
	c.Flags().StringVar(&merge, "merge", "", "replica file, or folder of the installation it served, that saw more than the backup: take over its revocations and end the quarantine")
	c.Flags().BoolVar(&accept, "accept", false, "end the quarantine of a restored ledger with what it has")
	return c
}

const restoreLong = `What happened after the backup was taken is not in it. So the restored ledger begins a new epoch, in
quarantine: no certificate is called good and none is issued. Followers that saw more keep what was
revoked. There are two ways out.

restore --merge REPLICA takes over what a replica of the old ledger saw after the backup: what it has as
revoked or held becomes so, with the card; and every certificate issued after the backup is revoked,
since the ledger cannot tell whose it is. What it has of people, positions, cases and entries is not
taken over and must be entered again. A certificate that was held in the backup stays held. Bootstrap
operators that had been ended stay, and it is said, where no RA manager holds an active card. The
replica must be of this very ledger's history and at rest: stop what serves from it, or give a copy of
the file. The restored folder itself may be served meanwhile. A merge that was interrupted is run again.

restore --accept ends the quarantine when an operator has judged what was lost: a card that was
cancelled after the backup is good again.`

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

// accept ends the quarantine.
func (a *app) accept(ctx context.Context, dir string) error {
	f, config, err := a.open(dir)
	if err != nil {
		return err
	}
	l, err := a.openLedger(ctx, f, config)
	if err != nil {
		return err
	}
	defer l.Close()
	head, err := l.Head(ctx)
	if err != nil {
		return failing("restore", err)
	}
	if !head.Quarantine {
		return refused("restore", errNoAccept)
	}
	if err := l.SetQuarantine(ctx, false); err != nil {
		return failing("restore", err)
	}
	return a.printJSON(struct {
		Accepted bool   `json:"accepted"`
		Epoch    uint64 `json:"epoch"`
	}{true, uint64(head.Epoch)})
}

// restoring is a restore under way.
type restoring struct {
	a         *app
	ledgerURL string // in place of the configured one
	folder    folder
}

// restore fills a new folder. It leaves nothing behind when it does not
// succeed.
func (r *restoring) restore(ctx context.Context, dir, path string, passphrase []byte) (err error) {
	r.folder = folder(dir)
	if dir == "" {
		return usage("folder", errNoFolder)
	}
	in, err := os.Open(path)
	if err != nil {
		return usage("reading the backup", err)
	}
	defer in.Close()
	opened, err := newOpener(in, passphrase)
	if err != nil {
		return err
	}
	if err := makeEmpty(dir); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
		}
	}()
	head, err := r.unpack(ctx, tar.NewReader(opened))
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, opened); err != nil { // up to the mark of the last chunk
		return err
	}
	return r.a.printJSON(head)
}

// makeEmpty makes the folder, or takes one that is empty.
func makeEmpty(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return usage("making the folder", err)
	}
	inside, err := os.ReadDir(dir)
	if err != nil {
		return usage("making the folder", err)
	}
	if len(inside) > 0 {
		return usage("folder "+dir, errOccupied)
	}
	return os.Chmod(dir, 0o700)
}

type restored struct {
	Restored   bool   `json:"restored"`
	Epoch      uint64 `json:"epoch"`
	Position   uint64 `json:"position"`
	Quarantine bool   `json:"quarantine"`
}

// unpack writes the files, then the ledger from its pieces.
func (r *restoring) unpack(ctx context.Context, t *tar.Reader) (restored, error) {
	for {
		h, err := t.Next()
		if err != nil {
			return restored{}, errors.Join(errPieces, err)
		}
		if strings.HasPrefix(h.Name, backupLedger) {
			return r.unpackLedger(ctx, &joined{t: t, next: h})
		}
		if err := unpackFile(r.folder, h.Name, t); err != nil {
			return restored{}, err
		}
	}
}

func unpackFile(f folder, name string, from io.Reader) error {
	rel, ok := strings.CutPrefix(name, backupFiles)
	if !ok || !filepath.IsLocal(filepath.FromSlash(rel)) {
		return fmt.Errorf("%w: %q", errEscapes, name)
	}
	path := f.path(filepath.FromSlash(rel))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	data, err := io.ReadAll(from)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

func (r *restoring) unpackLedger(ctx context.Context, dump io.Reader) (out restored, err error) {
	c, err := r.config()
	if err != nil {
		return out, err
	}
	l, err := ledger.Restore(ctx, r.a.ledgerOptions(r.folder, c), dump)
	if err != nil {
		return out, fmt.Errorf("restoring the ledger: %w", err)
	}
	defer closeInto(&err, l)
	if _, err := io.Copy(io.Discard, dump); err != nil { // what follows must be whole too
		return out, err
	}
	head, err := l.Head(ctx)
	return restored{true, uint64(head.Epoch), uint64(head.Position), head.Quarantine}, err
}

// config reads the configuration just unpacked, and writes it anew when the
// ledger goes elsewhere.
func (r *restoring) config() (Config, error) {
	c, err := readConfig(r.folder.config())
	if err != nil || r.ledgerURL == "" {
		return c, err
	}
	c.Ledger.URL = r.ledgerURL
	if err := c.check(); err != nil {
		return c, usage("--ledger-url", err)
	}
	text, err := c.commented()
	if err != nil {
		return c, err
	}
	return c, os.WriteFile(r.folder.config(), text, 0o600)
}

// joined reads the pieces of the ledger one after another.
type joined struct {
	t    *tar.Reader
	next *tar.Header
	n    int
	done bool
}

func (j *joined) Read(p []byte) (int, error) {
	for !j.done {
		if j.next != nil {
			if j.n++; j.next.Name != fmt.Sprintf("%s%08d", backupLedger, j.n) {
				return 0, errPieces
			}
			j.next = nil
		}
		n, err := j.t.Read(p)
		if n > 0 || err != nil && !errors.Is(err, io.EOF) {
			return n, dropEOF(err)
		}
		if err == nil {
			continue
		}
		if j.next, err = j.t.Next(); err != nil {
			j.done = true
			return 0, err
		}
	}
	return 0, io.EOF
}

func dropEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
