package main

import (
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
// is the writer's alone, and the files it names. No root identity's password is in it, and the seed of SCRAM goes only
// where password verifiers go.

// shared is what GET /v1/configuration answers.
type shared struct {
	Node   string            `json:"node"`
	Scope  string            `json:"scope"`
	Config string            `json:"config"` // a cardinal.yaml
	Files  map[string][]byte `json:"files"`  // by their path in the node's folder
}

// maxShared bounds it: schemas are some hundred KiB.
const maxShared = 32 << 20

// sharedFolder is where a node keeps it.
const sharedFolder = "shared"

func (f folder) sharedConfig() string { return filepath.Join(string(f), sharedFolder, "cardinal.yaml") }

// shareConfiguration answers GET /v1/configuration.
func (n *node) shareConfiguration(w http.ResponseWriter, r *http.Request, to feed.Node) {
	s := sharing{folder: n.folder, files: map[string][]byte{}}
	c := n.config
	out := Config{Name: c.Name, PublicURL: c.PublicURL, Limits: c.Limits, Status: c.Status, Directory: s.directory(c.Directory, to.Scope), Demo: DemoConfig{Clock: c.Demo.Clock}}
	out.Status.ResponderKey = "" // it lies in a token of the writer
	for _, suffix := range c.Suffixes {
		out.Suffixes = append(out.Suffixes, Suffix{DN: suffix.DN})
	}
	if len(out.Directory.Referrals) == 0 {
		out.Directory.Referrals = n.ownReferral(r.Host)
	}
	text, err := out.withDefaults().commented()
	if err = errors.Join(s.err, err); err != nil {
		n.logger.Error("sharing the configuration", "node", to.Name, "error", err)
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(shared{Node: to.Name, Scope: string(to.Scope), Config: string(text), Files: s.files})
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
	c.Rules = s.file("rules", c.Rules)
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
	c.Name, c.Suffixes, c.PublicURL, c.Directory, c.Demo = from.Name, from.Suffixes, from.PublicURL, from.Directory, from.Demo
	c.Status = c.Status.adopt(from.Status)
	return c
}
