package ldap

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"time"

	"cardinal/directory"
	"cardinal/directory/tree"
)

// From says which part of a client certificate a Mapping looks at.
type From string

// The parts.
const (
	FromCommonName  From = "commonName"
	FromSubject     From = "subject"     // the whole subject, RFC 4514
	FromUPN         From = "upn"         // the Microsoft user principal name
	FromMail        From = "mail"        // the first RFC 822 name
	FromFingerprint From = "fingerprint" // SHA-256 of the DER, lower-case hexadecimal
	FromAttribute   From = "attribute"   // one attribute of the subject, by Mapping.Attribute
)

// Mapping turns a client certificate into an identity. The first mapping that
// fits and leads to an entry decides.
type Mapping struct {
	// Issuers are the certificates of CAs whose certificates it is for, DER;
	// none: those CardStatus knows as ours.
	Issuers [][]byte
	From    From
	// Match must fit the whole part; nil fits anything.
	Match *regexp.Regexp
	// To is the name of the entry, with $1 … for groups of Match and $0 for the
	// whole. Values are escaped. Without it and Find the subject itself is the
	// name, and no entry is needed; rules can speak of it.
	To string
	// Attribute is the type of FromAttribute; a subject with several values of
	// it leads nowhere.
	Attribute string
	// Find, in place of To, is an attribute of entries: the one entry at or below
	// Base (nil: in any suffix) that holds the part is meant. Two are none.
	Find string
	Base directory.DN
}

// DefaultMappings lead a card's certificate (12-digit common name) to the
// person in ou=People of each suffix, and any other certificate of ours to its
// own subject as a name.
func DefaultMappings(suffixes []Suffix) []Mapping {
	var out []Mapping
	for _, s := range suffixes {
		out = append(out, Mapping{From: FromCommonName, Match: regexp.MustCompile(`^[0-9]{12}$`),
			To: "uid=$0,ou=People," + s.DN.String()})
	}
	return append(out, Mapping{From: FromSubject})
}

func (s *Server) checkMappings() error {
	for i, m := range s.config.Certificates {
		switch m.From {
		case FromCommonName, FromSubject, FromUPN, FromMail, FromFingerprint:
		case FromAttribute:
			if s.schema.Attribute(m.Attribute) == nil {
				return fmt.Errorf("certificate mapping %d: unknown attribute %q", i+1, m.Attribute)
			}
		default:
			return fmt.Errorf("certificate mapping %d: unknown part %q", i+1, m.From)
		}
		if t := s.schema.Attribute(m.Find); m.Find != "" && (m.To != "" || t == nil || t.Equality == nil) {
			return fmt.Errorf("certificate mapping %d: %q cannot be searched for", i+1, m.Find)
		}
		if m.To == "" && m.Find == "" && m.From != FromSubject {
			return fmt.Errorf("certificate mapping %d: without a name to lead to it must be from the subject", i+1)
		}
		for _, der := range m.Issuers {
			if _, err := x509.ParseCertificate(der); err != nil {
				return fmt.Errorf("certificate mapping %d: issuer: %w", i+1, err)
			}
		}
	}
	return nil
}

// peer is the verified certificate of the client, nil if there is none.
func (c *conn) peer() *x509.Certificate {
	if c.tls == nil || len(c.tls.VerifiedChains) == 0 || len(c.tls.PeerCertificates) == 0 {
		return nil
	}
	return c.tls.PeerCertificates[0]
}

// byCertificate is the identity of an anonymous bind: that of the client
// certificate if so configured and it is good, else nobody's.
func (c *conn) byCertificate(method string) Identity {
	if !c.server.config.BindByCertificate {
		return Identity{}
	}
	who, err := c.server.identify(c.peer())
	if err != nil {
		return Identity{}
	}
	who.Method = method
	return who
}

var (
	errNoCertificate = errors.New("no verified client certificate")
	errNotGood       = errors.New("the certificate is not good")
	errNoMapping     = errors.New("the certificate leads to no entry")
)

// identify finds the identity a certificate stands for.
func (s *Server) identify(cert *x509.Certificate) (Identity, error) {
	if cert == nil {
		return Identity{}, errNoCertificate
	}
	ours, err := s.checkGood(cert.Raw)
	if err != nil {
		return Identity{}, err
	}
	now := s.config.Now()
	if now.After(cert.NotAfter) || now.Before(cert.NotBefore) {
		return Identity{}, errNotGood
	}
	for i := range s.config.Certificates {
		m := &s.config.Certificates[i]
		if !m.accepts(cert, ours) {
			continue
		}
		who, err := s.follow(m, cert)
		if err == nil {
			who.Certificate, who.ends, who.Certified = cert.Raw, cert.NotAfter, true
			return who, nil
		}
		if !errors.Is(err, errNoMapping) {
			return Identity{}, err
		}
	}
	return Identity{}, errNoMapping
}

// checkGood refuses a certificate of ours that is revoked, held, or was never
// issued. Others are for their own CAs to judge.
func (s *Server) checkGood(der []byte) (ours bool, err error) {
	if s.config.CardStatus == nil {
		return false, nil
	}
	known, good := s.config.CardStatus.Known(der)
	if known && !good {
		return true, errNotGood
	}
	return known, nil
}

