package main

import (
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"cardinal/directory"
	"cardinal/directory/ldap"
)

// ClientCertificate leads client certificates to entries.
type ClientCertificate struct {
	// From is the part of the certificate: subject, commonName, attribute, upn, mail or fingerprint (SHA-256, lower-case hexadecimal).
	From string `yaml:"from"`
	// Attribute is the type in the subject, with from: attribute.
	Attribute string `yaml:"attribute,omitempty"`
	// Match is a regular expression the whole part must fit. Default anything.
	Match string `yaml:"match,omitempty"`
	// To is the entry's name, with $0 for the part and $1 … for groups of match.
	To string `yaml:"to,omitempty"`
	// Find, in place of to, is the attribute in which the one entry below base holds the part. With neither, the subject is the name.
	Find string `yaml:"find,omitempty"`
	Base string `yaml:"base,omitempty"`
	// Issuers are PEM files of the CAs whose certificates it is for. Default our own.
	Issuers []string `yaml:"issuers,omitempty"`
}

// UserName leads user names to entries.
type UserName struct {
	Match string `yaml:"match,omitempty"` // must fit the whole name; default anything
	To    string `yaml:"to"`              // the entry's name, with $0, $1 …
}

// ScramConfig offers SCRAM-SHA-256.
type ScramConfig struct {
	Enabled bool `yaml:"enabled"`
	// SeedFile holds 32 secret octets or more, the same on every node: they make up salts for who has no secret.
	SeedFile string `yaml:"seedFile,omitempty"`
	// Iterations of the hash. Default 10000.
	Iterations int `yaml:"iterations,omitempty"`
}

// PasswordPolicy is what holds for the passwords of some entries, as in draft-behera-ldap-password-policy-10.
type PasswordPolicy struct {
	Name    string `yaml:"name"`
	DN      string `yaml:"dn,omitempty"`      // what pwdPolicySubentry of an entry may name
	Subtree string `yaml:"subtree,omitempty"` // default everywhere
	Filter  string `yaml:"filter,omitempty"`  // default every entry

	MinAge        Age `yaml:"minAge,omitempty"`
	MaxAge        Age `yaml:"maxAge,omitempty"`
	ExpireWarning Age `yaml:"expireWarning,omitempty"`
	GraceLogins   int `yaml:"graceLogins,omitempty"`
	InHistory     int `yaml:"inHistory,omitempty"`

	MinLength int `yaml:"minLength,omitempty"`
	MaxLength int `yaml:"maxLength,omitempty"`
	Quality   int `yaml:"quality,omitempty"` // 0, 1, or 2: a password that is hashed already is refused
	Kinds     int `yaml:"kinds,omitempty"`   // of lower case, upper case, digits, others

	MustChange   bool `yaml:"mustChange,omitempty"`   // after someone else has set it
	NoUserChange bool `yaml:"noUserChange,omitempty"` // the holder may not change it
	SafeModify   bool `yaml:"safeModify,omitempty"`   // the old password is needed

	// Lockout locks who fails maxFailure times within failureCountInterval, for lockoutDuration (0: until an administrator ends it).
	Lockout              bool `yaml:"lockout,omitempty"`
	MaxFailure           int  `yaml:"maxFailure,omitempty"`
	LockoutDuration      Age  `yaml:"lockoutDuration,omitempty"`
	FailureCountInterval Age  `yaml:"failureCountInterval,omitempty"`
}

// Age is a duration that may be given in days, as in 90d.
type Age time.Duration

// UnmarshalYAML reads 90d or 1h30m.
func (a *Age) UnmarshalYAML(n *yaml.Node) error {
	if days, ok := strings.CutSuffix(n.Value, "d"); ok {
		if count, err := strconv.ParseUint(days, 10, 16); err == nil {
			*a = Age(time.Duration(count) * 24 * time.Hour)
			return nil
		}
	}
	d, err := time.ParseDuration(n.Value)
	if err != nil {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %q is no duration, like 90d or 15m", n.Line, n.Value)}}
	}
	*a = Age(d)
	return nil
}

// MarshalYAML writes what UnmarshalYAML reads.
func (a Age) MarshalYAML() (any, error) {
	if day := Age(24 * time.Hour); a >= day && a%day == 0 {
		return fmt.Sprintf("%dd", a/day), nil
	}
	return time.Duration(a).String(), nil
}

// binding is how clients show who they are, resolved.
type binding struct {
	certificates []ldap.Mapping
	users        []ldap.UserMapping
	scram        *ldap.Scram
	passwords    []ldap.PasswordPolicy
}

