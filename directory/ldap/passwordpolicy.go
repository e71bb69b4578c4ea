package ldap

import (
	"errors"
	"fmt"
	"time"

	"cardinal/directory"
	"cardinal/directory/tree"
)

// PasswordPolicy is what holds for the passwords of some entries, with the
// meanings of draft-behera-ldap-password-policy-10 §5.2. An entry obeys the
// policy its pwdPolicySubentry names; without one, the first whose subtree and
// filter fit it. The zero value of a field sets no rule.
type PasswordPolicy struct {
	Name    string
	DN      directory.DN      // what pwdPolicySubentry may name; nil: nothing
	Subtree directory.DN      // nil: everywhere
	Filter  *directory.Filter // nil: every entry

	MinAge, MaxAge time.Duration // pwdMinAge, pwdMaxAge
	ExpireWarning  time.Duration // pwdExpireWarning
	GraceLogins    int           // pwdGraceAuthNLimit
	InHistory      int           // pwdInHistory
	MinLength      int           // pwdMinLength, in characters
	MaxLength      int           // pwdMaxLength
	// Quality is pwdCheckQuality: 0 checks nothing, 1 what it can see, and 2
	// refuses what comes as a verifier and cannot be seen.
	Quality int
	// Kinds is how many of lower case, upper case, digits and others a password
	// must mix.
	Kinds        int
	MustChange   bool // pwdMustChange: after someone else has set it
	NoUserChange bool // not pwdAllowUserChange
	SafeModify   bool // pwdSafeModify
	// Lockout refuses an identity after MaxFailure failures within
	// FailureCountInterval (0: ever since the last success) for
	// LockoutDuration (0: until an administrator ends it). Without it sources
	// are slowed down instead, and nobody can lock the identity.
	Lockout              bool
	MaxFailure           int
	LockoutDuration      time.Duration
	FailureCountInterval time.Duration
}

// DefaultPolicies lock people out for a quarter of an hour after ten failures
// within as long. Whatever lies in ou=Services of a suffix, and whatever is no
// person, is slowed down by source.
func DefaultPolicies(suffixes []Suffix) []PasswordPolicy {
	var out []PasswordPolicy
	for _, s := range suffixes {
		services := s.DN.Child(directory.RDN{{Type: "ou", Value: []byte("Services")}})
		out = append(out, PasswordPolicy{Name: "services of " + s.DN.String(), Subtree: services})
	}
	person := &directory.Filter{Kind: directory.FilterEquality, Attr: "objectClass", Value: []byte("person")}
	nhs := &directory.Filter{Kind: directory.FilterEquality, Attr: "objectClass", Value: []byte("nhsPerson")}
	return append(out, PasswordPolicy{Name: "people", Lockout: true, MaxFailure: 10, LockoutDuration: 15 * time.Minute,
		FailureCountInterval: 15 * time.Minute, Filter: &directory.Filter{Kind: directory.FilterOr, Children: []*directory.Filter{person, nhs}}})
}

// policy is a PasswordPolicy with its names resolved.
type policy struct {
	PasswordPolicy
	key   directory.Key // of DN
	base  directory.Key
	query *directory.Query
}

// noPolicy holds where none fits: no rule, and sources are slowed down.
func noPolicy() *policy { return &policy{PasswordPolicy: PasswordPolicy{Name: "none"}} }

func (s *Server) resolvePolicies() error {
	if s.config.Passwords == nil {
		s.config.Passwords = DefaultPolicies(s.config.Suffixes)
	}
	for i := range s.config.Passwords {
		p := policy{PasswordPolicy: s.config.Passwords[i]}
		err := p.check()
		for _, name := range []struct {
			of directory.DN
			to *directory.Key
		}{{p.DN, &p.key}, {p.Subtree, &p.base}} {
			key, bad := s.schema.Key(name.of)
			*name.to = key
			err = errors.Join(err, bad)
		}
		if p.Filter != nil {
			p.query = s.schema.Compile(p.Filter)
		}
		if err != nil {
			return fmt.Errorf("password policy %d (%s): %w", i+1, p.Name, err)
		}
		s.policies = append(s.policies, &p)
	}
	s.policies = append(s.policies, noPolicy())
	return nil
}

