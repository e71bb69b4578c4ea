package ldap

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"cardinal/directory"
	"cardinal/directory/tree"
	"cardinal/internal/ber"
	"cardinal/internal/journal"
)

// syncing is a content sync (RFC 4533). Its stages: refresh, either by the
// changes since the client's cookie, deletions among them, or by the whole
// content, of which he drops what is not named; and then, if he asked for it,
// persist.
//
// A cookie is given only where every change up to the place it names has been
// told: at the end of a stage, or of all changes there are; never with an entry.
type syncing struct {
	*follower
	named syncScope // what cookies are of
	rid   string
	given []byte           // the last cookie
	since journal.Position // the content as it was here is known to the client; 0: none
	same  []directory.UUID // entries that are as they were then, not told yet
	// after: the client holds what another search, or one with other rights, was
	// told before then; see outdo. This place is named by void.
	after  time.Time
	void   []byte
	raised tree.Point // the least place an entry is said to be of
}

// sameAtOnce is how many entries one syncIdSet names.
const sameAtOnce = 1_000

// sync answers a search with the Sync Request control. Where what the client may
// see has changed he has to read the content anew, as he has where what changed
// cannot be told.
func (f *follower) sync(ctx context.Context, t *task) (result, error) {
	r, err := f.keepInStep(ctx, t)
	if errors.Is(err, errRefresh) || errors.Is(err, errChanged) {
		return refuse(refreshRequired, "the content has to be read anew"), nil
	}
	return r, err
}

func (f *follower) keepInStep(ctx context.Context, t *task) (result, error) {
	if r, stale := f.conn.stale(); stale {
		return r, nil
	}
	s := &syncing{follower: f, named: f.digest()}
	f.tell = s.tellSync
	if err := f.mayBegin(); err != nil {
		return result{}, err
	}
	by, err := s.refresh(ctx)
	if err != nil {
		return result{}, err
	}
	if !f.controls.sync.persist {
		done := appendSyncDone(nil, s.cookie(), by == syncRefreshDelete)
		return result{controls: appendControl(nil, oidSyncDone, done)}, nil
	}
	if err := f.conn.write(appendRefreshDone(nil, f.id, by, s.cookie())); err != nil {
		return result{}, context.Canceled
	}
	return f.lasting(ctx, t, s.appendNewCookie)
}

// mayBegin asks for the base, which must be there, and lifts the limits for
// those who may replicate it.
func (f *follower) mayBegin() error {
	err := f.conn.visible(f.base, func(_ *tree.Entry, grant *directory.Access) error {
		if grant.Allows(nil, directory.RightReplicate) {
			f.sizeLimit, f.deadline = 1<<63-1, time.Time{}
		}
		return nil
	})
	return f.conn.noSuch(f.base, err)
}

// refresh brings the client's copy up to a place in history, and says how.
func (s *syncing) refresh(ctx context.Context) (by ber.Tag, err error) {
	if s.resume() {
		if err := s.catchUp(ctx); !errors.Is(err, errRefresh) {
			return syncRefreshDelete, err
		}
		s.since = 0 // entries he has may have other names by now: all of it again
	}
	return syncRefreshPresent, s.scan(ctx)
}

// resume finds the place the client's cookie names. If it lies before what
// history keeps, he is told at least which entries are as they were, where
// nothing but a change of an entry can have made it so.
func (s *syncing) resume() bool {
	if s.controls.sync.cookie == nil {
		return false
	}
	cookie, ok := parseSyncCookie(s.controls.sync.cookie)
	s.rid = cookie.rid
	if !ok {
		return false
	}
	csn, ok := s.named.place(cookie)
	if !ok {
		if told, position, ok := directory.ParseCSN(cookie.told()); ok {
			s.after = told.Add(time.Microsecond)
			s.void = voidCookie(s.rid, directory.CSN(s.after, position))
		}
		return false
	}
	at, position, ok := directory.ParseCSN(csn)
	var err error
	if !ok {
		return false
	}
	if s.seen, err = s.conn.server.config.Tree.Locate(position, at); err == nil {
		return true
	}
	if s.standing.Before(position, at) && s.settled() {
		s.since = position
	}
	return false
}

// settled reports whether no move of another entry can bring one into the
// content or out of it.
func (f *follower) settled() bool {
	return f.sight.fixed && f.scope == tree.ScopeSubtree && f.conn.server.isSuffix(f.base) && !f.asksNames(f.filter)
}

