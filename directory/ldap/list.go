package ldap

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sort"

	"cardinal/directory"
	"cardinal/directory/tree"
)

// listing is a sorted search on its way: first the keys of all entries that
// match are gathered, then the part of them that was asked for is shown, each
// entry as it is by then.
type listing struct {
	by    *sorting
	view  *view  // nil: no virtual list view
	after []byte // only entries with a larger key are listed: where the page before this one ended
	keep  int    // how many are wanted from the first on; they are all with a view

	keys   []sortedKey
	octets []byte
	total  int // entries that match, before and after
	beyond int // those of them behind after

	placed   bool // holds one of the places of searches that sort much
	arranged bool
	window   []uint32 // numbers of the entries to show
	next     int
	last     []byte // key of the last of the window
}

// sortedKey is a key's place among the octets.
type sortedKey struct{ from, to uint32 }

func (l *listing) key(i int) []byte { return l.octets[l.keys[i].from:l.keys[i].to] }

// gather takes the key of one entry; false when it is one too many.
func (l *listing) gather(e *tree.Entry, sees *seen, most int) bool {
	if l.total++; l.total > most {
		return false
	}
	from := len(l.octets)
	l.octets = l.by.key(l.octets, e, sees)
	if bytes.Compare(l.octets[from:], l.after) <= 0 {
		l.octets = l.octets[:from]
		return true
	}
	l.beyond++
	l.keys = append(l.keys, sortedKey{uint32(from), uint32(len(l.octets))})
	if len(l.keys) > 2*l.keep+sortedSpare {
		l.cut()
	}
	return len(l.octets) <= sortedMemory
}

// cut keeps the keys that can still be wanted.
func (l *listing) cut() {
	l.sort()
	l.keys = l.keys[:l.keep]
	octets := make([]byte, 0, len(l.octets)/2)
	for i, k := range l.keys {
		from := uint32(len(octets))
		octets = append(octets, l.octets[k.from:k.to]...)
		l.keys[i] = sortedKey{from, uint32(len(octets))}
	}
	l.octets = octets
}

func (l *listing) sort() {
	slices.SortFunc(l.keys, func(a, b sortedKey) int {
		return bytes.Compare(l.octets[a.from:a.to], l.octets[b.from:b.to])
	})
}

// arrange puts what was gathered in order, chooses the window and lets go of
// the rest.
func (l *listing) arrange() {
	l.sort()
	from, to := 0, min(len(l.keys), l.keep)
	if l.view != nil {
		from, to = l.view.window(l)
	}
	l.window = make([]uint32, 0, to-from)
	for i := from; i < to; i++ {
		key := l.key(i)
		l.window = append(l.window, binary.BigEndian.Uint32(key[len(key)-4:]))
	}
	if to > from {
		l.last = slices.Clone(l.key(to - 1))
	}
	l.arranged, l.keys, l.octets = true, nil, nil
}

// search finds the first key that is not less.
func (l *listing) search(key []byte) int {
	return sort.Search(len(l.keys), func(i int) bool { return bytes.Compare(l.key(i), key) >= 0 })
}

// more reports whether entries follow the window.
func (l *listing) more() bool { return l.view == nil && l.beyond > len(l.window) }

// arrangement sets the search up to be sorted, as its controls ask. An error
// is its end.
func (q *searching) arrangement() error {
	s, v := q.controls.sorting, q.controls.view
	switch {
	case s == nil && v == nil:
		return nil
	case s == nil:
		v.code = sortControlMissing
		return q.unlisted(virtualListViewError, "a virtual list view needs the sort control")
	case v != nil && q.controls.paged != nil:
		return refusal{refuse(directory.UnwillingToPerform, "a virtual list view has no pages")}
	case q.page.unsorted != directory.Success: // as the page before this one
		s.code = q.page.unsorted
		return q.unsorted()
	}
	s.resolve(q.conn.server.schema)
	if s.code != directory.Success {
		return q.unsorted()
	}
	q.list = &listing{by: s, view: v, after: q.page.key, keep: q.sizeLimit}
	if q.controls.paged != nil {
		q.list.keep = min(q.list.keep, q.pageSize())
	}
	if v == nil {
		q.list.keep = min(q.list.keep, q.conn.server.config.Limits.Sorted)
		return nil
	}
	q.list.keep = q.conn.server.config.Limits.Sorted
	return q.checkView()
}

