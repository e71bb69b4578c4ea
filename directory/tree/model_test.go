package tree_test

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"cardinal/directory"
	"cardinal/directory/tree"
	"cardinal/internal/journal"
)

// model keeps the entries in a map and answers by looking at each.
type model struct {
	*world
	random  *rand.Rand
	entries map[directory.Key]*directory.Entry
	blocks  atomic.Int64 // of the load
}

func newModel(t *testing.T, seed uint64) *model {
	return &model{world: newWorld(t), random: rand.New(rand.NewPCG(seed, 7)), entries: map[directory.Key]*directory.Entry{}}
}

func (m *model) pick(of ...string) string { return of[m.random.IntN(len(of))] }

func (m *model) word() string {
	return m.pick("anna", "Anna  Maria", "an", "b", "Berta", "bert a", "çelik", "Zoë", "x", "12", "120", "-7", "", "a*b")
}

// fresh makes a random entry below one that is there.
func (m *model) fresh() *directory.Entry {
	parent := m.any()
	m.numbers++
	ldif := fmt.Sprintf("dn: cn=%s%d,%s\nobjectClass: %s\nobjectClass: posixAccount\ncn: %s%d\nsn: s%d\nuid: u%d\ngidNumber: 1\nhomeDirectory: /h\nuidNumber: %d\n",
		m.pick("Cn", "cN", "x"), m.numbers, m.entries[parent].DN, m.pick("inetOrgPerson", "nhsPerson\nnhsPersonStatus: 1"),
		"more", m.numbers, m.random.IntN(5), m.numbers, m.random.IntN(300)-20)
	for _, a := range []string{"cn", "title", "description", "mail", "givenName", "cn;lang-en"} {
		if v := m.word(); m.random.IntN(2) == 0 && v != "" && (a != "mail" || !strings.ContainsAny(v, "çë")) {
			ldif += fmt.Sprintf("%s: %s\n", a, v)
		}
	}
	return m.entry(ldif)
}

