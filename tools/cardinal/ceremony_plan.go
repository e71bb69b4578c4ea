package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"cardinal/ca"
	"cardinal/certs"
)

// ceremonyPlan is a ceremony's file: what is done with the roots' keys, in
// order, so that it can be read and agreed on before a key is fetched. What is
// done already is passed over: an interrupted ceremony is held again.
type ceremonyPlan struct {
	// Ceremony says in words what it is for.
	Ceremony string `yaml:"ceremony"`
	// Installation is the name in cardinal.yaml: a file is for one house alone.
	Installation string `yaml:"installation"`
	// Witnesses are who was there.
	Witnesses []string `yaml:"witnesses,omitempty"`
	// Keys are where authorities' keys are, by name: those of the roots that
	// sign, and those to be made. Default file:keys/NAME.key for an issuing CA.
	Keys  map[string]string `yaml:"keys,omitempty"`
	Steps []ceremonyStep    `yaml:"steps"`

	text   []byte
	digest [sha256.Size]byte
}

// ceremonyStep is one step; exactly one field is set.
type ceremonyStep struct {
	Make      *makeStep   `yaml:"make,omitempty"`
	Start     *startStep  `yaml:"start,omitempty"`
	CrossSign *crossStep  `yaml:"cross-sign,omitempty"`
	Revoke    *revokeStep `yaml:"revoke,omitempty"`
	Retire    *retireStep `yaml:"retire,omitempty"`
	List      *listStep   `yaml:"list,omitempty"`
}

// makeStep makes the next generation of a kind. From is when it begins to
// issue: a time of RFC 3339, now, or empty for a later step.
type makeStep struct {
	Name string `yaml:"name"`
	From string `yaml:"from,omitempty"`
}

type startStep struct {
	Name string `yaml:"name"`
	From string `yaml:"from"`
}

type crossStep struct {
	Name string `yaml:"name"`
	By   string `yaml:"by"`
}

type revokeStep struct {
	Name   string `yaml:"name"`
	Reason string `yaml:"reason"`
}

// retireStep closes an authority. Archive is the file the fates of its
// certificates go to, its signature beside it. The key is destroyed when
// DestroyKey says so.
type retireStep struct {
	Name       string `yaml:"name"`
	Archive    string `yaml:"archive"`
	Early      bool   `yaml:"early,omitempty"`
	DestroyKey bool   `yaml:"destroyKey,omitempty"`
}

type listStep struct {
	Name string `yaml:"name"`
}

var (
	errOneStep      = errors.New("want exactly one of make, start, cross-sign, revoke, retire, list")
	errNoSteps      = errors.New("steps: there are none")
	errOtherHouse   = errors.New("is for another installation")
	errNoTitle      = errors.New("ceremony: says not what it is for")
	errWhen         = errors.New("is neither now nor a time as 2027-01-04T06:00:00Z")
	errNoArchive    = errors.New("archive: names no file")
	errCeremonyFile = errors.New("is not a ceremony")
)

func parseCeremony(text []byte, installation string) (*ceremonyPlan, error) {
	p := &ceremonyPlan{text: text, digest: sha256.Sum256(text)}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(p); err != nil {
		return nil, fmt.Errorf("%w: %w", errCeremonyFile, err)
	}
	if !errors.Is(d.Decode(&yaml.Node{}), io.EOF) {
		return nil, errSecondDocument
	}
	return p, p.check(installation)
}

// check gives every problem that can be seen without a key or the ledger.
func (p *ceremonyPlan) check(installation string) error {
	var problems []error
	if p.Ceremony == "" {
		problems = append(problems, errNoTitle)
	}
	if p.Installation != installation {
		problems = append(problems, fmt.Errorf("installation: %q %w, this one is %q", p.Installation, errOtherHouse, installation))
	}
	if len(p.Steps) == 0 {
		problems = append(problems, errNoSteps)
	}
	for name := range p.Keys {
		if err := checkAuthority(name); err != nil {
			problems = append(problems, fmt.Errorf("keys: %w", err))
		}
	}
	for i := range p.Steps {
		if err := p.Steps[i].check(); err != nil {
			problems = append(problems, fmt.Errorf("step %d: %w", i+1, err))
		}
	}
	return errors.Join(problems...)
}

func checkAuthority(name string) error {
	n, err := certs.ParseIssuerName(name)
	if err == nil && !slices.Contains(ca.Names(), n.Kind) {
		err = fmt.Errorf("%q: %w", name, ca.ErrUnknownIssuer)
	}
	return err
}

func (s *ceremonyStep) check() error {
	var problems []error
	set := 0
	note := func(name string, more ...error) {
		set++
		problems = append(problems, checkAuthority(name), errors.Join(more...))
	}
	if s.Make != nil {
		note(s.Make.Name, checkWhen(s.Make.From, true))
	}
	if s.Start != nil {
		note(s.Start.Name, checkWhen(s.Start.From, false))
	}
	if s.CrossSign != nil {
		note(s.CrossSign.Name, checkAuthority(s.CrossSign.By))
	}
	if s.Revoke != nil {
		_, err := certs.ParseReason(s.Revoke.Reason)
		note(s.Revoke.Name, err)
	}
	if s.Retire != nil {
		var err error
		if s.Retire.Archive == "" {
			err = errNoArchive
		}
		note(s.Retire.Name, err)
	}
	if s.List != nil {
		note(s.List.Name)
	}
	if set != 1 {
		return errOneStep
	}
	return errors.Join(problems...)
}

// checkWhen reads a from of a step.
func checkWhen(from string, mayBeEmpty bool) error {
	if from == "now" || from == "" && mayBeEmpty {
		return nil
	}
	if _, err := time.Parse(time.RFC3339, from); err != nil {
		return fmt.Errorf("from: %q %w", from, errWhen)
	}
	return nil
}

// when is a checked from; zero for now and for empty.
func when(from string) time.Time {
	at, err := time.Parse(time.RFC3339, from)
	if err != nil {
		return time.Time{}
	}
	return at
}

// String is the step in a line.
func (s *ceremonyStep) String() string {
	switch {
	case s.Make != nil && s.Make.From == "":
		return "make " + s.Make.Name + ", which issues nothing until it is started"
	case s.Make != nil:
		return "make " + s.Make.Name + ", which issues from " + s.Make.From + " on"
	case s.Start != nil:
		return s.Start.Name + " issues from " + s.Start.From + " on"
	case s.CrossSign != nil:
		return s.CrossSign.By + " certifies the key of " + s.CrossSign.Name
	case s.Revoke != nil:
		return "revoke " + s.Revoke.Name + ", " + s.Revoke.Reason + ": it issues nothing more, for ever"
	case s.Retire != nil:
		end := "its key stays"
		if s.Retire.DestroyKey {
			end = "its key is destroyed"
		}
		return strings.Join([]string{"retire " + s.Retire.Name, "last lists", "archive in " + s.Retire.Archive, end}, ", ")
	}
	return "publish a new list of " + s.List.Name
}

// hash is what reviewers agree on.
func (p *ceremonyPlan) hash() string { return hex.EncodeToString(p.digest[:]) }

// render gives the text of a plan made by a command, and reads it back.
func (p *ceremonyPlan) render() (*ceremonyPlan, error) {
	text, err := yaml.Marshal(p)
	if err != nil {
		return nil, err
	}
	return parseCeremony(text, p.Installation)
}
