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
	who      Identity
	key      directory.Key
	dn       directory.DN
	entry    *directory.Entry
	mods     []directory.Modification
	move     directory.Move
	after    directory.Key // where the entry stands afterwards
	controls controls
}

// updating returns what runs an update on a goroutine of its own.
func (c *conn) updating(m *message) func(ctx context.Context, t *task) directory.Code {
	request := *m
	return func(ctx context.Context, t *task) directory.Code {
		u := &update{conn: c.asking()}
		step, err := u.parse(&request)
		if err != nil {
			return c.conclude(t, nil, c.resultOf(err))
		}
		return c.conclude(t, nil, u.run(ctx, step))
	}
}

// write is one of the four kinds of update.
type write func(ctx context.Context) (journal.Position, error)

func (u *update) parse(m *message) (w write, err error) {
	if u.controls, err = parseControls(m); err != nil {
		return nil, err
	}
	if u.conn, err = u.conn.asks(m, &u.controls); err != nil {
		return nil, err
	}
	switch m.op {
	case addRequest:
		return u.add, u.parseAdd(m.body)
	case delRequest:
		return u.delete, u.name(m.body)
	case modifyRequest:
		return u.modify, u.parseModify(m.body)
	}
	return u.modifyDN, u.parseModifyDN(m.body)
}

func (u *update) name(dn []byte) (err error) {
	if u.dn, err = directory.ParseDN(string(dn)); err != nil {
		return badDN(err)
	}
	u.key, err = u.conn.server.schema.Key(u.dn)
	u.after = u.key
	return err
}

