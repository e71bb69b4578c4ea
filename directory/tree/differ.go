package tree

import (
	"unsafe"

	"cardinal/directory"
)

// differing parts two lists of attributes into what only the first and only
// the second holds, so that a change to one value of a large group costs no
// look at the others' index keys. An attribute that stands under several
// descriptions (cn and cn;lang-en) is given whole: a value may be in both.
func differing(before, after []directory.Attribute) (gone, come []directory.Attribute) {
	for i := range before {
		a := &before[i]
		if b := sole(after, a.Type); b != nil && sole(before, a.Type) != nil {
			gone = appendMissing(gone, a, b)
		} else {
			gone = append(gone, *a)
		}
	}
	for i := range after {
		b := &after[i]
		if a := sole(before, b.Type); a != nil && sole(after, b.Type) != nil {
			come = appendMissing(come, b, a)
		} else {
			come = append(come, *b)
		}
	}
	return gone, come
}

// sole is the attribute of exactly this description if no other description
// of its type is there.
func sole(list []directory.Attribute, description string) (found *directory.Attribute) {
	typ, _ := directory.SplitDescription(description)
	n := 0
	for i := range list {
		if other, _ := directory.SplitDescription(list[i].Type); other == typ {
			n++
			found = &list[i]
		}
	}
	if n != 1 || found.Type != description {
		return nil
	}
	return found
}

// appendMissing appends the values of a that are not, octet for octet, in b.
func appendMissing(out []directory.Attribute, a, b *directory.Attribute) []directory.Attribute {
	if len(a.Values) == len(b.Values) && unsafe.SliceData(a.Values) == unsafe.SliceData(b.Values) {
		return out
	}
	there := make(map[string]bool, len(b.Values))
	for _, v := range b.Values {
		there[string(v)] = true
	}
	left := directory.Attribute{Type: a.Type}
	for _, v := range a.Values {
		if !there[string(v)] {
			left.Values = append(left.Values, v)
		}
	}
	if left.Values == nil {
		return out
	}
	return append(out, left)
}
