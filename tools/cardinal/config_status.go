package main

import (
	"slices"
	"strings"
	"time"

	"cardinal/ca"
	"cardinal/certs"
	"cardinal/ocsp"
)

// StatusConfig says how this node answers for the status of certificates.
type StatusConfig struct {
	// ResponderKey is a pkcs11: URI for this node's responder keys, made when they are missing: NAME stands for the issuer's name, HEX for that in hexadecimal. Default: keys in memory, new ones every day.
	ResponderKey string `yaml:"responderKey"`
	// SigningAtOnce is how many answers are signed at a time. Default twice the processors; with a token, how many sessions it has.
	SigningAtOnce int `yaml:"signingAtOnce"`
	// SigningWait is how long a client waits for its turn and for a token; past it OCSP says tryLater. Default 500ms.
	SigningWait time.Duration `yaml:"signingWait"`
	// Connections is the most connections to the status port at once. Default 8192.
	Connections int `yaml:"connections"`
	// Stored is how many answers are kept ready, at about 450 bytes each. Default 262144.
	Stored int `yaml:"stored"`
	// EdgeAge bounds the ocspAge that responder certificates of edge nodes allow for: they live as long, and an hour. Default 4h.
	EdgeAge time.Duration `yaml:"edgeAge"`
	// ByName names the responder by its subject instead of its key.
	ByName bool `yaml:"byName"`
	// UnknownIssuer is what OCSP answers about other CAs' certificates: unauthorized, tryLater, internalError or malformedRequest. Default unauthorized.
	UnknownIssuer string `yaml:"unknownIssuer"`
	// UnknownSerial is what it answers about a serial that was never recorded: unknown, or revoked (RFC 6960 §2.2) for clients that take unknown for good. Default unknown.
	UnknownSerial string `yaml:"unknownSerial"`
	// CertHash adds the hash of the certificate to good answers.
	CertHash bool `yaml:"certHash"`
	// Answers say how long answers may be relied on, by the kind of issuer.
	Answers []AnswerConfig `yaml:"answers"`
}

// AnswerConfig is what answers about one kind of issuer say. What is left out is as by default.
type AnswerConfig struct {
	// Issuer is authentication, signing or services.
	Issuer string `yaml:"issuer"`
	// NextUpdate is how long an answer may be relied on. Default 2m; signing 10m.
	NextUpdate time.Duration `yaml:"nextUpdate"`
	// MaxAge is how long HTTP caches may keep it. Default: they ask each time; signing 2m.
	MaxAge time.Duration `yaml:"maxAge"`
	// Retain is for how long after its end a certificate's status is told, as the archive cutoff says. Default: nothing is said; signing 11 years.
	Retain time.Duration `yaml:"retain"`
}

func (s *StatusConfig) fill() {
	fill(&s.SigningWait, 500*time.Millisecond)
	fill(&s.Connections, 8192)
	fill(&s.Stored, 1<<18)
	fill(&s.EdgeAge, 4*time.Hour)
	fill(&s.UnknownIssuer, "unauthorized")
	fill(&s.UnknownSerial, "unknown")
}

// unknownIssuers are the answers there are for other CAs' certificates.
func unknownIssuers() map[string]ocsp.ResponseStatus {
	return map[string]ocsp.ResponseStatus{"unauthorized": ocsp.Unauthorized, "tryLater": ocsp.TryLater,
		"internalError": ocsp.InternalError, "malformedRequest": ocsp.MalformedRequest}
}

func (s *StatusConfig) check(bad func(key, format string, args ...any)) {
	if s.ResponderKey != "" && (!strings.HasPrefix(s.ResponderKey, "pkcs11:") || !strings.Contains(s.ResponderKey, "NAME")) {
		bad("status.responderKey", "is not a pkcs11: URI with NAME in it") // it may hold a PIN
	}
	if _, known := unknownIssuers()[s.UnknownIssuer]; !known {
		bad("status.unknownIssuer", "%q is none of unauthorized, tryLater, internalError, malformedRequest", s.UnknownIssuer)
	}
	if s.UnknownSerial != "unknown" && s.UnknownSerial != "revoked" {
		bad("status.unknownSerial", "%q is neither unknown nor revoked", s.UnknownSerial)
	}
	for key, n := range map[string]int64{"signingAtOnce": int64(s.SigningAtOnce), "signingWait": int64(s.SigningWait), "connections": int64(s.Connections),
		"stored": int64(s.Stored), "edgeAge": int64(s.EdgeAge)} {
		if n < 0 {
			bad("status."+key, "is negative")
		}
	}
	for _, a := range s.Answers {
		if !slices.Contains(ca.Names()[1:], a.Issuer) {
			bad("status.answers", "%q is no kind of issuing CA", a.Issuer)
		}
		if a.NextUpdate < 0 || a.NextUpdate > 0 && a.NextUpdate < 10*time.Second || a.NextUpdate > 7*24*time.Hour {
			bad("status.answers", "nextUpdate of %s is not from 10s to 168h", a.Issuer)
		}
		if a.MaxAge < 0 || a.Retain < 0 {
			bad("status.answers", "maxAge or retain of %s is negative", a.Issuer)
		}
	}
}

// policy is how answers about an issuer's certificates are made. All generations of a CA are alike.
func (s *StatusConfig) policy(issuer string) ocsp.Policy {
	p := ocsp.DefaultPolicy(issuer)
	p.CertHash, p.Extended = s.CertHash, s.UnknownSerial == "revoked"
	name, err := certs.ParseIssuerName(issuer)
	if err != nil {
		return p
	}
	for _, a := range s.Answers {
		if a.Issuer != name.Kind {
			continue
		}
		override(&p.NextUpdate, a.NextUpdate)
		override(&p.MaxAge, a.MaxAge)
		override(&p.Retain, a.Retain)
	}
	return p
}

func override(to *time.Duration, value time.Duration) {
	if value > 0 {
		*to = value
	}
}

// adopt takes over what must be the same on every node of an installation.
func (s StatusConfig) adopt(from StatusConfig) StatusConfig {
	s.ByName, s.UnknownIssuer, s.UnknownSerial = from.ByName, from.UnknownIssuer, from.UnknownSerial
	s.CertHash, s.Answers = from.CertHash, from.Answers
	return s
}
