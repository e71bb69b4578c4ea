package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	xocsp "golang.org/x/crypto/ocsp"
)

// TestReadNodesAnswerAsTheirWriterDoes tells one story of a writer and two read nodes on machines of their own.
func TestReadNodesAnswerAsTheirWriterDoes(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	w := newFollowWorld(t)
	w.serveWriter(w.path("w"))
	w.enrol("central-1", "central")
	w.enrol("edge-1", "edge")
	w.enrol("victim", "edge")
	w.add("before")
	wire := newLink(t, w.feed)
	// The first node's limits are its own, and short.
	w.configureNode("central-1", "limits: {ocspAge: 4s, directoryAge: 7s}\n")
	central, edge := w.follow("central-1", wire.listener.Addr().String()), w.follow("edge-1", w.feed)
	w.same(central, edge)

	t.Run("TheirFoldersHoldNeitherLedgerNorCAKey", func(t *testing.T) { w.foldersAreBare(t) })
	t.Run("AChangeArrives", func(t *testing.T) { w.changeArrives(t, central, edge) })
	t.Run("AnUpdateIsReferredToTheWriter", func(t *testing.T) { w.updateIsReferred(t, edge) })
	t.Run("AnEdgeHasNoPasswordVerifiers", func(t *testing.T) { w.edgeHasNoPasswords(t, "before", central, edge) })
	t.Run("ACutConnectionIsMadeAgain", func(t *testing.T) { wire.cut(); w.add("cut"); w.same(central) })
	t.Run("AHeldUpNodeRefusesByItselfAndGoesOn", func(t *testing.T) { w.heldUp(t, wire, central) })
	t.Run("AKilledNodeGoesOnWhereItWas", func(t *testing.T) {
		edge.kill()
		w.add("killed")
		edge = w.serve("edge-1", "--role", "read", "--dir", w.path("edge-1-node"), "--listen", freePorts)
		w.same(edge)
	})
	t.Run("TheWriterKnowsThem", func(t *testing.T) { w.writerKnows(t) })
	t.Run("ADisabledNodeVouchesForNothingAtOnce", func(t *testing.T) { w.disabled(t, edge) })
	t.Run("ANodeOfAnotherHistoryStopsAndServesItsLists", func(t *testing.T) { w.diverged(t, central) })
}

