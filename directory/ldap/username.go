package ldap

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"cardinal/directory"
	"cardinal/directory/tree"
)

// UserMapping turns a user name, as SASL mechanisms send them, into the name
// of an entry. The first that fits and leads to an entry decides; if none
// does, the one entry named uid=USER is meant.
type UserMapping struct {
	Match *regexp.Regexp // must fit the whole user name; nil fits any
	To    string         // name of the entry, with $0, $1 … as in Mapping
}

func (s *Server) checkUsers() error {
	for i, m := range s.config.Users {
		if m.To == "" {
			return fmt.Errorf("user mapping %d leads to no name", i+1)
		}
	}
	return nil
}

// authenticating finds the name of an authentication identity: "dn:NAME",
// "u:USER", or a plain user name. A name is given even if nothing has it: the
// password must be found wrong just as slowly.
func (s *Server) authenticating(id string) (dn directory.DN, key directory.Key) {
	kind, name, found := strings.Cut(id, ":")
	switch {
	case found && strings.EqualFold(kind, "dn"):
		if dn, err := directory.ParseDN(name); err == nil {
			if key, err := s.schema.Key(dn); err == nil {
				return dn, key
			}
		}
		return nil, ""
	case found && strings.EqualFold(kind, "u"):
		id = name
	}
	return s.user(id)
}

// user finds the entry a user name means; none if there is none.
func (s *Server) user(name string) (directory.DN, directory.Key) {
	for i := range s.config.Users {
		m := &s.config.Users[i]
		to, ok := (&Mapping{Match: m.Match, To: m.To}).name(name)
		if !ok {
			continue
		}
		if dn, key, err := s.existing(to); err == nil {
			return dn, key
		}
	}
	key, err := s.userNamed(name)
	if err != nil {
		return nil, ""
	}
	dn, err := s.nameOf(key)
	if err != nil {
		return nil, ""
	}
	return dn, key
}

func (s *Server) existing(name string) (dn directory.DN, key directory.Key, err error) {
	if key, err = s.schema.ParseKey(name); err != nil {
		return nil, "", err
	}
	dn, err = s.nameOf(key)
	return dn, key, err
}

// nameOf is the name of an entry as it is spelled there.
func (s *Server) nameOf(key directory.Key) (dn directory.DN, err error) {
	err = s.config.Tree.Get(key, func(e *tree.Entry) error {
		text, err := e.AppendDN(nil)
		if err != nil {
			return err
		}
		dn, err = directory.ParseDN(string(text))
		return err
	})
	return dn, err
}

// isOwn reports whether an authorization identity (RFC 4513 §5.2.1.8) is the
// identity itself.
func (s *Server) isOwn(who *Identity, authz string) bool {
	kind, name, _ := strings.Cut(authz, ":")
	switch strings.ToLower(kind) {
	case "dn":
		key, err := s.schema.ParseKey(name)
		return err == nil && key == who.Key
	case "u":
		_, key := s.user(name)
		return key != "" && key == who.Key
	}
	return false
}

var errPlain = errors.New("a message of PLAIN that does not parse")

// parsePlain reads the message of PLAIN (RFC 4616 §2).
func parsePlain(message []byte) (authz, authc string, password []byte, err error) {
	first, rest, ok := strings.Cut(string(message), "\x00")
	second, third, more := strings.Cut(rest, "\x00")
	if !ok || !more || second == "" || third == "" || strings.Contains(third, "\x00") {
		return "", "", nil, errPlain
	}
	return first, second, []byte(third), nil
}

// plain is the mechanism PLAIN.
type plain struct{}

func (plain) step(a *attempt, credentials []byte) (who Identity, r result) {
	c := a.conn
	authz, authc, password, err := parsePlain(credentials)
	if err != nil {
		return who, refuse(directory.ProtocolError, err.Error())
	}
	dn, key := c.server.authenticating(authc)
	who, r = a.password(&account{dn: dn, key: key, text: authc}, password)
	if r.code != directory.Success {
		return Identity{}, r
	}
	who.Method = mechanismPlain
	return c.authorized(who, authz)
}
