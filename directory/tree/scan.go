package tree

import (
	"slices"

	"cardinal/directory"
)

// Scope is how far below the base a search goes (RFC 4511 §4.5.1.2; the
// fourth is draft-sermersheim-ldap-subordinate-scope). The numbers are the
// wire's.
type Scope uint8

// The scopes.
const (
	ScopeBase        Scope = 0
	ScopeOneLevel    Scope = 1
	ScopeSubtree     Scope = 2
	ScopeSubordinate Scope = 3
)

// Request is what a Scan looks for.
type Request struct {
	Base   directory.Key
	Scope  Scope
	Filter *directory.Filter // nil: every entry
	Allow  Allow             // nil: everything may be used in the filter
	Hide   Hide              // nil: every value is there
	After  uint32            // only entries with a higher number: where a page before this one ended
	// Refer: entries of KindReferral are held elsewhere (RFC 3296). A base at or
	// below one fails with *Referred, and they are not among the answers. Without
	// it they are entries, and only a name that is not there below one fails so.
	Refer bool
	// MaxCandidates bounds how many entries are tested; 0 means no bound.
	MaxCandidates int
	// Enough is how many entries are taken at most: then they may come in any
	// order, and a search need not find out how many more there are. 0: all.
	Enough int
}

// Scan is a search in progress. It goes in steps; between two steps it holds
// nothing of the store, and a step sees the copy as it is then: entries that
// moved away or changed meanwhile are tested again as they are. Entries come
// in the order of their numbers, unless Request.Enough lets them come in another.
// A Scan is for one goroutine at a time.
type Scan struct {
	tree    *Tree
	request Request
	query   query
	base    uint32
	planned bool
	put     bool // the choice of candidates was put off once
	refers  bool // there are referrals
	left    candidates
	next    int       // in left.ids
	slice   *slice64k // of left.set, the one s.upper names
	upper   int
	last    uint32
	tested  int
	seen    map[uint32]struct{} // before the search went on in another way
	having  having
	room    *scanRoom
}

// scanRoom is memory a Scan leaves to the one after it.
type scanRoom struct {
	few     [scopeProbe + 1]uint32 // small sets of candidates
	nodes   nodeRoom
	queries directory.QueryRoom
	entry   Entry // what is shown
}

// Step goes on until visit wants to stop, at most budget entries were tested,
// or the search is at its end, and reports which. Budget 0 means no bound.
// The first Step fails with *NoSuchBase if there is no entry at the base. To
// find out which entries to look at may cost more than the budget: then a first
// Step only finds that out, and the one after it does what it takes.
func (s *Scan) Step(budget int, visit func(e *Entry) (more bool)) (done bool, err error) {
	snapshot, rd, err := s.tree.open()
	if err != nil {
		return false, err
	}
	defer snapshot.Release()
	return s.stepIn(rd, budget, visit)
}

// stepIn is Step in the snapshot of a reader.
func (s *Scan) stepIn(rd *reader, budget int, visit func(e *Entry) (more bool)) (done bool, err error) {
	s.query.catalog = rd.catalog
	if !s.planned {
		if err := s.plan(rd, budget); err != nil || !s.planned {
			return false, err
		}
	}
	e := &s.room.entry
	e.reader = rd
	defer func() { e.reader = nil }()
	for n := 0; ; n++ {
		if budget > 0 && n >= budget {
			return false, nil
		}
		id, rec := s.following(rd)
		if id == 0 {
			return true, nil
		}
		if s.tested++; s.request.MaxCandidates > 0 && s.tested > s.request.MaxCandidates {
			return false, ErrTooManyCandidates
		}
		e.ID = id
		if err := e.parse(rec); err != nil {
			return false, err
		}
		if s.fits(rd, e) && !visit(e) {
			return false, nil
		}
	}
}

// Last is the number of the last entry looked at: what Request.After takes to
// go on behind it.
func (s *Scan) Last() uint32 { return s.last }

// Tested is how many entries have been tested so far.
func (s *Scan) Tested() int { return s.tested }

// Unindexed reports whether the search goes through every entry by number,
// because neither an index nor its scope makes the candidates few. It is known
// after the first Step.
func (s *Scan) Unindexed() bool { return s.left.all }

// following gives the next candidate that exists.
func (s *Scan) following(rd *reader) (uint32, record) {
	if s.left.along != nil {
		if id, rec := s.followingRanged(rd); id != 0 || s.left.along.ended {
			return id, rec
		}
		s.leave(rd)
	}
	for {
		id, rec := s.followingUsual(rd)
		if _, again := s.seen[id]; !again {
			return id, rec
		}
	}
}

// followingUsual gives the next candidate in the order of numbers.
func (s *Scan) followingUsual(rd *reader) (uint32, record) {
	if s.left.all {
		return s.followingAny(rd)
	}
	if s.left.set != nil {
		return s.followingSliced(rd)
	}
	for s.next < len(s.left.ids) {
		id := s.left.ids[s.next]
		s.next++
		s.last = id
		if len(s.left.ids) > scopeProbe && !s.may(rd, id) {
			continue
		}
		if rec := rd.get(id); rec != nil {
			return id, rec
		}
	}
	return 0, nil
}

