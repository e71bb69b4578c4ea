package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"go.etcd.io/bbolt"

	"cardinal/directory"
	"cardinal/internal/journal"
)

// Change is one change that history kept. Like an Entry it looks into the
// store and is valid only inside the function it was handed to.
type Change struct {
	Point
	Kind ChangeKind
	UUID directory.UUID
	// Name is the name of the entry, before a move; After the one afterwards,
	// the same but for a moved entry. Of a suffix that was loaded it is the suffix.
	Name, After string
	// Children: a moved entry had some, and all below it have other names now.
	Children bool

	reader *reader
	old    image
	now    image
	mods   []byte
}

// image is an entry as it was.
type image struct {
	there      bool
	position   uint64
	micro      uint64
	attributes []byte
	cut        []uint16 // attributes left out
}

// Standing says what history holds: the changes behind Start, up to Last.
type Standing struct {
	Start, Last Point
	// Loading: the copy is not complete; nothing should be concluded from it.
	Loading bool

	epoch Point
}

// CSN is the change sequence number that names a place to others: that of its
// change, or where it lies before the ledger's last epoch, one with the time at
// which that began. So what was told in an earlier epoch, which a restore may
// have taken back, names no place any more; see Entry.CSN.
func (s Standing) CSN(p Point) []byte { return told(p, s.epoch).csn() }

// Micro is the time in that number, in microseconds since 1970.
func (s Standing) Micro(p Point) uint64 { return told(p, s.epoch).Micro }

// Before reports whether a CSN names a place of this history that lies before
// what is kept.
func (s Standing) Before(position journal.Position, at time.Time) bool {
	micro := at.UnixMicro()
	return position < s.Start.Position && micro >= int64(s.epoch.Micro) && micro <= int64(told(s.Start, s.epoch).Micro)
}

func told(p, epoch Point) Point {
	if p.Position < epoch.Position {
		p.Micro = max(p.Micro, epoch.Micro)
	}
	return p
}

func (rd *reader) told(p Point) Point { return told(p, rd.epoch) }

// ErrHistoryGone: the changes behind a place are not kept any more, or never
// were in this history: the content itself has to be read anew.
var ErrHistoryGone = errors.New("the changes asked for are not kept")

// Standing says what history holds now.
func (t *Tree) Standing() (Standing, error) {
	s, rd, err := t.open()
	if err != nil {
		return Standing{}, err
	}
	defer s.Release()
	return rd.standing(s.State().Position, s.State().Loading), nil
}

func (rd *reader) standing(at journal.Position, loading bool) Standing {
	out := Standing{Loading: loading, epoch: rd.epoch}
	history := rd.history()
	if history == nil {
		return out
	}
	state := parseHistoryState(rd.root.Bucket([]byte(bucketState)).Get([]byte(stateHistory)))
	out.Start, out.Last = state.start, state.start
	// Within a transaction that is applied in slices, history runs ahead.
	for n := state.next - 1; n > state.start.Number; n-- {
		if p, ok := rd.point(history, n); ok && p.Position <= at {
			out.Last = p
			break
		}
	}
	return out
}

func (rd *reader) history() *bbolt.Bucket {
	if rd.root == nil {
		return nil
	}
	if rd.root.Bucket([]byte(bucketState)) == nil {
		return nil
	}
	return rd.root.Bucket([]byte(bucketHistory))
}

// point reads which change stands under a number.
func (rd *reader) point(history *bbolt.Bucket, n uint64) (Point, bool) {
	v := history.Get(binary.BigEndian.AppendUint64(make([]byte, 0, 8), n))
	if len(v) == 0 {
		return Point{}, false
	}
	d := digits{rest: v[1:]}
	p := Point{Number: n, Position: journal.Position(d.uint()), Micro: d.uint()}
	return p, !d.short
}

// Locate finds the place in history that a CSN of Standing names, or one with
// its position and any time until the next change. ErrHistoryGone if history does
// not reach back so far, or knows no such change: that of another history.
func (t *Tree) Locate(position journal.Position, at time.Time) (Point, error) {
	s, rd, err := t.open()
	if err != nil {
		return Point{}, err
	}
	defer s.Release()
	now := rd.standing(s.State().Position, s.State().Loading)
	want := Point{Position: position, Micro: uint64(at.UnixMicro())}
	if position < now.Start.Position || position > now.Last.Position {
		return Point{}, ErrHistoryGone
	}
	history := rd.history()
	if history == nil {
		return Point{}, ErrHistoryGone
	}
	// The last change at or before the position.
	kept := int(now.Last.Number - now.Start.Number)
	i := sort.Search(kept, func(i int) bool {
		p, ok := rd.point(history, now.Start.Number+1+uint64(i))
		return !ok || p.Position > position
	})
	found := now.Start
	if i > 0 {
		found, _ = rd.point(history, now.Start.Number+uint64(i))
	}
	if found.Position != want.Position || !rd.during(found, want.Micro) {
		return Point{}, ErrHistoryGone
	}
	return found, nil
}

