package ldap

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"time"

	"cardinal/directory"
	"cardinal/directory/tree"
	"cardinal/internal/ber"
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
	by := c.asking()
	if err == nil {
		by, err = c.asksExtended(m, string(name))
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
	case oidPasswordModify:
		c.detach(m, started, func(ctx context.Context, t *task) directory.Code {
			r, err := by.modifyPassword(ctx, value)
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
func (c *conn) asksExtended(m *message, name string) (asker, error) {
	with, err := parseControls(m)
	if err != nil {
		return c.asking(), err
	}
	if with.authorization != nil && name != oidWhoAmI && name != oidPasswordModify {
		return c.asking(), &directory.Error{Code: directory.UnavailableCriticalExtension, Message: "proxied authorization is not available here"}
	}
	return c.asks(m, &with)
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
	outstanding := c.tasks > 0
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

// modifyPassword sets userPassword (RFC 3062). An old password, if given, must
// be right; a password that is made here is returned.
func (c asker) modifyPassword(ctx context.Context, value []byte) (r result, err error) {
	var identity, before, after []byte
	if len(value) > 0 {
		if identity, before, after, err = parsePasswordModify(value); err != nil {
			return r, err
		}
	}
	who := c.who
	key := who.Key
	dn := who.DN
	if identity != nil {
		if key, dn, err = c.named(identity); err != nil {
			return r, err
		}
	}
	switch {
	case who.Anonymous():
		return refuse(directory.StrongerAuthRequired, "modifications require authentication"), nil
	case c.tls == nil && !c.server.config.AllowPlaintextBind:
		return refuse(directory.ConfidentialityRequired, "passwords travel over TLS only"), nil
	case c.server.rootNamed(key) != nil:
		return refuse(directory.UnwillingToPerform, "the password of a root identity stands in the configuration"), nil
	}
	if before != nil {
		if known, err := c.knowsPassword(key, before); err != nil || !known {
			return refuse(directory.UnwillingToPerform, "the old password is wrong"), err
		}
	}
	if after == nil {
		after = newPassword()
		made, mark := ber.Begin(nil, ber.Sequence)
		r.value = ber.End(ber.Append(made, ber.Context, after), mark)
	}
	mods := []directory.Modification{{Op: directory.ModReplace,
		Attribute: directory.Attribute{Type: "userPassword", Values: [][]byte{after}}}}
	u := &update{conn: c, key: key, dn: dn, mods: mods}
	answer := u.run(ctx, u.modify)
	if answer.code == directory.Success {
		answer.value = r.value
	}
	return answer, nil
}

func parsePasswordModify(value []byte) (identity, before, after []byte, err error) {
	r := ber.NewReader(value)
	seq, err := r.Enter(ber.Sequence)
	if err != nil {
		return nil, nil, nil, err
	}
	for i, into := range []*[]byte{&identity, &before, &after} {
		if *into, _, err = seq.Optional(ber.Context | ber.Tag(i)); err != nil {
			return nil, nil, nil, err
		}
	}
	return identity, before, after, seq.End()
}

// named resolves a userIdentity: a name, or an authorization identity
// (RFC 4513 §5.2.1.8) that holds one.
func (c *conn) named(identity []byte) (directory.Key, directory.DN, error) {
	text := string(identity)
	if len(text) > 3 && text[:3] == "dn:" {
		text = text[3:]
	}
	dn, err := directory.ParseDN(text)
	if err != nil {
		return "", nil, badDN(err)
	}
	key, err := c.server.schema.Key(dn)
	return key, dn, err
}

func (c *conn) knowsPassword(key directory.Key, password []byte) (bool, error) {
	who := Identity{Identity: directory.Identity{Key: key}}
	verifiers, err := c.secretsOf(&who)
	for _, v := range verifiers {
		good, err := c.server.verify(c.ctx, who.UUID.String(), v, password)
		if good || err != nil {
			return good, err
		}
	}
	return false, err
}

func newPassword() []byte {
	b := make([]byte, 15)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.AppendEncode(nil, b)
}

// readEntry is the value of a read entry control (RFC 4527): the entry as the
// client may see it, nil if he may not.
func (c asker) readEntry(key directory.Key, list [][]byte) ([]byte, error) {
	var out []byte
	err := c.visible(key, func(e *tree.Entry, grant *directory.Access) (err error) {
		w := entryWriter{selection: newSelection(c.server.config.Tree, list), grant: grant, hide: c.server.hiding()}
		out, err = w.appendEntry(nil, searchResultEntry, e)
		return err
	})
	return out, err
}
