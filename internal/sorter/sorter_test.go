package sorter_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"cardinal/internal/sorter"
)

type pair struct{ key, value []byte }

func byPair(a, b pair) int {
	if c := bytes.Compare(a.key, b.key); c != 0 {
		return c
	}
	return bytes.Compare(a.value, b.value)
}

// pairs are names as a directory has them: long common beginnings, equal keys,
// keys that begin with others.
func pairs(random *rand.Rand, n int) []pair {
	var out []pair
	for i := range n {
		key := fmt.Sprintf("o=nhs\x00ou=people\x00uid=%012d\x00", random.IntN(n))
		switch random.IntN(6) {
		case 0:
			key += fmt.Sprintf("x=%d", random.IntN(3))
		case 1:
			key = "o=nhs\x00ou=org\x00" + key[len(key)-random.IntN(20):]
		case 2:
			key = key[:random.IntN(len(key))]
		}
		out = append(out, pair{[]byte(key), binary.BigEndian.AppendUint32(nil, uint32(i))})
	}
	return out
}

func TestPairsComeOutInOrder(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 5, 100, 20_000, 60_000} {
		random := rand.New(rand.NewPCG(uint64(n), 1))
		in := pairs(random, n)
		if n > 5000 {
			in = append(in, pair{[]byte("o=nhs"), make([]byte, 3<<20)})
		}
		sorters := []*sorter.Sorter{sorter.New(t.TempDir(), 1), sorter.New(t.TempDir(), 64<<20), sorter.New("", 2<<20)}
		for _, p := range in {
			if err := sorters[random.IntN(3)].Add(p.key, p.value); err != nil {
				t.Fatal(err)
			}
		}
		slices.SortFunc(in, byPair)
		m, err := sorter.Merge(sorters...)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range in {
			key, value := m.Peek()
			if !bytes.Equal(key, want.key) || !bytes.Equal(value, want.value) {
				t.Fatalf("pair %d of %d is %q", i, n, key)
			}
			if err := m.Skip(); err != nil {
				t.Fatal(err)
			}
		}
		if key, _ := m.Peek(); key != nil {
			t.Errorf("a pair too many: %q", key)
		}
		for _, s := range sorters {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestSorterRefusesAKeyItCannotHold(t *testing.T) {
	t.Parallel()
	if err := sorter.New("", 0).Add(make([]byte, 1<<17), nil); err == nil {
		t.Error("it was taken")
	}
}
