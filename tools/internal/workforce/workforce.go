// Package workforce makes people who do not exist: a workforce in the NHS
// directory tree, with organisations, people with one to four roles, and the
// entries above them. The same seed and numbers give the same entries, byte
// for byte; every 12-digit number is unique within a workforce. Entries come
// parents first, so that they can be added in order, and in the form LDIF
// carries (RFC 2849).
package workforce

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"time"
)

// Options say how large a workforce is and where it hangs. The zero value
// gives 10,000 people in 500 organisations below o=nhs, with seed 0.
type Options struct {
	People        int
	Organisations int
	Seed          uint64
	Suffix        string
	Today         time.Time // roles opened before, some closed before; default 2026-01-01
}

func (o Options) withDefaults() Options {
	if o.People == 0 {
		o.People = 10_000
	}
	if o.Organisations == 0 {
		o.Organisations = 500
	}
	if o.Suffix == "" {
		o.Suffix = "o=nhs"
	}
	if o.Today.IsZero() {
		o.Today = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return o
}

// Entry is one directory entry: a DN and its attributes in order.
type Entry struct {
	DN         string
	Attributes []Attribute
}

// Attribute is one type with its values.
type Attribute struct {
	Type   string
	Values []string
}

func (e *Entry) add(kind string, values ...string) {
	e.Attributes = append(e.Attributes, Attribute{kind, values})
}

// All gives every entry, parents first.
func All(o Options) iter.Seq[Entry] {
	o = o.withDefaults()
	return func(yield func(Entry) bool) {
		for e := range base(o.Suffix) {
			if !yield(e) {
				return
			}
		}
		orgs := organisations(o)
		for _, org := range orgs {
			if !yield(org.entry(o)) {
				return
			}
		}
		for i := range o.People {
			for _, e := range person(o, orgs, i).entries(o) {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// Numbers gives the user ids of the workforce's people, in their order.
func Numbers(o Options) iter.Seq[string] {
	o = o.withDefaults()
	return func(yield func(string) bool) {
		for i := range o.People {
			if !yield(number(o.Seed, i, 0)) {
				return
			}
		}
	}
}

// base gives the entries everything else hangs below.
func base(suffix string) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		kind, value, _ := strings.Cut(suffix, "=")
		value, _, _ = strings.Cut(value, ",")
		class := map[string]string{"o": "organization", "ou": "organizationalUnit", "dc": "domain", "c": "country"}[strings.ToLower(kind)]
		top := Entry{DN: suffix}
		top.add("objectClass", "top", class)
		top.add(kind, value)
		if !yield(top) {
			return
		}
		for _, ou := range []string{"People", "Organisations", "Services", "ReferenceData"} {
			e := Entry{DN: "ou=" + ou + "," + suffix}
			e.add("objectClass", "top", "organizationalUnit")
			e.add("ou", ou)
			if !yield(e) {
				return
			}
		}
	}
}

// How numbers are laid out: each person has room for itself, four
// organisation-persons and four roles.
const (
	numberSpan   = 900_000_000_000 // 12 digits, the first not 0
	numberFirst  = 100_000_000_000
	numberStep   = 314_159_265_359 // shares no factor with the span, so the walk meets no number twice
	perPerson    = 16
	slotOrgFirst = 1
	slotRole     = 8
)

// number walks the 12-digit numbers in steps that scatter them: the k-th is
// unique for every k below the span.
func number(seed uint64, person, slot int) string {
	k := uint64(person)*perPerson + uint64(slot)
	// The product of two numbers below 2^40 overflows 64 bits: multiply in halves.
	high, low := k>>20, k&(1<<20-1)
	at := (high*numberStep%numberSpan<<20)%numberSpan + low*numberStep%numberSpan
	return fmt.Sprint(numberFirst + (at+seed%numberSpan)%numberSpan)
}

// chance gives the random numbers of the i-th thing of a kind, so that a
// larger workforce holds the smaller one's people unchanged.
func chance(seed uint64, kind, i int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(kind)<<48|uint64(i)))
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }
