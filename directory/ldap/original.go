package ldap

import (
	"context"

	"cardinal/directory"
	"cardinal/internal/journal"
)

// Original tells where the entries of record stand, of which this node's tree
// is a copy.
type Original interface {
	// Head is the position of the last change made to them.
	Head(ctx context.Context) (journal.Position, error)
}

// takeOriginal reads the don't use copy control (RFC 6171).
func (c *controls) takeOriginal(value []byte) error {
	switch {
	case c.original:
		return protocolError("the don't use copy control stands twice")
	case value != nil:
		return protocolError("the don't use copy control has no value")
	}
	c.original = true
	return nil
}

// elsewhere refuses, on a node that cannot tell how its copy differs from the
// entries of record, a request that asks for them (RFC 6171 §3).
func (c *conn) elsewhere() (r result, refused bool) {
	s := c.server
	switch {
	case s.config.Original != nil:
		return result{}, false
	case len(s.config.Referrals) > 0:
		return result{code: directory.Referral, referral: s.config.Referrals}, true
	}
	return refuse(directory.UnwillingToPerform, "this node answers from a copy"), true
}

// reach returns when the tree shows everything that stands in the entries of
// record now: then an answer from it is one from them.
func (c *conn) reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.server.config.Limits.Wait)
	defer cancel()
	head, err := c.server.config.Original.Head(ctx)
	if err == nil {
		err = c.server.config.Replica.WaitFor(ctx, head)
	}
	if err != nil {
		c.server.config.Logger.Warn("reaching the entries of record", "connection", c.number, "error", err)
		return &directory.Error{Code: directory.Unavailable, Message: "this node's copy does not reach the entries of record"}
	}
	return nil
}
