package tree

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"cardinal/directory"
	"cardinal/internal/journal"
	"cardinal/internal/replica"
)

// History bounds what is kept of what changed, for those who follow the
// directory. A zero field takes its default. Past any bound the oldest changes
// go, a few with each new one; who was away for longer gets the content anew.
type History struct {
	// Changes are kept at most; 500,000, some weeks of a workforce of a million.
	Changes uint64
	// Age is how long a change is kept; 7 days, so that a follower survives a
	// long weekend.
	Age time.Duration
	// Bytes the changes may take in all, 512 MiB.
	Bytes uint64
}

func (h History) withDefaults() History {
	return History{Changes: cmp.Or(h.Changes, 500_000), Age: cmp.Or(h.Age, 7*24*time.Hour), Bytes: cmp.Or(h.Bytes, 512<<20)}
}

// ChangeKind says what happened to an entry.
type ChangeKind uint8

// The kinds of change that history keeps.
const (
	ChangeAdded    ChangeKind = 1
	ChangeModified ChangeKind = 2
	ChangeDeleted  ChangeKind = 3
	ChangeMoved    ChangeKind = 4
	// ChangeLoaded: a suffix was filled at once. Only the content itself tells
	// what is in it.
	ChangeLoaded ChangeKind = 5
)

// A change stands in bucketHistory under its number, counted from 1 by every
// copy alike:
//
//	1 octet     kind
//	varints     position, and its time in microseconds since 1970
//	16 octets   entryUUID
//	text        the name; before, where there is a before
//	text        the name afterwards, of a moved entry alone; with 1 octet: has children
//	image       the entry before, unless it was added: octets, then
//	              varint number of attributes left out, and their numbers
//	              the other attributes as in the record
//	patch       the entry afterwards, unless it was deleted: octets, then
//	              left out as above; then varint 0 and an attribute, or varint n
//	              and a varint i: n attributes of the image from the i-th on
//	modifications  those of attributes left out: see appendLeftOut
//
// Texts are a varint length and octets. A change of many values, or a very long
// one, does not make history long: such attributes are left out, and where they
// matter the reader has to look at the entry itself.
const keptAttribute = 8 << 10 // octets of an attribute's values in a record

const (
	stateHistory = "history" // historyState
	stateEpoch   = "epoch"   // position and time at which the last epoch began
	historyFill  = 0.95      // of a page; changes are appended
	trimAtOnce   = 4         // changes that go with each one that comes
)

// historyState says what bucketHistory holds.
type historyState struct {
	next  uint64 // number of the next change
	bytes uint64
	start Point // the last change that is not there any more
}

// Point is a place in history: behind a change. The zero Point is before all.
type Point struct {
	Number   uint64
	Position journal.Position
	Micro    uint64 // time of the change in microseconds since 1970
}

func (p Point) csn() []byte { return directory.CSN(time.UnixMicro(int64(p.Micro)), p.Position) }

func (s *historyState) append(b []byte) []byte {
	for _, v := range []uint64{s.next, s.bytes, s.start.Number, uint64(s.start.Position), s.start.Micro} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return b
}

func parseHistoryState(b []byte) historyState {
	if len(b) != 40 {
		return historyState{next: 1}
	}
	at := func(i int) uint64 { return binary.BigEndian.Uint64(b[8*i:]) }
	return historyState{next: at(0), bytes: at(1), start: Point{at(2), journal.Position(at(3)), at(4)}}
}

// noted is one change on its way into history.
type noted struct {
	kind     ChangeKind
	uuid     directory.UUID
	name     string
	after    string // name afterwards, of a moved entry
	children bool   // a moved entry has some
	old      head   // before; its attributes are those of the record
	now      []byte // attributes afterwards, as in the record
	mods     []directory.Modification
	patch    []byte // what makes now of old, if it is known and no attribute is left out
}

// pastWriter appends changes to history. It belongs to a writer.
type pastWriter struct {
	keep   History
	bucket *bbolt.Bucket
	state  historyState
	added  int // changes, by the change of the journal in hand
	room   []byte
	image  []byte
}

func (w *writer) beginHistory(root *bbolt.Bucket) error {
	b, err := root.CreateBucketIfNotExists([]byte(bucketHistory))
	if err != nil {
		return fmt.Errorf("creating bucket %q: %w", bucketHistory, err)
	}
	b.FillPercent = historyFill
	w.past.added = 0
	w.past.bucket, w.past.state = b, parseHistoryState(w.states.Get([]byte(stateHistory)))
	return nil
}

