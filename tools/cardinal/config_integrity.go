package main

import (
	"context"
	"errors"
	"fmt"

	"cardinal/directory"
	"cardinal/directory/register"
)

// Integrity keeps references to entries right: when an entry is deleted they
// go, when it is renamed they follow, in the same transaction.
type Integrity struct {
	// Attributes hold names of entries, like member, uniqueMember, manager. Default none: no reference is kept.
	Attributes []string `yaml:"attributes"`
	// Subtrees are where references are kept. Default everywhere.
	Subtrees []string `yaml:"subtrees"`
	// Nothing is the name that takes the place of the last value of an attribute that must have one. Without it deleting that entry is refused.
	Nothing string `yaml:"nothing"`
	// Limit is the most references one update may change. Default 200.
	Limit int `yaml:"limit"`
}

// Unique is a rule that no two entries share a value.
type Unique struct {
	// Attributes, each by itself.
	Attributes []string `yaml:"attributes"`
	// Base is the top of the part of the tree it is about. Default everything.
	Base string `yaml:"base"`
	// Filter says which entries there it is about. Default all.
	Filter string `yaml:"filter"`
}

// watching gives the register its rules about values of several entries; the
// error holds every problem.
func (d *directoryOf) watching(c DirectoryConfig) error {
	var problems []error
	name := func(key, text string) directory.DN {
		dn, err := directory.ParseDN(text)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %q: %w", key, text, err))
		}
		return dn
	}
	d.integrity = register.Integrity{Attributes: c.Integrity.Attributes, Limit: c.Integrity.Limit}
	for _, s := range c.Integrity.Subtrees {
		d.integrity.Subtrees = append(d.integrity.Subtrees, name("directory.integrity.subtrees", s))
	}
	if c.Integrity.Nothing != "" {
		d.integrity.Nothing = name("directory.integrity.nothing", c.Integrity.Nothing)
	}
	for _, u := range c.Unique {
		rule := register.Unique{Attributes: u.Attributes, Base: name("directory.unique.base", u.Base)}
		if u.Filter != "" {
			var err error
			if rule.Filter, err = directory.ParseFilter(u.Filter); err != nil {
				problems = append(problems, fmt.Errorf("directory.unique.filter: %q: %w", u.Filter, err))
			}
		}
		if len(u.Attributes) == 0 {
			problems = append(problems, fmt.Errorf("directory.unique: a rule without attributes"))
		}
		d.unique = append(d.unique, rule)
	}
	return errors.Join(problems...)
}

// fillReferences completes the index that integrity and uniqueness need; until
// it is done updates that need it are refused.
func (n *node) fillReferences(ctx context.Context) error {
	filled, err := n.write.register.Fill(ctx, n.ledger)
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		n.logger.Error("completing the index for referential integrity and uniqueness", "error", err)
	case len(filled) > 0:
		n.logger.Info("completed the index for referential integrity and uniqueness", "attributes", filled)
	}
	return nil
}
