package ldap

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"time"

	"cardinal/directory"
	"cardinal/directory/tree"
	"cardinal/internal/ber"
)

// follower is a search whose client wants to know what changes: content sync
// (RFC 4533) or persistent search. It goes from place to place in the tree's
// history and tells of each change what the client may know: an entry that
// comes into what he sees of his search's content, changes in it, or leaves
// it, for whatever reason. What he never saw he is told nothing of.
//
// It holds nothing of the store while it waits or writes. A client that does
// not keep up falls behind in history; behind its end he has to begin anew.
type follower struct {
	*searching
	turn      *turn
	sieve     *tree.Sieve
	selection *selection // of what a copy holds
	secrets   bool       // passwords are asked for, should he have the right
	seen      tree.Point // every change up to here has been told
	standing  tree.Standing
	// tell appends what a change means for the client.
	tell func(out []byte, c *tree.Change) ([]byte, error)
}

// errRefresh: what has changed cannot be told change by change.
var errRefresh = errors.New("the content has to be read anew")

const (
	// followStep is how many changes are looked at before the store is let go.
	followStep = 256
	// restEvery is how often a client to whom nothing happens is told how far
	// he has come, and looked at: whether he may still be there.
	restEvery = time.Minute
)

// follows reports whether the search goes on with changes.
func (c *controls) follows() bool { return c.sync != nil || c.persist != nil }

// changesTheAnswer reports whether a control makes of the content something
// that changes cannot be told of one by one.
func (c *controls) changesTheAnswer() bool {
	return c.paged != nil || c.sorting != nil || c.view != nil || c.matched != nil || c.active || c.subentries == subentriesAlone
}

// follow runs a search that follows, from its beginning to its end.
func (q *searching) follow(ctx context.Context, t *task) directory.Code {
	f := &follower{searching: q, turn: &t.turn}
	if err := f.prepare(); err != nil {
		return q.conn.conclude(t, nil, q.result(err))
	}
	var r result
	var err error
	if q.controls.sync != nil {
		r, err = f.sync(ctx, t)
	} else {
		r, err = f.persistently(ctx, t)
	}
	switch {
	case errors.Is(err, context.Canceled):
		r = refuse(directory.Unavailable, "the server is stopping")
	case err != nil:
		r = q.result(err)
	}
	return q.conn.conclude(t, nil, r)
}

func (f *follower) prepare() error {
	c := f.conn
	switch {
	case f.controls.sync != nil && f.controls.persist != nil, f.controls.changesTheAnswer():
		return &directory.Error{Code: directory.UnwillingToPerform, Message: "a search that follows changes goes with no such control"}
	case f.base == "" || f.base == c.server.root.schemaKey || f.log != nil || f.isList():
		return &directory.Error{Code: directory.UnwillingToPerform, Message: "changes can be followed in the trees alone"}
	}
	if err := f.followable(f.filter); err != nil {
		return err
	}
	f.sight.look(c, f.base)
	f.hide = c.server.hiding()
	f.sieve = c.server.config.Tree.NewSieve(f.filter)
	f.selection = f.searching.selection.copied(c.server.schema)
	if t := c.server.schema.Attribute("userPassword"); t != nil {
		f.secrets = f.selection.wants(directory.Description{Type: t}, false)
	}
	var err error
	f.standing, err = c.server.config.Tree.Standing()
	return err
}

// followable refuses a filter on attributes that are computed: whether they
// match changes without a change.
func (f *follower) followable(x *directory.Filter) error {
	for _, c := range x.Children {
		if err := f.followable(c); err != nil {
			return err
		}
	}
	d, ok := f.conn.server.schema.Describe(x.Attr)
	if ok && f.conn.server.config.Tree.IsComputed(d) && !copiedComputed(d) && d.Type.Name() != "entryDN" {
		return &directory.Error{Code: directory.UnwillingToPerform, Message: "changes of " + d.Type.Name() + " cannot be followed"}
	}
	return nil
}

// copiedComputed are the computed attributes that are part of a copy: those
// that change with the entry alone.
func copiedComputed(d directory.Description) bool {
	return d.Type.Name() == "entryUUID" || d.Type.Name() == "entryCSN"
}