// followingSliced gives the next candidate of a set that is made as it goes.
func (s *Scan) followingSliced(rd *reader) (uint32, record) {
	for at := s.last + 1; at != 0 && at <= rd.last; {
		if upper := int(at >> 16); s.slice == nil || s.upper != upper {
			if s.slice == nil {
				s.slice = &slice64k{}
			}
			s.upper = upper
			p := &rd.planned
			p.rd = rd
			p.slice(s.left.set, uint16(upper), s.slice)
		}
		low, ok := s.slice.following(at & 0xFFFF)
		if !ok {
			at = (at>>16 + 1) << 16
			continue
		}
		s.last = at&^0xFFFF | uint32(low)
		if s.may(rd, s.last) {
			if rec := rd.get(s.last); rec != nil {
				return s.last, rec
			}
		}
		at = s.last + 1
	}
	return 0, nil
}

func (s *Scan) inScope(rd *reader, e *Entry) bool {
	switch s.request.Scope {
	case ScopeBase:
		return e.ID == s.base
	case ScopeOneLevel:
		return e.head.parent == s.base
	case ScopeSubordinate:
		return rd.isUnder(e.head.parent, s.base)
	}
	return e.ID == s.base || rd.isUnder(e.head.parent, s.base)
}

// plan decides which entries are looked at, unless that costs more than a first
// step with the budget may.
func (s *Scan) plan(rd *reader, budget int) error {
	if s.refers = s.request.Refer && len(rd.of(KindReferral).ids) > 0; s.refers {
		if at := rd.referral(s.request.Base); at != "" {
			return &Referred{Key: at}
		}
	}
	base, ancestor := rd.lookup(s.request.Base)
	if base == 0 {
		if at := rd.referral(s.request.Base); at != "" {
			return &Referred{Key: at}
		}
		return noSuchBase(rd, ancestor)
	}
	s.base, s.last = base, s.request.After
	if s.request.Filter != nil {
		s.query.root = s.tree.nodeIn(&s.room.nodes, s.tree.schema.CompileIn(&s.room.queries, s.request.Filter))
	}
	if s.put {
		budget = 0
	}
	if s.left, s.planned = s.choose(rd, budget); !s.planned {
		s.put = true
		return nil
	}
	if s.request.After > 0 {
		i, found := slices.BinarySearch(s.left.ids, s.request.After)
		if found {
			i++
		}
		s.next = i
	}
	return nil
}

// choose finds the candidates. ok is false if that costs more than looking at as
// many entries as the budget says; budget 0 means no bound.
func (s *Scan) choose(rd *reader, budget int) (c candidates, ok bool) {
	if s.request.Scope == ScopeBase {
		return candidates{ids: append(s.room.few[:0], s.base)}, true
	}
	p := s.planner(rd, budget)
	if s.query.root != nil {
		if n := s.tree.finding(s.query.root); n != nil {
			return candidates{ids: p.exact(n, s.room.few[:0])}, true
		}
	}
	if ids, whole := s.walk(rd, scopeProbe); whole {
		return candidates{ids: ids}, true
	}
	along := s.ranging(p)
	if budget > 0 && p.budget < 0 {
		return candidates{}, false
	}
	if along != nil {
		return candidates{along: along}, true
	}
	return s.usual(rd, s.planner(rd, budget), budget)
}

func (s *Scan) planner(rd *reader, budget int) *planner {
	p := &rd.planned
	p.rd, p.indexed, p.budget = rd, s.tree.indexed, countChunks
	if budget > 0 {
		p.budget = min(p.budget, chunksEach*budget)
	}
	return p
}

// usual chooses candidates that come in the order of their numbers, within a
// budget as choose.
func (s *Scan) usual(rd *reader, p *planner, budget int) (c candidates, ok bool) {
	size := -1
	if s.query.root != nil {
		size = p.estimate(s.query.root, countChunks<<16)
	}
	most := s.tree.walkMost
	if size >= 0 {
		most = min(size, most)
	}
	much := budget > 0 && (most > budget || p.budget < 0)
	if much {
		most = min(most, budget)
	}
	if size < 0 || size > scopeProbe {
		if ids, whole := s.walk(rd, most); whole {
			return candidates{ids: ids}, true
		}
	}
	if much {
		return candidates{}, false
	}
	return s.amongAll(p, size), true
}

// amongAll chooses candidates by the filter alone, which proposes so many; -1 if
// no index helps.
func (s *Scan) amongAll(p *planner, size int) candidates {
	if size >= 0 && size <= s.tree.gatherMost {
		if ids, ok := p.collect(s.query.root); ok {
			return candidates{ids: ids}
		}
	}
	if s.query.root != nil {
		if set := p.slicedOf(s.query.root, s.request.Hide != nil, 0); set != nil {
			return candidates{set: set}
		}
	}
	return candidates{all: true}
}

// walk lists the scope if it holds at most the given number of entries, and
// perhaps a few that are not in it. The numbers come back ascending.
func (s *Scan) walk(rd *reader, most int) (ids []uint32, whole bool) {
	var room [scopeProbe]uint32
	stack := room[:0]
	ids = s.room.few[:0]
	if s.request.Scope == ScopeSubtree {
		ids = append(ids, s.base)
	}
	stack = append(stack, s.base)
	for len(stack) > 0 {
		parent := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if out, known := rd.listBelow(parent, ids); known {
			if s.request.Scope != ScopeOneLevel {
				stack = append(stack, out[len(ids):]...)
			}
			if ids = out; len(ids) > most {
				return nil, false
			}
			continue
		}
		full := false
		rd.each(parent, nil, func(_ []byte, id uint32) bool {
			if len(ids) >= most {
				full = true
				return false
			}
			ids = append(ids, id)
			if s.request.Scope != ScopeOneLevel {
				stack = append(stack, id)
			}
			return true
		})
		if full {
			return nil, false
		}
	}
	return ascending(ids), true // one that moved may be listed twice
}
