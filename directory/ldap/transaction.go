package ldap

import (
	"bytes"
	"context"
	"crypto/rand"
	"slices"
	"time"

	"cardinal/directory"
	"cardinal/internal/ber"
	"cardinal/internal/journal"
)

// transaction is a transaction that a client has begun (RFC 5805): updates that
// have been answered "success" and wait to be made together. It holds copies of
// the requests and nothing of the store. A connection has at most one.
type transaction struct {
	id      []byte
	updates []*update
	octets  int
	expiry  *time.Timer
}

var (
	errTransactionNone = &directory.Error{Code: directory.UnwillingToPerform, Message: "there is no such transaction"}
	errTransactionOpen = &directory.Error{Code: directory.UnwillingToPerform, Message: "a transaction is open already"}
	errTransactionFull = &directory.Error{Code: directory.AdminLimitExceeded, Message: "the transaction holds as much as it may"}
	errTransactionOnly = &directory.Error{Code: directory.UnwillingToPerform, Message: "this cannot be a part of a transaction"}
)

// startTransaction answers 1.3.6.1.1.21.1 with the identifier of a new
// transaction.
func (c *conn) startTransaction(valued bool) result {
	limits := c.server.config.Limits
	switch {
	case valued:
		return refuse(directory.ProtocolError, "no request data expected")
	case c.server.config.Writer == nil:
		return refuse(directory.UnwillingToPerform, "this node does not take updates")
	case c.who.Anonymous():
		return refuse(directory.StrongerAuthRequired, "modifications require authentication")
	}
	t := &transaction{id: make([]byte, 16)}
	_, _ = rand.Read(t.id) // never fails (crypto/rand)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.transaction != nil {
		return c.resultOf(errTransactionOpen)
	}
	c.transaction = t
	t.expiry = time.AfterFunc(limits.Transaction, func() { c.expire(t) })
	return result{value: t.id}
}

// expire ends a transaction that was open too long, and tells the client by the
// Aborted Transaction Notice (RFC 5805 §2.4).
func (c *conn) expire(t *transaction) {
	c.mu.Lock()
	open := c.transaction == t
	if open {
		c.transaction = nil
	}
	c.mu.Unlock()
	if !open {
		return
	}
	r := result{code: directory.TimeLimitExceeded, message: "the transaction was open too long", name: oidAbortedTransaction, value: t.id}
	_ = c.write(r.append(nil, 0, extendedResponse)) // a client that is gone has no use for it
}

// takeTransaction takes the open transaction off the connection; nil if it has
// none, or not this one. With no id it is whichever is open.
func (c *conn) takeTransaction(id []byte) *transaction {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.transaction
	if t == nil || id != nil && !bytes.Equal(t.id, id) {
		return nil
	}
	c.transaction = nil
	t.expiry.Stop()
	return t
}

// dropTransaction forgets what a client has not committed: it binds, starts TLS
// or goes.
func (c *conn) dropTransaction() { c.takeTransaction(nil) }

// enqueue answers an update that is a part of a transaction, on the reading
// goroutine, so that updates keep their order. It returns false if the update is
// part of none: the octets of the control's name are enough to look closer.
func (c *conn) enqueue(m *message) (code directory.Code, done bool) {
	if !bytes.Contains(m.controls, []byte(oidTransaction)) {
		return directory.Success, false
	}
	own := *m
	own.body, own.controls = slices.Clone(m.body), slices.Clone(m.controls)
	u, err := c.parseUpdate(&own)
	if err == nil && u.controls.transaction == nil {
		return directory.Success, false
	}
	if err == nil {
		err = c.queue(u, len(m.body)+len(m.controls))
	}
	return c.reply(m, c.resultOf(err)), true
}

// enqueuePassword does the same for Password Modify (RFC 3062). A password made
// here could not be told: the answer to a commit has no place for it.
func (c asker) enqueuePassword(m *message, with *controls, value []byte) directory.Code {
	p, err := parsePasswordModify(slices.Clone(value))
	if err == nil && p.after == nil {
		err = &directory.Error{Code: directory.UnwillingToPerform, Message: "in a transaction the new password must be given"}
	}
	var u *update
	if err == nil {
		u, err = c.passwordUpdate(&p)
	}
	if err == nil {
		u.id, u.controls.transaction = m.id, with.transaction
		err = c.queue(u, len(value))
	}
	return c.reply(m, c.resultOf(err))
}

func (c *conn) queue(u *update, octets int) error {
	if r, refused := u.refused(); refused {
		return &directory.Error{Code: r.code, Message: r.message}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.transaction
	switch {
	case t == nil || !bytes.Equal(t.id, u.controls.transaction):
		return errTransactionNone
	case u.controls.treeDelete:
		return errTransactionOnly
	case len(t.updates) >= maxTransactionUpdates || t.octets+octets > maxTransactionOctets:
		return errTransactionFull
	}
	t.updates, t.octets = append(t.updates, u), t.octets+octets
	return nil
}

// parseEndTransaction reads the value of 1.3.6.1.1.21.3.
func parseEndTransaction(value []byte) (commit bool, id []byte, err error) {
	r := ber.NewReader(value)
	seq, err := r.Enter(ber.Sequence)
	if err != nil {
		return false, nil, err
	}
	commit = true
	if seq.Peek() == ber.Boolean {
		if commit, err = seq.Bool(ber.Boolean); err != nil {
			return false, nil, err
		}
	}
	if id, err = seq.Expect(ber.OctetString); err == nil && id == nil {
		id = []byte{}
	}
	return commit, id, err
}

// endTransaction commits or gives up. It returns false if the answer comes from
// another goroutine.
func (c *conn) endTransaction(m *message, value []byte, started time.Time) (code directory.Code, done bool) {
	commit, id, err := parseEndTransaction(value)
	if err != nil {
		return c.reply(m, c.resultOf(err)), true
	}
	t := c.takeTransaction(id)
	switch {
	case t == nil:
		return c.reply(m, c.resultOf(errTransactionNone)), true
	case !commit, len(t.updates) == 0:
		return c.reply(m, result{}), true
	}
	c.detach(m, started, func(ctx context.Context, own *task) directory.Code {
		return c.conclude(own, nil, c.commit(ctx, t))
	})
	return directory.Success, false
}

// commit makes the updates of a transaction. When one is refused none is made,
// and the answer names its message; else it carries the controls the updates
// would have been answered with (RFC 5805 §2.3).
func (c *conn) commit(ctx context.Context, t *transaction) result {
	if r, stale := c.stale(); stale {
		return r
	}
	r := c.asking().applyRenewed(ctx, t.updates, func(journal.Position) result {
		return result{value: updatesControls(t.updates)}
	})
	if r.code != directory.Success && r.failed != 0 {
		b, mark := ber.Begin(nil, ber.Sequence)
		r.value = ber.End(ber.AppendInt(b, ber.Integer, r.failed), mark)
	}
	return r
}

func updatesControls(updates []*update) []byte {
	b, end := ber.Begin(nil, ber.Sequence)
	b, list := ber.Begin(b, ber.Sequence)
	empty := true
	for _, u := range updates {
		controls := u.responseControls(0)
		if controls == nil {
			continue
		}
		empty = false
		var one int
		b, one = ber.Begin(b, ber.Sequence)
		b = ber.AppendInt(b, ber.Integer, u.id)
		b = ber.Append(b, ber.Sequence, controls)
		b = ber.End(b, one)
	}
	if empty {
		return nil
	}
	return ber.End(ber.End(b, list), end)
}
