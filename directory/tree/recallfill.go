package tree

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
)

const (
	// recallAfter is how often the store is asked before a recall is filled: a
	// command that reads a few entries needs none.
	recallAfter = 1000
	// recallStep is how many keys are read between two looks at whether the
	// recall is still wanted: under a millisecond. Nothing is held in between.
	recallStep = 400
	// recallRest is how much longer than it worked the filling then rests. It has
	// no hurry, and people sign in meanwhile: without rests a single processor
	// gave each wake-up of theirs away for a slice of the system's, and 4.3 million
	// entries had them wait 60 ms at a time for six seconds.
	recallRest = 3
	// recallPatience is how long the filling waits for a batch to end.
	recallPatience = 10 * time.Second
)

// missed is told how often the store was asked by who had no recall.
func (t *Tree) missed(n int) {
	c := &t.recalls
	if c.memory <= 0 || n == 0 || c.missed.Add(int64(n)) < recallAfter || !c.calm() || !c.filling.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer c.filling.Store(false)
		defer c.missed.Store(0)
		t.fillRecall()
	}()
}

// recallFill fills a recall, in steps each with a snapshot of its own.
type recallFill struct {
	tree     *Tree
	recall   *recall
	mark     string
	position uint64 // of the last step
}

// fillRecall makes a recall and shows it. It reports whether it did.
func (t *Tree) fillRecall() bool {
	f := &recallFill{tree: t}
	shape, ok := f.measure()
	if !ok {
		return false
	}
	if f.recall = newRecall(f.mark, shape); f.recall == nil {
		return false
	}
	for waited := time.Duration(0); !t.recalls.begin(f.recall); waited += 10 * time.Millisecond {
		if waited > recallPatience {
			return false
		}
		time.Sleep(10 * time.Millisecond)
	}
	if f.fill() && f.show() {
		t.replica.Load().LetGo() // of pages that nobody needs as often now
		return true
	}
	t.recalls.mu.Lock()
	defer t.recalls.mu.Unlock()
	if t.recalls.keeps.Load() == f.recall {
		t.recalls.drop()
	}
	return false
}

// measure finds out how large a recall will be.
func (f *recallFill) measure() (s recallShape, ok bool) {
	last := 0
	ok = f.step(func(rd *reader) bool { last = int(rd.last); return true })
	pairs := 0
	ok = ok && f.eachPair(func(_ []byte, c chunk) bool { pairs += min(c.count(), mostSame+1); return true })
	grown := last + last/4 + 1<<16
	return recallShape{numbers: grown, parts: grown + grown/4, pairs: (pairs + pairs/8 + 1<<16) * 5 / 4, memory: f.tree.recalls.memory}, ok
}

func (f *recallFill) fill() bool {
	seed, r := f.tree.recalls.seed, f.recall
	return f.each(bucketEntries, func(k, v []byte) bool {
		h, err := parseHead(v)
		id := parseID(k)
		if err != nil || id == 0 || id >= uint32(len(r.where)) || !r.link(h.parent, id) {
			return false
		}
		r.holds(id, v)
		if r.where[id] == 0 && h.position <= f.position {
			r.put(id, v)
		}
		return true
	}) && f.each(bucketChildren, func(k, v []byte) bool {
		return r.parts.replace(maphash.Bytes(seed, k), parseID(v))
	}) && f.eachPair(func(k []byte, c chunk) bool {
		hash, upper := maphash.Bytes(seed, k[:len(k)-2]), binary.BigEndian.Uint16(k[len(k)-2:])
		if c.count() > mostSame {
			return r.pair(hash, askIndex)
		}
		for _, id := range c.appendTo(nil, upper) {
			if !r.pair(hash, id) {
				return false
			}
		}
		return true
	})
}

