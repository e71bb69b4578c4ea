package register_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cardinal/directory"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// follower builds the directory from the journal alone, in the plainest way.
type follower struct {
	*house
	at      journal.Position
	entries map[directory.Key]*directory.Entry
	uuids   map[directory.UUID]directory.Key
}

func (h *house) follow(f *follower) *follower {
	h.Helper()
	if f == nil {
		f = &follower{house: h, entries: map[directory.Key]*directory.Entry{}, uuids: map[directory.UUID]directory.Key{}}
	}
	changes, err := h.ledger.Feed().Read(h.Context(), f.at, 100_000)
	if err != nil {
		h.Fatal(err)
	}
	for i := range changes {
		f.apply(&changes[i])
		f.at = changes[i].Position
	}
	return f
}

func (f *follower) open(h journal.Hash) (io.ReadCloser, error) {
	return f.ledger.Feed().Content(f.Context(), h)
}

func (f *follower) key(dn directory.DN) directory.Key {
	k, err := f.schema.Key(dn)
	f.check(err)
	return k
}

func (f *follower) check(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *follower) put(u directory.UUID, e *directory.Entry) {
	k := f.key(e.DN)
	if f.entries[k] != nil {
		f.Fatalf("%s is there already", e.DN)
	}
	f.entries[k], f.uuids[u] = e, k
}

func (f *follower) modify(u directory.UUID, mods []directory.Modification) {
	k, ok := f.uuids[u]
	if !ok {
		f.Fatalf("modified entry %s is not there", u)
	}
	e, err := f.schema.Replay(f.entries[k], mods)
	f.check(err)
	f.entries[k] = e
}

func (f *follower) apply(c *journal.Change) {
	switch c.Kind {
	case journal.KindEntryAdded:
		x, err := directory.ParseEntryAdded(c.Body)
		f.check(err)
		f.check(x.Resolve(f.open))
		f.put(x.UUID, x.Entry)
	case journal.KindEntryModified:
		x, err := directory.ParseEntryModified(c.Body)
		f.check(err)
		f.check(x.Resolve(f.open))
		f.modify(x.UUID, x.Mods)
	case journal.KindEntriesModified:
		x, err := directory.ParseEntriesModified(c.Body)
		f.check(err)
		for _, u := range x.UUIDs {
			f.modify(u, x.Mods)
		}
	case journal.KindEntryDeleted:
		x, err := directory.ParseEntryDeleted(c.Body)
		f.check(err)
		delete(f.entries, f.uuids[x.UUID])
		delete(f.uuids, x.UUID)
	case journal.KindEntryMoved:
		x, err := directory.ParseEntryMoved(c.Body)
		f.check(err)
		f.move(x)
	case journal.KindSuffixLoaded:
		x, err := directory.ParseSuffixLoaded(c.Body)
		f.check(err)
		f.loadSuffix(x)
	}
}

func (f *follower) move(x *directory.EntryMoved) {
	f.modify(x.UUID, x.Mods)
	oldKey := f.key(x.Old)
	for u, k := range f.uuids {
		if !oldKey.Contains(k) {
			continue
		}
		e := f.entries[k]
		delete(f.entries, k)
		own := len(e.DN) - len(x.Old)
		e = &directory.Entry{DN: append(e.DN[:own:own], x.NewSuperior.Child(x.NewRDN)...), Attributes: e.Attributes}
		f.entries[f.key(e.DN)], f.uuids[u] = e, f.key(e.DN)
	}
}

func (f *follower) loadSuffix(x *directory.SuffixLoaded) {
	r, err := directory.OpenLoad(f.open, x.Content)
	f.check(err)
	for {
		entries, err := r.NextBlock()
		if errors.Is(err, io.EOF) {
			return
		}
		f.check(err)
		for _, e := range entries {
			f.put(e.UUID, e.Entry)
		}
	}
}

// compare demands that register and follower hold the same entries.
func (f *follower) compare(base string) {
	f.Helper()
	var keys []directory.Key
	k, err := f.schema.ParseKey(base)
	f.check(err)
	for e := range f.entries {
		if k.Contains(e) {
			keys = append(keys, e)
		}
	}
	slices.Sort(keys)
	i := 0
	err = f.ledger.Read(f.Context(), func(tx *ledger.Tx) error {
		return f.reg.Subtree(tx, dn(f, base), func(e *directory.Entry) error {
			u, _ := directory.ParseUUID(e.Get("entryUUID")[0])
			e.Put("entryUUID")
			if i >= len(keys) || f.uuids[u] != keys[i] {
				return fmt.Errorf("entry %d is %s", i, e.DN)
			}
			if got, want := sortedText(e), sortedText(f.entries[keys[i]]); got != want {
				return fmt.Errorf("register has\n%.2000s, the follower\n%.2000s", got, want)
			}
			i++
			return nil
		})
	})
	f.check(err)
	if i != len(keys) {
		f.Fatalf("%d entries of %d", i, len(keys))
	}
}

// sortedText is an entry without the order of its values, which means nothing.
func sortedText(e *directory.Entry) string {
	lines := strings.Split(string(directory.AppendLDIF(nil, e)), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// chance makes random writes below ou=Services,o=nhs, of which many are
// refused.
type chance struct {
	*rand.Rand
	names []string
}

// start is LDIF of the first entries.
func (c *chance) start() string {
	for _, a := range "abcdef" {
		upper := fmt.Sprintf("cn=%c,ou=Services,o=nhs", a)
		c.names = append(c.names, upper, "cn=a,"+upper, "cn=b,"+upper, "cn=c,"+upper)
	}
	return "dn: " + strings.Join(c.names, "\nobjectClass: device\n\ndn: ") + "\nobjectClass: device\n\n"
}

func (c *chance) name() string {
	return "cn=" + string(rune('a'+c.IntN(6)))
}

func (c *chance) some() string {
	if len(c.names) == 0 || c.IntN(6) == 0 {
		return "ou=Services,o=nhs"
	}
	return c.names[c.IntN(len(c.names))]
}

func (c *chance) write() string {
	target := c.some()
	switch c.IntN(10) {
	case 0, 1, 2, 3:
		dn := c.name() + "," + target
		c.names = append(c.names, dn)
		return "dn: " + dn + "\nobjectClass: device\ndescription: " + strings.Repeat("d", c.IntN(3)+1) + "\n\n"
	case 4, 5:
		return "dn: " + target + "\nchangetype: modify\nreplace: description\ndescription: " + string(rune('p'+c.IntN(5))) +
			"\n-\nadd: seeAlso\nseeAlso: cn=" + fmt.Sprint(c.IntN(50)) + "\n-\n\n"
	case 6, 7:
		return "dn: " + target + "\nchangetype: delete\n\n"
	case 8:
		rdn := c.name()
		c.names = append(c.names, rdn+","+target[strings.IndexByte(target, ',')+1:])
		return "dn: " + target + "\nchangetype: moddn\nnewrdn: " + rdn + fmt.Sprintf("\ndeleteoldrdn: %d\n\n", c.IntN(2))
	}
	rdn, superior := c.name(), c.some()
	c.names = append(c.names, rdn+","+superior)
	return "dn: " + target + "\nchangetype: moddn\nnewrdn: " + rdn + "\ndeleteoldrdn: 1\nnewsuperior: " + superior + "\n\n"
}

// TestHistoriesGiveFollowersTheSameEntries runs random histories over a
// loaded suffix.
func TestHistoriesGiveFollowersTheSameEntries(t *testing.T) {
	t.Parallel()
	seeds, steps := 6, 150
	if testing.Short() {
		seeds, steps = 1, 40
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			h := open(t, "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"))
			c := &chance{Rand: rand.New(rand.NewPCG(uint64(seed), 7))}
			if _, err := h.load(base + c.start()); err != nil {
				t.Fatal(err)
			}
			f := h.follow(nil)
			done := 0
			for range steps {
				err := h.do(anyone, c.write())
				var refused *directory.Error
				if err != nil && !errors.As(err, &refused) {
					t.Fatal(err)
				}
				if err == nil {
					done++
				}
				f = h.follow(f)
			}
			f.compare("o=nhs")
			f.compare("ou=Services,o=nhs")
			h.follow(nil).compare("o=nhs")
			if done < steps/4 {
				t.Errorf("only %d of %d writes were taken", done, steps)
			}
		})
	}
}

func TestModifyAllIsOneChange(t *testing.T) {
	t.Parallel()
	engines(t, func(h *house) {
		if _, err := h.load(workforce(120)); err != nil {
			h.Fatal(err)
		}
		var names []directory.DN
		for i := range 100 {
			names = append(names, dn(h, fmt.Sprintf("uid=9%011d,ou=People,o=nhs", i)))
		}
		m := []directory.Modification{{Op: directory.ModReplace, Attribute: directory.Attribute{Type: "nhsPersonStatus", Values: directory.Values("2")}}}
		before := len(h.changes())
		_, err := h.ledger.Write(h.Context(), func(tx *ledger.Tx) error { return h.reg.ModifyAll(tx, issuance, names, m) })
		if err != nil {
			h.Fatal(err)
		}
		if n := len(h.changes()) - before; n != 1 {
			h.Errorf("%d changes", n)
		}
		if h.get(names[7].String()).First("nhsPersonStatus") != "2" {
			h.Error("not modified")
		}
		h.follow(nil).compare("o=nhs")
		_, err = h.ledger.Write(h.Context(), func(tx *ledger.Tx) error { return h.reg.ModifyAll(tx, anyone, names, m) })
		if code(err) != 53 {
			h.Errorf("another author: %v", err)
		}
	})
}

func TestNewUserIDIsFree(t *testing.T) {
	t.Parallel()
	h := open(t, "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"))
	h.must(issuance, base)
	seen := map[string]bool{}
	err := h.ledger.Read(t.Context(), func(tx *ledger.Tx) error {
		for range 50 {
			id, err := h.reg.NewUserID(tx)
			if err != nil {
				return err
			}
			if len(id) != 12 || id[0] == '0' || seen[id] || strings.Trim(id, "0123456789") != "" {
				return fmt.Errorf("id %q", id)
			}
			seen[id] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
