package ldap

import (
	"context"
	"errors"
	"time"

	"cardinal/directory"
)

// listRead is a search at or below ListsDN.
type listRead struct {
	*searching
	turn  *turn
	out   []byte
	place listPlace
	found bool // the base is there, for this client
	above string
	depth int // of above
}

// isList reports whether a search is about revocation lists.
func (q *searching) isList() bool {
	s := q.conn.server
	return s.config.Lists != nil && s.root.listsKey.Contains(q.base)
}

// readLists answers a search for revocation lists, however old the copy is:
// relying systems take a list they cannot have for an empty one. For that
// reason a list that was asked for and cannot be shown is an error, never an
// entry without it.
func (q *searching) readLists(ctx context.Context, t *task) directory.Code {
	l := &listRead{searching: q, turn: &t.turn, out: q.conn.server.takeBuffer(), place: listPlace{places: q.conn.server.lists}}
	defer func() {
		l.place.release()
		q.conn.server.giveBuffer(l.out)
	}()
	return q.conn.conclude(t, l.out, l.run(ctx))
}

func (l *listRead) run(ctx context.Context) result {
	if s := l.controls.sorting; l.controls.view != nil || l.controls.assertion != nil || s != nil && s.critical {
		return refuse(directory.UnavailableCriticalExtension, "revocation lists are not sorted, and nothing is asserted of them")
	} else if s != nil {
		s.code = directory.UnwillingToPerform
	}
	l.sight.look(l.conn, l.base)
	query := l.conn.server.schema.Compile(l.filter)
	err := l.conn.server.listEntries(l.base, func(e listEntry) error { return l.visit(ctx, query, e) })
	switch {
	case errors.Is(err, ErrNoList):
		return refuse(directory.Unavailable, err.Error())
	case err != nil:
		return l.conn.resultOf(err)
	case !l.found:
		return result{code: directory.NoSuchObject, matched: l.above}
	}
	return result{controls: l.appendControls(nil, directory.Success)}
}

// visit shows an entry if the search is about it.
func (l *listRead) visit(ctx context.Context, query *directory.Query, e listEntry) error {
	key, grant := e.view.Key(), l.conn.grantOutside(e.view)
	if !grant.Allows(nil, directory.RightRead) {
		return nil
	}
	switch {
	case key == l.base:
		l.found = true
	case key.Contains(l.base) && len(e.DN) > l.depth:
		l.above, l.depth = e.DN.String(), len(e.DN)
	}
	if !inScopeOf(l.scope, l.base, key) {
		return nil
	}
	if err := l.fill(ctx, e, grant); err != nil {
		return err
	}
	defer l.place.release()
	if query.Match(searchable(l.conn.server.schema, e.Entry, grant)) != directory.True {
		return nil
	}
	if l.sent >= l.sizeLimit {
		return &directory.Error{Code: directory.SizeLimitExceeded}
	}
	l.out = l.appendOutside(l.out, e.Entry, grant)
	l.sent++
	return l.write(ctx)
}

// write sends what is gathered, unless it is little.
func (l *listRead) write(ctx context.Context) error {
	if len(l.out) >= stepOutput/2 {
		if l.conn.writeIn(l.turn, l.out) != nil {
			return context.Canceled
		}
		if l.out = l.out[:0]; cap(l.out) > 4*stepOutput {
			l.out = l.conn.server.takeBuffer()
		}
	}
	return l.turn.next(ctx)
}

// fill reads the lists of an entry that the answer or the filter speaks of.
func (l *listRead) fill(ctx context.Context, e listEntry, grant *directory.Access) error {
	switch {
	case !l.unchanged():
		return errChanged
	case ctx.Err() != nil:
		return context.Canceled
	case time.Now().After(l.deadline):
		return context.DeadlineExceeded
	case e.point == nil:
		return nil
	}
	for i := range e.point.Values {
		v := &e.point.Values[i]
		d, ok := l.conn.server.schema.Describe(v.Attribute)
		shown := ok && l.selection.wants(d, false) && grant.Allows(d.Type, directory.RightRead)
		asked := ok && speaksOf(l.conn.server.schema, l.filter, d) && grant.Allows(d.Type, directory.RightSearch)
		if !shown && !asked {
			continue
		}
		if v.Size > MaxList {
			return &directory.Error{Code: directory.AdminLimitExceeded, Message: "a list of this length is served over HTTP alone"}
		}
		if err := l.place.hold(ctx, l.turn, l.deadline); err != nil {
			return err
		}
		der, err := v.Read()
		if err != nil {
			return err
		}
		e.Put(v.Attribute, der)
	}
	return nil
}

// listPlace is one of the places there are for lists in memory.
type listPlace struct {
	places chan struct{}
	held   bool
}

// hold waits for a place; without a seat, as others may be slow to give theirs
// up.
func (p *listPlace) hold(ctx context.Context, t *turn, deadline time.Time) error {
	if p.held {
		return nil
	}
	select {
	case p.places <- struct{}{}:
		p.held = true
		return nil
	default:
	}
	t.leave()
	late := time.NewTimer(time.Until(deadline))
	defer late.Stop()
	select {
	case p.places <- struct{}{}:
		p.held = true
		return t.next(ctx)
	case <-late.C:
		return context.DeadlineExceeded
	case <-ctx.Done():
		return context.Canceled
	}
}

func (p *listPlace) release() {
	if p.held {
		p.held = false
		<-p.places
	}
}
