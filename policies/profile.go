package policies

import (
	"errors"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// The profiles, by name.
const (
	ProfileRoot           = "root"
	ProfileIssuing        = "issuing"
	ProfileCross          = "cross"
	ProfileAuthentication = "authentication"
	ProfileSignature      = "signature"
	ProfileResponder      = "responder"
	ProfileServer         = "server"
	ProfileClient         = "client"
	ProfileOperator       = "operator"
	ProfileTimestamping   = "timestamping"
)

// Profile is one kind of certificate as its data file describes it.
type Profile struct {
	Name                string
	Issuers             []string // names of the authorities that may issue it
	Keys                []string // P-256, P-384, RSA
	Validity            Validity
	Subject             SubjectForm
	BasicConstraints    BasicConstraints
	KeyUsage            KeyUsage
	ExtKeyUsage         []string
	AltName             AltName
	SecurityIdentifier  string // "", "optional"
	SubjectKeyID        string // method: sha256-160 or sha1
	AuthorityKeyID      bool
	CertificatePolicies []string // OIDs
	AuthorityInfo       []string // ocsp, caIssuers
	CRL                 string   // "", "http"
	OCSPNoCheck         bool
	Citations           map[string]string // by the line's key
}

// Validity is how long a certificate lives; exactly one of the three is set.
type Validity struct {
	Years   int  `yaml:"years"` // calendar years
	Days    int  `yaml:"days"`
	Hours   int  `yaml:"hours"`
	Shorter bool `yaml:"shorter"` // a request may ask for less
}

// SubjectForm is how the subject name is made.
type SubjectForm struct {
	Unit       string `yaml:"unit"`       // OU, none when empty
	CommonName string `yaml:"commonName"` // uuid, uuid_given_family, given (by the request)
	Names      bool   `yaml:"names"`      // givenName and surname in full
}

// BasicConstraints is RFC 5280 §4.2.1.9.
type BasicConstraints struct {
	CA      bool `yaml:"ca"`
	PathLen *int `yaml:"pathLen"`
}

// KeyUsage is RFC 5280 §4.2.1.3.
type KeyUsage struct {
	Bits     []string `yaml:"bits"`
	Critical bool     `yaml:"critical"`
}

// AltName says which names may stand in the subjectAltName.
type AltName struct {
	Allow   []string `yaml:"allow"` // upn, mail, dns, ip
	Require bool     `yaml:"require"`
}

// profileFile is the data file: a list of lines, each with one key and its citation.
type profileFile struct {
	Profile string      `yaml:"profile"`
	Lines   []yaml.Node `yaml:"lines"`
}

func parseProfile(text []byte) (*Profile, error) {
	var f profileFile
	if err := decodeStrict(text, &f); err != nil {
		return nil, err
	}
	p := &Profile{Name: f.Profile, Citations: map[string]string{}}
	var problems []error
	for i := range f.Lines {
		if err := p.line(&f.Lines[i]); err != nil {
			problems = append(problems, fmt.Errorf("line %d: %w", f.Lines[i].Line, err))
		}
	}
	problems = append(problems, p.check())
	return p, errors.Join(problems...)
}

// line takes one {key: value, cite: text} into the profile.
func (p *Profile) line(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode || len(n.Content) != 4 || n.Content[2].Value != "cite" {
		return errors.New("want one rule and its cite")
	}
	key, value, citation := n.Content[0].Value, n.Content[1], n.Content[3].Value
	if err := cited(key, citation); err != nil {
		return err
	}
	if _, twice := p.Citations[key]; twice {
		return fmt.Errorf("%s: said twice", key)
	}
	into, known := p.fields()[key]
	if !known {
		return fmt.Errorf("%s: not a rule of a profile", key)
	}
	p.Citations[key] = citation
	text, err := yaml.Marshal(value)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	if err := decodeStrict(text, into); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

func (p *Profile) fields() map[string]any {
	return map[string]any{
		"issuers": &p.Issuers, "keys": &p.Keys, "validity": &p.Validity, "subject": &p.Subject,
		"basicConstraints": &p.BasicConstraints, "keyUsage": &p.KeyUsage, "extKeyUsage": &p.ExtKeyUsage,
		"subjectAltName": &p.AltName, "securityIdentifier": &p.SecurityIdentifier,
		"subjectKeyIdentifier": &p.SubjectKeyID, "authorityKeyIdentifier": &p.AuthorityKeyID,
		"certificatePolicies": &p.CertificatePolicies, "authorityInfo": &p.AuthorityInfo,
		"crlDistributionPoint": &p.CRL, "ocspNoCheck": &p.OCSPNoCheck,
	}
}

// check refuses values nothing understands. What the values may be together is
// for the rules and lints to say, on the certificate itself.
func (p *Profile) check() error {
	var problems []error
	if !slices.Contains(profileNames(), p.Name) {
		problems = append(problems, fmt.Errorf("profile %q is not known", p.Name))
	}
	for _, must := range []string{"issuers", "keys", "validity", "subject", "basicConstraints", "keyUsage", "subjectKeyIdentifier"} {
		if p.Citations[must] == "" {
			problems = append(problems, fmt.Errorf("%s: no such line", must))
		}
	}
	problems = append(problems,
		within("issuers", p.Issuers, "root", "authentication", "signing", "services"),
		within("keys", p.Keys, KindP256, KindP384, KindRSA),
		within("subjectAltName", p.AltName.Allow, "upn", "mail", "dns", "ip"),
		within("authorityInfo", p.AuthorityInfo, "ocsp", "caIssuers"),
		within("securityIdentifier", []string{p.SecurityIdentifier}, "", "optional"),
		within("subjectKeyIdentifier", []string{p.SubjectKeyID}, "sha256-160", "sha1"),
		within("crlDistributionPoint", []string{p.CRL}, "", "http"),
		within("subject commonName", []string{p.Subject.CommonName}, "uuid", "uuid_given_family", "given"),
		within("keyUsage", p.KeyUsage.Bits, sortedKeys(keyUsageBits())...),
		within("extKeyUsage", p.ExtKeyUsage, sortedKeys(extKeyUsages())...),
		p.Validity.check(),
	)
	for _, oid := range p.CertificatePolicies {
		if _, err := parsePolicyOID(oid); err != nil {
			problems = append(problems, fmt.Errorf("certificatePolicies: %w", err))
		}
	}
	return errors.Join(problems...)
}

func (v Validity) check() error {
	set := 0
	for _, n := range []int{v.Years, v.Days, v.Hours} {
		if n < 0 {
			return errors.New("validity: negative")
		}
		if n > 0 {
			set++
		}
	}
	if set != 1 {
		return errors.New("validity: want one of years, days, hours")
	}
	return nil
}

func within(what string, values []string, allowed ...string) error {
	var problems []error
	for _, v := range values {
		if !slices.Contains(allowed, v) {
			problems = append(problems, fmt.Errorf("%s: %q is not known", what, v))
		}
	}
	return errors.Join(problems...)
}
