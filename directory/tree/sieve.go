package tree

import (
	"cardinal/directory"
	"cardinal/internal/journal"
)

// Sieve decides one filter for entries of any state of the copy, those of
// history too. It is for one goroutine.
type Sieve struct {
	tree     *Tree
	compiled *directory.Query
	query    query
}

// NewSieve makes a sieve of a filter; nil lets everything through.
func (t *Tree) NewSieve(f *directory.Filter) *Sieve {
	if f == nil {
		return &Sieve{tree: t}
	}
	return &Sieve{tree: t, compiled: t.schema.Compile(f)}
}

// Match decides the filter for who asks: what allow refuses is Undefined, what
// hide hides is not there. known is false for an entry of history that lacks an
// attribute the filter speaks of: then nobody can tell.
func (s *Sieve) Match(e *Entry, allow Allow, hide Hide) (truth directory.Truth, known bool) {
	if s.compiled == nil {
		return directory.True, true
	}
	if s.query.catalog != e.reader.catalog { // other numbers
		s.query = query{root: s.tree.newNode(s.compiled), catalog: e.reader.catalog}
	}
	s.query.allow, s.query.hide = allow, hide
	if s.query.lacks(s.query.root, e) {
		return directory.Undefined, false
	}
	return s.query.match(s.query.root, e), true
}

// Secrets returns the verifiers of the entry's attribute (userPassword) as
// they are now, also for an entry of history; nil if there are none. They must
// not be shown to anybody without the right to replicate.
func (e *Entry) Secrets(attribute string) ([][]byte, error) {
	if e.reader.secrets == nil {
		return nil, nil
	}
	return parseSecrets(e.reader.secrets.Get(secretKey(e.UUID(), attribute)))
}

// Visit shows the entries of these numbers as they are now, in this order; those
// that are gone are passed over. It returns how many numbers it got through
// before visit returned false.
func (t *Tree) Visit(ids []uint32, visit func(e *Entry) (more bool)) (done int, err error) {
	s, rd, err := t.open()
	if err != nil {
		return 0, err
	}
	defer s.Release()
	e := Entry{reader: rd}
	for _, id := range ids {
		done++
		rec := rd.get(id)
		if rec == nil {
			continue
		}
		e.ID = id
		if err := e.parse(rec); err != nil {
			return done, err
		}
		if !visit(&e) {
			break
		}
	}
	return done, nil
}

// Raised is the entry with the change sequence number of a place, unless its own
// is later.
func (e *Entry) Raised(to Point) *Entry {
	if told := e.reader.told(Point{Position: journal.Position(e.head.position), Micro: e.head.micro}); told.Micro > to.Micro {
		return e
	}
	x := *e
	x.head.position, x.head.micro = max(uint64(to.Position), e.head.position), to.Micro
	return &x
}

// Preliminary is the entry with a change sequence number just before its own.
func (e *Entry) Preliminary() *Entry {
	x := *e
	x.head.position--
	return &x
}
