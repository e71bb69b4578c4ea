package tree

import (
	"io"
	"maps"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// shared gathers, during a load, the keys that very many entries have: there
// the set of entries is far smaller than a pair for each. Numbers must be
// added ascending for a key.
type shared struct {
	sets map[string]*roaring.Bitmap
}

// maxShared bounds the keys gathered this way; others are sorted.
const maxShared = 50_000

// add reports whether the pair was taken.
func (s *shared) add(key []byte, id uint32) bool {
	set := s.sets[string(key)]
	if set == nil {
		if len(s.sets) >= maxShared {
			return false
		}
		if s.sets == nil {
			s.sets = map[string]*roaring.Bitmap{}
		}
		set = roaring.New()
		s.sets[string(key)] = set
	}
	set.Add(id)
	return true
}

func (s *shared) source() source {
	return &sharedSource{sets: s.sets, keys: slices.Sorted(maps.Keys(s.sets))}
}

type sharedSource struct {
	sets map[string]*roaring.Bitmap
	keys []string
	ids  roaring.IntPeekable
}

func (s *sharedSource) next() ([]byte, uint32, error) {
	for len(s.keys) > 0 {
		if s.ids == nil {
			s.ids = s.sets[s.keys[0]].Iterator()
		}
		if s.ids.HasNext() {
			return []byte(s.keys[0]), s.ids.Next(), nil
		}
		s.keys, s.ids = s.keys[1:], nil
	}
	return nil, 0, io.EOF
}
