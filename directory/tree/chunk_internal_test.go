package tree

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestChunkKeepsItsMembersThroughEveryForm(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for _, spread := range []int{50, 3000, 20000, 65536} {
		var c chunk
		want := map[uint16]bool{}
		if spread == 65536 { // begin as a bitmap
			var half []uint16
			for v := range uint16(8000) {
				half, want[2*v] = append(half, 2*v), true
			}
			c = encodeChunk(half)
		}
		for range 1000 {
			v := uint16(random.IntN(spread))
			if random.IntN(3) == 0 {
				c = c.without(v)
				delete(want, v)
			} else {
				c = c.with(v)
				want[v] = true
			}
			if len(c) > 0 && !c.well() || c.count() != len(want) {
				t.Fatalf("count %d, want %d", c.count(), len(want))
			}
		}
		got := c.members()
		if len(got) != len(want) || !slices.IsSorted(got) {
			t.Fatalf("%d members, want %d", len(got), len(want))
		}
		for _, v := range got {
			if !want[v] {
				t.Fatalf("%d should not be a member", v)
			}
		}
	}
}

func TestChunkTakesTheSmallestForm(t *testing.T) {
	t.Parallel()
	dense, every2 := make([]uint16, 60000), make([]uint16, 30000)
	for i := range dense {
		dense[i] = uint16(i)
	}
	for i := range every2 {
		every2[i] = uint16(2 * i)
	}
	for name, c := range map[string]struct {
		members []uint16
		size    int
	}{"one": {[]uint16{7}, 2}, "array": {[]uint16{7, 900}, 5}, "runs": {dense, 5}, "bitmap": {every2, 8193}} {
		got := encodeChunk(c.members)
		if len(got) != c.size || !slices.Equal(got.members(), c.members) {
			t.Errorf("%s: %d octets, want %d", name, len(got), c.size)
		}
	}
}

func FuzzChunk(f *testing.F) {
	f.Add([]byte{0, 1})
	f.Add([]byte{'a', 0, 1, 0, 2})
	f.Add([]byte{'r', 0, 1, 0, 9, 1, 0, 0, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		c := chunk(b)
		_ = c.count()
		if n := len(c.appendTo(nil, 3)); n > 65536*len(b) {
			t.Fatal(n)
		}
	})
}
