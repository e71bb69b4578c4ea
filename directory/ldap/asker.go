package ldap

// asker is who makes one request, and the connection it came by. That is the
// identity the connection is bound as, or under proxied authorization another
// (RFC 4370). What is decided for a request is decided for who, never for the
// connection's own identity.
type asker struct {
	*conn
	who *Identity // not changed while the request runs
}

// asking is the connection's own identity, as it is now. Bind changes it, and
// waits until nothing runs before it does.
func (c *conn) asking() asker { return asker{c, c.current()} }

// asks is who makes a request with these controls.
func (c *conn) asks(m *message, with *controls) (asker, error) {
	a := c.asking()
	if with.authorization == nil {
		return a, nil
	}
	who, err := a.actingAs(with.authorization.id)
	if err != nil {
		return a, err
	}
	c.server.config.Logger.Info("acting for another", "connection", c.number, "operation", opName(m.op),
		"by", c.who.label(), "for", who.label())
	return asker{c, who}, nil
}
