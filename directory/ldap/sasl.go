package ldap

import (
	"crypto/tls"
	"slices"

	"cardinal/directory"
	"cardinal/internal/ber"
)

// The SASL mechanisms (RFC 4422) that can be offered.
const (
	mechanismExternal  = "EXTERNAL"           // RFC 4422 appendix A
	mechanismPlain     = "PLAIN"              // RFC 4616
	mechanismScram     = "SCRAM-SHA-256"      // RFC 7677
	mechanismScramPlus = "SCRAM-SHA-256-PLUS" // the same, bound to the TLS connection (RFC 9266)
)

// mechanisms are those that would work on a connection of this kind: they
// stand in its root DSE.
func (s *Server) mechanisms(on quality) (out []string) {
	if on.certified {
		out = append(out, mechanismExternal)
	}
	if on.secure || s.config.AllowPlaintextBind {
		out = append(out, mechanismPlain)
	}
	if s.config.Scram != nil {
		out = append(out, mechanismScram)
		if on.exporter {
			out = append(out, mechanismScramPlus)
		}
	}
	return out
}

// quality is what a connection is good for.
type quality struct {
	secure    bool // it is encrypted
	certified bool // the client has shown a certificate that verified
	exporter  bool // TLS 1.3, which has keys to bind to
}

func (c *conn) kind() quality {
	if c.tls == nil {
		return quality{}
	}
	return quality{secure: true, certified: c.peer() != nil, exporter: c.tls.Version >= tls.VersionTLS13}
}

// exchange is a SASL exchange of several steps. A step that is not the last
// answers saslBindInProgress; after any other it is over.
type exchange interface {
	step(a *attempt, credentials []byte) (who Identity, r result)
}

// ongoing is an exchange that waits for the client's next bind.
type ongoing struct {
	mechanism string
	exchange
}

// authenticateSASL answers a SASL bind. An exchange goes on only if this bind
// names its mechanism; any other bind has ended it (RFC 4513 §5.2.1.2).
func (a *attempt) authenticateSASL(value []byte) (who Identity, r result) {
	c := a.conn
	b := ber.NewReader(value)
	name, err := b.Expect(ber.OctetString)
	if err != nil {
		return who, c.resultOf(err)
	}
	credentials, given, err := b.Optional(ber.OctetString)
	if err != nil {
		return who, c.resultOf(err)
	}
	if len(credentials) > maxCredentials {
		return who, refuse(directory.ProtocolError, "SASL credentials too long")
	}
	mechanism, before := string(name), a.ongoing
	if !slices.Contains(c.server.mechanisms(c.kind()), mechanism) {
		return who, c.notOffered(mechanism)
	}
	if r, stale := c.stale(); stale {
		return who, r
	}
	if before == nil || before.mechanism != mechanism {
		before = &ongoing{mechanism, begin(mechanism)}
		if !given && mechanism != mechanismExternal { // the client waits for the server to speak
			c.ongoing = before
			return who, result{code: saslBindInProgress, value: []byte{}}
		}
	}
	who, r = before.step(a, credentials)
	if r.code == saslBindInProgress {
		c.ongoing = before
	}
	return who, r
}

// maxCredentials bounds one message of a mechanism.
const maxCredentials = 16 << 10

// saslBindInProgress: the client is to go on with another bind (RFC 4511
// §4.2.2).
const saslBindInProgress directory.Code = 14

// notOffered says why a mechanism cannot be had: a password would travel in
// clear, or it is none of ours.
func (c *conn) notOffered(mechanism string) result {
	if mechanism == mechanismPlain {
		return refuse(directory.ConfidentialityRequired, "passwords travel over TLS only")
	}
	return refuse(directory.AuthMethodNotSupported, "SASL mechanism not available")
}

func begin(mechanism string) exchange {
	switch mechanism {
	case mechanismExternal:
		return external{}
	case mechanismPlain:
		return plain{}
	}
	return &scramExchange{plus: mechanism == mechanismScramPlus}
}

// external is the mechanism EXTERNAL: the client certificate shows who it is.
type external struct{}

func (external) step(a *attempt, credentials []byte) (who Identity, r result) {
	c := a.conn
	who, err := c.server.identify(c.peer())
	if err != nil {
		c.server.config.Logger.Info("refusing a client certificate", "connection", c.number, "subject", c.peer().Subject.String(), "why", err)
		return Identity{}, refuse(directory.InvalidCredentials, err.Error())
	}
	return c.authorized(who, string(credentials))
}

// authorized gives an authenticated identity the authorization identity it
// asks for (RFC 4513 §5.2.1.8): its own, or one it has the right to act as.
func (c *conn) authorized(who Identity, authz string) (Identity, result) {
	if authz == "" || c.server.isOwn(&who, authz) {
		return who, result{}
	}
	who.Peer, who.Strength = c.peerAddress(), c.strength()
	as, err := asker{c, &who}.actingAs(authz)
	if err != nil || as.Key == "" {
		return Identity{}, refuse(authorizationDenied, "not authorized to assume identity")
	}
	// Whatever ends the one who authenticated ends this as well.
	as.Certificate, as.ends, as.Certified = who.Certificate, who.ends, who.Certified
	return *as, result{}
}
