package ldap

import (
	"crypto/tls"
	"net"
	"net/netip"
	"strings"
	"time"

	"cardinal/directory"
	"cardinal/internal/ber"
)

const (
	authSimple ber.Tag = 0x80
	authSASL   ber.Tag = 0xA3
)

// attempt is one bind request on its way.
type attempt struct {
	conn    *conn
	turn    *turn    // in which it is made; given up before anything that waits
	asked   bool     // for the password policy control's response
	ongoing *ongoing // the SASL exchange it may go on with
	said    policyAnswer
}

// bind answers a Bind when its turn has come: thousands may bind in the same
// moment. What does not wait for anything else is done within the turn, down to
// the answer; false ends the connection.
func (c *conn) bind(m *message, started time.Time) bool {
	c.giveUpFollowing(false) // RFC 4511 §4.2.1: abandoned
	c.running.Wait()
	if c.turn.enter(c.ctx) != nil {
		return false
	}
	defer c.turn.leave()
	c.count(m.op, c.handleBind(m), started)
	if c.from < c.to { // more requests are there: one write for all answers
		return true
	}
	return c.flush() == nil
}

// handleBind answers a Bind (RFC 4511 §4.2). Nothing else of the connection
// runs meanwhile. Whatever the outcome, who was bound before is not any more.
func (c *conn) handleBind(m *message) directory.Code {
	c.dropTransaction()
	a := attempt{conn: c, turn: &c.turn, ongoing: c.ongoing}
	c.ongoing = nil
	c.become(Identity{})
	with, err := parseControls(m)
	if err != nil {
		return c.reply(m, c.resultOf(err))
	}
	a.asked = with.policy
	who, r := a.authenticate(m)
	if r.code == directory.Success {
		c.become(who)
	}
	a.said.answer(a.asked && r.code != saslBindInProgress, &r)
	return c.reply(m, r)
}

// become makes the connection someone else's.
func (c *conn) become(who Identity) {
	c.who = who
	c.renewed.Store(nil)
	c.who.Peer, c.who.Strength = c.peerAddress(), c.strength()
	c.server.allow(&c.who)
	c.bound = c.bound || !who.Anonymous()
	c.mustChange.Store(who.mustChange)
	c.checked = c.server.config.Now()
}

// peerAddress is where the connection comes from; the zero value if it is no
// address of the Internet.
func (c *conn) peerAddress() netip.Addr {
	if tcp, ok := c.plain.RemoteAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// strength is the length in bits of the key that encrypts the connection.
func (c *conn) strength() int {
	switch {
	case c.tls == nil:
		return 0
	case strings.Contains(tls.CipherSuiteName(c.tls.CipherSuite), "AES_128"):
		return 128
	}
	return 256 // AES-256 and ChaCha20; nothing weaker is left in crypto/tls
}

func (a *attempt) authenticate(m *message) (who Identity, r result) {
	c := a.conn
	b := ber.NewReader(m.body)
	version, err := b.Int(ber.Integer)
	if err != nil {
		return who, c.resultOf(err)
	}
	name, err := b.Expect(ber.OctetString)
	if err != nil {
		return who, c.resultOf(err)
	}
	method, value, err := b.Next()
	switch {
	case err != nil:
		return who, c.resultOf(err)
	case version != 3:
		return who, refuse(directory.ProtocolError, "only version 3 is spoken here")
	case method == authSASL:
		return a.authenticateSASL(value)
	case method != authSimple:
		return who, refuse(directory.AuthMethodNotSupported, "unknown authentication method")
	}
	return a.authenticateSimple(string(name), value)
}

func (a *attempt) authenticateSimple(name string, password []byte) (who Identity, r result) {
	c := a.conn
	if name == "" {
		if len(password) > 0 {
			return who, refuse(directory.InvalidCredentials, "")
		}
		return c.byCertificate("certificate"), result{}
	}
	dn, err := directory.ParseDN(name)
	if err != nil {
		return who, c.resultOf(badDN(err))
	}
	key, err := c.server.schema.Key(dn)
	switch {
	case err != nil:
		return who, c.resultOf(err)
	case len(password) == 0:
		return who, refuse(directory.UnwillingToPerform, "unauthenticated bind (DN with no password) disallowed")
	case c.tls == nil && !c.server.config.AllowPlaintextBind:
		return who, refuse(directory.ConfidentialityRequired, "passwords travel over TLS only")
	}
	if r, stale := c.stale(); stale {
		return who, r
	}
	return a.password(&account{dn: dn, key: key}, password)
}

// rootNamed finds the suffix whose root identity has this name and a password.
func (s *Server) rootNamed(key directory.Key) *suffix {
	for i := range s.suffixes {
		if x := &s.suffixes[i]; x.rootKey == key && len(x.RootPassword) > 0 {
			return x
		}
	}
	return nil
}
