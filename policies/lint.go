package policies

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"
)

// LeftOut is a lint that is not applied, and why.
type LeftOut struct {
	Lint   string `yaml:"lint"`
	Reason string `yaml:"reason"`
}

// LeftOut lists the lints this set does not apply, each with its reason.
func (s *Set) LeftOut() []LeftOut { return slices.Clone(s.leftOut) }

// parseLints builds the registry of lints from lints.yaml.
func parseLints(text []byte) (lint.Registry, []LeftOut, error) {
	var f struct {
		Sources []string  `yaml:"sources"`
		Cite    string    `yaml:"cite"`
		LeftOut []LeftOut `yaml:"leftOut"`
	}
	if err := decodeStrict(text, &f); err != nil {
		return nil, nil, err
	}
	problems := []error{cited("sources", f.Cite)}
	var options lint.FilterOptions
	for _, name := range f.Sources {
		var source lint.LintSource
		source.FromString(name)
		if name == string(lint.RFC6960) { // zlint's own table of names lacks it
			source = lint.RFC6960
		}
		if source == lint.UnknownLintSource {
			problems = append(problems, fmt.Errorf("sources: %q is not known to zlint", name))
		}
		options.IncludeSources = append(options.IncludeSources, source)
	}
	for _, must := range []lint.LintSource{lint.RFC5280, lint.Community} {
		if !slices.Contains(options.IncludeSources, must) {
			problems = append(problems, fmt.Errorf("sources: %s may not be left out", must))
		}
	}
	for _, out := range f.LeftOut {
		if lint.GlobalRegistry().ByName(out.Lint) == nil && lint.GlobalRegistry().CertificateLints().ByName(out.Lint) == nil {
			problems = append(problems, fmt.Errorf("leftOut: zlint has no %q", out.Lint))
		}
		if out.Reason == "" {
			problems = append(problems, fmt.Errorf("leftOut: %s without a reason", out.Lint))
		}
		options.ExcludeNames = append(options.ExcludeNames, out.Lint)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, nil, err
	}
	registry, err := lint.GlobalRegistry().Filter(options)
	return registry, f.LeftOut, err
}

// judge applies our own assertions and zlint to a signed draft. The first error
// in the order of names refuses.
func (s *Set) judge(p *Profile, draft, issuer *x509.Certificate) *Refusal {
	for _, a := range assertions() {
		if found := a.check(p.Name, draft, issuer); found != "" {
			return refuse(a.name, a.clause, "%s", found)
		}
	}
	errs, _, err := s.lint(draft.Raw, issuer == nil)
	if err != nil {
		return refuse("lint-parse", "RFC 5280 §4.1", "%v", err)
	}
	if len(errs) == 0 {
		return nil
	}
	found := errs[0]
	return refuse(found.name, found.clause, "%s", found.detail)
}

type finding struct{ name, clause, detail string }

// lint runs zlint over DER and gives its errors and its warnings, by name.
func (s *Set) lint(der []byte, selfIssued bool) (errs, warnings []finding, err error) {
	c, err := zx509.ParseCertificate(der)
	if err != nil {
		return nil, nil, err
	}
	// A root's draft is signed by a throw-away key, so the parser cannot see
	// that the real one will be self-signed; lints ask.
	c.SelfSigned = selfIssued
	results := zlint.LintCertificateEx(c, s.registry).Results
	for _, name := range sortedKeys(results) {
		r := results[name]
		if r.Status < lint.Warn {
			continue
		}
		found := finding{name: name, detail: r.Details}
		if l := s.registry.CertificateLints().ByName(name); l != nil {
			found.clause = l.Citation
			if found.detail == "" {
				found.detail = l.Description
			}
		}
		if r.Status == lint.Warn {
			warnings = append(warnings, found)
		} else {
			errs = append(errs, found)
		}
	}
	return errs, warnings, nil
}
