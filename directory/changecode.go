package directory

import (
	"fmt"

	"cardinal/internal/journal"
)

// writer and reader add names, attributes and modifications to the journal's
// encoding of bodies.
type writer struct{ *journal.Encoder }

type reader struct{ *journal.Decoder }

func (w writer) rdn(r RDN) {
	w.AppendUint(uint64(len(r)))
	for _, a := range r {
		w.AppendString(a.Type)
		w.AppendBytes(a.Value)
	}
}

func (w writer) dn(d DN) {
	w.AppendUint(uint64(len(d)))
	for _, r := range d {
		w.rdn(r)
	}
}

// attribute writes an attribute; values listed as large for position i are
// written empty.
func (w writer) attribute(a *Attribute, i int, large []Large) {
	w.AppendString(a.Type)
	w.AppendUint(uint64(len(a.Values)))
	for j, v := range a.Values {
		if isLarge(large, i, j) {
			v = nil
		}
		w.AppendBytes(v)
	}
}

func isLarge(large []Large, i, j int) bool {
	for k := range large {
		if large[k].Attribute == i && large[k].Value == j {
			return true
		}
	}
	return false
}

func (w writer) mods(mods []Modification, large []Large) {
	w.AppendUint(uint64(len(mods)))
	for i := range mods {
		w.AppendUint(uint64(mods[i].Op))
		w.attribute(&mods[i].Attribute, i, large)
	}
}

func (w writer) large(large []Large) {
	w.AppendUint(uint64(len(large)))
	for i := range large {
		w.AppendUint(uint64(large[i].Attribute))
		w.AppendUint(uint64(large[i].Value))
		w.AppendHash(large[i].Content)
		w.AppendUint(uint64(large[i].Size))
	}
}

func (r reader) uuid() (u UUID) {
	copy(u[:], r.Fixed(16))
	return u
}

func (r reader) rdn() RDN {
	n := r.Count(2)
	if n == 0 || n > maxAVAs {
		r.Fail("number of values in an RDN")
		return nil
	}
	out := make(RDN, 0, n)
	for range n {
		out = append(out, AVA{Type: r.String(), Value: r.Bytes()})
	}
	return out
}

func (r reader) dn() DN {
	n := r.Count(3)
	if n > maxRDNs {
		r.Fail("number of RDNs")
		return nil
	}
	out := make(DN, 0, n)
	for range n {
		out = append(out, r.rdn())
	}
	return out
}

func (r reader) attribute() Attribute {
	a := Attribute{Type: r.String()}
	if n := r.Count(1); n > 0 {
		a.Values = make([][]byte, 0, n)
		for range n {
			a.Values = append(a.Values, r.Bytes())
		}
	}
	return a
}

func (r reader) mods() []Modification {
	n := r.Count(3)
	out := make([]Modification, 0, n)
	for range n {
		op := ModOp(r.UintMax(uint64(ModIncrement)))
		out = append(out, Modification{Op: op, Attribute: r.attribute()})
	}
	return out
}

// large reads the references and checks that each names a value that is there
// and empty.
func (r reader) large(attribute func(int) *Attribute) []Large {
	var out []Large
	for range r.Count(35) {
		l := Large{Attribute: int(r.UintMax(1 << 20)), Value: int(r.UintMax(1 << 20)), Content: r.Hash(),
			Size: int64(r.UintMax(1 << 40))}
		a := attribute(l.Attribute)
		if a == nil || l.Value >= len(a.Values) || len(a.Values[l.Value]) > 0 || isLarge(out, l.Attribute, l.Value) {
			r.Fail("a large value that is not there")
			return nil
		}
		out = append(out, l)
	}
	return out
}

func at(a []Attribute, i int) *Attribute {
	if i >= len(a) {
		return nil
	}
	return &a[i]
}

func (r reader) done(what string) error {
	if err := r.End(); err != nil {
		return fmt.Errorf("parsing %s: %w", what, err)
	}
	return nil
}
