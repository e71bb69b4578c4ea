// Package policies says what may be issued, who may ask for it, and the clause that says so.
//
// It owns the certificate profiles, the table of who may do what, what a
// cancelled card means for its two certificates, and how long records are
// kept. All of that is data (the *.yaml files of this folder, embedded, each
// line with its citation) and an operator may put his own folder over it. The
// human text stands beside it in POLICY.md.
//
// Its promise is Approved: a value that only Decide makes, that names the exact
// to-be-signed bytes of one certificate (RFC 5280 §4.1.1.1) by hash, and that
// can be spent once within a minute. Whoever holds the signing key accepts
// nothing else. What Decide refuses it refuses with a *Refusal naming the rule
// and the clause. Data that breaks the room's own assertions (assertions.go)
// cannot produce an Approved, however the folder was edited.
package policies

import (
	"crypto"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/zmap/zlint/v3/lint"
)

//go:embed *.yaml POLICY.md
var embedded embed.FS

// Refusal is the error of everything this package turns down: the name of the
// rule, the clause it rests on, and what was wrong in words an operator can act
// on. It never holds a secret.
type Refusal struct {
	Rule   string // stable, for machines: "outlives-issuer", "rsa-roca", a lint's name
	Clause string // the standard or the policy file behind the rule
	Detail string // what was found
}

// Error gives the three parts in one line.
func (r *Refusal) Error() string {
	return fmt.Sprintf("refused by %s (%s): %s", r.Rule, r.Clause, r.Detail)
}

func refuse(rule, clause, format string, args ...any) *Refusal {
	return &Refusal{Rule: rule, Clause: clause, Detail: fmt.Sprintf(format, args...)}
}

// Set is the whole policy in force: profiles, lints, matrix, events, retention
// and configuration. It is immutable and safe for concurrent use.
type Set struct {
	profiles      map[string]*Profile
	matrix        *Matrix
	events        *Events
	retention     *Retention
	registry      lint.Registry
	leftOut       []LeftOut
	configuration Configuration
	data          [sha256.Size]byte // over every data file
	hash          [sha256.Size]byte // over data and configuration
	throwaway     *throwaway
}

// Configuration is what an installation says about itself, apart from the data
// files. Zero values keep the defaults.
type Configuration struct {
	Organization string            // O of every subject; default "Cardinal"
	Country      string            // C of every subject, two capitals; default none
	Policies     map[string]string // certificate policy OID by profile name, in place of the profile's own
	Blocked      KeyList           // public keys never certified, by SHA-256 of their SPKI
}

const defaultOrganization = "Cardinal"

// Default is the embedded policy set.
func Default() (*Set, error) { return LoadProfiles(embedded) }

// LoadProfiles reads a policy set from a folder. A data file the folder lacks
// is taken from the embedded set; a file of a name that is not known, a key
// that is not known, a line without a citation or a value that is not
// understood is an error naming file and line. Every problem is reported.
func LoadProfiles(fsys fs.FS) (*Set, error) {
	if err := checkNames(fsys); err != nil {
		return nil, err
	}
	s := &Set{profiles: map[string]*Profile{}, throwaway: &throwaway{}}
	s.configuration.Organization = defaultOrganization
	sum := sha256.New()
	var problems []error
	for _, name := range dataFiles() {
		text, err := readOver(fsys, name)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		fmt.Fprintf(sum, "%s %d\n", name, len(text))
		sum.Write(text)
		if err := s.take(name, text); err != nil {
			problems = append(problems, fmt.Errorf("reading policy file %s: %w", name, err))
		}
	}
	sum.Sum(s.data[:0])
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	s.hash = s.sum()
	return s, nil
}

// With gives the same policies under another configuration. The receiver is
// not changed; the hash of the result differs if the configuration does.
func (s *Set) With(c Configuration) (*Set, error) {
	if c.Organization == "" {
		c.Organization = defaultOrganization
	}
	for name, oid := range c.Policies {
		if s.profiles[name] == nil {
			return nil, fmt.Errorf("configuring policies: no profile is called %q", name)
		}
		if _, err := parsePolicyOID(oid); err != nil {
			return nil, fmt.Errorf("configuring policies: policy of %s: %w", name, err)
		}
	}
	if c.Country != "" && !isCountry(c.Country) {
		return nil, fmt.Errorf("configuring policies: country %q is not two capital letters", c.Country)
	}
	if r := checkText("organization", c.Organization, 64); r != nil {
		return nil, fmt.Errorf("configuring policies: %w", r)
	}
	t := *s
	c.Policies = maps.Clone(c.Policies)
	t.configuration = c
	t.hash = t.sum()
	return &t, nil
}

