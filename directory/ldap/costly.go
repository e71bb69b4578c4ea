package ldap

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"cardinal/directory"
	"cardinal/directory/tree"
)

// A search is costly when it looked at so many entries more than it returned:
// then an index would have helped, or the question is too wide.
const costlyFrom = 256

// maxCostly bounds the forms of costly searches that are remembered. A new one
// takes the place of the cheapest.
const maxCostly = 128

// costly remembers the forms of searches that cost much, never their values.
type costly struct {
	searches atomic.Uint64
	tested   atomic.Uint64

	mu    sync.Mutex
	forms map[string]*CostlySearch
}

// CostlySearch is one form of costly searches and what they cost.
type CostlySearch struct {
	Suffix   string   `json:"suffix"`
	Scope    string   `json:"scope"`
	Filter   string   `json:"filter"` // values replaced by ?
	Count    uint64   `json:"count"`
	Tested   uint64   `json:"tested"`   // entries looked at
	Returned uint64   `json:"returned"` // entries returned
	Index    []string `json:"index"`    // attributes that would have to be indexed; none if that would not help
}

// note takes a search that has ended into account.
func (q *searching) note() {
	if q.scan == nil {
		return
	}
	tested := q.scan.Tested()
	counts := q.conn.counts
	counts.tested.Add(uint64(tested))
	if q.sent > 0 {
		counts.entries.Add(uint64(q.sent))
	}
	if tested-q.sent >= costlyFrom {
		q.conn.server.costly.note(q, tested)
	}
}

func (c *costly) note(q *searching, tested int) {
	c.searches.Add(1)
	c.tested.Add(uint64(tested))
	t := q.conn.server.config.Tree
	x := CostlySearch{Suffix: q.conn.server.suffixOf(q.base), Scope: scopeName(q.scope), Filter: t.Shape(q.filter)}
	key := x.Suffix + "\x00" + x.Scope + "\x00" + x.Filter
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.forms[key]
	if known == nil {
		x.Index = t.Lacking(q.filter)
		known = &x
		c.make(key, known)
	}
	known.Count++
	known.Tested += uint64(tested)
	known.Returned += uint64(q.sent)
}

func (c *costly) make(key string, x *CostlySearch) {
	if c.forms == nil {
		c.forms = map[string]*CostlySearch{}
	}
	if len(c.forms) >= maxCostly {
		cheapest := ""
		for k, f := range c.forms {
			if cheapest == "" || f.Tested < c.forms[cheapest].Tested {
				cheapest = k
			}
		}
		delete(c.forms, cheapest)
	}
	c.forms[key] = x
}

// Costly are the forms of searches that looked at many more entries than they
// returned, those that cost most first, at most so many. Values of filters are
// never kept, and of names only the suffix.
func (s *Server) Costly(most int) []CostlySearch {
	s.costly.mu.Lock()
	defer s.costly.mu.Unlock()
	out := make([]CostlySearch, 0, len(s.costly.forms))
	for _, f := range s.costly.forms {
		out = append(out, *f)
	}
	slices.SortFunc(out, func(a, b CostlySearch) int {
		return cmp.Or(cmp.Compare(b.Tested, a.Tested), cmp.Compare(a.Filter, b.Filter), cmp.Compare(a.Scope, b.Scope))
	})
	return out[:min(most, len(out))]
}

// suffixOf is the suffix a name lies in, as it is configured.
func (s *Server) suffixOf(key directory.Key) string {
	for i := range s.suffixes {
		if s.suffixes[i].key.Contains(key) {
			return s.suffixes[i].text
		}
	}
	return ""
}

func scopeName(s tree.Scope) string {
	switch s {
	case tree.ScopeBase:
		return "base"
	case tree.ScopeOneLevel:
		return "one"
	case tree.ScopeSubordinate:
		return "children"
	}
	return "sub"
}
