package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"

	"cardinal/directory"
	"cardinal/directory/ldap"
)

// DirectoryLimit is what searches of some identities may cost. The first in
// the list that fits decides; what it leaves out is as for everyone.
type DirectoryLimit struct {
	// Who is told as in access rules: anyone, anonymous, authenticated, dn:NAME, subtree:NAME, group:NAME, name:NAME.
	Who []string `yaml:"who"`
	// Size is how many entries one search returns, Time how long it runs: soft when the client asks for nothing, hard the most it may ask for. One value is both.
	Size SizeBounds `yaml:"size"`
	Time TimeBounds `yaml:"time"`
	// Candidates is how many entries one search may test.
	Candidates Bound `yaml:"candidates"`
	// FilterNodes is how many parts a filter may have; at most 2000.
	FilterNodes Bound `yaml:"filterNodes"`
	// Paged is how many entries all pages of one search return together.
	Paged Bound `yaml:"paged"`
}

// Bound is a number, or "unlimited"; 0 is not given.
type Bound int

// SizeBounds is one number, or soft and hard.
type SizeBounds struct {
	Soft Bound `yaml:"soft"`
	Hard Bound `yaml:"hard"`
}

// TimeBounds is one duration, or soft and hard; below zero is unlimited.
type TimeBounds struct {
	Soft Patience `yaml:"soft"`
	Hard Patience `yaml:"hard"`
}

// Patience is a duration, or "unlimited".
type Patience time.Duration

const unlimited = "unlimited"

// String gives the number as it is configured.
func (b Bound) String() string {
	if b == ldap.Unlimited {
		return unlimited
	}
	return strconv.Itoa(int(b))
}

// String gives the duration as it is configured.
func (p Patience) String() string {
	if p == ldap.Unlimited {
		return unlimited
	}
	return time.Duration(p).String()
}

// UnmarshalYAML takes a number above zero, or "unlimited".
func (b *Bound) UnmarshalYAML(n *yaml.Node) error {
	if n.Value == unlimited {
		*b = ldap.Unlimited
		return nil
	}
	v, err := strconv.Atoi(n.Value)
	if err != nil || v < 1 {
		return badNode(n, "is neither a number above zero nor "+unlimited)
	}
	*b = Bound(v)
	return nil
}

// UnmarshalYAML takes a duration above zero, or "unlimited".
func (p *Patience) UnmarshalYAML(n *yaml.Node) error {
	if n.Value == unlimited {
		*p = ldap.Unlimited
		return nil
	}
	d, err := time.ParseDuration(n.Value)
	if err != nil || d <= 0 {
		return badNode(n, "is neither a duration above zero nor "+unlimited)
	}
	*p = Patience(d)
	return nil
}

// UnmarshalYAML takes one bound for both, or soft and hard.
func (b *SizeBounds) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		err := b.Soft.UnmarshalYAML(n)
		b.Hard = b.Soft
		return err
	}
	if err := onlySoftAndHard(n); err != nil {
		return err
	}
	type plain SizeBounds
	return n.Decode((*plain)(b))
}

// UnmarshalYAML takes one bound for both, or soft and hard.
func (b *TimeBounds) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		err := b.Soft.UnmarshalYAML(n)
		b.Hard = b.Soft
		return err
	}
	if err := onlySoftAndHard(n); err != nil {
		return err
	}
	type plain TimeBounds
	return n.Decode((*plain)(b))
}

func onlySoftAndHard(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return badNode(n, "is neither one bound nor soft and hard")
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key := n.Content[i]; key.Value != "soft" && key.Value != "hard" {
			return badNode(key, "is neither soft nor hard")
		}
	}
	return nil
}

func badNode(n *yaml.Node, what string) error {
	return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %q %s", n.Line, n.Value, what)}}
}

// allowances gives the limits as the directory takes them, and every problem.
func (c DirectoryConfig) allowances(schema *directory.Schema) (out []ldap.Allowance, err error) {
	var problems []error
	for i, l := range c.Limits {
		who, err := schema.ParseSubjects(l.Who)
		if err != nil {
			problems = append(problems, fmt.Errorf("directory.limits[%d].who: %w", i, err))
		}
		if exceeds(int64(l.Size.Soft), int64(l.Size.Hard)) || exceeds(int64(l.Time.Soft), int64(l.Time.Hard)) {
			problems = append(problems, fmt.Errorf("directory.limits[%d]: %w", i, errSoftAboveHard))
		}
		out = append(out, ldap.Allowance{Who: who, Size: int(l.Size.Soft), MaxSize: int(l.Size.Hard), Time: time.Duration(l.Time.Soft),
			MaxTime: time.Duration(l.Time.Hard), Candidates: int(l.Candidates), FilterNodes: int(l.FilterNodes), Paged: int(l.Paged)})
	}
	return out, errors.Join(problems...)
}

var errSoftAboveHard = errors.New("a soft limit above the hard one")

func exceeds(soft, hard int64) bool {
	return hard > 0 && (soft > hard || soft < 0)
}