// Hash names the policy set in force: every data file and the configuration.
// It is stored with each decision taken under it.
func (s *Set) Hash() [sha256.Size]byte { return s.hash }

func (s *Set) sum() [sha256.Size]byte {
	h := sha256.New()
	h.Write(s.data[:])
	c := s.configuration
	fmt.Fprintf(h, "%q %q\n", c.Organization, c.Country)
	for _, name := range sortedKeys(c.Policies) {
		fmt.Fprintf(h, "%q %q\n", name, c.Policies[name])
	}
	digest := c.Blocked.Digest()
	h.Write(digest[:])
	return [sha256.Size]byte(h.Sum(nil))
}

// Profiles lists the names of the profiles, sorted.
func (s *Set) Profiles() []string { return sortedKeys(s.profiles) }

// Profile gives a profile's data, nil when there is none of that name.
func (s *Set) Profile(name string) *Profile { return s.profiles[name] }

// Matrix says who may do what.
func (s *Set) Matrix() *Matrix { return s.matrix }

// Events says what a cancelled card means for its certificates.
func (s *Set) Events() *Events { return s.events }

// Retention says how long records are kept.
func (s *Set) Retention() *Retention { return s.retention }

// Text is the human policy text (POLICY.md) that belongs to the embedded set.
func Text() []byte {
	text, err := embedded.ReadFile("POLICY.md")
	if err != nil {
		return nil
	}
	return text
}

// take decodes one data file into the set.
func (s *Set) take(name string, text []byte) (err error) {
	switch name {
	case "matrix.yaml":
		s.matrix, err = parseMatrix(text)
	case "events.yaml":
		s.events, err = parseEvents(text)
	case "retention.yaml":
		s.retention, err = parseRetention(text)
	case "lints.yaml":
		s.registry, s.leftOut, err = parseLints(text)
	default:
		var p *Profile
		if p, err = parseProfile(text); err != nil {
			return err
		}
		if p.Name+".yaml" != name {
			return fmt.Errorf("profile calls itself %q", p.Name)
		}
		s.profiles[p.Name] = p
	}
	return err
}

// profileNames are all the kinds of certificate there are: a folder cannot add one.
func profileNames() []string {
	return []string{ProfileRoot, ProfileIssuing, ProfileCross, ProfileAuthentication, ProfileSignature,
		ProfileResponder, ProfileServer, ProfileClient, ProfileOperator, ProfileTimestamping}
}

func dataFiles() []string {
	names := []string{"events.yaml", "lints.yaml", "matrix.yaml", "retention.yaml"}
	for _, p := range profileNames() {
		names = append(names, p+".yaml")
	}
	slices.Sort(names)
	return names
}

// checkNames refuses a folder with a data file nothing would read.
func checkNames(fsys fs.FS) error {
	found, err := fs.ReadDir(fsys, ".") // not fs.Glob, which takes a folder that is not there for an empty one
	if err != nil {
		return fmt.Errorf("listing policy files: %w", err)
	}
	var problems []error
	for _, file := range found {
		if strings.HasSuffix(file.Name(), ".yaml") && !slices.Contains(dataFiles(), file.Name()) {
			problems = append(problems, fmt.Errorf("listing policy files: %s is not a policy file", file.Name()))
		}
	}
	return errors.Join(problems...)
}

func readOver(fsys fs.FS, name string) ([]byte, error) {
	text, err := fs.ReadFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = embedded.ReadFile(name)
	}
	if err != nil {
		return nil, fmt.Errorf("reading policy file %s: %w", name, err)
	}
	return text, nil
}

// throwaway keeps one key of each kind to sign drafts with: the exact bytes
// must exist before the real key touches them.
type throwaway struct {
	mutex sync.Mutex
	keys  map[string]crypto.Signer
}
