package main

import (
	"bytes"
	"context"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"time"
)

// While it follows, a node hears with every answer whether its writer has put another configuration in force, and takes
// it: access rules, directory.limits and what answers of OCSP say hold from then on. What else has changed shapes the
// directory or its listeners, and waits for the node's next start, as it waited for the writer's.

// takeUpAgain is the pause before a configuration that could not be taken is asked for anew.
const takeUpAgain = 5 * time.Second

// keepConfiguration takes what the writer has put in force, until ctx ends.
func (n *node) keepConfiguration(ctx context.Context) error {
	taken := n.follower.revision
	for {
		told, changed := n.follower.client.Configuration()
		var again <-chan time.Time
		if told != "" && told != taken {
			if err := n.takeUp(ctx); err == nil {
				taken = told
				n.logger.Info("the writer's access rules, limits and answers are in force")
			} else if ctx.Err() == nil {
				n.logger.Error("taking over what the writer has put in force: this node's stays", "why", err)
				again = time.After(takeUpAgain)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-again:
		}
	}
}

// takeUp asks the writer for its configuration, puts in force what can be while serving, and keeps the rest for the next
// start. A mistake changes nothing.
func (n *node) takeUp(ctx context.Context) error {
	n.follower.taking.Lock()
	defer n.follower.taking.Unlock()
	said, err := n.follower.askConfiguration(ctx)
	if err != nil {
		return err
	}
	other := said.changedFiles(n.folder)
	if err := said.store(n.folder); err != nil {
		return err
	}
	from, err := readConfig(n.folder.sharedConfig())
	if err != nil {
		return err
	}
	next := n.config.adopt(from)
	if other || !reflect.DeepEqual(fixed(n.config), fixed(next)) {
		if !n.follower.outdated.Swap(true) {
			n.logger.Warn("the writer's configuration has changed in what takes effect at the next start: start this node again")
		}
	}
	rules, limits, err := next.Directory.terms(n.folder, n.directory.schema)
	if err != nil {
		return err
	}
	if err := n.answering.SetTerms(rules, limits); err != nil {
		return err
	}
	n.status.Store(&next.Status)
	return nil
}

// changedFiles reports whether a file other than the access rules differs from what lies in the node's folder.
func (s *shared) changedFiles(f folder) bool {
	for name := range maps.Keys(s.Files) {
		if name == sharedRules {
			continue
		}
		if here, err := os.ReadFile(f.path(filepath.FromSlash(name))); err != nil || !bytes.Equal(here, s.Files[name]) {
			return true
		}
	}
	return false
}

// fixed is a configuration without what is put in force while serving, and without what is said of the writer that was
// asked.
func fixed(c Config) Config {
	c.Directory.Rules, c.Directory.Limits, c.Directory.Referrals = "", nil, nil
	c.Status.Answers, c.Status.CertHash, c.Status.UnknownSerial = nil, false, ""
	return c
}
