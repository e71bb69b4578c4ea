package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	xocsp "golang.org/x/crypto/ocsp"

	"cardinal/internal/journal/feed"
	"cardinal/internal/ledger/pgtest"
)

// neverGood asks servers about a card until it is told to end, and wants it called good by none.
func (w *followWorld) neverGood(t *testing.T, pair string, readers ...*served) (end func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	authority, err := readCertificate(filepath.Join(folder(w.path("w")).certificates(), "signing.cer"))
	w.check(err)
	for _, s := range readers {
		asking.Go(func() {
			for n := 0; ; n++ {
				if r, err := w.askOf(s, filepath.Join(pair, "signature.pem"), authority); err == nil && r.Status == xocsp.Good {
					t.Errorf("%s called it good, at its answer %d", s.name, n)
					return
				}
				select {
				case <-ctx.Done():
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
	}
	return func() { cancel(); asking.Wait() }
}

// restored puts a writer out of an older backup in the place of the one that was followed. The cancelled card is active in
// the backup: no node may call it good at any moment.
func (w *followWorld) restored(t *testing.T, n *storyNodes) {
	end := w.neverGood(t, n.pair, n.central, n.edge)
	defer end()
	w.stop(w.writer)
	w.run("restore", "--dir", w.path("r"), w.path("backup"), "--passphrase-file", w.pass)
	w.configure(w.path("r"))
	path := folder(w.path("r")).config()
	config, err := readConfig(path)
	w.check(err)
	config.Status.Answers = []AnswerConfig{{Issuer: "services", NextUpdate: 5 * time.Minute}}
	text, err := config.commented()
	w.check(err)
	w.check(os.WriteFile(path, text, 0o600))
	w.serveWriter(w.path("r"))
	for _, s := range []*served{n.central, n.edge} {
		w.until(s.name+" is in the new epoch", func() bool { return readyz(s).Epoch == 2 })
		if _, err := w.ask(s, w.path("edge-1", "node.cer")); !isLater(err) {
			t.Errorf("%s in quarantine: %v", s.name, err)
		}
	}
	w.stop(w.writer)
	w.run("restore", "--dir", w.path("r"), "--merge", w.path("w"), "--passphrase-file", w.pass)
	w.serveWriter(w.path("r"))
	for _, s := range []*served{w.writer, n.central, n.edge} {
		w.until(s.name+" answers again", func() bool {
			r, err := w.ask(s, w.path("edge-1", "node.cer"))
			return err == nil && r.Status == xocsp.Good && r.NextUpdate.Sub(r.ThisUpdate) == 5*time.Minute // as the writer has it now
		})
		w.wantStatus(s, n.pair, xocsp.Revoked)
	}
	w.add("after")
	w.same(n.central, n.edge)
	w.sameList(n.central, n.edge)
}

// wrongClock starts a node with a clock that is hours ahead, then hours behind.
func (w *followWorld) wrongClock(t *testing.T, s *served) {
	w.stop(s)
	path := folder(w.path(s.name + "-node")).config()
	text, err := os.ReadFile(path)
	w.check(err)
	clock := func(by string) {
		w.check(os.WriteFile(path, append([]byte("demo: {clock: "+by+"}\n"), text...), 0o600))
	}
	refuses := func(s *served, code uint16) {
		t.Helper()
		if _, err := w.ask(s, w.path("edge-1", "node.cer")); !isLater(err) {
			t.Errorf("OCSP of a node whose clock is wrong: %v", err)
		}
		if _, err := entries(s); !ldap.IsErrorWithCode(err, code) {
			t.Errorf("LDAP of a node whose clock is wrong: %v", err)
		}
		w.list(s)
	}
	clock("3h")
	ahead := w.serve(s.name, "--role", "read", "--dir", w.path(s.name+"-node"), "--listen", freePorts)
	refuses(ahead, ldap.LDAPResultUnavailable)
	why := fmt.Sprint(readyz(ahead).Why)
	_, by, _ := strings.Cut(why, "clock and the writer's differ by ")
	by, _, _ = strings.Cut(strings.TrimSuffix(by, "]"), " ")
	if differ, err := time.ParseDuration(by); err != nil || (differ+3*time.Hour-w.ahead).Abs() > time.Minute || strings.Contains(why, "ended") {
		t.Errorf("it says of itself %s", why)
	}
	w.stop(ahead)
	// By this clock the writer's certificate does not count yet, so it cannot ask; its copy is of a time to come.
	clock("-3h")
	behind := &served{}
	var ports []string
	for name, to := range map[string]*string{"ldap": &behind.LDAP, "status": &behind.Status} {
		address := testAddress(t)
		*to = map[string]string{"ldap": "ldap://", "status": "http://"}[name] + address
		ports = append(ports, name+"="+address)
	}
	ports = append(ports, "ldaps=127.0.0.1:0", "operations=127.0.0.1:0")
	running, _ := w.start(s.name, "--role", "read", "--dir", w.path(s.name+"-node"), "--listen", strings.Join(ports, ","))
	w.until("it cannot ask", func() bool { return strings.Contains(running.log.String(), "not valid by this host's clock") })
	w.until("it can be asked", func() bool { _, err := w.ask(behind, w.path("edge-1", "node.cer")); return isLater(err) })
	refuses(behind, ldap.LDAPResultBusy) // it has not heard of its writer since it began
	running.kill()
	w.check(os.WriteFile(path, text, 0o600))
	w.same(w.serve(s.name, "--role", "read", "--dir", w.path(s.name+"-node"), "--listen", freePorts))
}

// TestNodesFollowTheNextWriterOfOneDatabase: two writers, one of which is killed, then the other.
func TestNodesFollowTheNextWriterOfOneDatabase(t *testing.T) {
	t.Parallel()
	w := newFollowWorldIn(t, "--ledger-url", pgtest.URL(t))
	first, firstFeed := w.path("w"), w.feed
	second := w.path("w2")
	w.check(os.CopyFS(second, os.DirFS(first)))
	keys, err := filepath.Glob(filepath.Join(second, "keys", "*"))
	w.check(err)
	for _, key := range keys {
		w.check(os.Chmod(key, 0o600))
	}
	w.feed = testAddress(t)
	w.configure(second)
	secondFeed := w.feed
	w.serveWriter(second)
	other := w.writer
	w.feed = firstFeed
	w.serveWriter(first)
	w.enrol("central-1", "central")
	w.enrol("victim", "edge")
	node := w.follow("central-1", firstFeed+",https://"+secondFeed)
	w.add("both")
	w.same(node)
	n := &storyNodes{central: node}
	n.card, n.pair = w.newCard()

	// Asked of the writer that the node does not follow: what nodes say is shared by the database.
	found, _, others := w.onCard(exitDone, "suspend", n.card, "--server", other.Issuance)
	if here := found["central-1"]; others != 0 || !here.Served {
		t.Errorf("%d others, %+v", others, found)
	}
	if there := found[feed.CopyPrefix+copyName(w.writer.Status)]; !there.Served {
		t.Errorf("the copy inside the other writer: %+v", there)
	}
	w.wantStatus(node, n.pair, xocsp.Revoked)
	w.wantStatus(w.writer, n.pair, xocsp.Revoked)
	w.writer.kill()
	w.writer = other
	w.add("second")
	w.same(node)
	w.run("node", "disable", "victim", "--dir", second, "--reason", "test")
	w.until("the node knows what the second writer revoked", func() bool {
		r, err := w.ask(node, w.path("victim", "node.cer"))
		return err == nil && r.Status == xocsp.Revoked
	})
	w.serveWriter(first)
	other.kill()
	w.add("first again")
	w.same(node)
	w.until("the node is ready", func() bool { return readyz(node).Ready })
}
