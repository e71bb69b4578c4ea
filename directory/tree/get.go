package tree

import (
	"errors"

	"cardinal/directory"
)

// ErrTooManyCandidates: a search tested as many entries as its request allows.
var ErrTooManyCandidates = errors.New("the search tests too many entries")

// NoSuchBase says that there is no entry of the name asked for, and which is
// the deepest one above it that exists.
type NoSuchBase struct {
	Matched     string // RFC 4514, "" if none
	MatchedUUID directory.UUID
}

// Error says that there is no such entry.
func (e *NoSuchBase) Error() string { return "no such entry" }

func noSuchBase(rd *reader, ancestor uint32) error {
	out := &NoSuchBase{}
	if ancestor == 0 {
		return out
	}
	e := Entry{reader: rd, ID: ancestor}
	if err := e.parse(rd.get(ancestor)); err != nil {
		return err
	}
	text, err := e.AppendDN(nil)
	out.Matched, out.MatchedUUID = string(text), e.UUID()
	if err != nil {
		return err
	}
	return out
}

// Open prepares a search. It does no work yet.
func (t *Tree) Open(r Request) *Scan { return t.Reopen(nil, r) }

// Reopen is Open in the memory of a Scan that has ended, or of none.
func (t *Tree) Reopen(s *Scan, r Request) *Scan {
	if s == nil {
		s = &Scan{room: &scanRoom{}}
	}
	*s = Scan{tree: t, request: r, query: query{allow: r.Allow, hide: r.Hide}, room: s.room}
	return s
}

// Get shows the entry of a name to visit; *NoSuchBase if there is none.
func (t *Tree) Get(key directory.Key, visit func(e *Entry) error) error {
	s, rd, err := t.open()
	if err != nil {
		return err
	}
	defer s.Release()
	id, ancestor := rd.lookup(key)
	if id == 0 {
		return noSuchBase(rd, ancestor)
	}
	e := Entry{reader: rd, ID: id}
	if err := e.parse(rd.get(id)); err != nil {
		return err
	}
	return visit(&e)
}

// Secrets returns the verifiers of an entry's attribute (userPassword), by
// its UUID; nil if there are none.
func (t *Tree) Secrets(uuid directory.UUID, attribute string) ([][]byte, error) {
	s, rd, err := t.open()
	if err != nil {
		return nil, err
	}
	defer s.Release()
	if rd.secrets == nil {
		return nil, nil
	}
	return parseSecrets(rd.secrets.Get(secretKey(uuid, attribute)))
}