// show hands the recall to whoever begins to read at this position or later.
func (f *recallFill) show() bool {
	return f.step(func(*reader) bool {
		r := f.recall
		r.since, r.filled = f.position, r.end
		f.tree.recalls.mu.Lock()
		defer f.tree.recalls.mu.Unlock()
		if f.tree.recalls.keeps.Load() != r {
			return false
		}
		f.tree.recalls.shown.Store(r)
		return true
	})
}

// step runs fn on a snapshot of the file the recall is of, with the recall to
// itself. It returns false if fn does, or if the recall is not wanted any more.
func (f *recallFill) step(fn func(rd *reader) bool) (ok bool) {
	s, rd, err := f.tree.open()
	if err != nil {
		return false
	}
	defer s.Release()
	if f.mark == "" {
		f.mark = rd.mark
	}
	if rd.mark == "" || f.mark != rd.mark || f.recall != nil && f.recall.ended.Load() {
		return false
	}
	f.position = rd.position
	err = s.Guard(func() error {
		if f.recall != nil {
			f.recall.mu.Lock()
			defer f.recall.mu.Unlock()
		}
		ok = fn(rd)
		return nil
	})
	return ok && err == nil
}

// each runs over a bucket.
func (f *recallFill) each(bucket string, visit func(k, v []byte) bool) bool {
	return f.within(bucket, nil, visit)
}

// within runs over the keys of a bucket that begin with a prefix.
func (f *recallFill) within(bucket string, prefix []byte, visit func(k, v []byte) bool) bool {
	at, done := bytes.Clone(prefix), false
	for !done {
		began := time.Now()
		ok := f.step(func(rd *reader) bool {
			c := rd.root.Bucket([]byte(bucket)).Cursor()
			n := 0
			for k, v := seekFrom(c, at); ; k, v = c.Next() {
				if k == nil || !bytes.HasPrefix(k, prefix) {
					done = true
					return true
				}
				if n++; n > recallStep {
					at = append(at[:0], k...)
					return true
				}
				if !visit(k, v) {
					return false
				}
			}
		})
		if !ok {
			return false
		}
		if !done {
			time.Sleep(recallRest * time.Since(began))
			f.awaitCalm()
		}
	}
	return true
}

// awaitCalm holds the filling up while many entries are changed.
func (f *recallFill) awaitCalm() {
	for !f.tree.recalls.calm() && (f.recall == nil || !f.recall.ended.Load()) {
		time.Sleep(10 * time.Millisecond)
	}
}

func seekFrom(c *bbolt.Cursor, at []byte) (k, v []byte) {
	if len(at) == 0 {
		return c.First()
	}
	return c.Seek(at)
}

// eachPair runs over the index of the attributes that hardly two entries share.
func (f *recallFill) eachPair(visit func(k []byte, c chunk) bool) bool {
	var prefixes [][]byte
	ok := f.step(func(rd *reader) bool {
		for typ := range f.tree.unique {
			if code, used := rd.catalog.indexCode(typ); used && f.tree.indexed[typ] {
				prefixes = append(prefixes, appendIndexPrefix(nil, code, nil))
			}
		}
		return true
	})
	for _, prefix := range prefixes {
		ok = ok && f.within(bucketIndex, prefix, func(k, v []byte) bool {
			return len(k) > 4 && chunk(v).well() && visit(k, chunk(v))
		})
	}
	return ok
}

// use takes the recall that may be used with the snapshot.
func (rd *reader) use() {
	if rd.recall != nil {
		return
	}
	r := rd.tree.recalls.shown.Load()
	if r != nil && r.mark == rd.mark && rd.position >= r.since {
		rd.recall = r
	}
	rd.tree.missed(rd.asked)
	rd.asked = 0
}

// attributesOf are the attributes an entry may have, as bits; all of them if it
// is not known.
func (r *recall) attributesOf(id uint32) uint64 {
	if id >= uint32(len(r.has)) {
		return ^uint64(0)
	}
	return atomic.LoadUint64(&r.has[id])
}
