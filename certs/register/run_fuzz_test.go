package register

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// FuzzParseEntries: what is read is sorted and within bounds, and is written
// as it was read.
func FuzzParseEntries(f *testing.F) {
	last := time.Unix(1_900_000_000, 0)
	whole := appendEntries(nil, []ended{{"\x01", last}, {"\x02abc", last.Add(-time.Hour)}, {"\x7f0123456789012345678", last.AddDate(-3, 0, 0)}}, last)
	for _, seed := range [][]byte{whole, whole[:5], {}, {0}, {21}, {1, 1, 0, 1, 1, 0}, {1, 2, 0, 1, 1, 0}, {1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}} {
		f.Add(seed, last.Unix())
	}
	f.Fuzz(func(t *testing.T, b []byte, at int64) {
		last := time.Unix(max(0, at), 0)
		entries, err := parseEntries(b, last)
		if err != nil {
			if !errors.Is(err, errEntries) {
				t.Fatal(err)
			}
			return
		}
		for i, e := range entries {
			if i > 0 && e.serial <= entries[i-1].serial || len(e.serial) > 20 || e.end.After(last) {
				t.Fatalf("entry %d is %+v", i, e)
			}
		}
		again, err := parseEntries(appendEntries(nil, entries, last), last)
		if err != nil || !slices.EqualFunc(again, entries, func(a, b ended) bool { return a.serial == b.serial && a.end.Equal(b.end) }) {
			t.Fatalf("%x comes back as %+v: %v", b, again, err)
		}
	})
}