// during reports whether a place was the last one at some time.
func (rd *reader) during(p Point, micro uint64) bool {
	told := rd.told(p).Micro
	if micro <= told {
		return micro == told
	}
	next, ok := rd.point(rd.history(), p.Number+1)
	return !ok || micro <= next.Micro
}

// Changes shows the changes behind a place in their order, at most limit of
// them, until visit returns false, and says what history holds. One call sees
// one state of the copy and holds it no longer than it takes. It gives
// ErrHistoryGone if what follows the place is not kept, or the place is none of
// this history.
func (t *Tree) Changes(after Point, limit int, visit func(c *Change) (more bool)) (Standing, error) {
	s, rd, err := t.open()
	if err != nil {
		return Standing{}, err
	}
	defer s.Release()
	now := rd.standing(s.State().Position, s.State().Loading)
	if err := rd.follows(rd.history(), after, now); err != nil {
		return now, err
	}
	return now, rd.changes(now, after.Number+1, limit, visit)
}

// Numbered shows the changes from a number on that are still kept, as Changes
// does.
func (t *Tree) Numbered(from uint64, limit int, visit func(c *Change) (more bool)) (Standing, error) {
	s, rd, err := t.open()
	if err != nil {
		return Standing{}, err
	}
	defer s.Release()
	now := rd.standing(s.State().Position, s.State().Loading)
	return now, rd.changes(now, from, limit, visit)
}

func (rd *reader) changes(now Standing, from uint64, limit int, visit func(c *Change) (more bool)) error {
	history := rd.history()
	if history == nil {
		return nil
	}
	c := history.Cursor()
	k, v := c.Seek(binary.BigEndian.AppendUint64(nil, from))
	for ; k != nil && limit > 0; k, v = c.Next() {
		n := binary.BigEndian.Uint64(k)
		if n > now.Last.Number {
			break
		}
		limit--
		x := Change{reader: rd}
		if err := x.parse(n, v); err != nil {
			return fmt.Errorf("reading change %d: %w", n, err)
		}
		if !visit(&x) {
			break
		}
	}
	return nil
}

// follows checks that a place is one of this history and that what comes
// behind it is kept.
func (rd *reader) follows(history *bbolt.Bucket, after Point, now Standing) error {
	switch {
	case after == now.Start || after == now.Last:
		return nil
	case history == nil, after.Number < now.Start.Number, after.Number > now.Last.Number:
		return ErrHistoryGone
	}
	if p, ok := rd.point(history, after.Number); !ok || p != after {
		return ErrHistoryGone
	}
	return nil
}

func (c *Change) parse(n uint64, v []byte) error {
	if len(v) == 0 {
		return errDamaged
	}
	d := digits{rest: v[1:]}
	c.Kind = ChangeKind(v[0])
	c.Point = Point{Number: n, Position: journal.Position(d.uint()), Micro: d.uint()}
	copy(c.UUID[:], d.take(16))
	c.Name = string(d.take(d.uint()))
	c.After = c.Name
	if c.Kind == ChangeMoved {
		c.After = string(d.take(d.uint()))
		children := d.take(1)
		c.Children = len(children) == 1 && children[0] == 1
	}
	if c.Kind == ChangeModified || c.Kind == ChangeDeleted || c.Kind == ChangeMoved {
		c.old = image{there: true, position: d.uint(), micro: d.uint()}
		c.old.take(d.take(d.uint()))
	}
	if c.Kind == ChangeAdded || c.Kind == ChangeModified || c.Kind == ChangeMoved {
		c.now = image{there: true, position: uint64(c.Position), micro: c.Micro}
		if !c.now.patch(d.take(d.uint()), c.old.attributes) {
			return errDamaged
		}
	}
	c.mods = d.take(d.uint())
	if d.short {
		return errDamaged
	}
	return nil
}

func (i *image) take(b []byte) {
	d := digits{rest: b}
	for n := d.uint(); n > 0 && !d.short; n-- {
		i.cut = append(i.cut, uint16(d.uint()))
	}
	i.attributes = d.rest
}