// note keeps one change. It belongs to the position the writer is at.
func (w *writer) note(n noted) error {
	p := &w.past
	p.room = w.appendNoted(p.room[:0], &n)
	key := binary.BigEndian.AppendUint64(make([]byte, 0, 8), p.state.next)
	if err := p.bucket.Put(key, bytes.Clone(p.room)); err != nil {
		return err
	}
	p.state.next++
	p.state.bytes += uint64(len(p.room))
	p.added++
	return nil
}

// settleHistory ends a change: what is past the bounds goes.
func (w *writer) settleHistory() error {
	p := &w.past
	if p.added == 0 {
		return nil
	}
	if err := p.trim(w.records.micro); err != nil {
		return err
	}
	p.added = 0
	return w.states.Put([]byte(stateHistory), p.state.append(nil))
}

// trim forgets what is past the bounds, little by little. The oldest change is
// looked for by its number: in front of it may be pages emptied in this
// transaction.
func (p *pastWriter) trim(now uint64) error {
	oldest := p.state.start.Number + 1
	c := p.bucket.Cursor()
	for range trimAtOnce * p.added {
		k, v := c.Seek(binary.BigEndian.AppendUint64(nil, oldest))
		d := digits{rest: v[min(1, len(v)):]}
		position, micro := d.uint(), d.uint()
		old := now > uint64(p.keep.Age.Microseconds()) && micro < now-uint64(p.keep.Age.Microseconds())
		if k == nil || oldest+1 >= p.state.next || !old && p.state.next-oldest <= p.keep.Changes && p.state.bytes <= p.keep.Bytes {
			return nil
		}
		p.state.start = Point{Number: oldest, Position: journal.Position(position), Micro: micro}
		p.state.bytes -= min(p.state.bytes, uint64(len(v)))
		oldest++
		if err := c.Delete(); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) appendNoted(b []byte, n *noted) []byte {
	b = append(b, byte(n.kind))
	b = binary.AppendUvarint(binary.AppendUvarint(b, w.records.position), w.records.micro)
	b = append(b, n.uuid[:]...)
	b = appendText(b, n.name)
	if n.kind == ChangeMoved {
		b = append(appendText(b, n.after), flag(n.children))
	}
	if n.patch != nil {
		b = binary.AppendUvarint(binary.AppendUvarint(b, n.old.position), n.old.micro)
		b = append(append(binary.AppendUvarint(b, uint64(1+len(n.old.attributes))), 0), n.old.attributes...)
		b = append(append(binary.AppendUvarint(b, uint64(1+len(n.patch))), 0), n.patch...)
		return append(b, 0)
	}
	var cut, old attributeList
	if n.kind == ChangeModified || n.kind == ChangeDeleted || n.kind == ChangeMoved {
		b = binary.AppendUvarint(binary.AppendUvarint(b, n.old.position), n.old.micro)
		old, cut = splitAttributes(n.old.attributes)
		w.past.image = appendCut(w.past.image[:0], cut)
		for _, a := range old {
			w.past.image = append(w.past.image, a.raw...)
		}
		b = append(binary.AppendUvarint(b, uint64(len(w.past.image))), w.past.image...)
	}
	if n.kind == ChangeAdded || n.kind == ChangeModified || n.kind == ChangeMoved {
		now, gone := splitAttributes(n.now)
		w.past.image = appendPatch(appendCut(w.past.image[:0], gone), old, now)
		b = append(binary.AppendUvarint(b, uint64(len(w.past.image))), w.past.image...)
		cut = append(cut, gone...)
	}
	return w.appendLeftOut(b, n.mods, cut)
}

func flag(on bool) byte {
	if on {
		return 1
	}
	return 0
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// attributeList is the attributes of a record, each with its octets.
type attributeList []struct {
	code uint16
	raw  []byte
}

// splitAttributes parts the attributes of a record into those that are kept and
// those that are left out.
func splitAttributes(record []byte) (kept, cut attributeList) {
	for len(record) > 0 {
		d := digits{rest: record}
		code := uint16(d.uint())
		v := values{rest: d.take(d.uint())}
		if d.short {
			break
		}
		one := attributeList{{code, record[:len(record)-len(d.rest)]}}
		if _, apart := v.outlined(); apart || len(v.rest) > keptAttribute {
			cut = append(cut, one...)
		} else {
			kept = append(kept, one...)
		}
		record = d.rest
	}
	return kept, cut
}

func appendCut(b []byte, cut attributeList) []byte {
	b = binary.AppendUvarint(b, uint64(len(cut)))
	for _, a := range cut {
		b = binary.AppendUvarint(b, uint64(a.code))
	}
	return b
}

// appendPatch says how now is made from old.
func appendPatch(b []byte, old, now attributeList) []byte {
	for len(now) > 0 {
		from, run := longest(old, now)
		if run == 0 {
			b = append(append(b, 0), now[0].raw...)
			run = 1
		} else {
			b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(run)), uint64(from))
		}
		now = now[run:]
	}
	return b
}

