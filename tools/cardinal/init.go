package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"cardinal/ca"
	"cardinal/internal/keys"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

var (
	errInitialised = errors.New("there is an installation in this folder already: init never overwrites")
	errHalfMade    = errors.New("is there without a cardinal.yaml, as an interrupted init leaves it: init never overwrites; remove it, or take another folder")
	errNoSuchCA    = errors.New("is none of authentication, signing, services")
	errNoPublicURL = errors.New("certificates would name a loopback address: give --public-url http://HOST that relying systems can reach")
)

// newInstallation is what init is told.
type newInstallation struct {
	a          *app
	dir        string
	suffixes   []string
	name       string
	publicURL  string
	rootOut    string
	ledgerURL  string
	keys       map[string]string
	passphrase string
}

func initCommand(a *app) *cobra.Command {
	n := &newInstallation{a: a}
	c := &cobra.Command{Use: "init", Short: "Make an installation: hierarchy, ledger, operators, configuration", Args: cobra.NoArgs,
		Long: `Makes the folder with a root CA (P-384, 20 years), three issuing CAs (P-256, 10 years), every
first revocation list, the ledger, the directory's base entries, the server's certificate, two
bootstrap operators (30 days) and a commented cardinal.yaml. With --root-out the root's key is
written there and nowhere else: take it away and keep it.`,
		Example: "  cardinal init --dir cards --name \"Example Trust\" --public-url http://pki.example.org --root-out /media/safe",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return failing("init", n.make(cmd.Context()))
		}}
	f := c.Flags()
	dirFlag(c, &n.dir)
	f.StringArrayVar(&n.suffixes, "suffix", []string{"o=nhs"}, "tree the directory serves; may be repeated, people live in the first")
	f.StringVar(&n.name, "name", "Cardinal", "stands in the subjects of the CAs")
	f.StringVar(&n.publicURL, "public-url", "", "http address certificates name for status and CA downloads")
	f.StringVar(&n.rootOut, "root-out", "", "folder for the root's key, which then is nowhere in --dir")
	f.StringVar(&n.ledgerURL, "ledger-url", "", "database of record, sqlite:PATH or postgres://… (default sqlite:ledger.db)")
	f.StringToStringVar(&n.keys, "key", nil, "where an issuing CA's key is made, as in authentication=pkcs11:token=ca;object=auth")
	passphraseFlag(c, &n.passphrase)
	return c
}

// make builds everything and writes cardinal.yaml last, so that a folder with
// one is whole. What an init that did not succeed made is removed.
func (n *newInstallation) make(ctx context.Context) (err error) {
	f := folder(or(n.dir, n.a.env("CARDINAL_DIR")))
	if f == "" {
		return usage("folder", errNoFolder)
	}
	config, err := n.config()
	if err != nil {
		return err
	}
	for _, path := range n.made(f) {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			if _, err := os.Lstat(f.config()); errors.Is(err, os.ErrNotExist) {
				return usage("init "+path, errHalfMade)
			}
			return usage("init "+path, errInitialised)
		}
	}
	pass, err := n.a.passphrase(n.passphrase, true)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			n.remove(f)
		}
	}()
	if n.rootOut != "" {
		if err := os.MkdirAll(n.rootOut, 0o700); err != nil {
			return err
		}
	}
	if err := makeFolders(string(f), f.keys(), f.certificates(), f.operators(), filepath.Dir(f.replica())); err != nil {
		return err
	}
	made, err := n.build(ctx, f, config, pass)
	if err != nil {
		return err
	}
	text, err := config.commented()
	if err != nil {
		return err
	}
	if err := os.WriteFile(f.config(), text, 0o600); err != nil {
		return err
	}
	return n.a.print(made, made.table)
}

