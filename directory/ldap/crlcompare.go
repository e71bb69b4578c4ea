package ldap

import (
	"context"
	"errors"
	"time"

	"cardinal/directory"
	"cardinal/internal/ber"
)

// namesList reports whether a Compare is about a revocation list or what stands
// above one. Lists are read from the copy by the megabyte, so it is answered
// beside the connection.
func (c *conn) namesList(m *message) bool {
	if c.server.config.Lists == nil {
		return false
	}
	b := ber.NewReader(m.body)
	name, err := b.Expect(ber.OctetString)
	if err != nil {
		return false
	}
	key, err := c.keyOf(name)
	return err == nil && c.server.root.listsKey.Contains(key)
}

// listCompare is a Compare at or below ListsDN.
type listCompare struct {
	asker
	turn  *turn
	key   directory.Key
	f     *directory.Filter
	d     directory.Description
	place listPlace
	late  time.Time
	above string // the lowest entry above that the client may know of
	depth int
	r     result // success: it was not found
}

// compareList answers as a search for the same assertion would: however old the
// copy is, with an error for a list that should be here and is not, or that is
// too long, and by the attribute's equality rule (certificateListExactMatch, RFC
// 4523 §2.5: issuer and thisUpdate, given as such or as a whole list).
func (c *conn) compareList(ctx context.Context, t *task, m *message, with controls) result {
	if with.assertion != nil {
		return refuse(directory.UnavailableCriticalExtension, "nothing is asserted of what is in no suffix")
	}
	l := &listCompare{turn: &t.turn, place: listPlace{places: c.server.lists}, late: time.Now().Add(c.server.config.Limits.Time)}
	defer l.place.release()
	err := l.read(c, m, &with)
	if err == nil && l.r.code == directory.Success {
		err = c.server.listEntries(l.key, func(e listEntry) error { return l.visit(ctx, e) })
	}
	switch {
	case errors.Is(err, ErrNoList):
		return refuse(directory.Unavailable, err.Error())
	case err != nil:
		return c.resultOf(err)
	case l.r.code == directory.Success:
		return result{code: directory.NoSuchObject, matched: l.above}
	}
	return l.r
}

// read takes in the request; r then says what cannot be decided of any entry.
func (l *listCompare) read(c *conn, m *message, with *controls) error {
	name, f, err := readCompare(m)
	if err != nil {
		return err
	}
	if l.key, err = c.keyOf(name); err != nil {
		return err
	}
	if l.asker, err = c.asks(m, with); err != nil {
		return err
	}
	l.f = f
	l.d, l.r = l.comparable(f)
	return nil
}

func (l *listCompare) visit(ctx context.Context, e listEntry) error {
	key, grant := e.view.Key(), l.grantOutside(e.view)
	if !grant.Allows(nil, directory.RightRead) {
		return nil
	}
	if key.Contains(l.key) && key != l.key && len(e.DN) > l.depth {
		l.above, l.depth = e.DN.String(), len(e.DN)
	}
	if key != l.key {
		return nil
	}
	if !grant.Allows(l.d.Type, directory.RightCompare) {
		l.r.code = directory.NoSuchAttribute
		return nil
	}
	if err := l.fill(ctx, e); err != nil {
		return err
	}
	schema := l.server.schema
	switch present := (&directory.Filter{Kind: directory.FilterPresent, Attr: l.f.Attr}); {
	case schema.Match(present, e.Entry) != directory.True:
		l.r.code = directory.NoSuchAttribute
	case schema.Match(l.f, e.Entry) == directory.True:
		l.r.code = directory.CompareTrue
	default:
		l.r.code = directory.CompareFalse
	}
	return nil
}

// fill reads the lists the assertion speaks of.
func (l *listCompare) fill(ctx context.Context, e listEntry) error {
	if e.point == nil {
		return nil
	}
	for i := range e.point.Values {
		v := &e.point.Values[i]
		if d, ok := l.server.schema.Describe(v.Attribute); !ok || !l.d.Covers(d) {
			continue
		}
		if v.Size > MaxList {
			return &directory.Error{Code: directory.AdminLimitExceeded, Message: "a list of this length is served over HTTP alone"}
		}
		if err := l.place.hold(ctx, l.turn, l.late); err != nil {
			return err
		}
		der, err := v.Read()
		if err != nil {
			return err
		}
		e.Put(v.Attribute, der)
	}
	return l.turn.next(ctx)
}
