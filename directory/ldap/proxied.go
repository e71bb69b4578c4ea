package ldap

import (
	"errors"
	"strings"

	"cardinal/directory"
	"cardinal/directory/tree"
)

// authorization is the request of proxied authorization (RFC 4370): whose
// rights the request is to have. An empty id is anonymous.
type authorization struct{ id string }

// errProxy is all a client learns when it may not act for another: neither
// whether there is such an entry nor what would let it.
var errProxy = &directory.Error{Code: authorizationDenied, Message: "not authorized to assume the identity"}

func (c *controls) takeProxied(value []byte, critical bool) error {
	switch {
	case c.authorization != nil:
		return protocolError("the proxied authorization control stands twice")
	case !critical:
		return protocolError("the proxied authorization control must be critical")
	case value == nil:
		return protocolError("the proxied authorization control has no value")
	}
	c.authorization = &authorization{id: string(value)}
	return nil
}

// actingAs finds the identity of an authzId (RFC 4513 §5.2.1.8): "dn:NAME",
// "u:USER", or nothing for anonymous. The right "proxy" on its entry is needed,
// which root identities have within their suffix; a root identity nobody may
// become. Being anonymous needs no right but to be somebody: whoever is could
// as well not have bound.
func (a asker) actingAs(id string) (*Identity, error) {
	if a.who.Anonymous() {
		return nil, errProxy
	}
	who := &Identity{By: a.who}
	who.Method, who.Peer, who.Strength = "proxied", a.who.Peer, a.who.Strength
	a.server.allow(who)
	if id == "" {
		return who, nil
	}
	kind, name, _ := strings.Cut(id, ":")
	var err error
	switch strings.ToLower(kind) {
	case "dn":
		if name == "" {
			return who, nil
		}
		who.Key, err = a.server.schema.ParseKey(name)
	case "u":
		who.Key, err = a.server.userNamed(name)
	default:
		return nil, errProxy
	}
	if err != nil || who.Key == "" || a.server.isRoot(who.Key) {
		return nil, errProxy
	}
	return who, a.mayBecome(who)
}

// mayBecome asks for the right to act as an identity, and completes it.
func (a asker) mayBecome(who *Identity) error {
	by := a.who.at(who.Key)
	var name []byte
	err := a.server.config.Tree.Get(who.Key, func(e *tree.Entry) (err error) {
		if !a.rules().On(&by.Identity, e, nil).Allows(nil, directory.RightProxy) {
			return errProxy
		}
		who.UUID = e.UUID()
		name, err = e.AppendDN(nil)
		return err
	})
	var missing *tree.NoSuchBase
	if errors.As(err, &missing) {
		return errProxy
	}
	if err != nil {
		return err
	}
	if who.DN, err = directory.ParseDN(string(name)); err != nil {
		return err
	}
	if err := a.server.acquaint(who); err != nil {
		return err
	}
	a.server.allow(who)
	return nil
}

// isRoot reports whether a name is that of a root identity, with or without a
// password.
func (s *Server) isRoot(key directory.Key) bool {
	for i := range s.suffixes {
		if s.suffixes[i].rootKey == key {
			return true
		}
	}
	return false
}

// userNamed finds the one entry that is named uid=NAME. Other entries may hold
// the uid as well, as the positions of a person do; two of the name are none.
func (s *Server) userNamed(name string) (directory.Key, error) {
	var named []directory.Key
	f := &directory.Filter{Kind: directory.FilterEquality, Attr: "uid", Value: []byte(name)}
	rdn, err := s.schema.Key(directory.DN{{{Type: "uid", Value: []byte(name)}}})
	if err != nil {
		return "", err
	}
	for i := range s.suffixes {
		scan := s.config.Tree.Open(tree.Request{Base: s.suffixes[i].key, Scope: tree.ScopeSubtree, Filter: f, MaxCandidates: maxNamesakes})
		_, err := scan.Step(0, func(e *tree.Entry) bool {
			if key := e.Key(); key == key.Parent()+rdn {
				named = append(named, key)
			}
			return len(named) < 2
		})
		var missing *tree.NoSuchBase
		if err != nil && !errors.As(err, &missing) {
			return "", err
		}
	}
	if len(named) != 1 {
		return "", errProxy
	}
	return named[0], nil
}

// maxNamesakes bounds the entries looked at for one user name.
const maxNamesakes = 1_000
