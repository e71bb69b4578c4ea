package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"cardinal/ca"
	"cardinal/certs"
)

// readConfig reads cardinal.yaml strictly and checks it. The error holds every
// problem found, each with its line or its key.
func readConfig(path string) (Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Config{}, usage("reading the configuration", err)
	}
	c, err := parseConfig(data)
	if err != nil {
		return Config{}, usage("reading "+path, err)
	}
	return c, nil
}

var errSecondDocument = errors.New("after the line --- stands a second document: a configuration is one")

func parseConfig(data []byte) (Config, error) {
	var c Config
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	err := d.Decode(&c)
	if err == nil && !errors.Is(d.Decode(&yaml.Node{}), io.EOF) {
		err = errSecondDocument
	}
	var bad *yaml.TypeError
	switch {
	case errors.Is(err, io.EOF): // an empty file is a good one
		err = nil
	case errors.Is(err, errSecondDocument): // the first one is checked as well
	case errors.As(err, &bad):
		err = errors.New(strings.Join(bad.Errors, "; "))
	case err != nil:
		return Config{}, err
	}
	c = c.withDefaults()
	return c, errors.Join(err, c.check())
}

// UnmarshalYAML takes a suffix as its DN alone or as a mapping.
func (s *Suffix) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&s.DN)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key := n.Content[i]; key.Value != "dn" && key.Value != "rootDN" && key.Value != "passwordFile" {
			return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: field %s not found in suffix", key.Line, key.Value)}}
		}
	}
	type plain Suffix
	return n.Decode((*plain)(s))
}

// check returns every problem of a configuration whose defaults are filled in.
func (c Config) check() error {
	var problems []error
	bad := func(key, format string, args ...any) {
		problems = append(problems, fmt.Errorf(key+": "+format, args...))
	}
	c.checkAddresses(bad)
	c.checkSuffixes(bad)
	if c.PublicURL != "" {
		checkPublicURL(c.PublicURL, bad)
	}
	if scheme, rest, _ := strings.Cut(c.Ledger.URL, ":"); rest == "" || scheme != "sqlite" && scheme != "postgres" && scheme != "postgresql" {
		bad("ledger.url", "%q is neither sqlite:PATH nor postgres://…", c.Ledger.URL)
	}
	c.Keys.check(bad)
	if _, err := c.TimeStamps.policy(); err != nil {
		bad("timeStamps.policy", "%v", err)
	}
	c.checkFeed(bad)
	c.Orders.check(bad)
	c.Status.check(bad)
	c.Lists.check(bad)
	c.Limits.check(bad)
	c.Directory.History.check(bad)
	c.Directory.Followers.check(bad)
	return errors.Join(problems...)
}

func (k KeysConfig) check(bad func(key, format string, args ...any)) {
	all := map[string]string{"authentication": k.Authentication, "signing": k.Signing, "services": k.Services}
	for name, uri := range k.Generations {
		if n, err := certs.ParseIssuerName(name); err != nil || n.Generation < 2 || !slices.Contains(ca.Names()[1:], n.Kind) {
			bad("keys.generations."+name, "is no later generation of an issuing CA, as authentication-2 is")
		}
		all["generations."+name] = uri
	}
	for key, uri := range all {
		if !strings.HasPrefix(uri, "file:") && !strings.HasPrefix(uri, "pkcs11:") {
			bad("keys."+key, "%q is neither file:PATH nor pkcs11:…", uri)
		}
	}
}

func (c Config) checkAddresses(bad func(key, format string, args ...any)) {
	for _, l := range []struct{ key, address string }{
		{"listen.ldap", c.Listen.LDAP}, {"listen.ldaps", c.Listen.LDAPS}, {"listen.status", c.Listen.Status},
		{"listen.issuance", c.Listen.Issuance}, {"listen.operations", c.Listen.Operations},
	} {
		if err := checkAddress(l.address); err != nil {
			bad(l.key, "%q %w", l.address, err)
		}
	}
}

func (c Config) checkSuffixes(bad func(key, format string, args ...any)) {
	seen := map[string]bool{}
	for i, s := range c.Suffixes {
		key := fmt.Sprintf("suffixes[%d]", i)
		if !strings.Contains(s.DN, "=") {
			bad(key, "%q is not a DN", s.DN)
		}
		if (s.RootDN == "") != (s.PasswordFile == "") {
			bad(key, "rootDN and passwordFile go together")
		}
		if low := strings.ToLower(s.DN); seen[low] {
			bad(key, "%s is there twice", s.DN)
		} else {
			seen[low] = true
		}
	}
}

func checkPublicURL(text string, bad func(key, format string, args ...any)) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		bad("publicURL", "%v", err)
	case u.Scheme != "http":
		bad("publicURL", "%q must be http: whoever checks a certificate cannot check another one first (RFC 5280 §8)", text)
	case u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		bad("publicURL", "%q must be http://host[:port][/path]", text)
	}
}

func (l Limits) check(bad func(key, format string, args ...any)) {
	for key, n := range map[string]int64{
		"ocspAge": int64(l.OCSPAge), "directoryAge": int64(l.DirectoryAge), "connections": int64(l.Connections),
		"searchEntries": int64(l.SearchEntries), "searchTime": int64(l.SearchTime), "stalled": int64(l.Stalled), "clockSkew": int64(l.ClockSkew), "drain": int64(l.Drain),
	} {
		if n < 0 {
			bad("limits."+key, "is negative")
		}
	}
}
