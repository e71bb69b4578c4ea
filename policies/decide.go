package policies

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
)

// decision is one request on its way through the rules.
type decision struct {
	set     *Set
	profile *Profile
	Request
}

// Decide applies every rule to the request, builds the certificate, and judges
// the very bytes that will be signed, by zlint and by this room's own
// assertions. What breaks a rule comes back as a *Refusal; any other error is a
// fault of the machine. It is safe for concurrent use and keeps nothing.
//
// The exact bytes are made by signing a draft with a throw-away key of the
// issuer's kind: the algorithm identifier inside the to-be-signed part (RFC
// 5280 §4.1.1.2) depends on the kind alone.
func (s *Set) Decide(r Request) (Approved, error) {
	p := s.profiles[r.Profile]
	if p == nil {
		return Approved{}, refuse("profile", "policies/*.yaml", "no profile is called %q", r.Profile)
	}
	r.PublicURL = trimSlash(r.PublicURL)
	d := &decision{set: s, profile: p, Request: r}
	for _, rule := range rules() {
		if refusal := rule(d); refusal != nil {
			return Approved{}, refusal
		}
	}
	template, err := d.template()
	if err != nil {
		return Approved{}, fmt.Errorf("building a %s certificate: %w", p.Name, err)
	}
	draft, err := d.draft(template)
	if refusal := (*Refusal)(nil); errors.As(err, &refusal) {
		return Approved{}, refusal
	}
	if err != nil {
		return Approved{}, fmt.Errorf("drafting a %s certificate: %w", p.Name, err)
	}
	if refusal := s.judge(p, draft, r.Issuer); refusal != nil {
		return Approved{}, refusal
	}
	return Approved{&approval{template: template, issuer: r.Issuer, request: r,
		tbs: bytes.Clone(draft.RawTBSCertificate), at: r.Now, policy: s.Hash()}}, nil
}

// draft signs the template with a throw-away key and parses the result.
func (d *decision) draft(template *x509.Certificate) (*x509.Certificate, error) {
	signer, err := d.set.throwaway.key(d.issuerKey())
	if err != nil {
		return nil, err
	}
	parent := *template
	if d.Issuer != nil {
		parent = *d.Issuer
	}
	parent.PublicKey = nil // or CreateCertificate would insist on the issuer's own key
	der, err := x509.CreateCertificate(rand.Reader, template, &parent, d.PublicKey, signer)
	if err != nil {
		return nil, err
	}
	draft, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, refuse("a_well_formed", "RFC 5280 §4.1", "%v", err)
	}
	return draft, nil
}

// issuerKey is the key the certificate will be signed with: its own for a root.
func (d *decision) issuerKey() crypto.PublicKey {
	if d.Issuer == nil {
		return d.PublicKey
	}
	return d.Issuer.PublicKey
}

// signatureAlgorithm is the one this kind of issuer key signs with.
func signatureAlgorithm(pub crypto.PublicKey) x509.SignatureAlgorithm {
	switch KeyKind(pub) {
	case KindP256:
		return x509.ECDSAWithSHA256
	case KindP384:
		return x509.ECDSAWithSHA384
	case KindRSA:
		return x509.SHA256WithRSA
	}
	return x509.UnknownSignatureAlgorithm
}

// key gives the throw-away key of the same kind as pub, made when first needed.
func (t *throwaway) key(pub crypto.PublicKey) (crypto.Signer, error) {
	kind := KeyKind(pub)
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if k := t.keys[kind]; k != nil {
		return k, nil
	}
	var signer crypto.Signer
	var err error
	switch kind {
	case KindP256:
		signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case KindP384:
		signer, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case KindRSA:
		signer, err = rsa.GenerateKey(rand.Reader, rsaLeastBits)
	default:
		return nil, fmt.Errorf("no draft is signed under %s", describeKey(pub))
	}
	if err != nil {
		return nil, err
	}
	if t.keys == nil {
		t.keys = map[string]crypto.Signer{}
	}
	t.keys[kind] = signer
	return signer, nil
}

func trimSlash(url string) string {
	if n := len(url); n > 0 && url[n-1] == '/' {
		return url[:n-1]
	}
	return url
}

func (p *Profile) allows(name string) bool { return slices.Contains(p.AltName.Allow, name) }
func (p *Profile) isPerson() bool          { return p.Subject.CommonName != "given" }
