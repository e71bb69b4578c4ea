package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cardinal/ca"
	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// mergeWorld is a folder with ledgers and replicas of several histories.
type mergeWorld struct {
	*testing.T
	dir, pass string
	keys      func(context.Context, string) (crypto.Signer, error) // the same in all histories
}

func newMergeWorld(t *testing.T) *mergeWorld {
	w := &mergeWorld{T: t, dir: t.TempDir()}
	w.pass = w.path("pass")
	if err := os.WriteFile(w.pass, []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.must("init", "--dir", w.path("d"), "--public-url", "http://127.0.0.1:1", "--passphrase-file", w.pass)
	return w
}

func (w *mergeWorld) path(name string) string { return filepath.Join(w.dir, name) }

func (w *mergeWorld) must(args ...string) (stdout string) {
	w.Helper()
	code, stdout, stderr := program(w.T, args...)
	if code != 0 {
		w.Fatalf("%v: %s", args, stderr)
	}
	return stdout
}

// in opens a folder's ledger for fn.
func (w *mergeWorld) in(name string, fn func(a *app, f folder, c Config, l *ledger.Ledger)) {
	w.Helper()
	a := &app{in: strings.NewReader(""), out: w.Output(), err: w.Output(), env: func(string) string { return "" }, now: time.Now}
	f, c, err := a.open(w.path(name))
	if err != nil {
		w.Fatal(err)
	}
	l, err := a.openLedger(w.Context(), f, c)
	if err != nil {
		w.Fatal(err)
	}
	fn(a, f, c, l)
	if err := l.Close(); err != nil {
		w.Fatal(err)
	}
}

// live issues n certificates in a folder, revokes those given, and leaves a
// replica that followed to the end.
func (w *mergeWorld) live(name string, n int, revoke []certs.Ref) (issued []certs.Ref) {
	w.Helper()
	w.in(name, func(a *app, f folder, c Config, l *ledger.Ledger) {
		side := w.writeSide(a, f, c, l)
		for range n {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				w.Fatal(err)
			}
			issuer := certs.IssuerIDOf(side.authority.Certificate(ca.Authentication))
			der, err := side.authority.Responder(w.Context(), issuer, key.Public())
			if err != nil {
				w.Fatal(err)
			}
			outline, err := certs.OutlineOf(der)
			if err != nil {
				w.Fatal(err)
			}
			issued = append(issued, certs.Ref{Issuer: issuer, Serial: outline.Serial})
		}
		if len(revoke) > 0 {
			_, err := l.Write(w.Context(), func(tx *ledger.Tx) error {
				return register.SetStatus(tx, revoke, certs.Revoked(certs.ReasonKeyCompromise))
			})
			if err != nil {
				w.Fatal(err)
			}
		}
		w.follow(l, side.directory, w.path(name+"-replica.db"))
	})
	return issued
}

// openedOnce keeps what was opened: that takes long.
func openedOnce(open func(context.Context, string) (crypto.Signer, error)) func(context.Context, string) (crypto.Signer, error) {
	opened := map[string]crypto.Signer{}
	return func(ctx context.Context, name string) (crypto.Signer, error) {
		if known := opened[name]; known != nil {
			return known, nil
		}
		signer, err := open(ctx, name)
		if err == nil {
			opened[name] = signer
		}
		return signer, err
	}
}

func (w *mergeWorld) writeSide(a *app, f folder, c Config, l *ledger.Ledger) *writeSide {
	w.Helper()
	set, err := loadPolicies(f, c)
	if err != nil {
		w.Fatal(err)
	}
	d, err := loadDirectory(f, c)
	if err != nil {
		w.Fatal(err)
	}
	if w.keys == nil {
		w.keys = openedOnce(signersOf(f, c, []byte("x")))
	}
	side, err := a.writeSide(writeSideOf{folder: f, config: c, ledger: l, policies: set, directory: d, keys: w.keys})
	if err == nil {
		err = side.openKeys(w.Context())
	}
	if err != nil {
		w.Fatal(err)
	}
	return side
}

// follow writes a replica of a ledger as it is now.
func (w *mergeWorld) follow(l *ledger.Ledger, d *directoryOf, path string) {
	w.Helper()
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		w.Fatal(err)
	}
	head, err := l.Head(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	v := &verifier{a: &app{err: io.Discard}, ledger: l, directory: d}
	if err := v.rebuild(w.Context(), path, head, func(*readSide) error { return nil }); err != nil {
		w.Fatal(err)
	}
}

