package ldap

import (
	"context"
	"errors"

	"cardinal/directory"
	"cardinal/directory/tree"
	"cardinal/internal/ber"
	"cardinal/internal/journal"
)

// update is one add, delete, modify or modifyDN on its way. What a client asks
// to write, he must have the right to; whether it can be written is for the
// Writer to say, which sees what is really there.
type update struct {
	conn     asker
	op       ber.Tag
	id       int64
	who      Identity // as he stands towards the entry
	key      directory.Key
	dn       directory.DN
	entry    *directory.Entry
	mods     []directory.Modification
	move     directory.Move
	after    directory.Key // where the entry stands afterwards
	controls controls
	// check is made before anything is written, off the reading goroutine.
	check     func(ctx context.Context) error
	pre, post []byte // values of the read entry controls
	passwordNote
}

// updating returns what runs an update on a goroutine of its own.
func (c *conn) updating(m *message) func(ctx context.Context, t *task) directory.Code {
	request := *m
	return func(ctx context.Context, t *task) directory.Code {
		u, err := c.parseUpdate(&request)
		if err != nil {
			return c.conclude(t, nil, c.resultOf(err))
		}
		r := u.run(ctx)
		u.said.answer(u.controls.policy, &r)
		return c.conclude(t, nil, r)
	}
}

func (c *conn) parseUpdate(m *message) (u *update, err error) {
	u = &update{conn: c.asking(), op: m.op, id: m.id}
	if u.controls, err = parseControls(m); err != nil {
		return nil, err
	}
	if u.conn, err = u.conn.asks(m, &u.controls); err != nil {
		return nil, err
	}
	switch m.op {
	case addRequest:
		err = u.parseAdd(m.body)
	case delRequest:
		err = u.name(m.body)
	case modifyRequest:
		err = u.parseModify(m.body)
	default:
		err = u.parseModifyDN(m.body)
	}
	u.who = u.conn.who.at(u.key)
	return u, err
}

// renew puts an update that has waited under the terms that are in force now.
func (u *update) renew() (err error) {
	if u.conn, err = u.conn.anew(); err == nil {
		u.who = u.conn.who.at(u.key)
	}
	return err
}

// run makes the update and waits until this node's copy shows it.
func (u *update) run(ctx context.Context) result {
	if r, refused := u.refused(); refused {
		return r
	}
	return u.conn.apply(ctx, []*update{u}, func(position journal.Position) result {
		return result{controls: u.responseControls(position)}
	})
}

// refused is the answer to an update that is not even looked at.
func (u *update) refused() (r result, refused bool) {
	c := u.conn
	s := c.server
	switch {
	case s.config.Writer == nil && len(s.config.Referrals) > 0:
		return result{code: directory.Referral, referral: s.config.Referrals}, true
	case s.config.Writer == nil:
		return refuse(directory.UnwillingToPerform, "this node does not take updates"), true
	case c.who.Anonymous():
		return refuse(directory.StrongerAuthRequired, "modifications require authentication"), true
	case u.key == "":
		return refuse(directory.UnwillingToPerform, "the root DSE cannot be changed"), true
	case !s.answersFor(u.key):
		return refuse(directory.UnwillingToPerform, "no global superior knowledge"), true
	case u.op == modDNRequest && !s.answersFor(u.after):
		return refuse(directory.AffectsMultipleDSAs, "the new superior is not held here"), true
	}
	if r, stale := c.stale(); stale {
		return r, true
	}
	return u.heldElsewhere()
}

// heldElsewhere is the answer to an update at or below an entry that refers to
// where it can be made. What is there already is not added, referral or not.
func (u *update) heldElsewhere() (r result, refused bool) {
	at, manage := u.key, u.controls.manage
	if u.op == addRequest {
		at, manage = u.key.Parent(), false
	}
	r, away, err := u.conn.away(at, u.dn, manage, "")
	if err != nil {
		return u.conn.resultOf(err), true
	}
	if u.op == modDNRequest && !away {
		if _, below, err := u.conn.away(u.after.Parent(), u.dn, false, ""); below || err != nil {
			return refuse(directory.AffectsMultipleDSAs, "the new superior is held elsewhere"), true
		}
	}
	return r, away
}

// apply hands updates to the Writer, all or none, and waits until this node's
// copy shows them. A lone update is judged by this copy first, so that what may
// not be done does not hold up others.
func (c asker) apply(ctx context.Context, list []*update, done func(journal.Position) result) result {
	s := c.server
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.Limits.Time)
	defer cancel()
	changes := make([]Update, len(list))
	for i, u := range list {
		if err := u.ready(ctx, len(list) > 1); err != nil {
			return c.refusedAt(list, i, err)
		}
		changes[i] = u.change(len(list) > 1)
	}
	position, err := s.config.Writer.Apply(ctx, changes)
	if err != nil {
		at := 0
		var nth *UpdateError
		if errors.As(err, &nth) && nth.Nth < len(list) {
			at = nth.Nth
		}
		return c.refusedAt(list, at, list[at].conceal(err))
	}
	r := result{}
	c.await(ctx, position, &r)
	for _, u := range list {
		u.passwordSet()
	}
	made := done(position)
	made.message = r.message
	return made
}

