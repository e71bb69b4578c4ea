package tree

import (
	"strconv"
	"time"

	"cardinal/directory"
)

// Cards tells what became of a certificate, by its DER, as OCSP would answer
// at this instant. It must not wait.
type Cards interface {
	Standing(der []byte) directory.Standing
}

// card is what was worked out about the card of an entry, kept while the entry
// is looked at: its attributes all follow from it.
type card struct {
	done   bool
	person bool
	card   directory.Card
}

// signIn computes what a relying system reads of a person at a login.
type signIn struct {
	cards       Cards
	now         func() time.Time
	london      *time.Location
	person      *directory.Query
	role        *directory.Query
	certificate directory.Description
	closes      directory.Description
}

// SignIn are the attributes a relying system reads at a login: of persons
// (nhsPerson) cardStatus, certificateNotAfter and certificateExpiresInDays,
// of role profiles (nhsOrgPersonRole) roleActive. Days are London's. Without
// cards nothing is known of any card.
func SignIn(schema *directory.Schema, cards Cards, now func() time.Time) ([]Computed, error) {
	s := &signIn{cards: cards, now: now}
	var err error
	if s.london, err = directory.London(); err != nil {
		return nil, err
	}
	class := func(name string) *directory.Query {
		return schema.Compile(&directory.Filter{Kind: directory.FilterEquality, Attr: "objectClass", Value: []byte(name)})
	}
	s.person, s.role = class("nhsPerson"), class("nhsOrgPersonRole")
	s.certificate, _ = schema.Describe("userCertificate")
	s.closes, _ = schema.Describe("nhsOrgCloseDate")
	return []Computed{
		{Name: "cardStatus", Values: s.cardStatus},
		{Name: "certificateNotAfter", Values: s.notAfter},
		{Name: "certificateExpiresInDays", Values: s.expiresInDays},
		{Name: "roleActive", Values: s.roleActive},
	}, nil
}

// cardOf judges the certificates of a person; nil for other entries.
func (s *signIn) cardOf(e *Entry) *directory.Card {
	c := &e.card
	if !c.done {
		*c = card{done: true, person: e.Match(s.person) == directory.True}
		if c.person && s.cards != nil {
			e.EachOf(s.certificate, func(der []byte) bool {
				c.card.Add(s.cards.Standing(der))
				return true
			})
		}
	}
	if !c.person {
		return nil
	}
	return &c.card
}

func (s *signIn) cardStatus(e *Entry, into [][]byte) ([][]byte, bool) {
	c := s.cardOf(e)
	if c == nil {
		return into, true
	}
	status, known := c.Status(s.now())
	if !known || s.cards == nil {
		return into, false
	}
	return append(into, []byte(status)), true
}

func (s *signIn) notAfter(e *Entry, into [][]byte) ([][]byte, bool) {
	c := s.cardOf(e)
	if c == nil || c.NotAfter.IsZero() {
		return into, s.cards != nil
	}
	return append(into, c.NotAfter.UTC().AppendFormat(nil, "20060102150405Z")), true
}

func (s *signIn) expiresInDays(e *Entry, into [][]byte) ([][]byte, bool) {
	c := s.cardOf(e)
	if c == nil || c.NotAfter.IsZero() {
		return into, s.cards != nil
	}
	return append(into, strconv.AppendInt(nil, int64(directory.DaysUntil(c.NotAfter, s.now(), s.london)), 10)), true
}

// roleActive reads every close date there is: one that has come closes the
// role. It does not look at the entries above: relying systems keep a role in
// an organisation whose own close date has passed.
func (s *signIn) roleActive(e *Entry, into [][]byte) ([][]byte, bool) {
	if e.Match(s.role) != directory.True {
		return into, true
	}
	active := true
	e.EachOf(s.closes, func(v []byte) bool {
		active = len(v) > 0 && directory.RoleActive(string(v), s.now(), s.london)
		return active
	})
	if active {
		return append(into, []byte("TRUE")), true
	}
	return append(into, []byte("FALSE")), true
}
