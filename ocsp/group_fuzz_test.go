package ocsp

import (
	"bytes"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"cardinal/certs"
	"cardinal/internal/journal"
)

// FuzzGroup puts records in and takes some out again, and expects what a map would hold, in order; of octets that are no
// group it asks for no more than not to fail.
func FuzzGroup(f *testing.F) {
	f.Add([]byte{1, 2, 3, 1, 2, 4, 0, 0, 0x81, 1, 2, 3}, []byte{5, 1, 2, 3, 2, 9, 9})
	f.Add([]byte{0xff, 0xff, 0xff}, []byte{2, 1, 7, 1, 0})
	f.Add(bytes.Repeat([]byte("abcdefghijklmnopqrstuvwxyz"), 4), []byte{1, 9, 2, 3, 4, 1, 0})
	f.Fuzz(func(t *testing.T, script, raw []byte) {
		if shared, list, ok := cutShared(raw); ok {
			for len(list) > 0 {
				e, after, ok := nextEntry(list, len(shared))
				if !ok {
					break
				}
				if len(after) >= len(list) || len(shared)+len(e.serial) > certs.SerialMax {
					t.Fatalf("entry %+v of %x", e, list)
				}
				list = after
			}
		}
		_, _ = findEntry(raw, []byte{1, 2, 3})
		g := newGroups(t)
		for at := 0; at+3 <= len(script) && at < 180; at += 3 {
			serial := certs.Serial(append([]byte{1 + script[at]&3}, bytes.Repeat(script[at+1:at+2], int(script[at]>>2)%20)...))
			g.change(script[at+2], serial)
		}
		g.check()
	})
}

// groups is a bucket of groups, and what should stand in it.
type groups struct {
	t    testing.TB
	b    *bbolt.Bucket
	want map[certs.Serial]Record
}

func newGroups(t testing.TB) *groups {
	db, err := bbolt.Open(filepath.Join(t.TempDir(), "db"), 0o600, &bbolt.Options{NoSync: true, NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = tx.Rollback(), db.Close() })
	b, err := tx.CreateBucket([]byte("b"))
	if err != nil {
		t.Fatal(err)
	}
	return &groups{t, b, map[certs.Serial]Record{}}
}

// change puts records of ascending serials, or takes them out.
func (g *groups) change(how byte, serials ...certs.Serial) {
	r := Record{Recorded: how&1 == 0, Digest: journal.Hash{how}, NotAfter: time.Unix(day*int64(how), 0).UTC(), Changed: journal.Position(how) + 1}
	if !r.Recorded {
		r.Digest, r.NotAfter = journal.Hash{}, time.Time{}
	}
	err := editRecords(g.b, serials, func(i int, was *Record) outcome {
		if *was != g.want[serials[i]] {
			g.t.Errorf("serial %x was %+v, want %+v", serials[i], *was, g.want[serials[i]])
		}
		switch {
		case how > 0xe0:
			return recordStays
		case how > 0xc0:
			delete(g.want, serials[i])
			return recordGoes
		}
		*was, g.want[serials[i]] = r, r
		return recordPut
	})
	if err != nil {
		g.t.Fatal(err)
	}
}

// check reads everything, by both ways, and says how many groups there are.
func (g *groups) check() (count int) {
	var order []certs.Serial
	c := g.b.Cursor()
	var room [certs.SerialMax + 1]byte
	err := eachRecord(g.b, func(s certs.Serial, record []byte) error {
		order = append(order, s)
		_, group := groupOf(c, s, &room)
		found, ok := findEntry(group, []byte(s))
		if r, good := parseRecord(found); !ok || !good || !bytes.Equal(found, record) || r != g.want[s] {
			g.t.Errorf("serial %x: %x, %x, want %+v", s, found, record, g.want[s])
		}
		return nil
	})
	if err != nil {
		g.t.Error(err)
	}
	if len(order) != len(g.want) || !slices.IsSorted(order) {
		g.t.Errorf("serials %x, want %d in order", order, len(g.want))
	}
	_ = g.b.ForEach(func(end, group []byte) error {
		count++
		shared, list, _ := cutShared(group)
		n := 0
		for ; len(list) > 0; n++ {
			_, list, _ = nextEntry(list, len(shared))
		}
		if n == 0 || n > groupMost {
			g.t.Errorf("%d records in the group before %x", n, end)
		}
		return nil
	})
	return count
}

// TestGroupsStayFewAndSmallHoweverSerialsCome: rising, as they are drawn, with some of a moment out of order, and in none.
func TestGroupsStayFewAndSmallHoweverSerialsCome(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	serial := func(tick int) certs.Serial {
		s := make([]byte, 16)
		s[0], s[2], s[3] = 0x37, byte(tick>>8), byte(tick)
		for i := 4; i < 16; i++ {
			s[i] = byte(random.Uint32())
		}
		return certs.Serial(s)
	}
	for name, c := range map[string]struct {
		tick  func(n int) int
		block int
		most  float64 // groups, of as few as there can be
	}{
		"rising":        {func(n int) int { return n }, 1, 1.02},
		"in bulk":       {func(n int) int { return n / 400 }, 400, 1.1},
		"of one moment": {func(n int) int { return n / 16 }, 1, 1.6},
		"in no order":   {func(int) int { return random.IntN(1 << 16) }, 1, 1.6},
	} {
		g := newGroups(t)
		const count = 4000
		for n := 0; n < count; n += c.block {
			var block []certs.Serial
			for i := range c.block {
				block = append(block, serial(c.tick(n+i)))
			}
			slices.Sort(block)
			g.change(byte(n)&0x7f, block...)
		}
		if got := float64(g.check()) * groupMost / count; got > c.most {
			t.Errorf("%s: %.2f times as many groups as there need be", name, got)
		}
	}
}
