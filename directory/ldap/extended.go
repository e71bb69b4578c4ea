package ldap

import (
	"context"
	"crypto/tls"
	"time"

	"cardinal/directory"
	"cardinal/directory/tree"
	"cardinal/internal/ber"
	"cardinal/internal/journal"
)

// handleExtended answers an extended operation (RFC 4511 §4.12). It returns
// false if the answer comes from another goroutine.
func (c *conn) handleExtended(m *message, started time.Time) (code directory.Code, done bool) {
	b := ber.NewReader(m.body)
	name, err := b.Expect(ber.Context)
	if err != nil {
		return c.reply(m, c.resultOf(err)), true
	}
	value, valued, err := b.Optional(ber.Context | 1)
	by, with := c.asking(), controls{}
	if err == nil {
		by, with, err = c.asksExtended(m, string(name))
	}
	if err != nil {
		return c.reply(m, c.resultOf(err)), true
	}
	switch string(name) {
	case oidWhoAmI:
		return c.reply(m, by.whoAmI(valued)), true
	case oidStartTLS:
		return c.startTLS(m, valued), true
	case oidCancel:
		return c.reply(m, c.handleCancel(value)), true
	case oidStartTransaction:
		return c.reply(m, c.startTransaction(valued)), true
	case oidEndTransaction:
		return c.endTransaction(m, value, started)
	case oidPasswordModify:
		if with.transaction != nil {
			return by.enqueuePassword(m, &with, value), true
		}
		c.detach(m, started, func(ctx context.Context, t *task) directory.Code {
			r, err := by.modifyPassword(ctx, value, with)
			if err != nil {
				r = c.resultOf(err)
			}
			return c.conclude(t, nil, r)
		})
		return directory.Success, false
	}
	return c.reply(m, refuse(directory.ProtocolError, "unsupported extended operation")), true
}

// asksExtended is who makes an extended request. Proxied authorization means
// something for those alone that act with somebody's rights.
func (c *conn) asksExtended(m *message, name string) (asker, controls, error) {
	with, err := parseControls(m)
	if err != nil {
		return c.asking(), with, err
	}
	if with.transaction != nil && name != oidPasswordModify {
		return c.asking(), with, errTransactionOnly
	}
	if with.authorization != nil && name != oidWhoAmI && name != oidPasswordModify {
		return c.asking(), with, &directory.Error{Code: directory.UnavailableCriticalExtension, Message: "proxied authorization is not available here"}
	}
	by, err := c.asks(m, &with)
	return by, with, err
}

// whoAmI answers with the authorization identity (RFC 4532).
func (c asker) whoAmI(valued bool) result {
	switch {
	case valued:
		return refuse(directory.ProtocolError, "no value expected")
	case c.who.Anonymous():
		return result{value: []byte{}}
	}
	return result{value: []byte("dn:" + c.who.DN.String())}
}

// startTLS begins TLS on the connection (RFC 4511 §4.14). It is refused while
// anything is outstanding, and when octets stand behind it in the buffer: they
// came in clear, and whoever put them there must not be taken for the client.
func (c *conn) startTLS(m *message, valued bool) directory.Code {
	c.mu.Lock()
	outstanding := c.tasks+c.following() > 0
	c.mu.Unlock()
	switch {
	case valued:
		return c.reply(m, refuse(directory.ProtocolError, "no request data expected"))
	case c.tls != nil:
		return c.reply(m, refuse(directory.OperationsError, "TLS is already in place"))
	case c.server.config.TLS == nil:
		return c.reply(m, refuse(directory.ProtocolError, "unsupported extended operation"))
	case outstanding || c.from != c.to:
		return c.reply(m, refuse(directory.OperationsError, "cannot start TLS when operations are outstanding"))
	}
	c.dropTransaction()
	code := c.reply(m, result{name: oidStartTLS})
	if c.flush() != nil {
		return code
	}
	t := tls.Server(c.plain, c.server.config.TLS)
	c.writing.Lock()
	c.net = t
	c.writing.Unlock()
	if err := c.handshake(t); err != nil {
		c.cut()
		return code
	}
	return code
}

// readEntryAt is the value of a post-read control from this node's copy; nil if
// the client may not see the entry, or it was changed after a position.
func (c asker) readEntryAt(key directory.Key, at journal.Position, list [][]byte) (out []byte, err error) {
	err = c.visible(key, func(e *tree.Entry, grant *directory.Access) (err error) {
		if _, changed, ok := directory.ParseCSN(string(e.CSN())); !ok || changed > at {
			return nil
		}
		w := entryWriter{selection: newSelection(c.server.config.Tree, list), grant: grant, hide: c.server.hiding(), others: c.outlook(directory.RightRead)}
		out, err = w.appendEntry(nil, searchResultEntry, e)
		return err
	})
	return out, err
}