// fork copies a folder at rest.
func (w *mergeWorld) fork(from, to string) {
	w.Helper()
	if err := os.CopyFS(w.path(to), os.DirFS(w.path(from))); err != nil {
		w.Fatal(err)
	}
	keys, err := filepath.Glob(filepath.Join(w.path(to), "keys", "*"))
	for _, key := range keys {
		err = errors.Join(err, os.Chmod(key, 0o600))
	}
	if err != nil {
		w.Fatal(err)
	}
}

// TestMergeKilledHalfWayIsFinishedByTheNext: nothing is counted twice and the
// quarantine lasts until all is in.
func TestMergeKilledHalfWayIsFinishedByTheNext(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	w := newMergeWorld(t)
	before := w.live("d", 2, nil)
	w.must("backup", "--dir", w.path("d"), w.path("kept"), "--passphrase-file", w.pass)
	w.live("d", 3, before[:1])
	w.must("restore", "--dir", w.path("r"), w.path("kept"), "--passphrase-file", w.pass)

	w.in("r", func(a *app, f folder, c Config, l *ledger.Ledger) {
		m, head := w.merging(a, f, c, l)
		if len(m.lost) != 3 || len(m.changed) != 1 {
			t.Fatalf("%d lost and %d changed", len(m.lost), len(m.changed))
		}
		m.lost, m.changed = m.lost[:1], nil
		if _, err := m.write(t.Context()); err != nil {
			t.Fatal(err)
		}
		if now, err := l.Head(t.Context()); err != nil || !now.Quarantine || now.Position <= head.Position {
			t.Fatalf("half way: %+v, %v", now, err)
		}
	})
	var done merged
	out := w.must("restore", "--dir", w.path("r"), "--merge", w.path("d-replica.db"))
	if err := json.Unmarshal([]byte(out), &done); err != nil {
		t.Fatal(err)
	}
	if !done.Merged || done.Unknown != 2 || done.Revoked != 1 || done.Epoch != 2 {
		t.Errorf("merged %+v", done)
	}
	w.must("verify", "--dir", w.path("r"))
}

// merging compares the restored ledger with d's replica and stops there.
func (w *mergeWorld) merging(a *app, f folder, c Config, l *ledger.Ledger) (*merging, journal.Head) {
	w.Helper()
	desk, err := a.bareDesk(f, c, l)
	if err != nil {
		w.Fatal(err)
	}
	file, err := openReplicaFile(w.path("d-replica.db"))
	if err != nil {
		w.Fatal(err)
	}
	defer file.Close()
	m := &merging{a: a, ledger: l, desk: desk, file: file}
	head, err := l.Head(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	if err := m.findEpoch(context.Background(), head); err != nil {
		w.Fatal(err)
	}
	if err := m.compare(context.Background()); err != nil {
		w.Fatal(err)
	}
	return m, head
}

// TestMergeRefusesReplicasOfOtherHistories: older ones, ones of another epoch,
// and ones that parted before the backup, however long they are.
func TestMergeRefusesReplicasOfOtherHistories(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	w := newMergeWorld(t)
	w.fork("d", "early")
	w.live("early", 0, nil)
	w.fork("d", "parted")
	w.live("parted", 4, nil)
	common := w.live("d", 1, nil)
	w.fork("d", "unrevoked")
	w.live("unrevoked", 3, nil)
	w.live("d", 0, common)
	w.must("backup", "--dir", w.path("d"), w.path("kept"), "--passphrase-file", w.pass)
	w.must("restore", "--dir", w.path("again"), w.path("kept"), "--passphrase-file", w.pass)
	w.must("restore", "--dir", w.path("again"), "--accept")
	w.live("again", 1, nil)
	w.must("restore", "--dir", w.path("r"), w.path("kept"), "--passphrase-file", w.pass)
	for name, says := range map[string]string{
		"early":     "it saw nothing that the backup had not",
		"parted":    "it knows",
		"unrevoked": "was revoked before the backup and is not there",
		"again":     "and the ledger is in epoch 2",
	} {
		code, _, stderr := program(t, "restore", "--dir", w.path("r"), "--merge", w.path(name+"-replica.db"))
		if code != exitRefused || !strings.Contains(stderr, says) {
			t.Errorf("%s: exit %d, %s", name, code, stderr)
		}
	}
	w.must("restore", "--dir", w.path("r"), "--merge", w.path("d-replica.db"))
}
