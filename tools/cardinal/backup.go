package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"cardinal/internal/ledger"
)

// A backup is a sealed tar: the folder's files but the database and what is
// made from it, then the ledger's dump in pieces. The pieces let the dump, of
// unknown length, stream into a format that wants lengths first.
const (
	backupFiles  = "folder/"
	backupLedger = "ledger/"
	backupPiece  = 1 << 20
)

func backupCommand(a *app) *cobra.Command {
	var dir, passphrase string
	c := &cobra.Command{Use: "backup FILE", Short: "Write one encrypted file with ledger, keys and configuration", Args: cobra.ExactArgs(1),
		Long: `The ledger is dumped from one consistent snapshot, so a backup may be taken while serving. The
file is encrypted with the passphrase (scrypt, AES-256-GCM) and cannot be read without it.`,
		Example: "  cardinal backup --dir cards cards.backup --passphrase-file pass",
		RunE: func(cmd *cobra.Command, args []string) error {
			f, config, err := a.open(dir)
			if err != nil {
				return err
			}
			pass, err := a.passphrase(passphrase, true)
			if err != nil {
				return err
			}
			l, err := a.openLedger(cmd.Context(), f, config)
			if err != nil {
				return err
			}
			defer l.Close()
			return failing("backup", a.backup(cmd.Context(), backupOf{f, l, args[0], pass}))
		}}
	dirFlag(c, &dir)
	passphraseFlag(c, &passphrase)
	return c
}

// backupOf is what is backed up and where to.
type backupOf struct {
	folder     folder
	ledger     *ledger.Ledger
	path       string
	passphrase []byte
}

// backup writes beside the target and renames, so that a target that is there
// is whole.
func (a *app) backup(ctx context.Context, b backupOf) (err error) {
	out, err := os.OpenFile(b.path+".part", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(out.Name())
		}
	}()
	if err := b.write(ctx, out); err != nil {
		out.Close()
		return err
	}
	if err := errors.Join(out.Sync(), out.Close()); err != nil {
		return err
	}
	if err := os.Rename(out.Name(), b.path); err != nil {
		return err
	}
	head, err := b.ledger.Head(ctx)
	if err != nil {
		return err
	}
	return a.printJSON(struct {
		Backup   string `json:"backup"`
		Epoch    uint64 `json:"epoch"`
		Position uint64 `json:"position"`
	}{b.path, uint64(head.Epoch), uint64(head.Position)})
}

func (b backupOf) write(ctx context.Context, out io.Writer) error {
	s, err := newSealer(out, b.passphrase, sealedLogN)
	if err != nil {
		return err
	}
	t := tar.NewWriter(s)
	if err := b.files(t); err != nil {
		return err
	}
	pieces := &pieces{t: t}
	if err := b.ledger.Dump(ctx, pieces); err != nil {
		return fmt.Errorf("dumping the ledger: %w", err)
	}
	return errors.Join(pieces.Close(), t.Close(), s.Close())
}

// files adds what the folder holds beside the database and what is made from
// it.
func (b backupOf) files(t *tar.Writer) error {
	top := string(b.folder)
	return filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(top, path)
		if err != nil || name == "." {
			return err
		}
		if !kept(filepath.ToSlash(name)) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if d.IsDir() || !d.Type().IsRegular() {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return addFile(t, backupFiles+filepath.ToSlash(name), data)
	})
}

// kept tells what belongs into a backup: not the database (it is dumped), not
// replicas (they are rebuilt), not what tells of one running process.
func kept(name string) bool {
	base := filepath.Base(name)
	return name != "replica" && !strings.HasPrefix(base, "ready") && !strings.HasSuffix(base, ".part") && !strings.HasSuffix(base, ".backup") &&
		!strings.HasSuffix(base, ".db") && !strings.HasSuffix(base, ".db-wal") && !strings.HasSuffix(base, ".db-shm")
}

func addFile(t *tar.Writer, name string, data []byte) error {
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(data)), Format: tar.FormatPAX}); err != nil {
		return err
	}
	_, err := t.Write(data)
	return err
}

// pieces writes a stream as numbered files of a tar.
type pieces struct {
	t      *tar.Writer
	buffer []byte
	n      int
}

func (p *pieces) Write(data []byte) (int, error) {
	p.buffer = append(p.buffer, data...)
	for len(p.buffer) >= backupPiece {
		if err := p.add(p.buffer[:backupPiece]); err != nil {
			return 0, err
		}
		p.buffer = append(p.buffer[:0], p.buffer[backupPiece:]...)
	}
	return len(data), nil
}

func (p *pieces) add(data []byte) error {
	p.n++
	return addFile(p.t, fmt.Sprintf("%s%08d", backupLedger, p.n), data)
}

// Close writes what is left, as the last piece.
func (p *pieces) Close() error { return p.add(p.buffer) }
