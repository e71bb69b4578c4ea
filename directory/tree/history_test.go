package tree_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"cardinal/directory"
	"cardinal/directory/tree"
	"cardinal/internal/journal"
)

// copied is what somebody knows who follows the history: by UUID the name and
// the attributes of each entry.
type copied map[directory.UUID]*directory.Entry

func text(t *testing.T, e *tree.Entry) (string, *directory.Entry) {
	t.Helper()
	if e == nil {
		return "", nil
	}
	got, err := e.Decode()
	if err != nil {
		t.Fatal(err)
	}
	for i := range got.Attributes {
		slices.SortFunc(got.Attributes[i].Values, slices.Compare)
	}
	var b strings.Builder
	b.WriteString(strings.ToLower(got.DN.String()))
	for _, a := range got.Attributes {
		fmt.Fprintf(&b, "\n%s: %q", a.Type, a.Values)
	}
	return b.String(), got
}

// follow applies the changes behind a point and checks that each begins where
// the one before it ended.
func (c copied) follow(m *model, after tree.Point, limit int) tree.Point {
	m.t.Helper()
	t := m.t.(*testing.T)
	for {
		n := 0
		now, err := m.tree.Changes(after, limit, func(x *tree.Change) bool {
			n++
			after = x.Point
			before, _ := text(t, x.Before())
			known := ""
			if e := c[x.UUID]; e != nil {
				known = shown(e)
			}
			if before != known && x.LeftOut() == nil {
				t.Errorf("change %d of %s: before it\n%s\nknown was\n%s", x.Number, x.Name, before, known)
			}
			_, e := text(t, x.Now())
			if e == nil {
				delete(c, x.UUID)
				return true
			}
			c[x.UUID] = e
			if x.Kind == tree.ChangeMoved {
				c.rename(m, x.Name, x.After)
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			if after != now.Last {
				t.Errorf("the end is %+v, history says %+v", after, now.Last)
			}
			return after
		}
	}
}

func shown(e *directory.Entry) string {
	var b strings.Builder
	b.WriteString(strings.ToLower(e.DN.String()))
	for _, a := range e.Attributes {
		fmt.Fprintf(&b, "\n%s: %q", a.Type, a.Values)
	}
	return b.String()
}

// rename gives everything below a moved entry its new name.
func (c copied) rename(m *model, from, to string) {
	old, name := m.key(from), must(directory.ParseDN(to))
	for _, e := range c {
		if k := m.key(e.DN.String()); old.Contains(k) && k != old {
			e.DN = append(slices.Clone(e.DN[:len(e.DN)-old.Depth()]), name...)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// expect compares with what the tree holds.
func (c copied) expect(m *model) {
	m.t.Helper()
	t := m.t.(*testing.T)
	have := map[string]bool{}
	for _, e := range c {
		have[shown(e)] = true
	}
	want := map[string]bool{}
	for k := range m.entries {
		err := m.tree.Get(k, func(e *tree.Entry) error {
			s, _ := text(t, e)
			want[s] = true
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if !maps.Equal(have, want) {
		t.Errorf("the copy differs: %d entries, %d in the tree", len(have), len(want))
		for s := range want {
			if !have[s] {
				t.Errorf("missing:\n%s", s)
			}
		}
	}
}

func TestHistoryReplayedGivesTheTree(t *testing.T) {
	t.Parallel()
	m := newModel(t, 31)
	m.begin()
	c, at := copied{}, tree.Point{}
	for range 5 {
		for range 60 {
			m.step()
		}
		m.wait()
		at = c.follow(m, at, 1+m.random.IntN(30))
		c.expect(m)
	}
	whole := copied{}
	whole.follow(m, tree.Point{}, 1000)
	whole.expect(m)
}

func TestHistoryKeepsWhatIsAskedOfIt(t *testing.T) {
	t.Parallel()
	m := newModel(t, 32)
	m.stop()
	m.history = tree.History{Changes: 50}
	m.open(t.TempDir() + "/short.db")
	m.begin()
	for range 200 {
		m.step()
	}
	m.wait()
	now := must(m.tree.Standing())
	if kept := now.Last.Number - now.Start.Number; kept != 50 {
		t.Fatalf("%d changes kept: %+v", kept, now)
	}
	when := func(p tree.Point) time.Time { return time.UnixMicro(int64(p.Micro)) }
	points := []tree.Point{now.Start}
	_, err := m.tree.Changes(now.Start, 1000, func(c *tree.Change) bool {
		points = append(points, c.Point)
		return true
	})
	if err != nil || len(points) != 51 {
		t.Fatalf("%d points, %v", len(points), err)
	}
	for i, p := range points {
		if got, err := m.tree.Locate(p.Position, when(p)); err != nil || got != p {
			t.Errorf("%+v is found at %+v, %v", p, got, err)
		}
		// Until the next change the place is this one, whatever the time; after that, and before it, it is of another history.
		others := []time.Time{when(p).Add(-time.Microsecond)}
		if i+1 < len(points) {
			others = append(others, when(points[i+1]).Add(time.Microsecond))
		}
		for _, at := range others {
			if _, err := m.tree.Locate(p.Position, at); !errors.Is(err, tree.ErrHistoryGone) {
				t.Errorf("position %d at %s is found: %v", p.Position, at, err)
			}
		}
	}
	for _, p := range []journal.Position{0, now.Start.Position - 1, now.Last.Position + 1} {
		if _, err := m.tree.Locate(p, when(now.Last)); !errors.Is(err, tree.ErrHistoryGone) {
			t.Errorf("position %d: %v", p, err)
		}
	}
	if _, err := m.tree.Changes(tree.Point{}, 1, nil); !errors.Is(err, tree.ErrHistoryGone) {
		t.Errorf("from the beginning: %v", err)
	}
	m.step()
	m.wait()
	if _, err := m.tree.Changes(now.Start, 1, nil); !errors.Is(err, tree.ErrHistoryGone) && m.last != now.Last.Position {
		t.Errorf("from what has been trimmed: %v", err)
	}
}

func TestHistoryOfManyValuesIsShort(t *testing.T) {
	t.Parallel()
	m := newModel(t, 33)
	m.stop()
	m.few = true
	m.open(t.TempDir() + "/few.db")
	m.begin()
	m.add("dn: cn=g,o=nhs\nobjectClass: groupOfNames\ncn: g\nmember: cn=1\nmember: cn=2\nmember: cn=3\nmember: cn=4\nmember: cn=5\n")
	m.wait()
	at := must(m.tree.Standing()).Last
	mods := []directory.Modification{{Op: directory.ModDelete, Attribute: directory.Attribute{Type: "member", Values: directory.Values("cn=2")}}}
	name := must(directory.ParseDN("cn=g,o=nhs"))
	x := directory.EntryModified{UUID: m.uuid("cn=g,o=nhs"), DN: name, Mods: mods}
	m.commit(journal.KindEntryModified, x.Append(nil))
	m.wait()
	n := 0
	_, err := m.tree.Changes(at, 10, func(c *tree.Change) bool {
		n++
		if got := c.LeftOut(); len(got) != 1 || got[0].Op != directory.ModDelete || string(got[0].Attribute.Values[0]) != "cn=2" {
			t.Errorf("left out: %v", got)
		}
		before, _ := text(t, c.Before())
		now, _ := text(t, c.Now())
		if strings.Contains(before, "member:") || !strings.Contains(now, `member: ["cn=1" "cn=3" "cn=4" "cn=5"]`) || !c.Newest() {
			t.Errorf("before:\n%s\nnow:\n%s", before, now)
		}
		query := m.schema.Compile(must(directory.ParseFilter("(!(member=cn=9))")))
		if got := c.Before().Match(query); got != directory.Undefined {
			t.Errorf("a filter on what is not known: %v", got)
		}
		return true
	})
	if err != nil || n != 1 {
		t.Errorf("%d changes, %v", n, err)
	}
}

func TestRestoreVoidsWhatWasToldBefore(t *testing.T) {
	t.Parallel()
	m := newModel(t, 34)
	m.begin()
	for range 30 {
		m.step()
	}
	m.wait()
	csn := func() (all []string) {
		for k := range m.entries {
			_ = m.tree.Get(k, func(e *tree.Entry) error { all = append(all, string(e.CSN())); return nil })
		}
		slices.Sort(all)
		return all
	}
	now := must(m.tree.Standing())
	place := string(now.CSN(now.Last))
	at, position, ok := directory.ParseCSN(place)
	if got, err := m.tree.Locate(position, at); !ok || err != nil || got != now.Last {
		t.Fatalf("%s is found at %+v, %v", place, got, err)
	}
	before := csn()
	m.feed.Restore(m.last - 5)
	m.last -= 4
	deadline := time.Now().Add(20 * time.Second)
	for m.replica.State().Epoch != 2 || m.replica.State().Reseeding {
		if time.Now().After(deadline) {
			t.Fatal("the copy never took the new epoch")
		}
		time.Sleep(time.Millisecond)
	}
	m.wait()
	if got, err := m.tree.Locate(position, at); !errors.Is(err, tree.ErrHistoryGone) {
		t.Errorf("a place of before the restore is found at %+v, %v", got, err)
	}
	for _, after := range csn() {
		if after <= before[len(before)-1] {
			t.Errorf("%s is not newer than %s, which was told before the restore", after, before[len(before)-1])
		}
	}
	now = must(m.tree.Standing())
	at, position, _ = directory.ParseCSN(string(now.CSN(now.Last)))
	if got, err := m.tree.Locate(position, at); err != nil || got != now.Last {
		t.Errorf("the place after the restore is found at %+v, %v", got, err)
	}
}
