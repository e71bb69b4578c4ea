package main

import (
	"errors"
	"slices"
	"strings"

	"cardinal/tools/internal/workforce"
)

// world is what the directory must answer, made from the same seed as its
// entries.
type world struct {
	suffix   string
	people   []human
	places   []place
	prefixes []string // of so many digits that they begin the same number of people's uids
	found    int      // that number
}

// human is a person with the first of their positions and the roles in it.
type human struct {
	uid, position string
	values        int // of the person's attributes
	roles         int
	roleValues    int
	place         int
}

type place struct {
	dn     string
	values int
}

var errNobody = errors.New("a workforce needs people and organisations")

// newWorld makes the workforce anew and keeps of it what answers are judged by.
func newWorld(o workforce.Options) (*world, error) {
	w := &world{suffix: o.Suffix}
	byCode := map[string]int{}
	for e := range workforce.All(o) {
		rdn, _, _ := strings.Cut(e.DN, ",")
		kind, value, _ := strings.Cut(rdn, "=")
		switch depth := strings.Count(e.DN, ",") - strings.Count(o.Suffix, ","); {
		case kind == "uid":
			w.people = append(w.people, human{uid: value, values: valuesOf(e)})
		case depth == 2 && kind == "uniqueIdentifier" && strings.Contains(e.DN, ",ou=Organisations,"):
			byCode[value] = len(w.places)
			w.places = append(w.places, place{dn: e.DN, values: valuesOf(e)})
		case depth == 3:
			w.position(value, e, byCode)
		case depth == 4:
			w.role(e)
		}
	}
	if len(w.people) == 0 || len(w.places) == 0 {
		return nil, errNobody
	}
	w.choosePrefixes()
	return w, nil
}

func (w *world) position(id string, e workforce.Entry, places map[string]int) {
	h := &w.people[len(w.people)-1]
	if h.position != "" {
		return
	}
	h.position = id
	for _, a := range e.Attributes {
		if a.Type == "nhsIDCode" {
			h.place = places[a.Values[0]]
		}
	}
}

func (w *world) role(e workforce.Entry) {
	h := &w.people[len(w.people)-1]
	if strings.Contains(e.DN, ",uniqueIdentifier="+h.position+",") {
		h.roles++
		h.roleValues += valuesOf(e)
	}
}

func valuesOf(e workforce.Entry) (n int) {
	for _, a := range e.Attributes {
		n += len(a.Values)
	}
	return n
}

// prefixFinds is how many people a search by the beginning of a number finds,
// where the workforce is large enough.
const prefixFinds = 20

func (w *world) choosePrefixes() {
	for digits := 6; digits > 0; digits-- {
		counts := map[string]int{}
		for _, h := range w.people {
			counts[h.uid[:digits]]++
		}
		for prefix, n := range counts {
			switch {
			case n > prefixFinds || n < w.found:
				continue
			case n > w.found:
				w.found, w.prefixes = n, nil
			}
			w.prefixes = append(w.prefixes, prefix)
		}
	}
	slices.Sort(w.prefixes)
}

func (h *human) dn(suffix string) string { return "uid=" + h.uid + ",ou=People," + suffix }
