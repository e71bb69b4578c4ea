package tree_test

import (
	"context"
	"encoding/binary"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cardinal/directory"
	"cardinal/directory/tree"
	"cardinal/internal/journal"
	"cardinal/internal/replica"
)

// world is a journal, a replica that follows it and the tree in it.
type world struct {
	t       testing.TB
	schema  *directory.Schema
	feed    *journal.Memory
	tree    *tree.Tree
	replica *replica.Replica
	last    journal.Position
	numbers uint64
	uuids   map[string]directory.UUID // by key
	path    string
	few     bool // outline attributes of very few values
	history tree.History
	memory  int64 // for what is kept beside the store
	stop    func()
}

func newWorld(t testing.TB) *world {
	t.Helper()
	schema, err := directory.DefaultSchema()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, schema: schema, feed: journal.NewMemory(), uuids: map[string]directory.UUID{}}
	w.open(filepath.Join(t.TempDir(), "replica.db"))
	return w
}

// open makes a tree in a replica file and follows the journal.
func (w *world) open(path string) {
	w.t.Helper()
	w.path = path
	var err error
	if w.tree, err = tree.New(w.schema, tree.Options{SpillDir: w.t.TempDir(), SpillMemory: 1 << 20, History: w.history, Memory: w.memory}); err != nil {
		w.t.Fatal(err)
	}
	if w.few {
		w.tree.OutlineAbove(3, 2)
	}
	w.replica, err = replica.Open(w.t.Context(), replica.Options{Path: path, Feed: w.feed, Appliers: []replica.Applier{w.tree}})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := w.replica.Follow(ctx); err != nil && !errors.Is(err, context.Canceled) {
			w.t.Errorf("following ended: %v", err)
		}
	}()
	r := w.replica
	w.stop = sync.OnceFunc(func() {
		cancel()
		<-ended
		if err := r.Close(); err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(w.stop)
}

// wait waits until the tree shows everything and checks it.
func (w *world) wait() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := w.replica.WaitFor(ctx, w.last); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) check() {
	w.t.Helper()
	w.wait()
	if err := w.tree.Check(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) commit(kind journal.Kind, body []byte) {
	w.last = w.feed.Append(kind, directory.ChangeVersion, body)
}

func (w *world) newUUID() (u directory.UUID) {
	w.numbers++
	binary.BigEndian.PutUint64(u[8:], w.numbers)
	u[0] = 0xAA
	return u
}

// entry parses one LDIF entry, made canonical, with its entryUUID.
func (w *world) entry(ldif string) *directory.Entry {
	w.t.Helper()
	r, err := directory.NewLDIFReader(strings.NewReader(ldif)).Next()
	if err != nil {
		w.t.Fatal(err)
	}
	e, err := w.schema.Canonical(r.Entry)
	if err != nil {
		w.t.Fatalf("%s: %v", ldif, err)
	}
	u := w.newUUID()
	e.PutString("createTimestamp", "20260102030405Z")
	e.PutString("creatorsName", "cn=admin,o=nhs")
	w.uuids[string(w.key(e.DN.String()))] = u
	return e
}

func (w *world) key(dn string) directory.Key {
	w.t.Helper()
	k, err := w.schema.ParseKey(dn)
	if err != nil {
		w.t.Fatal(err)
	}
	return k
}

func (w *world) uuid(dn string) directory.UUID { return w.uuids[string(w.key(dn))] }

func (w *world) add(ldif string) {
	w.t.Helper()
	e := w.entry(ldif)
	x := directory.EntryAdded{UUID: w.uuid(e.DN.String()), Entry: e}
	w.commit(journal.KindEntryAdded, x.Append(nil))
}

// search returns the names found, in the order found.
func (w *world) search(base string, scope tree.Scope, filter string) []string {
	w.t.Helper()
	f, err := directory.ParseFilter(filter)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.find(tree.Request{Base: w.key(base), Scope: scope, Filter: f})
}

func (w *world) find(r tree.Request) (out []string) {
	w.t.Helper()
	scan := w.tree.Open(r)
	for {
		done, err := scan.Step(7, func(e *tree.Entry) bool {
			dn, err := e.AppendDN(nil)
			if err != nil {
				w.t.Error(err)
			}
			out = append(out, string(dn))
			return true
		})
		if err != nil {
			w.t.Fatal(err)
		}
		if done {
			return out
		}
	}
}

func (w *world) expect(base string, scope tree.Scope, filter string, want ...string) {
	w.t.Helper()
	got := w.search(base, scope, filter)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.t.Errorf("%s below %s: got %q, want %q", filter, base, got, want)
	}
}

// people adds a small workforce.
func (w *world) people() {
	w.t.Helper()
	for _, ldif := range []string{
		"dn: o=nhs\nobjectClass: organization\no: nhs\n",
		"dn: ou=People,o=nhs\nobjectClass: organizationalUnit\nou: People\n",
		"dn: uid=900000000017,ou=People,o=nhs\nobjectClass: nhsPerson\nuid: 900000000017\ncn: Alex  Example\nsn: Example\nnhsPersonStatus: 1\nmail: alex@example.org\n",
		"dn: uniqueIdentifier=900000000025,uid=900000000017,ou=People,o=nhs\nobjectClass: nhsOrgPerson\nuniqueIdentifier: 900000000025\nuid: 900000000017\ncn: Alex\nsn: Example\no: EXAMPLE\nnhsIDCode: X99\n",
		"dn: uniqueIdentifier=900000000033,uniqueIdentifier=900000000025,uid=900000000017,ou=People,o=nhs\nobjectClass: nhsOrgPersonRole\nuniqueIdentifier: 900000000033\nnhsIDCode: X99\nnhsJobRole: \"A\":\"B\":\"C\"\nnhsJobRoleCode: S8000:G8000:R8000\n",
		"dn: uid=900000000025,ou=People,o=nhs\nobjectClass: nhsPerson\nuid: 900000000025\ncn: Bo Beispiel\nsn: Beispiel\nnhsPersonStatus: 1\n",
	} {
		w.add(ldif)
	}
	w.wait()
}
