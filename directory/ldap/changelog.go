package ldap

import (
	"context"
	"math"
	"strconv"
	"strings"
	"time"

	"cardinal/directory"
	"cardinal/directory/tree"
	"cardinal/internal/ber"
)

// changeLog is the tree's history as entries changenumber=N below cn=Changelog
// of a suffix: the form in which the NHS directory shows its changes (classes
// nhsExternalChangelog and nhsExternalChangelogEntry), with the attributes of
// draft-good-ldap-changelog. The entries stand nowhere; each search makes them,
// for one reader: he needs the right to read the log, and of each change he is
// shown what he could see of the entry it changed. Numbers of changes that are
// not his to know are missing.
//
// A search by number, from a number on, or up to one goes straight there.
type changeLog struct {
	dn     directory.DN
	key    directory.Key
	suffix directory.Key
}

const changeLogName = "Changelog"

// changeLogAt finds the log a name lies in; nil if it lies in none.
func (s *Server) changeLogAt(key directory.Key) *changeLog {
	for _, l := range s.logs {
		if l.key.Contains(key) {
			return l
		}
	}
	return nil
}

func (s *Server) prepareLogs() error {
	if !s.config.ChangeLog {
		return nil
	}
	for i := range s.suffixes {
		l := &changeLog{suffix: s.suffixes[i].key, dn: s.suffixes[i].DN.Child(directory.RDN{{Type: "cn", Value: []byte(changeLogName)}})}
		var err error
		if l.key, err = s.schema.Key(l.dn); err != nil {
			return err
		}
		s.logs = append(s.logs, l)
	}
	return nil
}

// logRead is a search in a change log.
type logRead struct {
	*searching
	turn    *turn
	targets sight // of the entries that were changed
	out     []byte
}

// readLog answers a search whose base is the log or a change in it.
func (q *searching) readLog(ctx context.Context, t *task) directory.Code {
	c := q.conn
	l := logRead{searching: q, turn: &t.turn, out: c.server.takeBuffer()}
	defer func() { c.server.giveBuffer(l.out) }()
	r, stale := c.stale()
	if !stale {
		r = l.run(ctx)
	}
	return c.conclude(t, l.out, r)
}

func (l *logRead) run(ctx context.Context) result {
	if l.controls.changesTheAnswer() {
		return refuse(directory.UnwillingToPerform, "the change log goes with no such control")
	}
	l.sight.look(l.conn, l.base)
	l.targets.look(l.conn, l.log.suffix)
	from, to, head := l.span()
	if !head && from == 0 {
		return l.conn.hideMatched(l.base, refuse(directory.NoSuchObject, ""))
	}
	now, err := l.conn.server.config.Tree.Standing()
	if err != nil {
		return l.conn.resultOf(err)
	}
	if top := l.top(now); !l.visible(top) {
		return l.conn.hideMatched(l.log.key, refuse(directory.NoSuchObject, ""))
	} else if head {
		l.show(top)
	}
	if from == 0 {
		return result{}
	}
	if err = l.entries(ctx, from, to); err != nil {
		return l.conn.resultOf(err)
	}
	if l.base != l.log.key && l.sent == 0 && !l.exists(from) {
		return l.conn.hideMatched(l.base, refuse(directory.NoSuchObject, ""))
	}
	return result{}
}

// span says which numbers the search is about, from 0 if none, and whether it
// is about the head of the log.
func (l *logRead) span() (from, to uint64, head bool) {
	if l.base == l.log.key {
		head = l.scope == tree.ScopeBase || l.scope == tree.ScopeSubtree
		if l.scope != tree.ScopeBase {
			from, to = l.bounds(l.filter, 1, math.MaxUint64)
		}
		return from, to, head
	}
	part, nested := strings.CutSuffix(string(l.base[len(l.log.key):]), "\x00")
	text, ok := strings.CutPrefix(part, "changenumber=")
	n, err := strconv.ParseUint(text, 10, 64)
	if !nested || !ok || err != nil || n == 0 || l.scope == tree.ScopeOneLevel || l.scope == tree.ScopeSubordinate {
		return 0, 0, false
	}
	return n, n, false
}

// bounds narrows the numbers that a filter can be true for.
func (l *logRead) bounds(f *directory.Filter, from, to uint64) (uint64, uint64) {
	switch f.Kind {
	case directory.FilterAnd:
		for _, c := range f.Children {
			from, to = l.bounds(c, from, to)
		}
		return from, to
	case directory.FilterEquality, directory.FilterGreaterOrEqual, directory.FilterLessOrEqual:
	default:
		return from, to
	}
	n, err := strconv.ParseUint(string(f.Value), 10, 64)
	if !l.isNumber(f.Attr) || err != nil {
		return from, to
	}
	if f.Kind != directory.FilterLessOrEqual {
		from = max(from, n)
	}
	if f.Kind != directory.FilterGreaterOrEqual {
		to = min(to, n)
	}
	return from, to
}

func (l *logRead) isNumber(attribute string) bool {
	d, ok := l.conn.server.schema.Describe(attribute)
	return ok && strings.EqualFold(d.Type.Name(), "changenumber")
}

