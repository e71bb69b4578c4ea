package sorter

import (
	"cmp"
	"slices"
)

// sortHeads orders items by the octets of their heads from the one at shift
// down; those above are equal. Items that stand in order already, as those of a
// source that is sorted do, are looked at once.
func sortHeads(items []item, shift int) {
	if inOrder(items) {
		return
	}
	for ; len(items) >= fewHeads && shift >= 0; shift -= 8 {
		var ends [256]int
		for i := range items {
			ends[byte(items[i].head>>shift)]++
		}
		if ends[byte(items[0].head>>shift)] == len(items) {
			continue // all have the same octet: the next one decides
		}
		sortParts(items, &ends, shift)
		return
	}
	if shift >= 0 {
		slices.SortFunc(items, func(a, b item) int { return cmp.Compare(a.head, b.head) })
	}
}

func inOrder(items []item) bool {
	for i := 1; i < len(items); i++ {
		if items[i].head < items[i-1].head {
			return false
		}
	}
	return true
}

// sortParts moves items to the part of their octet, given how many there are of
// each, and orders the parts.
func sortParts(items []item, ends *[256]int, shift int) {
	var next [256]int // of each part, the first place that is not settled
	at := 0
	for octet, n := range ends {
		next[octet] = at
		at += n
		ends[octet] = at
	}
	for octet := range ends {
		for next[octet] < ends[octet] {
			settle(items, &next, shift, byte(octet))
		}
	}
	from := 0
	for _, end := range ends {
		if end-from > 1 && shift > 0 {
			sortHeads(items[from:end], shift-8)
		}
		from = end
	}
}

// settle moves the first item of a part that is not settled to its own part,
// the one in its place to its own, and so on until one comes for the part.
func settle(items []item, next *[256]int, shift int, part byte) {
	it := items[next[part]]
	for {
		to := byte(it.head >> shift)
		place := next[to]
		next[to]++
		if to == part {
			items[place] = it
			return
		}
		it, items[place] = items[place], it
	}
}