func (m *model) keys() []directory.Key {
	keys := make([]directory.Key, 0, len(m.entries))
	for k := range m.entries {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (m *model) any() directory.Key { return m.keys()[m.random.IntN(len(m.entries))] }

func (m *model) leaf() directory.Key {
	for {
		k := m.any()
		leaf := k.Parent() != ""
		for other := range m.entries {
			leaf = leaf && (other == k || !k.Contains(other))
		}
		if leaf || len(m.entries) == 1 {
			return k
		}
	}
}

func (m *model) step() {
	switch m.random.IntN(6) {
	case 0, 1, 2:
		m.addFresh()
	case 3:
		m.modifyAny()
	case 4:
		m.moveAny()
	case 5:
		if k := m.leaf(); k.Parent() != "" {
			x := directory.EntryDeleted{UUID: m.uuids[string(k)], DN: m.entries[k].DN}
			m.commit(journal.KindEntryDeleted, x.Append(nil))
			delete(m.entries, k)
		}
	}
}

func (m *model) addFresh() {
	e := m.fresh()
	k := m.key(e.DN.String())
	x := directory.EntryAdded{UUID: m.uuids[string(k)], Entry: e}
	m.commit(journal.KindEntryAdded, x.Append(nil))
	m.entries[k] = e
}

func (m *model) modifyAny() {
	k := m.any()
	mods := []directory.Modification{{Op: directory.ModReplace, Attribute: directory.Attribute{
		Type: m.pick("title", "description", "givenName"), Values: directory.Values("v"+m.word(), m.pick("w", "W2"))}}}
	after, err := m.schema.Replay(m.entries[k], mods)
	if err != nil {
		m.t.Fatal(err)
	}
	x := directory.EntryModified{UUID: m.uuids[string(k)], DN: after.DN, Mods: mods}
	m.commit(journal.KindEntryModified, x.Append(nil))
	m.entries[k] = after
}

func (m *model) moveAny() {
	k, to := m.any(), m.any()
	if k.Parent() == "" || k.Contains(to) {
		return
	}
	m.numbers++
	rdn := directory.RDN{{Type: "cn", Value: []byte(fmt.Sprintf("moved%d", m.numbers))}}
	mods := []directory.Modification{{Op: directory.ModAdd, Attribute: directory.Attribute{Type: "cn", Values: [][]byte{rdn[0].Value}}}}
	name := m.entries[to].DN.Child(rdn)
	x := directory.EntryMoved{UUID: m.uuids[string(k)], Old: m.entries[k].DN, NewRDN: rdn, NewSuperior: m.entries[to].DN, Mods: mods}
	m.commit(journal.KindEntryMoved, x.Append(nil))
	newKey := m.key(name.String())
	depth := k.Depth()
	for _, old := range m.keys() {
		if !k.Contains(old) {
			continue
		}
		e := m.entries[old]
		if old == k {
			e, _ = m.schema.Replay(e, mods)
		}
		moved := newKey + old[len(k):]
		dn := append(slices.Clone(e.DN[:len(e.DN)-depth]), name...)
		delete(m.entries, old)
		m.entries[moved] = &directory.Entry{DN: dn, Attributes: e.Attributes}
		m.uuids[string(moved)] = m.uuids[string(old)]
	}
}

func (m *model) filter(depth int) *directory.Filter {
	f := &directory.Filter{Kind: directory.FilterKind(m.random.IntN(10))}
	if depth == 0 && f.Kind <= directory.FilterNot {
		f.Kind = directory.FilterEquality
	}
	f.Attr = m.pick("cn", "CN", "name", "title", "description", "uid", "uidNumber", "cn;lang-en", "objectClass", "unknown", "nhsPersonStatus", "givenName", "createTimestamp")
	f.Value = []byte(m.pick(m.word(), m.word(), fmt.Sprintf("u%d", m.random.IntN(int(m.numbers)+1)), "posixAccount", "person"))
	switch f.Kind {
	case directory.FilterAnd, directory.FilterOr:
		for range m.random.IntN(4) {
			f.Children = append(f.Children, m.filter(depth-1))
		}
	case directory.FilterNot:
		f.Children = []*directory.Filter{m.filter(depth - 1)}
	case directory.FilterSubstrings:
		f.Initial = []byte(m.pick("a", "an", "ANNA ", "b", "v", "m"))
		if m.random.IntN(2) == 0 {
			f.Initial, f.Any = nil, [][]byte{[]byte(m.pick("n", "er"))}
		}
		if m.random.IntN(2) == 0 {
			f.Final = []byte(m.pick("a", "1"))
		}
	case directory.FilterExtensible:
		f.Rule = m.pick("", "caseExactMatch", "caseIgnoreMatch", "integerOrderingMatch")
		f.DNAttrs = m.random.IntN(2) == 0
		f.Attr = m.pick(f.Attr, "cn", "")
	}
	return f
}

// compare asks the tree and the model the same.
func (m *model) compare() {
	m.t.Helper()
	f, base, scope := m.filter(3), m.any(), tree.Scope(m.random.IntN(4))
	var want []string
	for k, e := range m.entries {
		in := base.Contains(k)
		switch scope {
		case tree.ScopeBase:
			in = k == base
		case tree.ScopeOneLevel:
			in = k.Parent() == base
		case tree.ScopeSubordinate:
			in = in && k != base
		}
		if in && m.schema.Match(f, e) == directory.True {
			want = append(want, string(k))
		}
	}
	var got []string
	for _, dn := range m.find(tree.Request{Base: base, Scope: scope, Filter: f, Enough: m.random.IntN(3)}) {
		got = append(got, string(m.key(dn)))
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		m.t.Fatalf("%s, scope %d below %q:\ngot  %q\nwant %q", f, scope, base, got, want)
	}
}

func (m *model) begin() {
	e := m.entry("dn: o=nhs\nobjectClass: organization\no: nhs\n")
	k := m.key("o=nhs")
	x := directory.EntryAdded{UUID: m.uuids[string(k)], Entry: e}
	m.commit(journal.KindEntryAdded, x.Append(nil))
	m.entries[k] = e
}

func TestTreeAnswersLikeAModel(t *testing.T) {
	t.Parallel()
	seeds := modelSeeds(3)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		m := newModel(t, seed)
		m.begin()
		if seed%2 == 1 {
			m.tree.GatherMost(0) // sets are made slice by slice however small
		}
		for range 12 {
			m.rounds(30, 120)
		}
		m.stop()
	}
}

// modelSeeds is how many random trees are compared: more with MODEL_SEEDS, for
// a long run by hand.
func modelSeeds(usual uint64) uint64 {
	if n, err := strconv.ParseUint(os.Getenv("MODEL_SEEDS"), 10, 32); err == nil {
		return n
	}
	return usual
}

// rounds changes the entries some times, and then asks some times.
func (m *model) rounds(changes, questions int) {
	for range changes {
		m.step()
	}
	m.check()
	for range questions {
		m.compare()
	}
}

// load moves the model's entries into a load of the suffix, as one change.
func (m *model) load(suffix string) {
	m.t.Helper()
	keys := m.keys()
	dn, _ := directory.ParseDN(suffix)
	manifest := directory.LoadManifest{Suffix: dn, Entries: uint64(len(keys)),
		Defaults: []directory.Attribute{{Type: "creatorsName", Values: directory.Values("cn=admin,o=nhs")}}}
	names, seal := &directory.LoadNames{}, &directory.BlockSealer{}
	packer := directory.NewEntryPacker(names)
	blocks := directory.NewBlockWriter(names, func(b *directory.Block) error {
		data := seal.Seal(b)
		manifest.Blocks = append(manifest.Blocks, directory.LoadBlock{Content: m.feed.PutContent(data), Size: int64(len(data)), Entries: b.Entries})
		return nil
	})
	for _, k := range keys {
		if err := blocks.Add(packer.Append(nil, m.uuids[string(k)], m.entries[k])); err != nil {
			m.t.Fatal(err)
		}
	}
	if err := blocks.Close(); err != nil {
		m.t.Fatal(err)
	}
	m.blocks.Store(int64(len(manifest.Blocks)))
	x := directory.SuffixLoaded{Suffix: dn, Content: m.feed.PutContent(manifest.Append(nil)), Entries: manifest.Entries}
	m.commit(journal.KindSuffixLoaded, x.Append(nil))
}

func TestLoadedSuffixAnswersLikeAModel(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	m := newModel(t, 11)
	e := m.entry("dn: o=nhs\nobjectClass: organization\no: nhs\n")
	m.entries[m.key("o=nhs")] = e
	for range 300 {
		e := m.fresh()
		m.entries[m.key(e.DN.String())] = e
	}
	m.load("o=nhs")
	m.check()
	for range 200 {
		m.compare()
	}
	for range 60 {
		m.step()
	}
	m.check()
	for range 200 {
		m.compare()
	}
}

// plain adds an entry to the model the short way.
func (m *model) plain(uid, sn string) {
	u := m.newUUID()
	e := &directory.Entry{DN: directory.DN{{{Type: "uid", Value: []byte(uid)}}, {{Type: "o", Value: []byte("nhs")}}}}
	e.PutString("objectClass", "inetOrgPerson", "organizationalPerson", "person", "top")
	e.PutString("uid", uid)
	e.PutString("cn", "c"+uid)
	e.PutString("sn", sn)
	k := directory.Key("o=nhs\x00uid=" + uid + "\x00")
	m.entries[k], m.uuids[string(k)] = e, u
}

func TestInterruptedLoadGoesOn(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	m := newModel(t, 12)
	m.entries[m.key("o=nhs")] = m.entry("dn: o=nhs\nobjectClass: organization\no: nhs\n")
	for i := range 30_000 {
		m.plain(fmt.Sprintf("%012d", i), fmt.Sprintf("s%d", i%100))
	}
	// The last block never comes.
	var contents atomic.Int64
	broken := make(chan struct{}, 1)
	m.feed.SetFault(func(operation string) error {
		if operation != "content" || contents.Add(1) < m.blocks.Load() {
			return nil
		}
		select {
		case broken <- struct{}{}:
		default:
		}
		return errors.New("no network")
	})
	m.load("o=nhs")
	<-broken
	m.stop()
	m.feed.SetFault(nil)
	m.open(m.path)
	m.check()
	m.expect("o=nhs", tree.ScopeSubtree, "(uid=000000029999)", "uid=000000029999,o=nhs")
	for _, most := range []int{100_000, 0} {
		m.tree.GatherMost(most)
		for filter, want := range map[string]int{"(sn=s7)": 300, "(|(sn=s7)(sn=s8)(uid=000000029999))": 601,
			"(&(objectClass=person)(!(sn=s7)))": 29_700, "(&(sn=s7)(uid=00000002*))": 100} {
			if got := len(m.search("o=nhs", tree.ScopeSubtree, filter)); got != want {
				t.Errorf("%s finds %d entries, want %d", filter, got, want)
			}
		}
	}
}

func TestRebuiltTreeEqualsTheFollowed(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	m := newModel(t, 13)
	m.begin()
	for range 150 {
		m.step()
	}
	m.check()
	everything := tree.Request{Base: m.key("o=nhs"), Scope: tree.ScopeSubtree}
	before := m.find(everything)
	m.open(filepath.Join(t.TempDir(), "again.db"))
	m.check()
	if after := m.find(everything); !slices.EqualFunc(before, after, func(a, b string) bool { return cmp.Compare(a, b) == 0 }) {
		t.Errorf("got %q\nwant %q", after, before)
	}
}
