package tree

import (
	"bytes"
	"strconv"
	"time"

	"cardinal/directory"
)

// Cards tells what became of a certificate, by its DER, as OCSP would answer
// at this instant. It must not wait.
type Cards interface {
	Standing(der []byte) directory.Standing
}

// card is what was worked out about an entry, kept while the entry is looked
// at: its attributes all follow from it.
type card struct {
	class  class
	active bool // of a role
	done   bool // card, or active, is worked out
	card   directory.Card
	room   [32]byte // for the values that are made of it
}

// class is what kind of entry it is to who signs in.
type class uint8

const (
	classUnknown class = iota
	classPerson
	classRole
	classOther
)

// named are the name and the OID of an object class.
type named [2][]byte

// names reports whether a value of objectClass is the class.
func (n named) names(v []byte) bool {
	return len(v) > 0 && (bytes.EqualFold(v, n[0]) || bytes.Equal(v, n[1]))
}

// signIn computes what a relying system reads of a person at a login.
type signIn struct {
	cards       Cards
	now         func() time.Time
	london      *time.Location
	person      named
	role        named
	classes     directory.Description
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
	class := func(name string) named {
		if c := schema.Class(name); c != nil {
			return named{[]byte(c.Name()), []byte(c.OID)}
		}
		return named{} // and no entry can be of it
	}
	s.person, s.role = class("nhsPerson"), class("nhsOrgPersonRole")
	s.classes, _ = schema.Describe("objectClass")
	s.certificate, _ = schema.Describe("userCertificate")
	s.closes, _ = schema.Describe("nhsOrgCloseDate")
	return []Computed{
		{Name: "cardStatus", Values: s.cardStatus},
		{Name: "certificateNotAfter", Values: s.notAfter},
		{Name: "certificateExpiresInDays", Values: s.expiresInDays},
		{Name: "roleActive", Values: s.roleActive},
	}, nil
}

// classOf looks at an entry's object classes, once.
func (s *signIn) classOf(e *Entry) class {
	if e.card.class == classUnknown {
		e.card.class = classOther
		e.EachOf(s.classes, func(v []byte) bool {
			switch {
			case s.person.names(v):
				e.card.class = classPerson
			case s.role.names(v):
				e.card.class = classRole
			}
			return e.card.class == classOther
		})
	}
	return e.card.class
}

// cardOf judges the certificates of a person, once; nil for other entries.
func (s *signIn) cardOf(e *Entry) *directory.Card {
	if s.classOf(e) != classPerson {
		return nil
	}
	c := &e.card
	if !c.done {
		c.done, c.card = true, directory.Card{}
		if s.cards != nil {
			e.EachOf(s.certificate, func(der []byte) bool {
				c.card.Add(s.cards.Standing(der))
				return true
			})
		}
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
	return append(into, octets(status)), true
}

func (s *signIn) notAfter(e *Entry, into [][]byte) ([][]byte, bool) {
	c := s.cardOf(e)
	if c == nil || c.NotAfter.IsZero() {
		return into, s.cards != nil
	}
	return append(into, c.NotAfter.UTC().AppendFormat(e.card.room[:0:16], "20060102150405Z")), true
}

func (s *signIn) expiresInDays(e *Entry, into [][]byte) ([][]byte, bool) {
	c := s.cardOf(e)
	if c == nil || c.NotAfter.IsZero() {
		return into, s.cards != nil
	}
	return append(into, strconv.AppendInt(e.card.room[16:16:32], int64(directory.DaysUntil(c.NotAfter, s.now(), s.london)), 10)), true
}

// roleActive reads every close date there is: one that has come closes the
// role. It does not look at the entries above: relying systems keep a role in
// an organisation whose own close date has passed.
func (s *signIn) roleActive(e *Entry, into [][]byte) ([][]byte, bool) {
	if s.classOf(e) != classRole {
		return into, true
	}
	if c := &e.card; !c.done {
		c.done, c.active = true, true
		e.EachOf(s.closes, func(v []byte) bool {
			c.active = len(v) > 0 && directory.RoleActive(string(v), s.now(), s.london)
			return c.active
		})
	}
	if e.card.active {
		return append(into, octets("TRUE")), true
	}
	return append(into, octets("FALSE")), true
}