// scan tells the whole content, an entry always after the one above it: a
// consumer that has an entry under another name makes a stand-in for a parent it
// does not find, and that stands in the way of the real one. It takes a while,
// during which things change: what has changed since the place it began is told
// afterwards.
func (s *syncing) scan(ctx context.Context) error {
	t := s.conn.server.config.Tree
	now, err := s.outdo(ctx)
	if err != nil {
		return err
	}
	if s.standing, err = t.Standing(); err != nil {
		return err
	}
	s.seen = s.standing.Last
	if !s.after.IsZero() {
		if s.tellVoid() != nil {
			return context.Canceled
		}
		s.raised = tree.Point{Position: s.seen.Position, Micro: max(s.standing.Micro(s.seen), uint64(now.UnixMicro()))}
	}
	ids, err := s.gather(ctx)
	if err != nil {
		return err
	}
	then, err := t.Standing()
	if err != nil {
		return err
	}
	moved := then.Last != s.seen
	out := s.conn.server.takeBuffer()
	defer func() { s.conn.server.giveBuffer(out) }()
	defer s.turn.leave()
	for len(ids) > 0 {
		var told error
		done, err := t.Visit(ids[:min(len(ids), stepCandidates)], func(e *tree.Entry) bool {
			if !moved || s.holds(e) == memberYes {
				out, told = s.tellContent(out, e)
			}
			return told == nil && len(out) < stepOutput
		})
		if err != nil || told != nil {
			return errors.Join(err, told)
		}
		if ids = ids[done:]; len(ids) == 0 {
			out = s.flushSame(out)
		} else if now, err := t.Standing(); err != nil || now.Last != s.seen {
			moved = true
		}
		if err := s.pass(ctx, &out); err != nil {
			return err
		}
	}
	return nil
}

// tellVoid takes the client's cookie from him before he is told anything: should
// the search that it is of come back before he has a new one, then what he holds
// is no content of that search any more.
func (s *syncing) tellVoid() error {
	return s.conn.write(appendSyncInfo(nil, s.id, func(b []byte) []byte { return ber.Append(b, syncNewCookie, s.void) }))
}

// outdo waits, for a client who holds the content of another search, until the
// copy is complete up to a time later than all he was told, and returns that. The
// entries are said to have changed then: a slapd passes over an entry whose
// entryCSN it knows, and would keep attributes that this search does not show.
func (s *syncing) outdo(ctx context.Context) (time.Time, error) {
	limit := time.NewTimer(s.conn.server.config.Limits.Wait)
	defer limit.Stop()
	tick := time.NewTicker(outdoPause)
	defer tick.Stop()
	for {
		now := s.conn.server.config.Replica.State().Time
		if s.after.IsZero() || now.After(s.after) {
			return now, nil
		}
		select {
		case <-tick.C: // the ledger says each second what time it is
		case <-limit.C:
			return now, &directory.Error{Code: directory.Unavailable, Message: "the cookie is of a time that is still to come"}
		case <-ctx.Done():
			return now, context.Canceled
		}
	}
}

const outdoPause = 50 * time.Millisecond

// gather finds the entries of the content, by depth.
func (s *syncing) gather(ctx context.Context) ([]uint32, error) {
	request := tree.Request{Base: s.base, Scope: s.scope, Filter: s.filter, Hide: s.hide}
	if !s.sight.who.Root {
		request.Allow = &s.sight
	}
	if !s.deadline.IsZero() {
		request.MaxCandidates = s.conn.who.allowed.candidates
	}
	scan := s.conn.server.config.Tree.Open(request)
	var depths [][]uint32
	defer s.turn.leave()
	for done := false; !done; {
		var err error
		if done, err = scan.Step(stepCandidates, func(e *tree.Entry) bool {
			if !s.sight.sees(e) {
				return true
			}
			d := e.Depth()
			for len(depths) <= d {
				depths = append(depths, nil)
			}
			depths[d] = append(depths[d], e.ID)
			return true
		}); err != nil {
			return nil, err
		}
		if err := s.pass(ctx, &[]byte{}); err != nil {
			return nil, err
		}
	}
	return slices.Concat(depths...), nil
}