func (d DirectoryConfig) binding(f folder) (b binding, err error) {
	var problems []error
	note := func(key string, err error) {
		if err != nil {
			problems = append(problems, fmt.Errorf("directory.%s: %w", key, err))
		}
	}
	for i, c := range d.ClientCertificates {
		m, err := c.mapping(f)
		note(fmt.Sprintf("clientCertificates[%d]", i), err)
		b.certificates = append(b.certificates, m)
	}
	for i, u := range d.Users {
		match, err := whole(u.Match)
		if u.To == "" {
			err = errors.Join(err, errors.New("to is missing"))
		}
		note(fmt.Sprintf("users[%d]", i), err)
		b.users = append(b.users, ldap.UserMapping{Match: match, To: u.To})
	}
	for i, p := range d.Passwords {
		policy, err := p.policy()
		note(fmt.Sprintf("passwords[%d]", i), err)
		b.passwords = append(b.passwords, policy)
	}
	b.scram, err = d.Scram.offer(f)
	note("scram", err)
	for i, uri := range d.Referrals {
		if !strings.HasPrefix(uri, "ldap://") && !strings.HasPrefix(uri, "ldaps://") {
			note(fmt.Sprintf("referrals[%d]", i), fmt.Errorf("%q is no LDAP URI", uri))
		}
	}
	return b, errors.Join(problems...)
}

// whole compiles an expression that must fit a whole text.
func whole(text string) (*regexp.Regexp, error) {
	if text == "" {
		return nil, nil
	}
	if _, err := regexp.Compile(text); err != nil {
		return nil, fmt.Errorf("match: %w", err)
	}
	return regexp.Compile("^(?:" + text + ")$")
}

func (c ClientCertificate) mapping(f folder) (m ldap.Mapping, err error) {
	m = ldap.Mapping{From: ldap.From(c.From), Attribute: c.Attribute, To: c.To, Find: c.Find}
	if m.Match, err = whole(c.Match); err != nil {
		return m, err
	}
	if c.Base != "" {
		if m.Base, err = directory.ParseDN(c.Base); err != nil {
			return m, fmt.Errorf("base %q: %w", c.Base, err)
		}
	}
	for _, name := range c.Issuers {
		text, err := os.ReadFile(f.path(name))
		if err != nil {
			return m, fmt.Errorf("reading an issuer: %w", err)
		}
		block, _ := pem.Decode(text)
		if block == nil || block.Type != "CERTIFICATE" {
			return m, fmt.Errorf("issuer %s: no certificate in PEM", name)
		}
		m.Issuers = append(m.Issuers, block.Bytes)
	}
	return m, nil
}

// leastSeed is how many octets of a seed nobody guesses.
const leastSeed = 32

func (s ScramConfig) offer(f folder) (*ldap.Scram, error) {
	if !s.Enabled {
		return nil, nil
	}
	seed, err := os.ReadFile(f.path(s.SeedFile))
	switch {
	case s.SeedFile == "":
		return nil, errors.New("seedFile is missing; make it once with: head -c 32 /dev/urandom")
	case err != nil:
		return nil, fmt.Errorf("reading the seed: %w", err)
	case len(seed) < leastSeed:
		return nil, fmt.Errorf("seedFile %s holds less than %d octets", s.SeedFile, leastSeed)
	}
	return &ldap.Scram{Seed: seed, Iterations: s.Iterations}, nil
}

func (p PasswordPolicy) policy() (out ldap.PasswordPolicy, err error) {
	out = ldap.PasswordPolicy{Name: p.Name, MinAge: time.Duration(p.MinAge), MaxAge: time.Duration(p.MaxAge), ExpireWarning: time.Duration(p.ExpireWarning),
		GraceLogins: p.GraceLogins, InHistory: p.InHistory, MinLength: p.MinLength, MaxLength: p.MaxLength, Quality: p.Quality, Kinds: p.Kinds,
		MustChange: p.MustChange, NoUserChange: p.NoUserChange, SafeModify: p.SafeModify, Lockout: p.Lockout, MaxFailure: p.MaxFailure,
		LockoutDuration: time.Duration(p.LockoutDuration), FailureCountInterval: time.Duration(p.FailureCountInterval)}
	var problems []error
	for _, name := range []struct {
		text string
		to   *directory.DN
	}{{p.DN, &out.DN}, {p.Subtree, &out.Subtree}} {
		if name.text == "" {
			continue
		}
		dn, err := directory.ParseDN(name.text)
		if err != nil {
			problems = append(problems, fmt.Errorf("%q: %w", name.text, err))
		}
		*name.to = dn
	}
	if p.Filter != "" {
		filter, err := directory.ParseFilter(p.Filter)
		if err != nil {
			problems = append(problems, err)
		}
		out.Filter = filter
	}
	return out, errors.Join(problems...)
}
