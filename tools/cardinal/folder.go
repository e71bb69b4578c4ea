package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// folder is an installation on disk. Folders are 0700, files 0600.
type folder string

func (f folder) config() string            { return filepath.Join(string(f), "cardinal.yaml") }
func (f folder) replica() string           { return filepath.Join(string(f), "replica", "replica.db") }
func (f folder) keys() string              { return filepath.Join(string(f), "keys") }
func (f folder) serverKey() string         { return filepath.Join(string(f), "keys", "server.key") }
func (f folder) serverCertificate() string { return filepath.Join(string(f), "keys", "server.cer") }
func (f folder) certificates() string      { return filepath.Join(string(f), "ca") }
func (f folder) trust() string             { return filepath.Join(string(f), "trust.pem") }
func (f folder) spool() string             { return filepath.Join(string(f), "spool") }
func (f folder) operators() string         { return filepath.Join(string(f), "operators") }

// path makes a path of the configuration, which is relative to the folder,
// one of the process.
func (f folder) path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(string(f), p)
}

// ledgerURL gives the configured URL with the path of an embedded database
// made one of the process.
func (f folder) ledgerURL(c Config) string {
	if p, ok := strings.CutPrefix(c.Ledger.URL, "sqlite:"); ok {
		return "sqlite:" + f.path(p)
	}
	return c.Ledger.URL
}

// keyURI does the same for a key.
func (f folder) keyURI(uri string) string {
	if p, ok := strings.CutPrefix(uri, "file:"); ok {
		return "file:" + f.path(p)
	}
	return uri
}

var (
	errNoFolder = errors.New("says not which folder: give --dir D or set CARDINAL_DIR")
	errNotMade  = errors.New("there is no cardinal.yaml: make an installation with cardinal init")
)

// dirFlag adds --dir to a command that opens the folder itself.
func dirFlag(c *cobra.Command, dir *string) {
	c.Flags().StringVar(dir, "dir", "", "folder of the installation (default: $CARDINAL_DIR)")
}

// open finds the folder and reads its configuration.
func (a *app) open(dir string) (folder, Config, error) {
	dir = or(dir, a.env("CARDINAL_DIR"))
	if dir == "" {
		return "", Config{}, usage("folder", errNoFolder)
	}
	f := folder(dir)
	if _, err := os.Stat(f.config()); errors.Is(err, os.ErrNotExist) {
		return "", Config{}, usage("opening "+dir, errNotMade)
	}
	c, err := readConfig(f.config())
	return f, c, err
}

// ready is the line serve prints when it can be asked, and leaves in the
// folder while it serves.
type ready struct {
	Ready      bool   `json:"ready"`
	LDAP       string `json:"ldap,omitempty"`
	LDAPS      string `json:"ldaps,omitempty"`
	Status     string `json:"status,omitempty"`
	Issuance   string `json:"issuance,omitempty"`
	Operations string `json:"operations,omitempty"`
	Feed       string `json:"feed,omitempty"`
}

// readReady puts together what the processes serving a folder announced.
func readReady(dir string) (ready, error) {
	var r ready
	var found bool
	for _, role := range []string{"all", "write", "read"} {
		data, err := os.ReadFile(folder(dir).ready(role))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = json.Unmarshal(data, &r) // fields a role does not serve stay as they are
		}
		if err != nil {
			return r, err
		}
		found = true
	}
	if !found {
		return r, errNotServing
	}
	return r, nil
}

var errNotServing = errors.New("nobody serves this folder")

// ready is where a serving process of a role leaves its ready line.
func (f folder) ready(role string) string {
	if role == "all" {
		return filepath.Join(string(f), "ready.json")
	}
	return filepath.Join(string(f), "ready-"+role+".json")
}