// patch makes the attributes out of those before.
func (i *image) patch(b, old []byte) bool {
	i.take(b)
	list, _ := splitAttributes(old)
	rest := i.attributes
	i.attributes = make([]byte, 0, len(old)+len(rest))
	for len(rest) > 0 {
		d := digits{rest: rest}
		run := d.uint()
		if run > 0 {
			from := d.uint()
			if d.short || from > uint64(len(list)) || run > uint64(len(list))-from {
				return false
			}
			for _, a := range list[from : from+run] {
				i.attributes = append(i.attributes, a.raw...)
			}
			rest = d.rest
			continue
		}
		raw := d.rest
		d.uint()
		d.take(d.uint())
		if d.short {
			return false
		}
		i.attributes = append(i.attributes, raw[:len(raw)-len(d.rest)]...)
		rest = d.rest
	}
	return true
}

// Time is when the change was committed.
func (c *Change) Time() time.Time { return time.UnixMicro(int64(c.Micro)).UTC() }

// Before is the entry before the change; nil if there was none. Very large
// attributes are not in it: see Missing.
func (c *Change) Before() *Entry { return c.old.entry(c, c.Name) }

// Now is the entry as the change left it; nil if it was deleted. If nothing has
// changed it since, it is whole; else very large attributes are not in it.
func (c *Change) Now() *Entry {
	e := c.now.entry(c, c.After)
	if e == nil || e.past.cut == nil || !c.Newest() {
		return e
	}
	id := parseID(c.reader.uuids.Get(c.UUID[:]))
	whole := &Entry{ID: id, reader: c.reader}
	if whole.parse(c.reader.get(id)) != nil {
		return e
	}
	whole.past = &past{name: c.After}
	return whole
}

// Then is the entry as the change left it, always without very large attributes.
func (c *Change) Then() *Entry { return c.now.entry(c, c.After) }

// Missing are the descriptions of attributes that Before or Then lacks because
// they are very large.
func (c *Change) Missing() map[string]bool {
	out := map[string]bool{}
	for _, code := range slices.Concat(c.old.cut, c.now.cut) {
		if int(code) < c.reader.catalog.Len() {
			out[c.reader.catalog.names[code].text] = true
		}
	}
	return out
}

// Newest reports whether the change is the last one of its entry: what is in
// the copy now is what the change left.
func (c *Change) Newest() bool {
	id := parseID(c.reader.uuids.Get(c.UUID[:]))
	if id == 0 {
		return c.Kind == ChangeDeleted
	}
	h, err := parseHead(c.reader.get(id))
	return err == nil && h.position == uint64(c.Position)
}

// Gone reports whether the entry is not in the copy any more.
func (c *Change) Gone() bool { return c.reader.uuids.Get(c.UUID[:]) == nil }

// LeftOut gives the modifications made to attributes that Before and Now lack.
func (c *Change) LeftOut() (mods []directory.Modification) {
	d := digits{rest: c.mods}
	for len(d.rest) > 0 && !d.short {
		m := directory.Modification{Op: directory.ModOp(d.rest[0])}
		d.rest = d.rest[1:]
		m.Attribute.Type = string(d.take(d.uint()))
		for n := d.uint(); n > 0 && !d.short; n-- {
			m.Attribute.Values = append(m.Attribute.Values, slices.Clone(d.take(d.uint())))
		}
		mods = append(mods, m)
	}
	return mods
}

func (i *image) entry(c *Change, name string) *Entry {
	if !i.there {
		return nil
	}
	h := head{uuid: c.UUID[:], position: i.position, micro: i.micro, attributes: i.attributes}
	return &Entry{reader: c.reader, head: h, past: &past{name: name, cut: i.cut}}
}

// past is what an Entry out of history has besides: its name then, and the
// attributes that are not in it.
type past struct {
	name string
	key  directory.Key
	cut  []uint16
}

func (e *Entry) pastKey() directory.Key {
	if e.past.key == "" {
		e.past.key, _ = e.reader.tree.schema.ParseKey(e.past.name)
	}
	return e.past.key
}

// lacks reports whether a filter speaks of an attribute that was left out of
// an entry of history.
func (q *query) lacks(n *node, e *Entry) bool {
	if e.past == nil || len(e.past.cut) == 0 {
		return false
	}
	for i := range n.children {
		c := &n.children[i]
		if q.lacks(c, e) {
			return true
		}
	}
	if n.Attr.Type == nil && len(n.Types) == 0 {
		return false
	}
	return slices.ContainsFunc(e.past.cut, func(code uint16) bool { return q.coveredBy(n, code) })
}