func (m *Mapping) accepts(cert *x509.Certificate, ours bool) bool {
	if len(m.Issuers) == 0 {
		return ours
	}
	for _, der := range m.Issuers {
		issuer, err := x509.ParseCertificate(der)
		if err == nil && bytes.Equal(issuer.RawSubject, cert.RawIssuer) && cert.CheckSignatureFrom(issuer) == nil {
			return true
		}
	}
	return false
}

// follow leads a certificate to its identity, errNoMapping if this mapping
// does not.
func (s *Server) follow(m *Mapping, cert *x509.Certificate) (who Identity, err error) {
	part, ok := s.partOf(m, cert)
	if !ok {
		return who, errNoMapping
	}
	name := part
	switch {
	case m.To != "":
		name, ok = m.name(part)
	case m.Find != "":
		name, ok = s.found(m, part)
	}
	if !ok {
		return who, errNoMapping
	}
	if who.DN, err = directory.ParseDN(name); err != nil {
		return who, errNoMapping
	}
	if who.Key, err = s.schema.Key(who.DN); err != nil {
		return who, errNoMapping
	}
	err = s.config.Tree.Get(who.Key, func(e *tree.Entry) error {
		who.UUID = e.UUID()
		return nil
	})
	var missing *tree.NoSuchBase
	if errors.As(err, &missing) {
		err = nil
		if m.To != "" || m.Find != "" {
			err = errNoMapping
		}
	}
	who.Method = "EXTERNAL"
	if err == nil {
		err = s.acquaint(&who)
	}
	return who, err
}

// name puts the groups of Match into To, escaped as values of a name.
func (m *Mapping) name(part string) (string, bool) {
	if m.Match == nil {
		return expand(m.To, []string{part}), true
	}
	groups := m.Match.FindStringSubmatch(part)
	if groups == nil || groups[0] != part {
		return "", false
	}
	return expand(m.To, groups), true
}

func expand(to string, groups []string) string {
	var b []byte
	for i := 0; i < len(to); i++ {
		if to[i] == '$' && i+1 < len(to) && to[i+1] >= '0' && int(to[i+1]-'0') < len(groups) {
			value := directory.RDN{{Type: "", Value: []byte(groups[to[i+1]-'0'])}}.Append(nil)
			b = append(b, value[1:]...) // without the "=" of the empty type
			i++
			continue
		}
		b = append(b, to[i])
	}
	return string(b)
}

// partOf takes the part a mapping looks at out of a certificate.
func (s *Server) partOf(m *Mapping, cert *x509.Certificate) (part string, ok bool) {
	if m.From != FromAttribute {
		return m.From.of(cert)
	}
	want := s.schema.Attribute(m.Attribute)
	values := 0
	for _, a := range cert.Subject.Names {
		if text, isText := a.Value.(string); isText && s.schema.Attribute(a.Type.String()) == want {
			part = text
			values++
		}
	}
	return part, values == 1
}

// found looks for the one entry that holds the part.
func (s *Server) found(m *Mapping, part string) (name string, ok bool) {
	if m.Match != nil {
		groups := m.Match.FindStringSubmatch(part)
		if groups == nil || groups[0] != part {
			return "", false
		}
		part = groups[len(groups)-1] // the last group, or the whole
	}
	bases := make([]directory.Key, 0, len(s.suffixes))
	if m.Base != nil {
		key, err := s.schema.Key(m.Base)
		if err != nil {
			return "", false
		}
		bases = append(bases, key)
	} else {
		for i := range s.suffixes {
			bases = append(bases, s.suffixes[i].key)
		}
	}
	count := 0
	f := &directory.Filter{Kind: directory.FilterEquality, Attr: m.Find, Value: []byte(part)}
	for _, base := range bases {
		scan := s.config.Tree.Open(tree.Request{Base: base, Scope: tree.ScopeSubtree, Filter: f, MaxCandidates: maxNamesakes})
		_, err := scan.Step(0, func(e *tree.Entry) bool {
			text, err := e.AppendDN(nil)
			name = string(text)
			if count++; err != nil {
				count++ // no name, no entry
			}
			return count < 2
		})
		var missing *tree.NoSuchBase
		if err != nil && !errors.As(err, &missing) {
			s.config.Logger.Warn("looking for the holder of a certificate", "error", err)
			return "", false
		}
	}
	return name, count == 1
}

// of takes the part out of a certificate.
func (f From) of(cert *x509.Certificate) (string, bool) {
	switch f {
	case FromCommonName:
		return cert.Subject.CommonName, cert.Subject.CommonName != ""
	case FromSubject:
		return subjectName(cert.RawSubject)
	case FromUPN:
		return principalName(cert)
	case FromMail:
		if len(cert.EmailAddresses) == 0 {
			return "", false
		}
		return cert.EmailAddresses[0], true
	case FromFingerprint:
		sum := sha256.Sum256(cert.Raw)
		return hex.EncodeToString(sum[:]), true
	}
	return "", false
}

// stillGood looks at the certificate behind the connection again, at most once
// a second: a card that is reported lost, or ends, ends the sessions it opened.
func (c *conn) stillGood() bool {
	if c.who.Certificate == nil {
		return true
	}
	now := c.server.config.Now()
	if since := now.Sub(c.checked); since >= 0 && since < time.Second {
		return true
	}
	c.checked = now
	if now.After(c.who.ends) {
		return false
	}
	_, err := c.server.checkGood(c.who.Certificate)
	return err == nil
}

// authorizationDenied is the result code of RFC 4370 §6.
const authorizationDenied directory.Code = 123