// top is the entry of the log itself.
func (l *logRead) top(now tree.Standing) *directory.Entry {
	e := &directory.Entry{DN: l.log.dn}
	e.PutString("objectClass", "top", "nhsExternalChangelog")
	e.PutString("cn", changeLogName)
	e.PutString("firstchangenumber", strconv.FormatUint(min(now.Start.Number+1, now.Last.Number), 10))
	e.PutString("lastchangenumber", strconv.FormatUint(now.Last.Number, 10))
	e.PutString("structuralObjectClass", "nhsExternalChangelog")
	e.PutString("entryDN", l.log.dn.String())
	return e
}

// visible reports whether the reader may know of an entry of the log.
func (l *logRead) visible(e *directory.Entry) bool {
	view, err := l.conn.server.schema.View(e)
	return err == nil && l.sight.sees(view)
}

// exists reports whether a number is that of a change the reader may know of.
func (l *logRead) exists(n uint64) (found bool) {
	_, err := l.conn.server.config.Tree.Numbered(n, 1, func(c *tree.Change) bool {
		found = c.Number == n && l.entry(c) != nil
		return false
	})
	return err == nil && found
}

// entries shows the changes of some numbers.
func (l *logRead) entries(ctx context.Context, from, to uint64) error {
	t := l.conn.server.config.Tree
	for from <= to {
		if !l.unchanged() {
			return errChanged
		}
		l.targets.look(l.conn, l.log.suffix)
		n, full := 0, false
		_, err := t.Numbered(from, followStep, func(c *tree.Change) bool {
			if c.Number > to {
				return false
			}
			n++
			from = c.Number + 1
			if e := l.entry(c); e != nil {
				full = !l.show(e)
			}
			return !full && len(l.out) < stepOutput
		})
		switch {
		case err != nil:
			return err
		case full:
			return &directory.Error{Code: directory.SizeLimitExceeded}
		case n == 0:
			return nil
		case ctx.Err() != nil:
			return context.Canceled
		case time.Now().After(l.deadline):
			return context.DeadlineExceeded
		}
		if len(l.out) >= stepOutput/2 {
			if l.conn.writeIn(l.turn, l.out) != nil {
				return context.Canceled
			}
			l.out = l.out[:0]
		}
		if l.turn.next(ctx) != nil {
			return context.Canceled
		}
	}
	return nil
}

// show appends an entry of the log if it matches and may be seen. It returns
// false when the size limit is met.
func (l *logRead) show(e *directory.Entry) bool {
	view, err := l.conn.server.schema.View(e)
	if err != nil {
		return true
	}
	grant := l.sight.at(view)
	if !grant.Allows(nil, directory.RightRead) || l.match(l.filter, e, grant) != directory.True {
		return true
	}
	if l.sent >= l.sizeLimit {
		return false
	}
	l.sent++
	b, message := ber.Begin(l.out, ber.Sequence)
	b = ber.AppendInt(b, ber.Integer, l.id)
	b, body := ber.Begin(b, searchResultEntry)
	b = ber.AppendString(b, ber.OctetString, e.DN.String())
	b, list := ber.Begin(b, ber.Sequence)
	for i := range e.Attributes {
		b = l.staticAttribute(b, &e.Attributes[i], grant)
	}
	l.out = ber.End(ber.End(ber.End(b, list), body), message)
	return true
}

// match decides the filter as far as the reader may search. Numbers compare as
// numbers, which the type has no rule for.
func (l *logRead) match(f *directory.Filter, e *directory.Entry, grant *directory.Access) directory.Truth {
	switch f.Kind {
	case directory.FilterAnd, directory.FilterOr:
		t := directory.True
		if f.Kind == directory.FilterOr {
			t = directory.False
		}
		for _, c := range f.Children {
			if one := l.match(c, e, grant); f.Kind == directory.FilterAnd {
				t = min(t, one)
			} else {
				t = max(t, one)
			}
		}
		return t
	case directory.FilterNot:
		return l.match(f.Children[0], e, grant).Not()
	}
	d, ok := l.conn.server.schema.Describe(f.Attr)
	if !ok || !grant.Allows(d.Type, directory.RightSearch) {
		return directory.Undefined
	}
	if l.isNumber(f.Attr) && f.Kind != directory.FilterPresent {
		return compareNumbers(f, e.Get("changenumber"))
	}
	return l.conn.server.schema.Match(f, e)
}

func compareNumbers(f *directory.Filter, have [][]byte) directory.Truth {
	if len(have) == 0 {
		return directory.False
	}
	n, err := strconv.ParseUint(string(have[0]), 10, 64)
	want, err2 := strconv.ParseUint(string(f.Value), 10, 64)
	is := false
	switch f.Kind {
	case directory.FilterEquality:
		is = n == want
	case directory.FilterGreaterOrEqual:
		is = n >= want
	case directory.FilterLessOrEqual:
		is = n <= want
	default:
		return directory.Undefined
	}
	switch {
	case err != nil || err2 != nil:
		return directory.Undefined
	case is:
		return directory.True
	}
	return directory.False
}