func (w *followWorld) foldersAreBare(t *testing.T) {
	for _, name := range []string{"central-1-node", "edge-1-node"} {
		err := filepath.WalkDir(w.path(name), func(path string, d fs.DirEntry, err error) error {
			base := filepath.Base(path)
			if err == nil && (strings.HasPrefix(base, "ledger") || slices.Contains([]string{"authentication.key", "signing.key", "services.key", "root.key"}, base)) {
				t.Errorf("%s is there", path)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// changeArrives: what is revoked at the writer is revoked everywhere, and lists are the writer's.
func (w *followWorld) changeArrives(t *testing.T, readers ...*served) {
	for _, s := range append(readers, w.writer) {
		if r := w.answer(s, w.path("victim", "node.cer")); r.Status != xocsp.Good {
			t.Errorf("%s before: %+v", s.name, r)
		}
	}
	w.run("node", "disable", "victim", "--dir", w.path("w"), "--reason", "test")
	for _, s := range append(readers, w.writer) {
		w.until(s.name+" knows of the revocation", func() bool {
			r, err := w.ask(s, w.path("victim", "node.cer"))
			return err == nil && r.Status == xocsp.Revoked
		})
	}
	w.sameList(readers...)
}

func (w *followWorld) updateIsReferred(t *testing.T, s *served) {
	c, err := ldap.DialURL(s.LDAP)
	w.check(err)
	defer c.Close()
	err = c.Del(ldap.NewDelRequest("cn=before,ou=Services,o=nhs", nil))
	if !ldap.IsErrorWithCode(err, ldap.LDAPResultReferral) {
		t.Errorf("an update at a read node: %v", err)
	}
}

func (w *followWorld) edgeHasNoPasswords(t *testing.T, name string, central, edge *served) {
	for s, want := range map[*served]bool{central: true, edge: false} {
		var err error
		w.until(s.name+" answers", func() bool {
			c, dialed := ldap.DialURL(s.LDAP)
			w.check(dialed)
			defer c.Close()
			err = c.Bind("cn="+name+",ou=Services,o=nhs", "secret of "+name)
			return !isNotNow(err)
		})
		if (err == nil) != want {
			t.Errorf("%s: binding with a password: %v", s.name, err)
		}
	}
}

// heldUp: a wire that carries nothing and breaks nothing must not make an old copy look young.
func (w *followWorld) heldUp(t *testing.T, wire *link, s *served) {
	wire.hold()
	w.add("held")
	w.until("OCSP says tryLater", func() bool {
		_, err := w.ask(s, w.path("edge-1", "node.cer"))
		return isLater(err)
	})
	w.until("LDAP says unavailable", func() bool {
		_, err := entries(s)
		return ldap.IsErrorWithCode(err, ldap.LDAPResultUnavailable)
	})
	w.list(s)
	wire.let()
	w.same(s)
	w.until("OCSP answers again", func() bool {
		r, err := w.ask(s, w.path("edge-1", "node.cer"))
		return err == nil && r.Status == xocsp.Good
	})
}

func (w *followWorld) writerKnows(t *testing.T) {
	w.until("both nodes are listed as following", func() bool {
		_, out, _ := program(t, "node", "list", "--dir", w.path("w"), "--json")
		return strings.Count(out, `"state":"following"`) == 2 && strings.Contains(out, `"state":"disabled"`)
	})
}

func (w *followWorld) disabled(t *testing.T, s *served) {
	w.run("node", "disable", "edge-1", "--dir", w.path("w"), "--reason", "stolen")
	begun := time.Now()
	w.until("OCSP says tryLater", func() bool {
		_, err := w.ask(s, w.path("victim", "node.cer"))
		return isLater(err)
	})
	t.Logf("%s after node disable returned", time.Since(begun))
	w.list(s)
	w.until("it says that it is disabled", func() bool { return strings.Contains(fmt.Sprint(readyz(s).Why), "disabled") })
	w.stop(s)
	if code, _, stderr := program(t, "serve", "--role", "read", "--dir", w.path("edge-1-node"), "--listen", freePorts); code != exitRefused || !strings.Contains(stderr, "disabled") {
		t.Errorf("started again: code %d, %s", code, stderr)
	}
}

// diverged puts an older ledger in the place of the one the node has followed, without the restore that would say so.
func (w *followWorld) diverged(t *testing.T, s *served) {
	w.stop(w.writer)
	old, err := os.ReadFile(w.path("w", "ledger.db")) // at rest: it is whole
	w.check(err)
	w.serveWriter(w.path("w"))
	w.add("dropped")
	w.same(s)
	w.stop(w.writer)
	for _, gone := range []string{w.path("w", "ledger.db-wal"), w.path("w", "ledger.db-shm"), folder(w.path("w")).replica()} {
		w.check(os.RemoveAll(gone))
	}
	w.check(os.WriteFile(w.path("w", "ledger.db"), old, 0o600))
	w.serveWriter(w.path("w"))
	w.add("other") // the same position, another change
	w.until("the node has stopped", func() bool { return strings.Contains(fmt.Sprint(readyz(s).Why), "not the one followed so far") })
	if _, err := w.ask(s, w.path("victim", "node.cer")); !isLater(err) {
		t.Errorf("OCSP of a node of another history: %v", err)
	}
	w.list(s)
	w.until("the log says so", func() bool { return strings.Contains(s.log.String(), "vouches for nothing any more") })
}

// TestANewNodeBeginsWithASnapshotAndGoesOnWhereItWasKilled cuts the way in the middle of a snapshot and kills the node.
func TestANewNodeBeginsWithASnapshotAndGoesOnWhereItWasKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	w := newFollowWorld(t)
	text, err := os.ReadFile(folder(w.path("w")).config())
	w.check(err)
	w.check(os.WriteFile(folder(w.path("w")).config(), []byte(strings.Replace(string(text), "snapshotFrom: 5000", "snapshotFrom: 1", 1)), 0o600))
	w.serveWriter(w.path("w"))
	w.enrol("central-1", "central")
	w.enrol("edge-1", "edge")
	w.add("one")
	const photos, size = 24, 900 << 10
	w.addPhotos(photos, size)
	wire := newLink(t, w.feed)
	have := w.cutInTheMiddle(wire, photos*size*2/3)
	wire.allow(0)
	central := w.serve("central-1", "--role", "read", "--dir", w.path("central-1-node"), "--listen", freePorts)
	w.same(central)
	if again := wire.allow(0); again > photos*size-have+2<<20 { // and a little beside it
		t.Errorf("%d bytes were sent again of a snapshot of %d, of which %d were here", again, photos*size, have)
	}
	w.beganWithSnapshot(central)
	edge := w.follow("edge-1", w.feed)
	w.same(edge)
	w.beganWithSnapshot(edge)
	for _, n := range []int{0, photos / 2, photos - 1} {
		there := w.photo(w.writer, n)
		if len(there) != size || w.photo(central, n) != there || w.photo(edge, n) != there {
			t.Errorf("picture %d is another", n)
		}
	}
	w.edgeHasNoPasswords(t, "one", central, edge)
	w.add("two")
	w.same(central, edge)
	w.sameList(central, edge)
	if _, err := os.Stat(w.path("central-1-node", "replica", "snapshot")); err == nil {
		t.Error("the parts are left")
	}
}

// cutInTheMiddle lets a node begin with a snapshot, cuts the way when so many bytes have passed, kills the node, and gives
// how many of them it has kept: whole parts. What stood in sockets while a process did not run is lost.
func (w *followWorld) cutInTheMiddle(wire *link, most int64) (have int64) {
	w.t.Helper()
	folder := w.path("central-1-node", "replica", "snapshot")
	for range 10 {
		wire.allow(most)
		broken, _ := w.start("central-1", w.following("central-1", wire.listener.Addr().String())...)
		w.until("the way is cut in the middle", func() bool { return strings.Contains(broken.log.String(), "fetching a part of the snapshot again") })
		broken.kill()
		parts, err := filepath.Glob(filepath.Join(folder, strings.Repeat("[0-9a-f]", 64)))
		w.check(err)
		for _, part := range parts {
			info, err := os.Stat(part)
			w.check(err)
			have += info.Size()
		}
		if have > 0 {
			return have
		}
		w.check(os.RemoveAll(folder))
	}
	w.t.Fatal("no part of a snapshot has come in ten tries")
	return 0
}

func (w *followWorld) beganWithSnapshot(s *served) {
	w.t.Helper()
	w.until(s.name+" says that it began with a snapshot", func() bool { return strings.Contains(s.log.String(), "built this node's replica of a snapshot") })
}

func (w *followWorld) sameList(readers ...*served) {
	w.t.Helper()
	for _, s := range readers {
		w.until(s.name+" serves the writer's list", func() bool {
			body, status := w.listNow(s)
			return status == http.StatusOK && bytes.Equal(body, w.list(w.writer))
		})
	}
}
