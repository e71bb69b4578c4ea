package directory

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
)

// Outlook is a digest of all that decides what an identity may do: who he is,
// and in their order the rules that can fit him, whatever their names and
// wherever in a file they stand. With the same outlook he may do the same with
// the same entries, also under rules that were changed for others. The digest
// stays the same over restarts as long as the schema does.
func (r *Rules) Outlook(who *Identity) (digest [32]byte) {
	h := sha256.New()
	write := func(s string) {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(s))))
		h.Write([]byte(s))
	}
	write(string(who.Key))
	write(who.Name)
	if who.Root {
		write("root")
		return [32]byte(h.Sum(nil))
	}
	for _, x := range r.list {
		if x.manner.fits(who) && x.fitsSomewhere(who) {
			write(string(x.text[:]))
		}
	}
	return [32]byte(h.Sum(nil))
}

// fitsSomewhere reports whether there can be an entry at which the rule speaks
// of an identity.
func (x *rule) fitsSomewhere(who *Identity) bool {
	return slices.ContainsFunc(x.who, func(s subject) bool {
		return s.fits(who, who.Key) || x.deny && s.unasked(who)
	})
}

// ruleDigest is that of a rule as it was written, but for its name. given are
// its keys: an empty value is not the same as none.
func ruleDigest(given []string, written any) [32]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%q %#v", slices.Sorted(slices.Values(given)), written))
}

// Same reports whether two looks at the rules came to the same.
func (a *Access) Same(b *Access) bool { return a.root == b.root && slices.Equal(a.rules, b.rules) }
