//go:build unix

package tree

import (
	"testing"
	"time"

	"cardinal/directory"
)

// TestWornRecallLastsUntilAnOrderIsDone: it goes on answering what it knows, takes
// nothing in, and is not filled anew while very many records change.
func TestWornRecallLastsUntilAnOrderIsDone(t *testing.T) {
	t.Parallel()
	for {
		begun := time.Now()
		wrong := wornDuringAnOrder(t)
		if time.Since(begun) < calmAfter { // else the machine stood still, and it was calm
			for _, what := range wrong {
				t.Error(what)
			}
			return
		}
	}
}

// wornDuringAnOrder says what went wrong.
func wornDuringAnOrder(t *testing.T) (wrong []string) {
	t.Helper()
	schema, err := directory.DefaultSchema()
	if err != nil {
		t.Fatal(err)
	}
	tr, err := New(schema, Options{Memory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	r := newRecall("m", recallShape{numbers: 1000, parts: 1000, pairs: 1000, memory: 1 << 20})
	if r == nil {
		t.Fatal("no memory beside the heap")
	}
	r.since, r.filled = 1, r.end
	rec := append(record{0, 0, 1, 'x'}, make([]byte, 18)...) // of position 0
	r.put(7, rec)
	r.put(8, rec)
	r.wasted = 1 << 30
	c := &tr.recalls
	c.keeps.Store(r)
	c.shown.Store(r)
	batch := func(n int) {
		tr.writer.recall = c.batch([]byte("m"))
		for id := range n {
			tr.writer.tellRecord(uint32(8+id), rec)
		}
		tr.writer.remember()
	}
	batch(largeBatch)
	batch(1)
	if c.shown.Load() != r || r.record(7, 1) == nil {
		wrong = append(wrong, "the recall ended while an order was worked off")
	}
	if r.record(8, 1) != nil {
		wrong = append(wrong, "a worn recall took a record in")
	}
	if tr.missed(10 * recallAfter); c.filling.Load() {
		wrong = append(wrong, "another one is filled meanwhile")
	}
	c.stirred.Store(0)
	c.drop()
	batch(largeBatch)
	if c.calm() {
		wrong = append(wrong, "with no recall an order goes unnoticed")
	}
	c.keeps.Store(r)
	c.stirred.Store(time.Now().Add(-2 * calmAfter).UnixNano())
	batch(1)
	if c.keeps.Load() != nil {
		wrong = append(wrong, "the recall did not end when the order was done")
	}
	return wrong
}
