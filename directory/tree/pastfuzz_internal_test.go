package tree

import "testing"

// FuzzChange reads records of history: none may lead outside of itself.
func FuzzChange(f *testing.F) {
	w := &writer{catalog: newCatalogWriter(nil)}
	w.records.position, w.records.micro = 7, 9
	raw := []byte{0, 3, 0x10, 'a', 'b', 1, 2, 0x12, 5}
	f.Add(w.appendNoted(nil, &noted{kind: ChangeAdded, name: "cn=a", now: raw}))
	f.Add(w.appendNoted(nil, &noted{kind: ChangeModified, name: "cn=a", old: head{attributes: raw}, now: raw[:5]}))
	f.Add(w.appendNoted(nil, &noted{kind: ChangeMoved, name: "cn=a", after: "cn=b", children: true, old: head{attributes: raw[5:]}, now: raw}))
	f.Add(w.appendNoted(nil, &noted{kind: ChangeDeleted, name: "cn=a", old: head{attributes: raw}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := Change{reader: &reader{tree: &Tree{}, catalog: &Names{}}}
		if c.parse(1, b) != nil {
			return
		}
		for _, i := range []image{c.old, c.now} {
			kept, cut := splitAttributes(i.attributes)
			_, _ = kept, cut
		}
		_ = c.LeftOut()
		_ = c.Missing()
	})
}
