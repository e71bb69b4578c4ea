package tree

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"go.etcd.io/bbolt"
)

// sets are the members of some index keys, spread over three slices.
func sets(random *rand.Rand) map[string][]uint32 {
	out := map[string][]uint32{}
	for i, share := range []int{2, 40, 3_000, 190_000} {
		var ids []uint32
		for v := range uint32(3 << 16) {
			if random.IntN(190_000) < share || i == 2 && v > 60_000 && v < 70_000 {
				ids = append(ids, v)
			}
		}
		out[string(rune('a'+i))] = ids
	}
	return out
}

// indexOf writes the sets into an index.
func indexOf(t *testing.T, all map[string][]uint32) *bbolt.DB {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(t.TempDir(), "index"), 0o600, &bbolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte(bucketIndex))
		for key, ids := range all {
			parts := map[uint16][]uint16{}
			for _, id := range ids {
				parts[uint16(id>>16)] = append(parts[uint16(id>>16)], uint16(id))
			}
			for upper, members := range parts {
				err = errors.Join(err, b.Put(binary.BigEndian.AppendUint16([]byte(key), upper), encodeChunk(members)))
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// sameSlice walks over a slice as a search does.
func sameSlice(t *testing.T, s *slice64k, want func(v uint32) bool) {
	t.Helper()
	next := uint32(0)
	for v := range uint32(1 << 16) {
		if !want(v) {
			continue
		}
		got, ok := s.following(next)
		if !ok || uint32(got) != v {
			t.Fatalf("%d comes after %d, want %d", got, next, v)
		}
		next = v + 1
	}
	if got, ok := s.following(next); ok && next < 1<<16 {
		t.Fatalf("%d comes after the last", got)
	}
}

func TestSlicedSetsAreTheSetsTheyCombine(t *testing.T) {
	t.Parallel()
	all := sets(rand.New(rand.NewPCG(1, 9)))
	db := indexOf(t, all)
	keys := func(names ...string) *sliced {
		s := &sliced{op: setKeys}
		for _, n := range names {
			s.keys = append(s.keys, []byte(n))
		}
		return s
	}
	in := func(name string, v uint32) bool { _, ok := slices.BinarySearch(all[name], v); return ok }
	cases := map[*sliced]func(v uint32) bool{
		keys("a", "b"):              func(v uint32) bool { return in("a", v) || in("b", v) },
		{op: setIDs, ids: all["b"]}: func(v uint32) bool { return in("b", v) },
		{op: setAnd, parts: []*sliced{keys("c"), {op: setNot, parts: []*sliced{keys("d")}}}}: func(v uint32) bool { return in("c", v) && !in("d", v) },
		{op: setOr, parts: []*sliced{keys("a"), {op: setAnd, parts: []*sliced{keys("c"), keys("d")}}, {op: setIDs}}}: func(v uint32) bool {
			return in("a", v) || in("c", v) && in("d", v)
		},
	}
	err := db.View(func(tx *bbolt.Tx) error {
		p := &planner{rd: &reader{index: tx.Bucket([]byte(bucketIndex)).Cursor()}}
		var s slice64k
		for set, want := range cases {
			for upper := range uint16(3) {
				p.slice(set, upper, &s)
				sameSlice(t, &s, func(v uint32) bool { return want(uint32(upper)<<16 | v) })
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
