package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"

	"cardinal/internal/journal/feed"
)

// A read node answers as the writer would, so it takes from it how the directory is shaped: the configuration without what
// is the writer's alone, and the files it names. What the writer puts in force while serving comes to its nodes at once
// (takeup.go); the rest waits for their next start, as it did for the writer's. No root identity's password is in it, and the seed of SCRAM goes only
// where password verifiers go.

// shared is what GET /v1/configuration answers.
type shared struct {
	Node     string            `json:"node"`
	Scope    string            `json:"scope"`
	Revision string            `json:"revision"`
	Config   string            `json:"config"` // a cardinal.yaml
	Files    map[string][]byte `json:"files"`  // by their path in the node's folder
}

// maxShared bounds it: schemas are some hundred KiB.
const maxShared = 32 << 20

// sharedFolder is where a node keeps it, sharedRules the access rules in it.
const (
	sharedFolder = "shared"
	sharedRules  = sharedFolder + "/rules"
)

func (f folder) sharedConfig() string { return filepath.Join(string(f), sharedFolder, "cardinal.yaml") }

// offered is what nodes of one scope are told: what is in force here, whatever has been written since.
type offered struct {
	config   Config
	files    map[string][]byte
	Revision string // changes with what is offered
}

// share puts what nodes are told in the place of what they were told before.
func (n *node) share(c Config) error {
	next := map[feed.Scope]*offered{}
	for _, scope := range []feed.Scope{feed.Central, feed.Edge} {
		o, err := offer(n.folder, c, scope)
		if err != nil {
			return err
		}
		next[scope] = o
	}
	n.feed.shared.Store(&next)
	return nil
}

func (n *node) shared(to feed.Scope) *offered { return (*n.feed.shared.Load())[to] }

func offer(f folder, c Config, scope feed.Scope) (*offered, error) {
	s := sharing{folder: f, files: map[string][]byte{}}
	out := Config{Name: c.Name, PublicURL: c.PublicURL, Limits: c.Limits, Status: c.Status, Directory: s.directory(c.Directory, scope), Demo: DemoConfig{Clock: c.Demo.Clock}}
	out.Status.ResponderKey = "" // it lies in a token of the writer
	for _, suffix := range c.Suffixes {
		out.Suffixes = append(out.Suffixes, Suffix{DN: suffix.DN})
	}
	text, err := out.withDefaults().commented()
	if err = errors.Join(s.err, err); err != nil {
		return nil, err
	}
	whole, err := json.Marshal(shared{Config: string(text), Files: s.files}) // keys of a map come in order
	sum := sha256.Sum256(whole)
	return &offered{config: out, files: s.files, Revision: hex.EncodeToString(sum[:])}, err
}

// shareConfiguration answers GET /v1/configuration.
func (n *node) shareConfiguration(w http.ResponseWriter, r *http.Request, to feed.Node) {
	o := n.shared(to.Scope)
	out := o.config
	if len(out.Directory.Referrals) == 0 {
		out.Directory.Referrals = n.ownReferral(r.Host)
	}
	text, err := out.withDefaults().commented()
	if err != nil {
		n.logger.Error("sharing the configuration", "node", to.Name, "error", err)
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(shared{Node: to.Name, Scope: string(to.Scope), Revision: o.Revision, Config: string(text), Files: o.files})
}

// ownReferral is where this writer takes updates by LDAP: by the name the node knows it by.
func (n *node) ownReferral(host string) []string {
	_, port, err := net.SplitHostPort(strings.TrimPrefix(n.addresses.LDAPS, "ldaps://"))
	if err != nil {
		return nil // it answers no LDAP
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return []string{"ldaps://" + net.JoinHostPort(host, port)}
}

// sharing collects files.
type sharing struct {
	folder folder
	files  map[string][]byte
	err    error
}

func (s *sharing) take(as, from string) {
	data, err := os.ReadFile(from)
	s.err = errors.Join(s.err, err)
	s.files[as] = data
}

// file takes a file of the configuration and gives its path on the node; none stays none.
func (s *sharing) file(as, from string) string {
	if from == "" {
		return ""
	}
	as = path.Join(sharedFolder, as)
	s.take(as, s.folder.path(from))
	return as
}

// directory gives the configuration of the directory with its files taken along.
func (s *sharing) directory(c DirectoryConfig, scope feed.Scope) DirectoryConfig {
	var folders []string
	for i, dir := range c.Schema {
		as := path.Join(sharedFolder, fmt.Sprintf("schema-%d", i))
		folders = append(folders, as)
		found, err := fs.Glob(os.DirFS(s.folder.path(dir)), "*.schema")
		s.err = errors.Join(s.err, err)
		for _, name := range found {
			s.take(path.Join(as, name), filepath.Join(s.folder.path(dir), name))
		}
	}
	c.Schema = folders
	c.Rules = s.file(path.Base(sharedRules), c.Rules)
	if scope != feed.Central {
		c.Scram = ScramConfig{}
	}
	c.Scram.SeedFile = s.file("scram.seed", c.Scram.SeedFile)
	var mappings []ClientCertificate
	for i, m := range c.ClientCertificates {
		var issuers []string
		for j, issuer := range m.Issuers {
			issuers = append(issuers, s.file(fmt.Sprintf("issuer-%d-%d.pem", i, j), issuer))
		}
		m.Issuers = issuers
		mappings = append(mappings, m)
	}
	c.ClientCertificates = mappings
	return c
}

var errSharedPath = errors.New("the writer shares a file outside the node's folder")

// store writes what the writer shares into a node's folder, the configuration last.
func (s *shared) store(f folder) error {
	for name, data := range s.Files {
		local := filepath.FromSlash(name)
		if !filepath.IsLocal(local) || !strings.HasPrefix(name, sharedFolder+"/") {
			return fmt.Errorf("%w: %q", errSharedPath, name)
		}
		if err := os.MkdirAll(filepath.Dir(f.path(local)), 0o700); err != nil {
			return err
		}
		if err := replaceFile(f.path(local), data); err != nil {
			return err
		}
	}
	if err := makeFolders(filepath.Dir(f.sharedConfig())); err != nil {
		return err
	}
	return replaceFile(f.sharedConfig(), []byte(s.Config))
}

// adopt takes over from what the writer shares what is not this machine's own.
func (c Config) adopt(from Config) Config {
	c.Name, c.Suffixes, c.PublicURL, c.Directory = from.Name, from.Suffixes, from.PublicURL, from.Directory
	c.Status = c.Status.adopt(from.Status)
	if c.Demo.Clock == 0 {
		c.Demo = from.Demo
	}
	return c
}