// longest finds where old goes on as now begins, and for how many attributes.
func longest(old, now attributeList) (from, run int) {
	for i := range old {
		n := 0
		for i+n < len(old) && n < len(now) && bytes.Equal(old[i+n].raw, now[n].raw) {
			n++
		}
		if n > 0 {
			return i, n
		}
	}
	return 0, 0
}

// appendLeftOut appends the modifications made to attributes left out, since
// no image tells them: octets, then for each one octet of what is done, the
// description, the number of values, and the values, each as a text.
func (w *writer) appendLeftOut(b []byte, mods []directory.Modification, cut attributeList) []byte {
	var out []byte
	for _, m := range mods {
		code, ok := w.catalog.code[w.canonical(m.Attribute.Type)]
		if !ok || !cut.has(code) {
			continue
		}
		out = appendText(append(out, byte(m.Op)), m.Attribute.Type)
		out = binary.AppendUvarint(out, uint64(len(m.Attribute.Values)))
		for _, v := range m.Attribute.Values {
			out = append(binary.AppendUvarint(out, uint64(len(v))), v...)
		}
	}
	return append(binary.AppendUvarint(b, uint64(len(out))), out...)
}

func (l attributeList) has(code uint16) bool {
	for i := range l {
		if l[i].code == code {
			return true
		}
	}
	return false
}

// nameOfEntry is an inner entry whose name was looked for during a change.
type nameOfEntry struct {
	id   uint32
	text string
}

// nameOf is the name of an entry that is being written. Those above it are
// remembered until the change is applied: many entries of a set stand below the
// same.
func (w *writer) nameOf(id uint32, h head) string {
	e := Entry{ID: id, reader: w.reader(), head: h}
	b := e.appendRDN(w.nameRoom[:0])
	if above := w.nameAbove(h.parent, 0); above != "" {
		b = append(append(b, ','), above...)
	}
	w.nameRoom = b
	return string(b)
}

func (w *writer) nameAbove(id uint32, depth int) string {
	n := &w.named[id%uint32(len(w.named))]
	if n.id == id || depth > maxDepth {
		return n.text
	}
	e := Entry{ID: id, reader: w.reader()}
	if e.parse(w.recordOf(id)) != nil {
		return ""
	}
	b := e.appendRDN(nil)
	if above := w.nameAbove(e.head.parent, depth+1); above != "" {
		b = append(append(b, ','), above...)
	}
	*n = nameOfEntry{id, string(b)}
	return n.text
}

// applyEpoch notes where the ledger's last epoch began. What was told before
// may have been taken back by a restore.
func (t *Tree) applyEpoch(b *replica.Batch, c journal.Change) error {
	w := t.writer
	if err := w.begin(b.Bucket()); err != nil {
		return fmt.Errorf("opening the directory's buckets: %w", err)
	}
	v := binary.BigEndian.AppendUint64(nil, uint64(c.Position))
	return w.states.Put([]byte(stateEpoch), binary.BigEndian.AppendUint64(v, uint64(c.Time.UnixMicro())))
}

func parseEpoch(b []byte) Point {
	if len(b) != 16 {
		return Point{}
	}
	return Point{Position: journal.Position(binary.BigEndian.Uint64(b)), Micro: binary.BigEndian.Uint64(b[8:])}
}

// csn is the entryCSN of what a change left behind.
func (rd *reader) csn(position, micro uint64) []byte {
	return rd.told(Point{Position: journal.Position(position), Micro: micro}).csn()
}
