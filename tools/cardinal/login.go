package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cardinal/directory"
)

var (
	errNoTrust     = errors.New("no roots to trust: give --trust FILE or --dir D")
	errNoDirectory = errors.New("no directory to ask: give --directory ldaps://HOST:PORT or --dir D of one that serves")
)

// loginFlags say whose card signs in where.
type loginFlags struct {
	dir, certificate, key, trust, directory, suffix, system string
}

func loginCommand(a *app) *cobra.Command {
	var f loginFlags
	c := &cobra.Command{
		Use:   "login --cert F --key F",
		Short: "Sign in as a relying system would have it: handshake, chain, OCSP, directory",
		Long: `Sign in as a relying system would have it: the card proves its key in a TLS
handshake, the chain is checked to the root, OCSP is asked with a nonce, and one
search reads the person, the card and the roles to choose from. Each step is shown with its
time. Exit code 0: may enter; 3: refused; 4: a service could not be asked.`,
		Example: "  cardinal login --cert pair/authentication.pem --key auth.key --dir cards",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			holder, err := tls.LoadX509KeyPair(f.certificate, f.key)
			if err != nil {
				return usage("reading the card's certificate and key", err)
			}
			system, err := f.relyingSystem(a)
			if err != nil {
				return err
			}
			if len(system.identity) == 0 {
				system.identity = []tls.Certificate{holder}
			}
			report, err := system.login(cmd.Context(), holder)
			if printed := a.print(report, func(w io.Writer) { report.write(w) }); printed != nil {
				return printed
			}
			return loginFailure(err)
		},
	}
	dirFlag(c, &f.dir)
	fl := c.Flags()
	fl.StringVar(&f.certificate, "cert", "", "the card's authentication certificate, PEM")
	fl.StringVar(&f.key, "key", "", "its private key, PEM")
	fl.StringVar(&f.trust, "trust", "", "roots and issuing CAs, PEM (default: $CARDINAL_TRUST, or D/trust.pem)")
	fl.StringVar(&f.directory, "directory", "", "ldap:// or ldaps:// URL (default: what serve in D announced)")
	fl.StringVar(&f.suffix, "suffix", "o=nhs", "the tree that holds ou=People")
	fl.StringVar(&f.system, "system", "", "PEM certificate and key the relying system shows the directory (default: the card's)")
	require(c, "cert", "key")
	return c
}

// loginFailure gives a refused card exit code 3 and an unanswering service 4.
func loginFailure(err error) error {
	var refusal *refusedLogin
	if errors.As(err, &refusal) {
		return refused("login", err)
	}
	return failing("login", err)
}

func (f loginFlags) relyingSystem(a *app) (*relyingSystem, error) {
	dir := or(f.dir, a.env("CARDINAL_DIR"))
	trust := or(f.trust, a.env("CARDINAL_TRUST"))
	if trust == "" && dir != "" {
		trust = folder(dir).trust()
	}
	if trust == "" {
		return nil, usage("login", errNoTrust)
	}
	zone, err := directory.London()
	if err != nil {
		return nil, err
	}
	system := &relyingSystem{directory: f.directory, suffix: f.suffix, now: a.now, london: zone}
	if err := system.readTrust(trust); err != nil {
		return nil, usage("reading "+trust, err)
	}
	if system.directory == "" && dir != "" {
		if announced, err := readReady(dir); err == nil {
			system.directory = announced.LDAPS
		}
	}
	if system.directory == "" {
		return nil, usage("login", errNoDirectory)
	}
	if f.system == "" {
		return system, nil
	}
	own, err := tls.LoadX509KeyPair(f.system, f.system)
	if err != nil {
		return nil, usage("reading "+filepath.Base(f.system), err)
	}
	system.identity = []tls.Certificate{own}
	return system, nil
}

// readTrust takes the self-issued certificates of a PEM file as roots and the others as issuers.
func (s *relyingSystem) readTrust(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	s.trust = x509.NewCertPool()
	roots := 0
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return err
		}
		if c.CheckSignatureFrom(c) == nil {
			s.trust.AddCert(c)
			roots++
			continue
		}
		s.issuers = append(s.issuers, c)
	}
	if roots == 0 {
		return errNoTrust
	}
	return nil
}

func (r *loginReport) write(w io.Writer) {
	for _, s := range r.Steps {
		mark := "ok"
		if !s.OK {
			mark = "NO"
		}
		row(w, mark, s.Step, fmt.Sprintf("%.1f ms", s.Millis), s.Detail)
	}
	if r.Refused != "" {
		row(w, "refused", "", fmt.Sprintf("%.1f ms", float64(r.Total)/float64(time.Millisecond)), r.Refused)
		return
	}
	if r.Card != "" {
		row(w, "card", r.Card, r.CardID, fmt.Sprintf("ends in %d days, on %s", r.Days, r.Ends))
	}
	for i, role := range r.Roles {
		row(w, fmt.Sprintf("role %d", i+1), role.ID, role.Organisation, strings.TrimSpace(role.Job+" at "+role.Name))
	}
	if r.Alert != "" {
		row(w, "alert", "", "", r.Alert)
	}
}
