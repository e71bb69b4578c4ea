package tree_test

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"cardinal/directory"
	"cardinal/directory/tree"
	"cardinal/internal/journal"
)

// newRecalling makes a model whose tree may keep a recall.
func newRecalling(t *testing.T, seed uint64) *model {
	m := newModel(t, seed)
	m.stop()
	m.memory = 64 << 20
	m.open(m.path)
	m.begin()
	return m
}

func (m *model) recall() {
	m.t.Helper()
	m.wait()
	if !m.tree.Recall() {
		m.t.Fatal("there is no recall")
	}
}

// question is a random search.
func (m *model) question() tree.Request {
	return tree.Request{Base: m.any(), Scope: tree.Scope(m.random.IntN(4)), Filter: m.filter(2), Enough: m.random.IntN(3)}
}

// asked are questions whose answers in a snapshot are known.
type asked struct {
	held    *tree.Held
	request []tree.Request
	answers [][]string
}

// hold takes a snapshot and asks it without a recall.
func (m *model) hold(questions int) *asked {
	m.t.Helper()
	m.wait()
	plain, err := m.tree.Hold()
	if err != nil {
		m.t.Fatal(err)
	}
	defer plain.Release()
	plain.Forget()
	a := &asked{}
	if a.held, err = m.tree.Hold(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(a.held.Release) // before the replica is closed, which waits for it
	for range questions {
		r := m.question()
		answer, err := plain.Find(r)
		if err != nil {
			m.t.Fatal(err)
		}
		a.request, a.answers = append(a.request, r), append(a.answers, answer)
	}
	return a
}

// agrees asks the snapshot again, whatever has changed since.
func (m *model) agrees(a *asked) {
	m.t.Helper()
	for i, r := range a.request {
		got, err := a.held.Find(r)
		if err != nil {
			m.t.Fatal(err)
		}
		slices.Sort(got) // with few asked for they come in any order
		slices.Sort(a.answers[i])
		if !slices.Equal(got, a.answers[i]) {
			m.t.Fatalf("%s, scope %d below %q in a snapshot (recall: %v):\ngot  %q\nwant %q", r.Filter, r.Scope, r.Base, a.held.Recalled(), got, a.answers[i])
		}
	}
}

// recallRounds changes entries and compares with the model, and every snapshot
// with what it was.
func (m *model) recallRounds(rounds int) {
	m.recall()
	for round := range rounds {
		held := m.hold(20)
		for range 1 + m.random.IntN(12) {
			m.step()
		}
		m.agrees(held) // while changes are applied
		m.wait()
		m.agrees(held)
		held.held.Release()
		for range 30 {
			m.compare()
		}
		if round%7 == 6 && !m.tree.Recalls() {
			m.recall()
		}
		if round%10 == 9 { // names and values come back
			m.comeBack()
		}
	}
	m.check()
}

// comeBack deletes an entry and adds another of the same name.
func (m *model) comeBack() {
	k := m.leaf()
	if k.Parent() == "" {
		return
	}
	e, u := m.entries[k], m.newUUID()
	gone := directory.EntryDeleted{UUID: m.uuids[string(k)], DN: e.DN}
	m.commit(journal.KindEntryDeleted, gone.Append(nil))
	again := directory.EntryAdded{UUID: u, Entry: e}
	m.commit(journal.KindEntryAdded, again.Append(nil))
	m.uuids[string(k)] = u
}

func TestRecallAnswersLikeAModel(t *testing.T) {
	t.Parallel()
	seeds, rounds := modelSeeds(2), 10
	if testing.Short() {
		seeds, rounds = 1, 4
	}
	for seed := range seeds {
		m := newRecalling(t, 100+seed)
		for range 150 {
			m.step()
		}
		if seed%2 == 1 {
			m.tree.GatherMost(0)
		}
		m.recallRounds(rounds)
		m.stop()
	}
}

func TestRecallIsFilledWhileEntriesChange(t *testing.T) {
	t.Parallel()
	m := newRecalling(t, 7)
	for range 200 {
		m.step()
	}
	m.wait()
	for range 4 {
		var filling sync.WaitGroup
		filling.Go(func() { m.tree.Recall() })
		for range 30 {
			m.step()
		}
		filling.Wait()
		m.wait()
		for range 40 {
			m.compare()
		}
	}
	m.recall()
	for range 40 {
		m.compare()
	}
}

func TestRecallFollowsLoads(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	m := newModel(t, 21)
	m.stop()
	m.memory = 64 << 20
	m.open(m.path)
	m.begin()
	m.recall()
	held := m.hold(10)
	e := m.entry("dn: o=other\nobjectClass: organization\no: other\n")
	first := m.entries
	m.entries = map[directory.Key]*directory.Entry{m.key("o=other"): e}
	for range 100 {
		e := m.fresh()
		m.entries[m.key(e.DN.String())] = e
	}
	m.load("o=other")
	m.wait()
	m.agrees(held)
	held.held.Release()
	for k, e := range first {
		m.entries[k] = e
	}
	for range 50 {
		m.compare()
	}
	m.recallRounds(3)
}

func TestRecallEndsWithTheFile(t *testing.T) {
	t.Parallel()
	m := newRecalling(t, 31)
	for range 60 {
		m.step()
	}
	m.recall()
	keep, entries, uuids := m.last, maps.Clone(m.entries), maps.Clone(m.uuids)
	for range 30 {
		m.step()
	}
	held := m.hold(20)
	m.feed.Restore(keep) // another history from here on, so another file
	m.entries, m.uuids = entries, uuids
	m.settled(2)
	m.agrees(held)
	held.held.Release()
	m.recallRounds(3)
}

// settled waits until the copy stands at the head of an epoch.
func (m *model) settled(epoch journal.Epoch) {
	m.t.Helper()
	head, err := m.feed.Head(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	m.last = head.Position
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if s := m.replica.State(); s.Epoch == epoch && s.Position >= m.last && !s.Reseeding && !s.Loading {
			return
		}
		if time.Now().After(end) {
			m.t.Fatalf("still %+v", m.replica.State())
		}
	}
}

func TestManyEntriesOfOneValueAreAllFound(t *testing.T) {
	t.Parallel()
	m := newRecalling(t, 41)
	m.recall()
	for i := range 60 {
		m.add(fmt.Sprintf("dn: cn=same%d,o=nhs\nobjectClass: inetOrgPerson\ncn: same%d\nsn: s\nuid: shared\n", i, i))
	}
	m.wait()
	for range 2 {
		if got := len(m.search("o=nhs", tree.ScopeSubtree, "(uid=shared)")); got != 60 {
			t.Errorf("%d entries have the value, found %d", 60, got)
		}
		if got := len(m.search("o=nhs", tree.ScopeOneLevel, "(objectClass=inetOrgPerson)")); got != 60 {
			t.Errorf("%d entries stand below, found %d", 60, got)
		}
		if !m.tree.Recalls() {
			t.Error("the recall has ended")
		}
		m.recall() // and once filled from the store
	}
}

func TestFewOfManyAreFoundWithoutGatheringThem(t *testing.T) {
	t.Parallel()
	m := newModel(t, 51)
	m.entries[m.key("o=nhs")] = m.entry("dn: o=nhs\nobjectClass: organization\no: nhs\n")
	for i := range 1200 {
		m.plain(fmt.Sprintf("%05d", i), "s")
	}
	m.load("o=nhs")
	m.wait()
	for _, filter := range []string{"(uid=0*)", "(&(objectClass=person)(cn=c0*))", "(cn=*)"} {
		f, err := directory.ParseFilter(filter)
		if err != nil {
			t.Fatal(err)
		}
		scan, n := m.tree.Open(tree.Request{Base: m.key("o=nhs"), Scope: tree.ScopeSubtree, Filter: f, Enough: 21}), 0
		if _, err := scan.Step(0, func(*tree.Entry) bool { n++; return n < 21 }); err != nil {
			t.Fatal(err)
		}
		if n != 21 || scan.Tested() > 25 {
			t.Errorf("%s gives %d after %d entries", filter, n, scan.Tested())
		}
	}
}

func TestEntriesWithoutAnAttributeAreNotTestedForIt(t *testing.T) {
	t.Parallel()
	m := newRecalling(t, 61)
	for range 300 {
		m.addFresh()
	}
	m.add("dn: cn=one,o=nhs\nobjectClass: inetOrgPerson\ncn: one\nsn: s\nroomNumber: 4\n")
	m.tree.GatherMost(10)
	m.recall()
	for _, filter := range []string{"(roomNumber=*)", "(&(objectClass=person)(roomNumber=*4*))", "(|(roomNumber=4)(roomNumber=5))"} {
		f, err := directory.ParseFilter(filter)
		if err != nil {
			t.Fatal(err)
		}
		scan, n := m.tree.Open(tree.Request{Base: m.key("o=nhs"), Scope: tree.ScopeSubtree, Filter: f}), 0
		if _, err := scan.Step(0, func(*tree.Entry) bool { n++; return true }); err != nil {
			t.Fatal(err)
		}
		if n != 1 || scan.Tested() > 1 {
			t.Errorf("%s gives %d after %d entries", filter, n, scan.Tested())
		}
	}
}