func (p *PasswordPolicy) check() error {
	var problems []error
	for _, d := range []time.Duration{p.MinAge, p.MaxAge, p.ExpireWarning, p.LockoutDuration, p.FailureCountInterval} {
		if d < 0 {
			problems = append(problems, errors.New("a time below zero"))
		}
	}
	for _, n := range []int{p.GraceLogins, p.InHistory, p.MinLength, p.MaxLength, p.Kinds, p.MaxFailure, p.Quality} {
		if n < 0 {
			problems = append(problems, errors.New("a number below zero"))
		}
	}
	switch {
	case p.Lockout && p.MaxFailure == 0:
		problems = append(problems, errors.New("lockout without maxFailure never happens"))
	case p.MinLength > maxPassword || p.MaxLength > 0 && p.MaxLength < p.MinLength:
		problems = append(problems, errors.New("no password is long enough and short enough"))
	case p.Quality > 2 || p.Kinds > 4 || p.InHistory > maxHistory || p.GraceLogins > maxGrace || p.MaxFailure > maxFailures:
		problems = append(problems, fmt.Errorf("quality is at most 2, kinds 4, inHistory %d, graceLogins %d, maxFailure %d", maxHistory, maxGrace, maxFailures))
	case p.MaxAge > 0 && p.MinAge >= p.MaxAge:
		problems = append(problems, errors.New("minAge is not below maxAge"))
	}
	return errors.Join(problems...)
}

// policyOf finds the policy of an entry. named is its pwdPolicySubentry.
func (s *Server) policyOf(e directory.EntryView, key, named directory.Key) *policy {
	if named != "" {
		for _, p := range s.policies {
			if p.key == named {
				return p
			}
		}
	}
	for _, p := range s.policies {
		if p.base.Contains(key) && (p.query == nil || e.Match(p.query) == directory.True) {
			return p
		}
	}
	return s.policies[len(s.policies)-1]
}

// passwordState is what an entry says of its password.
type passwordState struct {
	policy  *policy
	changed time.Time // pwdChangedTime, or the entry's age; zero: unknown
	locked  time.Time // pwdAccountLockedTime; zero: never
	forever bool      // locked until an administrator ends it
	reset   bool      // pwdReset
	graces  int       // values of pwdGraceUseTime
}

// readState reads it in one look at the entry.
func (s *Server) readState(e *tree.Entry, key directory.Key) (out passwordState) {
	var named directory.Key
	var created time.Time
	e.Each(func(a *tree.Attribute) bool {
		if !a.Operational {
			return true
		}
		switch a.Name {
		case "createTimestamp":
			a.Values(func(v []byte) bool { created, _ = directory.ParseTime(v); return false })
		case "pwdChangedTime":
			a.Values(func(v []byte) bool { out.changed, _ = directory.ParseTime(v); return false })
		case "pwdAccountLockedTime":
			a.Values(func(v []byte) bool { out.locked, out.forever = lockedTime(v); return false })
		case "pwdReset":
			a.Values(func(v []byte) bool { out.reset = string(v) == "TRUE"; return false })
		case "pwdGraceUseTime":
			a.Values(func([]byte) bool { out.graces++; return true })
		case "pwdPolicySubentry":
			a.Values(func(v []byte) bool { named, _ = s.schema.ParseKey(string(v)); return false })
		}
		return true
	})
	if out.changed.IsZero() {
		out.changed = created
	}
	out.policy = s.policyOf(e, key, named)
	return out
}

// lockedTime reads pwdAccountLockedTime: 000001010000Z is for ever (draft
// §5.3.3), and so is what cannot be read.
func lockedTime(v []byte) (t time.Time, forever bool) {
	t, err := directory.ParseTime(v)
	return t, err != nil || string(v) == lockedForever
}

const lockedForever = "000001010000Z"

// lockedAt decides by the entry alone.
func (p *passwordState) lockedAt(now time.Time) bool {
	switch {
	case p.forever:
		return true
	case p.locked.IsZero():
		return false
	case p.policy.LockoutDuration == 0:
		return true
	}
	return now.Before(p.locked.Add(p.policy.LockoutDuration))
}