// run makes the update and waits until this node's copy shows it.
func (u *update) run(ctx context.Context, w write) result {
	c := u.conn
	s := c.server
	switch {
	case s.config.Writer == nil && len(s.config.Referrals) > 0:
		return result{code: directory.Referral, referral: s.config.Referrals}
	case s.config.Writer == nil:
		return refuse(directory.UnwillingToPerform, "this node does not take updates")
	case c.who.Anonymous():
		return refuse(directory.StrongerAuthRequired, "modifications require authentication")
	case u.key == "":
		return refuse(directory.UnwillingToPerform, "the root DSE cannot be changed")
	}
	if !s.answersFor(u.key) {
		return refuse(directory.UnwillingToPerform, "no global superior knowledge")
	}
	if r, stale := c.stale(); stale {
		return r
	}
	u.who = c.who.at(u.key)
	r := result{}
	if err := u.before(&r); err != nil {
		return c.resultOf(err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.Limits.Time)
	defer cancel()
	position, err := w(ctx)
	if err != nil {
		return c.resultOf(u.conceal(err))
	}
	u.await(ctx, position, &r)
	if u.controls.postRead != nil {
		if entry, err := c.readEntry(u.after, u.controls.postRead); err == nil {
			r.controls = appendControl(r.controls, oidPostRead, entry)
		}
	}
	return r
}

// before makes what has to be seen before the update: assertion and pre-read.
func (u *update) before(r *result) error {
	if u.controls.assertion != nil {
		if err := u.conn.assert(u.key, u.controls.assertion); err != nil {
			return err
		}
	}
	if u.controls.preRead == nil {
		return nil
	}
	entry, err := u.conn.readEntry(u.key, u.controls.preRead)
	if err == nil {
		r.controls = appendControl(r.controls, oidPreRead, entry)
	}
	return u.conn.noSuch(u.key, err)
}

// await holds the answer back until a search on this node finds the update.
// It is durable already: when waiting takes too long, the answer says so.
func (u *update) await(ctx context.Context, p journal.Position, r *result) {
	s := u.conn.server
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

var errNoWrite = &directory.Error{Code: directory.InsufficientAccessRights}

// may checks a right to change the entry itself, or attributes.
func (u *update) may(right directory.Right, on directory.EntryView, types []string) error {
	if u.who.Root {
		return nil
	}
	grant := u.conn.server.config.Rules.On(&u.who.Identity, on, nil)
	if types == nil && !grant.Allows(nil, right) {
		return errNoWrite
	}
	for _, name := range types {
		t := u.conn.server.schema.Attribute(name)
		if t == nil {
			return &directory.Error{Code: directory.UndefinedAttributeType, Message: name + ": attribute type undefined"}
		}
		if !grant.Allows(t, right) {
			return errNoWrite
		}
	}
	return nil
}

// onEntry checks rights on the entry as it is, which must exist for the client.
func (u *update) onEntry(right directory.Right, types []string) error {
	if u.who.Root {
		return nil
	}
	err := u.conn.visible(u.key, func(e *tree.Entry, _ *directory.Access) error { return u.may(right, e, types) })
	return u.conn.noSuch(u.key, err)
}

func (u *update) add(ctx context.Context) (journal.Position, error) {
	view, err := u.conn.server.schema.View(u.entry)
	if err != nil {
		return 0, err
	}
	if err := u.may(directory.RightAdd, view, nil); err != nil {
		return 0, err
	}
	types := make([]string, 0, len(u.entry.Attributes))
	for i := range u.entry.Attributes {
		types = append(types, u.entry.Attributes[i].Type)
	}
	if err := u.may(directory.RightAdd, view, types); err != nil {
		return 0, err
	}
	return u.conn.server.config.Writer.Add(ctx, u.who, u.entry)
}

func (u *update) delete(ctx context.Context) (journal.Position, error) {
	if err := u.onEntry(directory.RightDelete, nil); err != nil {
		return 0, err
	}
	return u.conn.server.config.Writer.Delete(ctx, u.who, u.dn)
}

func (u *update) modify(ctx context.Context) (journal.Position, error) {
	u.who = u.conn.who.at(u.key)
	types := make([]string, 0, len(u.mods))
	for i := range u.mods {
		types = append(types, u.mods[i].Attribute.Type)
	}
	if err := u.onEntry(directory.RightModify, types); err != nil {
		return 0, err
	}
	return u.conn.server.config.Writer.Modify(ctx, u.who, u.dn, u.mods)
}

func (u *update) modifyDN(ctx context.Context) (journal.Position, error) {
	if !u.conn.server.answersFor(u.after) {
		return 0, &directory.Error{Code: directory.AffectsMultipleDSAs, Message: "the new superior is not held here"}
	}
	if err := u.onEntry(directory.RightRename, nil); err != nil {
		return 0, err
	}
	if !u.conn.who.at(u.after).Root {
		view, err := u.conn.server.schema.View(&directory.Entry{DN: u.movedTo()})
		if err != nil {
			return 0, err
		}
		who := u.who
		u.who = u.conn.who.at(u.after)
		if err := u.may(directory.RightRename, view, nil); err != nil {
			return 0, err
		}
		u.who = who
	}
	return u.conn.server.config.Writer.ModifyDN(ctx, u.who, u.move)
}

func (u *update) movedTo() directory.DN {
	superior := u.dn.Parent()
	if u.move.NewSuperior != nil {
		superior = u.move.NewSuperior
	}
	return superior.Child(u.move.NewRDN)
}

func (u *update) parseAdd(body []byte) error {
	r := ber.NewReader(body)
	name, err := r.Expect(ber.OctetString)
	if err != nil {
		return err
	}
	list, err := r.Enter(ber.Sequence)
	if err != nil {
		return err
	}
	u.entry = &directory.Entry{}
	for n := 0; !list.Empty(); n++ {
		if n >= maxAttributes {
			return protocolError("too many attributes")
		}
		a, err := readAttribute(&list)
		if err != nil {
			return err
		}
		u.entry.Attributes = append(u.entry.Attributes, a)
	}
	if err := u.name(name); err != nil {
		return err
	}
	u.entry.DN = u.dn
	return nil
}

// readAttribute reads an Attribute or PartialAttribute (RFC 4511 §4.1.7).
func readAttribute(r *ber.Reader) (a directory.Attribute, err error) {
	seq, err := r.Enter(ber.Sequence)
	if err != nil {
		return a, err
	}
	typ, err := seq.Expect(ber.OctetString)
	if err != nil {
		return a, err
	}
	set, err := seq.Enter(ber.Set)
	if err != nil {
		return a, err
	}
	a.Type = string(typ)
	for !set.Empty() {
		v, err := set.Expect(ber.OctetString)
		if err != nil {
			return a, err
		}
		a.Values = append(a.Values, v)
	}
	return a, nil
}

func (u *update) parseModify(body []byte) error {
	r := ber.NewReader(body)
	name, err := r.Expect(ber.OctetString)
	if err != nil {
		return err
	}
	list, err := r.Enter(ber.Sequence)
	if err != nil {
		return err
	}
	for n := 0; !list.Empty(); n++ {
		if n >= maxAttributes {
			return protocolError("too many modifications")
		}
		seq, err := list.Enter(ber.Sequence)
		if err != nil {
			return err
		}
		op, err := seq.Int(ber.Enumerated)
		if err != nil {
			return err
		}
		if op < 0 || op > int64(directory.ModIncrement) {
			return protocolError("unrecognized modify operation")
		}
		a, err := readAttribute(&seq)
		if err != nil {
			return err
		}
		u.mods = append(u.mods, directory.Modification{Op: directory.ModOp(op), Attribute: a})
	}
	return u.name(name)
}

func (u *update) parseModifyDN(body []byte) error {
	r := ber.NewReader(body)
	name, err := r.Expect(ber.OctetString)
	if err != nil {
		return err
	}
	rdn, err := r.Expect(ber.OctetString)
	if err != nil {
		return err
	}
	if u.move.DeleteOldRDN, err = r.Bool(ber.Boolean); err != nil {
		return err
	}
	superior, moved, err := r.Optional(ber.Context)
	if err != nil {
		return err
	}
	if err := u.name(name); err != nil {
		return err
	}
	u.move.DN = u.dn
	parsed, err := directory.ParseDN(string(rdn))
	if err != nil || len(parsed) != 1 {
		return &directory.Error{Code: directory.InvalidDNSyntax, Message: "invalid new RDN"}
	}
	u.move.NewRDN = parsed[0]
	if moved {
		above, err := directory.ParseDN(string(superior))
		if err != nil {
			return badDN(err)
		}
		u.move.NewSuperior = append(directory.DN{}, above...)
	}
	u.after, err = u.conn.server.schema.Key(u.movedTo())
	return err
}