// pass writes what is gathered, and waits until the search may go on.
func (f *follower) pass(ctx context.Context, out *[]byte) error {
	switch {
	case ctx.Err() != nil:
		return context.Canceled
	case !f.unchanged():
		return errChanged
	}
	if !f.deadline.IsZero() && time.Now().After(f.deadline) {
		return context.DeadlineExceeded
	}
	if len(*out) > 0 && f.conn.writeIn(f.turn, *out) != nil {
		return context.Canceled
	}
	*out = (*out)[:0]
	return f.turn.next(ctx)
}

// tellContent appends one entry of the content.
func (s *syncing) tellContent(out []byte, e *tree.Entry) ([]byte, error) {
	if s.sent++; s.sent > s.sizeLimit {
		return out, &directory.Error{Code: directory.SizeLimitExceeded}
	}
	if e.Position() <= s.since {
		if s.same = append(s.same, e.UUID()); len(s.same) < sameAtOnce {
			return out, nil
		}
		return s.flushSame(out), nil
	}
	return s.appendState(out, e, syncAdd, s.controls.sync.cookie != nil && s.keepsName(e, ""))
}

// appendState appends an entry; again, for one that may have been renamed and kept
// its old name as a value twice: a slapd that follows takes that value out as it
// renames (it does, unless the attribute stands in the same place on both sides),
// and does not see that it is missing but from an entry with another entryCSN.
func (s *syncing) appendState(out []byte, e *tree.Entry, state int64, again bool) ([]byte, error) {
	if s.raised.Position > 0 {
		e = e.Raised(s.raised)
	}
	if again {
		var err error
		if out, err = s.appendFollowed(out, e.Preliminary(), oidSyncState, appendSyncState(nil, state, e.UUID())); err != nil {
			return out, err
		}
	}
	return s.appendFollowed(out, e, oidSyncState, appendSyncState(nil, state, e.UUID()))
}

// keepsName reports whether an entry may have a name it does not bear any more
// as a value still: one of the attribute that names it, or of the one that did.
func (s *syncing) keepsName(e *tree.Entry, before string) bool {
	var room [256]byte
	name, err := e.AppendDN(room[:0])
	now, _, _ := bytes.Cut(name, []byte("="))
	if err != nil {
		return false
	}
	old, _, _ := strings.Cut(before, "=")
	one, ok1 := s.conn.server.schema.Describe(string(now))
	two, ok2 := s.conn.server.schema.Describe(old)
	if ok1 && ok2 && one.Type != two.Type {
		return e.First(two) != nil
	}
	n := 0
	e.EachOf(one, func([]byte) bool { n++; return n < 2 })
	return ok1 && n > 1
}

func (s *syncing) flushSame(out []byte) []byte {
	if len(s.same) > 0 {
		out = appendPresent(out, s.id, s.same)
		s.same = s.same[:0]
	}
	return out
}

// tellSync appends what one change means for the client's copy. A modification
// that another change of the same entry follows is left to that one: it tells
// all of the entry.
func (s *syncing) tellSync(out []byte, c *tree.Change) ([]byte, error) {
	was, is := s.holds(c.Before()), memberNo
	now := c.Now()
	if now != nil {
		is = s.holds(now)
	}
	switch {
	case is == memberYes && was == memberYes && c.Kind == tree.ChangeModified && !c.Newest(), is == memberMaybe:
		return out, nil
	case is == memberYes && was == memberNo:
		return s.appendState(out, now, syncAdd, false)
	case is == memberYes:
		return s.appendState(out, now, syncModify, c.Kind == tree.ChangeMoved && s.keepsName(now, c.Name))
	case was != memberNo:
		return s.appendGone(out, c.Name, oidSyncState, appendSyncState(nil, syncDelete, c.UUID)), nil
	}
	return out, nil
}

// cookie names the place up to which everything has been told; nil if history
// has no name for it yet.
func (s *syncing) cookie() []byte {
	if s.seen.Position == 0 {
		return nil
	}
	place := s.seen
	if place.Position == s.raised.Position {
		place = s.raised
	}
	s.given = s.named.cookie(s.rid, s.standing.CSN(place))
	return s.given
}

// appendNewCookie tells the client how far he has come, unless he knows.
func (s *syncing) appendNewCookie() []byte {
	before := s.given
	cookie := s.cookie()
	if cookie == nil || bytes.Equal(before, cookie) {
		return nil
	}
	return appendSyncInfo(nil, s.id, func(b []byte) []byte { return ber.Append(b, syncNewCookie, cookie) })
}
