package ldap

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/xdg-go/scram"

	"cardinal/directory"
)

// Scram offers SCRAM-SHA-256 (RFC 7677) and, over TLS 1.3, SCRAM-SHA-256-PLUS
// bound to the connection (RFC 9266). Its secrets stand in authPassword in the
// form of RFC 5803; they are made when a password is set.
type Scram struct {
	// Seed makes the salts of identities that have no secret, so that they
	// look like those that have. It is secret, lasts, and is the same on every
	// node; nil takes one of this process.
	Seed []byte
	// Iterations of the hash for new secrets and for identities without one;
	// 0 means 10,000.
	Iterations int
}

// Bounds on the iterations of a stored secret: fewer than RFC 7677 asks for
// are not worth storing, more would keep clients busy.
const (
	leastIterations   = 4_096
	mostIterations    = 1_000_000
	defaultIterations = 10_000
	scramScheme       = "SCRAM-SHA-256"
	scramSalt         = 16
)

func (s *Server) checkScram() error {
	if s.config.Scram == nil {
		return nil
	}
	c := *s.config.Scram
	s.config.Scram = &c
	if c.Iterations == 0 {
		c.Iterations = defaultIterations
	}
	if c.Iterations < leastIterations || c.Iterations > mostIterations {
		return fmt.Errorf("SCRAM iterations must be %d to %d", leastIterations, mostIterations)
	}
	if c.Seed == nil {
		c.Seed = make([]byte, 32)
		_, _ = rand.Read(c.Seed) // never fails (crypto/rand)
	}
	return nil
}

// scramSecret makes the secret of a password (RFC 5803 §3). ok is false for a
// password that SASLprep forbids.
func (s *Server) scramSecret(password []byte) (secret []byte, ok bool) {
	client, err := scram.SHA256.NewClient("x", string(password), "")
	if err != nil {
		return nil, false
	}
	salt := make([]byte, scramSalt)
	_, _ = rand.Read(salt) // never fails (crypto/rand)
	made, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: string(salt), Iters: s.config.Scram.Iterations})
	if err != nil {
		return nil, false
	}
	enc := base64.StdEncoding
	return fmt.Appendf(nil, "%s$%d:%s$%s:%s", scramScheme, made.Iters, enc.EncodeToString(salt),
		enc.EncodeToString(made.StoredKey), enc.EncodeToString(made.ServerKey)), true
}

var errScramSecret = errors.New("not a secret of SCRAM-SHA-256")

// ParseScramSecret reads a value of authPassword (RFC 5803 §3).
func ParseScramSecret(value []byte) (c scram.StoredCredentials, err error) {
	parts := strings.Split(string(value), "$")
	if len(parts) != 3 || !strings.EqualFold(strings.TrimSpace(parts[0]), scramScheme) {
		return c, errScramSecret
	}
	count, salt, ok := strings.Cut(strings.TrimSpace(parts[1]), ":")
	stored, server, more := strings.Cut(strings.TrimSpace(parts[2]), ":")
	if !ok || !more {
		return c, errScramSecret
	}
	if c.Iters, err = strconv.Atoi(count); err != nil || c.Iters < leastIterations || c.Iters > mostIterations {
		return c, errScramSecret
	}
	rawSalt, err1 := base64.StdEncoding.DecodeString(salt)
	storedKey, err2 := base64.StdEncoding.DecodeString(stored)
	serverKey, err3 := base64.StdEncoding.DecodeString(server)
	if errors.Join(err1, err2, err3) != nil || len(rawSalt) < 8 || len(rawSalt) > 64 ||
		len(storedKey) != sha256.Size || len(serverKey) != sha256.Size {
		return c, errScramSecret
	}
	c.Salt, c.StoredKey, c.ServerKey = string(rawSalt), storedKey, serverKey
	return c, nil
}

