package tree_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"cardinal/directory"
	"cardinal/directory/tree"
	"cardinal/internal/journal"
)

// modifyOne adds or deletes single values, or all, of an attribute that may
// stand under several descriptions.
func (m *model) modifyOne() {
	k := m.any()
	name := m.pick("description", "description;lang-en", "title", "cn;lang-de")
	have := m.entries[k].Get(name)
	mod := directory.Modification{Op: directory.ModAdd, Attribute: directory.Attribute{Type: name}}
	switch m.random.IntN(6) {
	case 0, 1, 2:
		for range 1 + m.random.IntN(3) {
			m.numbers++
			mod.Attribute.Values = append(mod.Attribute.Values, fmt.Appendf(nil, "%s %d", m.pick("anna", "Berta", "x"), m.numbers%40))
		}
		mod.Attribute.Values = slices.DeleteFunc(mod.Attribute.Values, func(v []byte) bool {
			return slices.ContainsFunc(have, func(h []byte) bool { return string(h) == string(v) })
		})
		mod.Attribute.Values = slices.CompactFunc(mod.Attribute.Values, func(a, b []byte) bool { return string(a) == string(b) })
	case 3, 4:
		mod.Op = directory.ModDelete
		for _, v := range have {
			if m.random.IntN(3) == 0 {
				mod.Attribute.Values = append(mod.Attribute.Values, v)
			}
		}
	case 5:
		mod.Op = directory.ModReplace
		mod.Attribute.Values = have[:len(have)/2]
	}
	if len(mod.Attribute.Values) == 0 {
		return
	}
	mods := []directory.Modification{mod, {Op: directory.ModReplace, Attribute: directory.Attribute{Type: "givenName", Values: directory.Values("v")}}}
	after, err := m.schema.Replay(m.entries[k], mods)
	if err != nil {
		return // a value twice in one modification: the register refuses that
	}
	x := directory.EntryModified{UUID: m.uuids[string(k)], DN: after.DN, Mods: mods}
	m.commit(journal.KindEntryModified, x.Append(nil))
	m.entries[k] = after
}

// compareEntries compares every value of every entry, in any order.
func (m *model) compareEntries() {
	m.t.Helper()
	for k, want := range m.entries {
		err := m.tree.Get(k, func(e *tree.Entry) error {
			got, err := e.Decode()
			if err != nil {
				return err
			}
			for _, a := range want.Attributes {
				if !slices.Equal(sortedValues(got.Get(a.Type)), sortedValues(a.Values)) {
					m.t.Errorf("%s %s: got %q, want %q", want.DN, a.Type, got.Get(a.Type), a.Values)
				}
			}
			if len(got.Attributes) != len(want.Attributes) {
				m.t.Errorf("%s: %d attributes, want %d", want.DN, len(got.Attributes), len(want.Attributes))
			}
			return nil
		})
		if err != nil {
			m.t.Fatal(err)
		}
	}
}

func sortedValues(values [][]byte) []string {
	var out []string
	for _, v := range values {
		out = append(out, string(v))
	}
	slices.Sort(out)
	return out
}

func TestOutlinedValuesAnswerLikeAModel(t *testing.T) {
	t.Parallel()
	m := newModel(t, 21)
	m.stop()
	m.few = true
	m.open(t.TempDir() + "/few.db")
	m.begin()
	for range 4 {
		for range 40 {
			m.step()
			m.modifyOne()
			m.modifyOne()
			m.modifyOne()
		}
		m.check()
		m.compareEntries()
		for range 60 {
			m.compare()
		}
	}
	if m.tree.Apart() == 0 {
		t.Error("no attribute was outlined: the test tests nothing")
	}
}

func TestLoadOutlinesLargeAttributes(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	m := newModel(t, 22)
	m.entries[m.key("o=nhs")] = m.entry("dn: o=nhs\nobjectClass: organization\no: nhs\n")
	big := m.entry("dn: cn=all,o=nhs\nobjectClass: groupOfNames\ncn: all\nmember: cn=first,o=nhs\n")
	for i := range 3000 {
		big.Put("member", append(big.Get("member"), fmt.Appendf(nil, "uid=%012d,ou=People,o=nhs", i))...)
	}
	m.entries[m.key("cn=all,o=nhs")] = big
	m.load("o=nhs")
	m.check()
	m.compareEntries()
	if n := m.tree.Apart(); n != 3001 {
		t.Errorf("%d values stand apart, want 3001", n)
	}
	m.expect("o=nhs", tree.ScopeSubtree, "(member=UID=000000002999, ou=people,o=nhs)", "cn=all,o=nhs")
	m.expect("o=nhs", tree.ScopeSubtree, "(&(cn=all)(member=uid=000000003000,ou=People,o=nhs))")
	m.expect("o=nhs", tree.ScopeSubtree, "(&(cn=all)(!(member=uid=000000003000,ou=People,o=nhs)))", "cn=all,o=nhs")
	x := directory.EntryModified{UUID: m.uuid("cn=all,o=nhs"), Mods: []directory.Modification{{Op: directory.ModDelete,
		Attribute: directory.Attribute{Type: "member", Values: directory.Values("uid=000000002999,ou=People,o=nhs")}}}}
	m.commit(journal.KindEntryModified, x.Append(nil))
	m.check()
	m.expect("o=nhs", tree.ScopeSubtree, "(member=uid=000000002999,ou=People,o=nhs)")
	m.expect("o=nhs", tree.ScopeSubtree, "(&(cn=all)(member=uid=000000002999,ou=People,o=nhs))")
	y := directory.EntryDeleted{UUID: m.uuid("cn=all,o=nhs")}
	m.commit(journal.KindEntryDeleted, y.Append(nil))
	m.check()
}

// BenchmarkDeleteOneMember deletes members of a group of 66,000, one a change.
func BenchmarkDeleteOneMember(b *testing.B) {
	w := newWorld(b)
	w.add("dn: o=nhs\nobjectClass: organization\no: nhs\n")
	w.add("dn: cn=all,o=nhs\nobjectClass: groupOfNames\ncn: all\nmember: cn=first,o=nhs\n")
	member := func(i int) [][]byte { return directory.Values(fmt.Sprintf("uid=%012d,ou=People,o=nhs", i)) }
	change := func(op directory.ModOp, values [][]byte) {
		x := directory.EntryModified{UUID: w.uuid("cn=all,o=nhs"), Mods: []directory.Modification{{Op: op, Attribute: directory.Attribute{Type: "member", Values: values}}}}
		w.commit(journal.KindEntryModified, x.Append(nil))
	}
	for i := 0; i < 66_000; i += 1000 {
		var part [][]byte
		for j := range 1000 {
			part = append(part, member(i+j)...)
		}
		change(directory.ModAdd, part)
	}
	w.wait()
	b.ResetTimer()
	n := 0
	for b.Loop() {
		change(directory.ModDelete, member(n))
		w.wait()
		n++
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(time.Millisecond), "ms/member")
}