// config is what the flags make of the defaults, checked like a file.
func (n *newInstallation) config() (Config, error) {
	c := Config{Name: n.name, PublicURL: n.publicURL, Ledger: LedgerConfig{URL: n.ledgerURL}}
	for name, uri := range n.keys {
		if !c.Keys.set(name, uri) {
			return c, usage("init", fmt.Errorf("--key %s: %w", name, errNoSuchCA))
		}
	}
	for _, dn := range n.suffixes {
		c.Suffixes = append(c.Suffixes, Suffix{DN: dn})
	}
	c = c.withDefaults()
	if c.PublicURL == "" {
		if isLoopback(c.Listen.Status) {
			return c, usage("init", errNoPublicURL)
		}
		c.PublicURL = "http://" + c.Listen.Status
	}
	if err := c.check(); err != nil {
		return c, usage("init", err)
	}
	return c, nil
}

func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err != nil || host == "localhost" || ip != nil && (ip.IsLoopback() || ip.IsUnspecified())
}

// made lists what init makes at the top of the folder.
func (n *newInstallation) made(f folder) []string {
	paths := []string{f.config(), f.path("ledger.db"), f.keys(), f.certificates(), f.operators(), filepath.Dir(f.replica()), f.trust()}
	if n.rootOut != "" {
		paths = append(paths, filepath.Join(n.rootOut, "root.key"))
	}
	return paths
}

func (n *newInstallation) remove(f folder) {
	for _, path := range slices.Concat(n.made(f), []string{f.path("ledger.db-wal"), f.path("ledger.db-shm")}) {
		os.RemoveAll(path)
	}
	os.Remove(string(f)) // only if it is empty
}

// build makes keys, hierarchy, ledger and what they carry.
func (n *newInstallation) build(ctx context.Context, f folder, c Config, pass []byte) (made madeInstallation, err error) {
	set, err := loadPolicies(f, c)
	if err != nil {
		return made, err
	}
	d, err := loadDirectory(f, c)
	if err != nil {
		return made, err
	}
	options := n.a.ledgerOptions(f, c)
	l, err := ledger.Create(ctx, options)
	if errors.Is(err, ledger.ErrExists) {
		return made, usage("making the ledger", fmt.Errorf("%w: name another database, or empty this one if an init was killed while it made it", err))
	}
	if err != nil {
		return made, fmt.Errorf("making the ledger: %w", err)
	}
	defer func() {
		if err != nil { // a database keeps what a folder loses
			err = errors.Join(err, ledger.Discard(context.WithoutCancel(ctx), options))
		}
	}()
	defer closeInto(&err, l)
	n.a.say("making the hierarchy")
	h, err := ca.InitHierarchy(ctx, ca.Ceremony{Ledger: l, Policies: set, Name: c.Name, PublicURL: c.PublicURL, Now: n.a.now,
		Key: func(ctx context.Context, name string) (crypto.Signer, error) {
			return keys.Create(ctx, n.keyURI(f, c, name), algorithmOf(name), pass)
		}})
	if err != nil {
		return made, err
	}
	if err := writeHierarchy(f, h); err != nil {
		return made, err
	}
	w, err := n.a.writeSide(writeSideOf{folder: f, config: c, ledger: l, policies: set, issuers: h.Issuers, directory: d, now: n.a.now})
	if err != nil {
		return made, err
	}
	n.a.say("making the directory's base entries")
	if err := foundDirectory(ctx, l, w.register); err != nil {
		return made, err
	}
	n.a.say("issuing the server's certificate and two bootstrap operators")
	if _, err := w.newServerCertificate(ctx); err != nil {
		return made, err
	}
	if err := w.enrolOperators(ctx); err != nil {
		return made, err
	}
	return describe(f, h), nil
}

// keyURI says where a CA's key is made.
func (n *newInstallation) keyURI(f folder, c Config, name string) string {
	switch {
	case name != ca.Root:
		return f.keyURI(c.Keys.of(name))
	case n.rootOut != "":
		return "file:" + filepath.Join(n.rootOut, "root.key")
	}
	return "file:" + filepath.Join(f.keys(), "root.key")
}

func algorithmOf(name string) keys.Algorithm {
	if name == ca.Root {
		return keys.P384
	}
	return keys.P256
}

