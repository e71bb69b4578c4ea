package ldap

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"cardinal/directory"
	"cardinal/directory/tree"
	"cardinal/internal/ber"
)

// verified remembers binds that succeeded, as keyed digests over identity,
// verifier and password: the same password is not hashed again until the
// verifier changes. The key is made at start and never leaves the process.
type verified struct {
	key   [32]byte
	mu    sync.Mutex
	known map[string][32]byte
}

// maxVerified bounds what is remembered: 100 bytes each.
const maxVerified = 200_000

func (s *Server) prepareSecrets() {
	_, _ = rand.Read(s.verified.key[:]) // never fails (crypto/rand)
	_, _ = rand.Read(s.pagedKey[:])
	s.verified.known = map[string][32]byte{}
	unguessable := make([]byte, 32)
	_, _ = rand.Read(unguessable)
	s.nobody = directory.HashPassword(unguessable)
}

// errHashing: no place to verify a password came free in time.
var errHashing = &directory.Error{Code: directory.Busy, Message: "too many passwords at once"}

// remembers tells whether this very password has been verified before.
func (s *Server) remembers(whose string, verifier, password []byte) bool {
	return s.verified.knows(whose, s.verified.digest(whose, verifier, password))
}

// verify tells whether a password belongs to a verifier of an identity. At
// most Limits.Hashing that cost something run at once; errHashing without a
// place in time.
func (s *Server) verify(ctx context.Context, whose string, verifier, password []byte) (bool, error) {
	if directory.IsSlowVerifier(verifier) {
		if err := s.takeHashing(ctx); err != nil {
			return false, err
		}
		defer func() { <-s.hashing }()
	}
	good, err := directory.CheckPassword(verifier, password)
	if err != nil && !errors.Is(err, directory.ErrPasswordScheme) {
		s.config.Logger.Error("verifying a password", "error", err)
	}
	if good {
		s.verified.remember(whose, s.verified.digest(whose, verifier, password))
	}
	return good, nil
}

// takeHashing waits for a place to hash a password; whoever has it gives it
// back.
func (s *Server) takeHashing(ctx context.Context) error {
	select {
	case s.hashing <- struct{}{}:
		return nil
	default:
	}
	patience := time.NewTimer(s.config.Limits.HashingWait)
	defer patience.Stop()
	select {
	case s.hashing <- struct{}{}:
		return nil
	case <-patience.C:
	case <-ctx.Done():
	}
	return errHashing
}

func (v *verified) digest(whose string, verifier, password []byte) (mac [32]byte) {
	h := hmac.New(sha256.New, v.key[:])
	for _, part := range [][]byte{[]byte(whose), verifier, password} {
		h.Write(ber.AppendLength(nil, len(part)))
		h.Write(part)
	}
	h.Sum(mac[:0])
	return mac
}

func (v *verified) knows(whose string, mac [32]byte) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	known, ok := v.known[whose]
	return ok && hmac.Equal(known[:], mac[:])
}

func (v *verified) remember(whose string, mac [32]byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.known) >= maxVerified {
		for k := range v.known { // any one: the map's order is random
			delete(v.known, k)
			break
		}
	}
	v.known[whose] = mac
}

// maxGroups bounds the groups an identity is looked up in.
const maxGroups = 1_000

// groupsOf finds the groups an identity is a direct member of.
func (s *Server) groupsOf(dn directory.DN) (groups []directory.Key, err error) {
	text := []byte(dn.String())
	f := &directory.Filter{Kind: directory.FilterOr, Children: []*directory.Filter{
		{Kind: directory.FilterEquality, Attr: "member", Value: text},
		{Kind: directory.FilterEquality, Attr: "uniqueMember", Value: text},
	}}
	for i := range s.suffixes {
		scan := s.config.Tree.Open(tree.Request{Base: s.suffixes[i].key, Scope: tree.ScopeSubtree, Filter: f, MaxCandidates: maxGroups})
		_, err := scan.Step(0, func(e *tree.Entry) bool {
			groups = append(groups, e.Key())
			return true
		})
		var missing *tree.NoSuchBase
		if err != nil && !errors.As(err, &missing) {
			return nil, fmt.Errorf("looking for groups below %s: %w", s.suffixes[i].text, err)
		}
	}
	return groups, nil
}