// fakeSecret is the secret of an identity that has none: its salt is always
// the same, and nobody knows a password to it.
func (s *Server) fakeSecret(acc *account) scram.StoredCredentials {
	name := string(acc.key)
	if name == "" {
		name = strings.ToLower(acc.text)
	}
	derive := func(what string) []byte {
		h := hmac.New(sha256.New, s.config.Scram.Seed)
		h.Write([]byte(what))
		h.Write([]byte(name))
		return h.Sum(nil)
	}
	return scram.StoredCredentials{KeyFactors: scram.KeyFactors{Salt: string(derive("salt")[:scramSalt]), Iters: s.config.Scram.Iterations},
		StoredKey: derive("stored"), ServerKey: derive("server")}
}

// scramExchange is one exchange of SCRAM. Its first step names the identity,
// its second shows the proof.
type scramExchange struct {
	plus         bool
	conversation *scram.ServerConversation
	account      account
	fake         bool
}

func (x *scramExchange) step(a *attempt, credentials []byte) (who Identity, r result) {
	if x.conversation == nil {
		return who, x.first(a, credentials)
	}
	return x.final(a, credentials)
}

func (x *scramExchange) first(a *attempt, credentials []byte) result {
	c := a.conn
	server, err := scram.SHA256.NewServer(func(user string) (scram.StoredCredentials, error) { return x.lookUp(a, user) })
	if err != nil {
		return c.resultOf(err)
	}
	if x.conversation, err = x.converse(c, server); err != nil {
		return c.resultOf(err)
	}
	answer, err := x.conversation.Step(string(credentials))
	var known *directory.Error
	switch {
	case errors.As(err, &known):
		return c.resultOf(err)
	case err != nil: // a message that does not parse, or a binding that does not fit
		return refuse(directory.InvalidCredentials, "")
	}
	return result{code: saslBindInProgress, value: []byte(answer)}
}

// converse begins a conversation. A client that could have bound it to the
// connection and was kept from seeing that notices (RFC 5802 §6).
func (x *scramExchange) converse(c *conn, server *scram.Server) (*scram.ServerConversation, error) {
	if !c.kind().exporter {
		return server.NewConversation(), nil
	}
	binding, err := scram.NewTLSExporterBinding(c.tls)
	if err != nil {
		return nil, fmt.Errorf("binding to the TLS connection: %w", err)
	}
	if x.plus {
		return server.NewConversationWithChannelBindingRequired(binding), nil
	}
	return server.NewConversationWithChannelBinding(binding), nil
}

// lookUp finds the secret of a user, or makes one up.
func (x *scramExchange) lookUp(a *attempt, user string) (scram.StoredCredentials, error) {
	s := a.conn.server
	x.account.text = user
	x.account.dn, x.account.key = s.authenticating(user)
	if err := s.look(&x.account, "authPassword"); err != nil {
		return scram.StoredCredentials{}, err
	}
	if x.account.root == nil {
		for _, v := range x.account.secrets {
			if c, err := ParseScramSecret(v); err == nil {
				return c, nil
			}
		}
	}
	x.fake = true
	return s.fakeSecret(&x.account), nil
}

func (x *scramExchange) final(a *attempt, credentials []byte) (who Identity, r result) {
	if bytes.ContainsFunc(credentials, func(r rune) bool { return r == 0 }) {
		return who, refuse(directory.InvalidCredentials, "")
	}
	s := a.conn.server
	if err := cmp.Or(s.look(&x.account, "authPassword"), a.wait(&x.account)); err != nil { // much may have happened since the first step
		return who, a.conn.resultOf(err)
	}
	answer, err := x.conversation.Step(string(credentials))
	good := err == nil && x.conversation.Valid() && !x.fake
	if who, r = a.conclude(&x.account, good); r.code != directory.Success {
		return Identity{}, r
	}
	who.Method = mechanismScram
	who, r = a.conn.authorized(who, x.conversation.AuthzID())
	if r.code == directory.Success {
		r.value = []byte(answer)
	}
	return who, r
}
