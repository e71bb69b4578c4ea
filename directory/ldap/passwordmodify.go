package ldap

import (
	"context"
	"crypto/rand"
	"encoding/base64"

	"cardinal/directory"
	"cardinal/directory/tree"
	"cardinal/internal/ber"
)

// passwordModify is a Password Modify request (RFC 3062 §2).
type passwordModify struct {
	identity, before, after []byte // nil: not given
}

func parsePasswordModify(value []byte) (p passwordModify, err error) {
	if len(value) == 0 {
		return p, nil
	}
	r := ber.NewReader(value)
	seq, err := r.Enter(ber.Sequence)
	if err != nil {
		return p, err
	}
	for i, into := range []*[]byte{&p.identity, &p.before, &p.after} {
		if *into, _, err = seq.Optional(ber.Context | ber.Tag(i)); err != nil {
			return p, err
		}
	}
	return p, seq.End()
}

// modifyPassword sets userPassword (RFC 3062). An old password, if given, must
// be right; a password that is made here is returned.
func (c asker) modifyPassword(ctx context.Context, value []byte, with controls) (r result, err error) {
	p, err := parsePasswordModify(value)
	if err != nil {
		return r, err
	}
	var made []byte
	if p.after == nil {
		p.after = newPassword()
		b, mark := ber.Begin(nil, ber.Sequence)
		made = ber.End(ber.Append(b, ber.Context, p.after), mark)
	}
	u, err := c.passwordUpdate(&p)
	if err != nil {
		return r, err
	}
	r = u.run(ctx)
	r.matched = "" // as slapd answers
	u.said.answer(with.policy, &r)
	if r.code == directory.Success {
		r.value = made
	}
	return r, nil
}

// passwordUpdate is the update a request for a new password comes to.
func (c asker) passwordUpdate(p *passwordModify) (u *update, err error) {
	u = &update{conn: c, op: modifyRequest, key: c.who.Key, dn: c.who.DN}
	if len(p.identity) > 0 {
		if u.key, u.dn, err = c.named(p.identity); err != nil {
			return nil, err
		}
	}
	refuse := func(code directory.Code, message string) (*update, error) {
		return nil, &directory.Error{Code: code, Message: message}
	}
	switch {
	case c.who.Anonymous():
		return refuse(directory.StrongerAuthRequired, "modifications require authentication")
	case c.tls == nil && !c.server.config.AllowPlaintextBind:
		return refuse(directory.ConfidentialityRequired, "passwords travel over TLS only")
	case c.server.rootNamed(u.key) != nil:
		return refuse(directory.UnwillingToPerform, "the password of a root identity stands in the configuration")
	case len(p.after) == 0:
		return refuse(directory.UnwillingToPerform, "the new password is empty")
	}
	u.after, u.who = u.key, c.who.at(u.key)
	u.mods = []directory.Modification{{Op: directory.ModReplace,
		Attribute: directory.Attribute{Type: "userPassword", Values: [][]byte{p.after}}}}
	if u.oldGiven = p.before != nil; u.oldGiven {
		u.check = func(context.Context) error {
			if known, err := c.knowsPassword(u.key, p.before); err != nil || !known {
				return errOldPassword
			}
			return nil
		}
	}
	return u, nil
}

var errOldPassword = &directory.Error{Code: directory.UnwillingToPerform, Message: "the old password is wrong"}

// named resolves a userIdentity: a name, or an authorization identity
// (RFC 4513 §5.2.1.8) that holds one or is that of a user.
func (c asker) named(identity []byte) (key directory.Key, dn directory.DN, err error) {
	text := string(identity)
	if len(text) > 2 && text[:2] == "u:" {
		return c.user(text[2:])
	}
	if len(text) > 3 && text[:3] == "dn:" {
		text = text[3:]
	}
	if dn, err = directory.ParseDN(text); err != nil {
		return "", nil, &directory.Error{Code: directory.InvalidAttributeSyntax, Message: "invalid user identity"} // as slapd answers
	}
	key, err = c.server.schema.Key(dn)
	return key, dn, err
}

// user finds the one entry of a user's name, if the client may know it.
func (c asker) user(name string) (key directory.Key, dn directory.DN, err error) {
	if key, err = c.server.userNamed(name); err != nil || key == "" {
		return "", nil, &tree.NoSuchBase{}
	}
	var text []byte
	err = c.visible(key, func(e *tree.Entry, _ *directory.Access) (err error) {
		text, err = e.AppendDN(nil)
		return err
	})
	if err != nil {
		return "", nil, &tree.NoSuchBase{}
	}
	dn, err = directory.ParseDN(string(text))
	return key, dn, err
}

func (c *conn) knowsPassword(key directory.Key, password []byte) (bool, error) {
	acc := account{key: key}
	err := c.server.look(&acc, "userPassword")
	for _, v := range acc.secrets {
		good, err := c.server.verify(c.ctx, acc.whose(), v, password)
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