// ready judges an update by this node's copy, if that can tell, and then looks
// at an old password: nobody tries passwords where he may not change them.
func (u *update) ready(ctx context.Context, together bool) error {
	sets := u.setsPassword()
	if together && u.check == nil && !sets && !u.conn.mustChange.Load() {
		return nil
	}
	if u.op == addRequest && together {
		return u.setFirstPassword(ctx)
	}
	if err := u.judge(lookout{u: u}); err != nil {
		return err
	}
	if u.check != nil {
		if err := u.check(ctx); err != nil {
			return err
		}
	}
	if u.op == addRequest {
		return u.setFirstPassword(ctx)
	}
	return u.setPassword(ctx)
}

// applyRenewed is apply for updates that have waited.
func (c asker) applyRenewed(ctx context.Context, list []*update, done func(journal.Position) result) result {
	for i, u := range list {
		if err := u.renew(); err != nil {
			return c.refusedAt(list, i, err)
		}
	}
	return c.apply(ctx, list, done)
}

// refusedAt is the answer when one of several updates was refused.
func (c asker) refusedAt(list []*update, nth int, err error) result {
	r := c.resultOf(err)
	if r.code == directory.Success {
		r = refuse(directory.Other, "internal error")
	}
	r.failed = list[nth].id
	return r
}

// change is the update as the Writer takes it. What has to hold at the moment
// of the update is looked at inside its transaction: assertion (RFC 4528), read
// entry controls (RFC 4527), and all rights where this node's copy cannot tell:
// between the updates of a transaction, and what a code could give away.
func (u *update) change(together bool) Update {
	out := Update{Who: u.who, Update: directory.Update{DN: u.dn, Entry: u.entry, Mods: u.mods, Move: u.move,
		Subtree: u.controls.treeDelete, Permissive: u.controls.permissive, Relax: u.controls.relax}}
	switch u.op {
	case addRequest:
		out.Kind = directory.UpdateAdd
	case delRequest:
		out.Kind = directory.UpdateDelete
	case modDNRequest:
		out.Kind = directory.UpdateMove
	default:
		out.Kind = directory.UpdateModify
	}
	judged := together || !u.who.Root && out.Kind != directory.UpdateModify
	if judged || u.controls.assertion != nil || u.controls.preRead != nil {
		out.Before = func(in directory.Lookup) error {
			if judged {
				if err := u.judge(lookout{u: u, in: in}); err != nil {
					return err
				}
			}
			return u.before(in)
		}
	}
	if u.controls.postRead != nil {
		out.After = func(in directory.Lookup) (err error) {
			u.post, err = u.readInside(in, u.movedTo(), u.controls.postRead)
			return err
		}
	}
	return out
}

// before makes what has to be seen before the update: assertion and pre-read.
func (u *update) before(in directory.Lookup) (err error) {
	if u.controls.assertion != nil {
		if err := u.assertInside(in); err != nil {
			return err
		}
	}
	if u.controls.preRead != nil {
		u.pre, err = u.readInside(in, u.dn, u.controls.preRead)
	}
	return err
}

// responseControls are those of the read entry controls. The post-read is taken
// from this node's copy, which knows what follows from the journal (entryCSN),
// unless it shows a later update of the entry already.
func (u *update) responseControls(at journal.Position) (b []byte) {
	if u.pre != nil {
		b = appendControl(b, oidPreRead, u.pre)
	}
	if u.post == nil {
		return b
	}
	if at > 0 {
		if shown, err := u.conn.readEntryAt(u.after, at, u.controls.postRead); err == nil && shown != nil {
			u.post = shown
		}
	}
	return appendControl(b, oidPostRead, u.post)
}

// await holds the answer back until a search on this node finds the update.
// It is durable already: when waiting takes too long, the answer says so.
func (c asker) await(ctx context.Context, p journal.Position, r *result) {
	s := c.server
	ctx, cancel := context.WithTimeout(ctx, s.config.Limits.Wait)
	defer cancel()
	if err := s.config.Replica.WaitFor(ctx, p); err != nil {
		r.message = "done, but this node does not show it yet"
		s.config.Logger.Warn("waiting for an update", "position", uint64(p), "error", err)
	}
}

// conceal takes from a refusal of the Writer what the client may not know. No
// name is matched when the entry is there and its new superior is not.
func (u *update) conceal(err error) error {
	var known *directory.Error
	if !errors.As(err, &known) || known.Code != directory.NoSuchObject {
		return err
	}
	there := u.move.DN != nil && u.conn.server.config.Tree.Get(u.key, func(*tree.Entry) error { return nil }) == nil
	if there {
		return &tree.NoSuchBase{}
	}
	return u.conn.noSuch(u.key, &tree.NoSuchBase{})
}

// movedTo is where the entry stands after the update.
func (u *update) movedTo() directory.DN {
	if u.op != modDNRequest {
		return u.dn
	}
	superior := u.dn.Parent()
	if u.move.NewSuperior != nil {
		superior = u.move.NewSuperior
	}
	return superior.Child(u.move.NewRDN)
}

// types are the attributes an add or modify writes; never nil.
func (u *update) types() []string {
	out := make([]string, 0, len(u.mods))
	for i := range u.mods {
		out = append(out, u.mods[i].Attribute.Type)
	}
	if u.entry != nil {
		for i := range u.entry.Attributes {
			out = append(out, u.entry.Attributes[i].Type)
		}
	}
	return out[:len(out)-u.kept] // the client has not asked for what the server keeps besides
}
