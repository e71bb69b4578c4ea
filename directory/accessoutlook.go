package directory

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
)

// Outlook is a digest of all that decides what an identity may do: the rules
// as they were written, who he is, the groups and filters that fit him, and
// the rules that the manner of his coming keeps from him. With the same outlook
// he sees the same of the same entries.
func (r *Rules) Outlook(who *Identity) (digest [32]byte) {
	h := sha256.New()
	write := func(s string) {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(s))))
		h.Write([]byte(s))
	}
	write(string(r.text[:]))
	write(string(who.Key))
	write(who.Name)
	for _, g := range slices.Sorted(slices.Values(who.Groups)) {
		write(string(g))
	}
	for _, text := range slices.Sorted(maps.Keys(who.Facts)) {
		if who.Facts[text] {
			write("fact")
			write(text)
		}
	}
	if who.Root {
		write("root")
	}
	for _, x := range r.list {
		if !x.manner.fits(who) {
			write(x.name)
		}
	}
	return [32]byte(h.Sum(nil))
}

// Same reports whether two looks at the rules came to the same.
func (a *Access) Same(b *Access) bool { return a.root == b.root && slices.Equal(a.rules, b.rules) }