// copied is the selection without what is computed when it is asked for.
func (s *selection) copied(*directory.Schema) *selection {
	out := &selection{user: s.user, operational: s.operational, wanted: s.wanted}
	for _, d := range s.computed {
		if copiedComputed(d) {
			out.computed = append(out.computed, d)
		}
	}
	return out
}

// scope is the digest that a cookie of this search carries.
func (f *follower) digest() (s syncScope) {
	h := sha256.New()
	look := f.sight.rules.Outlook(&f.sight.who)
	for _, part := range [][]byte{look[:], []byte(f.base), {byte(f.scope)}, f.rawFilter, f.rawList, {truthOctet(f.typesOnly), truthOctet(f.hide != nil)}} {
		h.Write(ber.AppendLength(nil, len(part)))
		h.Write(part)
	}
	copy(s[:], h.Sum(nil))
	return s
}

func truthOctet(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// membership says whether an entry is in what the client sees of the content.
type membership uint8

const (
	memberNo membership = iota
	memberMaybe
	memberYes
)

// holds decides for an entry of any time. Maybe: he may see it, and whether it
// matches cannot be told any more.
func (f *follower) holds(e *tree.Entry) membership {
	if e == nil || !within(f.scope, f.base, e.Key()) || !f.sight.sees(e) {
		return memberNo
	}
	var allow tree.Allow
	if !f.sight.who.Root {
		allow = &f.sight
	}
	truth, known := f.sieve.Match(e, allow, f.hide)
	switch {
	case !known:
		return memberMaybe
	case truth == directory.True:
		return memberYes
	}
	return memberNo
}

func within(scope tree.Scope, base, key directory.Key) bool {
	switch scope {
	case tree.ScopeBase:
		return key == base
	case tree.ScopeOneLevel:
		return key.Parent() == base && key != base
	case tree.ScopeSubordinate:
		return base.Contains(key) && key != base
	}
	return base.Contains(key)
}

// upsets reports whether a change touches more entries of the content than the
// one it names: a suffix was loaded, or a subtree moved in a way that makes a
// difference to what is below.
func (f *follower) upsets(c *tree.Change) bool {
	schema := f.conn.server.schema
	if c.Kind == tree.ChangeLoaded {
		key, err := schema.ParseKey(c.Name)
		return err != nil || key.Contains(f.base) || f.base.Contains(key)
	}
	if c.Kind != tree.ChangeMoved || !c.Children {
		return false
	}
	old, err := schema.ParseKey(c.Name)
	now, err2 := schema.ParseKey(c.After)
	switch {
	case err != nil || err2 != nil, old.Contains(f.base), now.Contains(f.base):
		return true
	case f.scope == tree.ScopeBase || f.scope == tree.ScopeOneLevel:
		return false
	case f.base.Contains(old) != f.base.Contains(now):
		return true
	case !f.base.Contains(old):
		return false
	}
	return f.asksNames(f.filter) || !f.sameSight(old, now)
}

// sameSight reports whether the rules make no difference between what is below
// one name and below another.
func (f *follower) sameSight(a, b directory.Key) bool {
	if f.sight.fixed {
		return true
	}
	one, ok1 := f.sight.rules.Fixed(&f.sight.who, a, nil)
	two, ok2 := f.sight.rules.Fixed(&f.sight.who, b, nil)
	return ok1 && ok2 && one.Same(two)
}

// asksNames reports whether a filter looks at names.
func (f *follower) asksNames(x *directory.Filter) bool {
	d, ok := f.conn.server.schema.Describe(x.Attr)
	return x.DNAttrs || x.Kind == directory.FilterExtensible && x.Attr == "" ||
		ok && d.Type.Name() == "entryDN" || slices.ContainsFunc(x.Children, f.asksNames)
}

// catchUp tells all changes behind the place seen. It ends with the place where
// history ends.
func (f *follower) catchUp(ctx context.Context) error {
	c := f.conn
	out := c.server.takeBuffer()
	defer func() { c.server.giveBuffer(out) }()
	defer f.turn.leave()
	for first := true; ctx.Err() == nil; first = false {
		if !first && f.turn.next(ctx) != nil { // what has just happened is told at once
			return context.Canceled
		}
		if !f.unchanged() {
			return errChanged
		}
		var told error
		var err error
		f.standing, err = c.server.config.Tree.Changes(f.seen, followStep, func(x *tree.Change) bool {
			if f.upsets(x) {
				told = errRefresh
				return false
			}
			if out, told = f.tell(out, x); told != nil {
				return false
			}
			f.seen = x.Point
			return len(out) < stepOutput
		})
		switch {
		case errors.Is(err, tree.ErrHistoryGone):
			return errRefresh
		case err != nil:
			return err
		case told != nil:
			return told
		}
		if len(out) > 0 {
			if err := c.writeIn(f.turn, out); err != nil {
				return context.Canceled
			}
			out = out[:0]
		}
		if f.seen == f.standing.Last {
			return nil
		}
	}
	return context.Canceled
}

// lasting goes on telling what changes until the search is given up. It counts
// as a search that follows from here on, and not as work in flight: it may rest
// for days. rest appends what is to be said when everything has been told.
func (f *follower) lasting(ctx context.Context, t *task, rest func() []byte) (result, error) {
	c := f.conn
	w, err := c.server.join(f)
	if err != nil {
		return result{}, err
	}
	defer c.server.leave(w)
	if err := c.settleDown(t); err != nil {
		return result{}, err
	}
	defer c.getUp(t)
	tick := time.NewTicker(restEvery)
	defer tick.Stop()
	for {
		if err := f.catchUp(ctx); err != nil {
			return result{}, err
		}
		if out := rest(); len(out) > 0 && c.write(out) != nil {
			return result{}, context.Canceled
		}
		select {
		case <-ctx.Done():
			return result{}, context.Canceled
		case <-w.wake:
		case <-tick.C:
		}
		if r, ended := f.overstayed(); ended {
			return r, nil
		}
	}
}

// overstayed looks again at who follows: whoever has lost the card that opened
// his connection is told nothing more.
func (f *follower) overstayed() (r result, ended bool) {
	who := &f.conn.conn.who
	if who.Certificate == nil {
		return r, false
	}
	_, err := f.conn.server.checkGood(who.Certificate)
	if err == nil && !f.conn.server.config.Now().After(who.ends) {
		return r, false
	}
	return refuse(directory.StrongerAuthRequired, "the certificate of this connection is no longer good"), true
}

// appendFollowed appends an entry with a control that says what it is.
func (f *follower) appendFollowed(out []byte, e *tree.Entry, oid string, value []byte) ([]byte, error) {
	start := len(out)
	w := entryWriter{selection: f.selection, typesOnly: f.typesOnly, grant: f.sight.at(e), hide: f.hide, others: f.conn.outlook(directory.RightRead)}
	if f.secrets && w.grant.Allows(nil, directory.RightReplicate) {
		w.besides = f.appendSecrets
	}
	out, message := ber.Begin(out, ber.Sequence)
	out = ber.AppendInt(out, ber.Integer, f.id)
	out, err := w.appendEntry(out, searchResultEntry, e)
	if err != nil {
		return out[:start], err
	}
	return ber.End(appendOne(out, oid, value), message), nil
}

// appendOne appends the controls of a message: one, or none if oid is "".
func appendOne(out []byte, oid string, value []byte) []byte {
	if oid == "" {
		return out
	}
	out, mark := ber.Begin(out, controlsTag)
	return ber.End(appendControl(out, oid, value), mark)
}

// appendGone appends an entry that left the content: its name alone.
func (f *follower) appendGone(out []byte, name, oid string, value []byte) []byte {
	out, message := ber.Begin(out, ber.Sequence)
	out = ber.AppendInt(out, ber.Integer, f.id)
	out, body := ber.Begin(out, searchResultEntry)
	out = ber.AppendString(out, ber.OctetString, name)
	out = ber.Append(out, ber.Sequence, nil)
	return ber.End(appendOne(ber.End(out, body), oid, value), message)
}

// appendSecrets appends the passwords of an entry.
func (f *follower) appendSecrets(out []byte, e *tree.Entry) []byte {
	values, err := e.Secrets("userPassword")
	if err != nil || len(values) == 0 {
		return out
	}
	out, attribute := ber.Begin(out, ber.Sequence)
	out = ber.AppendString(out, ber.OctetString, "userPassword")
	out, set := ber.Begin(out, ber.Set)
	if !f.typesOnly {
		for _, v := range values {
			out = ber.Append(out, ber.OctetString, v)
		}
	}
	return ber.End(ber.End(out, set), attribute)
}