// of gives the URI of an issuing CA's key.
func (k KeysConfig) of(name string) string {
	if uri := k.Generations[name]; uri != "" {
		return uri
	}
	if uri := map[string]string{ca.Authentication: k.Authentication, ca.Signing: k.Signing, ca.Services: k.Services}[name]; uri != "" {
		return uri
	}
	return "file:keys/" + name + ".key"
}

// set tells whether there is such an issuing CA.
func (k *KeysConfig) set(name, uri string) bool {
	to := map[string]*string{ca.Authentication: &k.Authentication, ca.Signing: &k.Signing, ca.Services: &k.Services}[name]
	if to != nil {
		*to = uri
	}
	return to != nil
}

func makeFolders(paths ...string) error {
	for _, p := range paths {
		if err := os.MkdirAll(p, 0o700); err != nil {
			return err
		}
		if err := os.Chmod(p, 0o700); err != nil {
			return err
		}
	}
	return nil
}

// writeHierarchy leaves the CA certificates, the root's list and the file of
// what to trust: the root first, then those below it.
func writeHierarchy(f folder, h ca.Hierarchy) error {
	var trust []byte
	for _, name := range ca.Names() {
		der := h.Issuers[name].Certificate.Raw
		if err := os.WriteFile(filepath.Join(f.certificates(), name+".cer"), der, 0o600); err != nil {
			return err
		}
		trust = append(trust, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	if err := os.WriteFile(filepath.Join(f.certificates(), "root.crl"), h.RootList, 0o600); err != nil {
		return err
	}
	return os.WriteFile(f.trust(), trust, 0o600)
}

// madeInstallation is what init prints.
type madeInstallation struct {
	Dir       string       `json:"dir"`
	Issuers   []madeIssuer `json:"issuers"`
	Trust     string       `json:"trust"`
	Operators []string     `json:"operators"`
}

type madeIssuer struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Serial  string `json:"serial"`
	SHA256  string `json:"sha256"`
	Ends    string `json:"ends"`
}

func describe(f folder, h ca.Hierarchy) madeInstallation {
	made := madeInstallation{Dir: string(f), Trust: f.trust()}
	for _, name := range ca.Names() {
		c := h.Issuers[name].Certificate
		made.Issuers = append(made.Issuers, madeIssuer{name, c.Subject.String(), serialOf(c), fingerprint(c), c.NotAfter.Format("2006-01-02")})
	}
	for _, name := range operatorNames() {
		made.Operators = append(made.Operators, filepath.Join(f.operators(), name+".p12"))
	}
	return made
}

func (m madeInstallation) table(w io.Writer) {
	row(w, "CA", "SUBJECT", "ENDS", "SHA-256 OF THE CERTIFICATE")
	for _, i := range m.Issuers {
		row(w, i.Name, i.Subject, i.Ends, i.SHA256)
	}
	row(w, "trust", m.Trust)
	for _, o := range m.Operators {
		row(w, "operator", o+" (its password is beside it, in "+filepath.Base(passwordBeside(o))+")")
	}
	row(w, "next", "cardinal serve --dir "+m.Dir)
}

// loadPolicies gives the policy set in force.
func loadPolicies(f folder, c Config) (*policies.Set, error) {
	set, err := policies.Default()
	if c.Certificates.Policies != "" {
		set, err = policies.LoadProfiles(os.DirFS(f.path(c.Certificates.Policies)))
	}
	if err != nil {
		return nil, usage("reading the policies", err)
	}
	p := policies.Configuration{Organization: c.Certificates.Organization, Country: c.Certificates.Country, Policies: c.Certificates.PolicyOIDs}
	if c.Certificates.BlockedKeys != "" {
		list, err := os.Open(f.path(c.Certificates.BlockedKeys))
		if err != nil {
			return nil, usage("reading the blocked keys", err)
		}
		defer list.Close()
		if p.Blocked, err = policies.ParseKeyList(list); err != nil {
			return nil, usage("reading the blocked keys", err)
		}
	}
	set, err = set.With(p)
	if err != nil {
		return nil, usage("configuring the policies", err)
	}
	return set, nil
}

// readCertificate reads a certificate in DER.
func readCertificate(path string) (*x509.Certificate, error) {
	der, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return c, nil
}
