package tree

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"go.etcd.io/bbolt"

	"cardinal/directory"
	"cardinal/internal/journal"
)

// TestPatchedRecordIsTheOneTheLongWayMakes makes random modifications both ways.
func TestPatchedRecordIsTheOneTheLongWayMakes(t *testing.T) {
	t.Parallel()
	tr, db := bare(t)
	tr.outlineAbove, tr.inlineBelow = 6, 3
	err := db.Update(func(tx *bbolt.Tx) error {
		root, err := tx.CreateBucket([]byte("directory"))
		if err != nil {
			return err
		}
		p := &patching{t: t, w: tr.writer, random: rand.New(rand.NewPCG(3, 4))}
		if err := p.w.begin(root); err != nil {
			return err
		}
		if err := p.run(); err != nil {
			return err
		}
		return p.touching()
	})
	if err != nil {
		t.Fatal(err)
	}
}

type patching struct {
	t       *testing.T
	w       *writer
	random  *rand.Rand
	patched int
}

func (p *patching) run() error {
	for n := range 20 {
		name, _ := directory.ParseDN(fmt.Sprintf("uid=9000000000%02d,o=nhs", n))
		e := &directory.Entry{DN: name}
		e.PutString("objectClass", "nhsPerson")
		e.PutString("uid", fmt.Sprintf("9000000000%02d", n))
		e.PutString("sn", "Example")
		p.w.records.position++
		if err := p.w.add(directory.UUID{1, byte(n)}, e); err != nil {
			return err
		}
	}
	for range 1000 {
		p.w.records.position += uint64(p.random.IntN(300))
		p.w.records.micro += uint64(p.random.IntN(1 << 20))
		if err := p.both(uint32(1 + p.random.IntN(20))); err != nil {
			return err
		}
	}
	if p.patched < 100 {
		p.t.Errorf("%d of 1000 changes were made by a patch", p.patched)
	}
	return nil
}

// mods are some replacements, seldom of what is indexed, told or outlined.
func (p *patching) mods() (mods []directory.Modification) {
	types := []string{"description", "title", "modifiersName", "modifyTimestamp", "cardState", "nhsOrgCloseDate", "street", "description;lang-en", "userCertificate;binary"}
	for range p.random.IntN(4) {
		m := directory.Modification{Op: directory.ModReplace, Attribute: directory.Attribute{Type: types[p.random.IntN(len(types))]}}
		count := []int{0, 1, 1, 1, 2, 3, 9}[p.random.IntN(7)]
		for i := range count {
			m.Attribute.Values = append(m.Attribute.Values, fmt.Appendf(nil, "%d", p.random.IntN(30)*100+i))
		}
		mods = append(mods, m)
	}
	if p.random.IntN(20) == 0 {
		mods = append(mods, directory.Modification{Op: directory.ModReplace, Attribute: directory.Attribute{Type: "mail", Values: directory.Values("x@example.org")}})
	}
	return mods
}

func (p *patching) both(id uint32) error {
	mods := p.mods()
	old := record(slices.Clone(p.w.entries.Get(appendID(nil, id))))
	h, err := parseHead(old)
	if err != nil {
		return err
	}
	names, words := len(p.w.catalog.now.names), len(p.w.catalog.now.words)
	var short record
	ok := false
	if patch := p.w.patchOf(mods); patch.ready {
		if short, ok = patch.apply(&p.w.records, old, &h); ok {
			p.tells(&h, short)
		}
	}
	if names != len(p.w.catalog.now.names) || words != len(p.w.catalog.now.words) {
		p.t.Error("a patch gave out numbers")
	}
	if _, err := p.w.rewrite(id, mods); err != nil {
		return err
	}
	if long := p.w.entries.Get(appendID(nil, id)); ok && !bytes.Equal(short, long) {
		p.t.Errorf("%+v of %x\ngives %x\ninstead of %x", mods, old, short, long)
	}
	if ok {
		p.patched++
	}
	return nil
}

// tells: history comes to know what the patch made.
func (p *patching) tells(before *head, after record) {
	h, err := parseHead(after)
	if err != nil || !p.w.records.told.whole {
		p.t.Errorf("a patch made %x: %v", after, err)
	}
	if i := (image{}); !i.patch(append([]byte{0}, p.w.records.told.form...), before.attributes) || !bytes.Equal(i.attributes, h.attributes) {
		p.t.Errorf("%x of %x\nmakes %x\ninstead of %x", p.w.records.told.form, before.attributes, i.attributes, h.attributes)
	}
}

// touching: an entry that was changed in a transaction is not told of again by what
// follows in it, and one that was not is.
func (p *patching) touching() error {
	p.w.records.position++
	now, told := p.w.records.position, p.w.past.state.next
	for _, since := range []uint64{now - 1, now - 1, now} { // the last is of the next transaction
		if err := p.w.touch(1, journal.Position(since)); err != nil {
			return err
		}
	}
	if h, err := parseHead(p.w.entries.Get(appendID(nil, 1))); err != nil || h.position != now || p.w.past.state.next != told+2 {
		p.t.Errorf("touched at %d of %d, told of %d times, %v", h.position, now, p.w.past.state.next-told, err)
	}
	return nil
}