// unsorted goes on without the order that cannot be had, or ends the search
// if that is critical (RFC 2891 §2, cases 3 and 4). A window on a list nobody
// sorted is no window.
func (q *searching) unsorted() error {
	q.leaveSort()
	q.list = nil
	switch {
	case q.controls.view != nil:
		q.controls.view.code = sortControlMissing
		return q.unlisted(virtualListViewError, "the list cannot be sorted")
	case len(q.page.key) > 0: // pages that began in order cannot go on without one
		return q.unlisted(q.controls.sorting.code, "the results cannot be sorted now")
	case q.controls.sorting.critical:
		return q.unlisted(directory.UnavailableCriticalExtension, "the results cannot be sorted")
	}
	return nil
}

// unlisted is the end of a search that shows nothing.
func (q *searching) unlisted(code directory.Code, why string) error {
	r := refuse(code, why)
	if q.controls.sorting != nil && q.controls.sorting.code != directory.Success {
		r.controls = q.controls.sorting.appendResult(r.controls)
	}
	if q.controls.view != nil {
		r.controls = q.controls.view.appendResult(r.controls, q)
	}
	return refusal{r}
}

// refusal is an answer that is ready, on the way of an error.
type refusal struct{ result }

// Error says why.
func (r refusal) Error() string { return r.message }

// stepSorted is step for a search that is sorted.
func (q *searching) stepSorted(out []byte, candidates, output int) ([]byte, bool, error) {
	l := q.list
	if !l.arranged {
		done, err := q.gather(candidates)
		if err != nil || !done || q.list == nil {
			return out, err != nil, err
		}
		l.arrange()
		q.leaveSort()
		if l.view != nil && l.view.code != directory.Success {
			return out, true, q.unlisted(virtualListViewError, "")
		}
	}
	start := len(out)
	part := l.window[l.next:min(len(l.window), l.next+candidates)]
	n, err := q.scan.Show(part, func(e *tree.Entry) bool {
		out = q.visit(out, e)
		return len(out)-start < output && (q.stop == stopNot || q.stop == stopPage)
	})
	l.next += n
	switch {
	case err != nil || q.stop == stopSize:
		return out, true, err
	case l.next < len(l.window):
		return out, false, nil
	}
	q.stop = stopNot
	if l.more() {
		q.stop = stopSize
		if q.controls.paged != nil && len(l.window) >= q.pageSize() {
			q.stop = stopPage
		}
	}
	return out, true, nil
}

// gather goes on with the first half of a sorted search. When there are too
// many entries to sort it gives up: list is nil then, and the search begins
// again without an order, or ends.
func (q *searching) gather(candidates int) (done bool, err error) {
	sees := seen{hide: q.hide, tree: q.conn.server.config.Tree, others: q.conn.outlook(directory.RightRead)}
	full := false
	done, err = q.scan.Step(candidates, func(e *tree.Entry) bool {
		if sees.grant = q.sight.at(e); !sees.grant.Allows(nil, directory.RightRead) || !q.shows(e) {
			return true
		}
		full = !q.list.gather(e, &sees, q.conn.server.config.Limits.Sorted)
		return !full
	})
	if !full {
		return done, err
	}
	q.controls.sorting.code = directory.AdminLimitExceeded
	if err := q.unsorted(); err != nil {
		return false, err
	}
	q.open()
	return false, nil
}

// enterSort takes one of the places of searches that sort much. Without a free
// one the search goes on unsorted, or ends.
func (q *searching) enterSort() error {
	if q.list == nil || q.list.arranged {
		return nil
	}
	select {
	case q.conn.server.sorts <- struct{}{}:
		q.list.placed = true
		return nil
	default:
	}
	q.controls.sorting.code = directory.Busy
	if err := q.unsorted(); err != nil {
		return err
	}
	q.open()
	return nil
}

// leaveSort gives the place back.
func (q *searching) leaveSort() {
	if q.list != nil && q.list.placed {
		q.list.placed = false
		<-q.conn.server.sorts
	}
}
