package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"cardinal/ca"
	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/keys"
)

// signersOf opens the keys of issuing CAs by name. What cardinal.yaml says of them
// is read each time: a generation may be named there while serve runs.
func signersOf(f folder, c Config, pass []byte) func(ctx context.Context, name string) (crypto.Signer, error) {
	return func(ctx context.Context, name string) (crypto.Signer, error) {
		return keys.Open(ctx, f.keyURI(keysNow(f, c).of(name)), pass)
	}
}

func keysNow(f folder, c Config) KeysConfig {
	if now, err := readConfig(f.config()); err == nil {
		return now.Keys
	}
	return c.Keys // init has no file yet; a faulty one is told of where it matters
}

// openKeys reads from the ledger which authorities there are and opens their
// keys. Of each kind that issues one must be opened; another that cannot be is
// logged and an alarm, and serve goes on. So is a kind of which none issues, as
// when one was revoked: what it issued is still asked about.
func (w *writeSide) openKeys(ctx context.Context) error {
	if err := w.authority.Refresh(ctx); err != nil {
		return err
	}
	for _, kind := range ca.Names()[1:] {
		switch err := w.authority.Opened(kind); {
		case errors.Is(err, register.ErrNotIssuing):
			w.logger.Error("nothing of a kind is issued until it has its next generation (cardinal ca rollover)", "kind", kind)
		case err != nil:
			return usage("opening the key of the CA "+kind, err)
		}
	}
	return nil
}

// clientAuthorities gives the CAs clients' certificates come from, as of now.
// A card holds its own certificate only, so a client sends no chain: its issuer
// is an anchor here.
func (n *node) clientAuthorities(kinds ...string) func() *x509.CertPool {
	return func() *x509.CertPool {
		pool := x509.NewCertPool()
		for _, c := range n.authorities(kinds) {
			pool.AddCert(c)
		}
		return pool
	}
}

func (n *node) authorities(kinds []string) (out []*x509.Certificate) {
	if n.write != nil {
		for _, kind := range kinds {
			out = append(out, n.write.authority.Generations(kind)...)
		}
		return out
	}
	for _, i := range n.read.table.Issuers() {
		if !slices.Contains(kinds, certs.IssuerKind(i.Name)) {
			continue
		}
		if c, err := x509.ParseCertificate(i.DER); err == nil { // the table parsed it when it came
			out = append(out, c)
		}
	}
	return out
}

// chainOf gives the authorities above a certificate of ours, its issuer first,
// the root last.
func (w *writeSide) chainOf(leaf *x509.Certificate) ([]*x509.Certificate, error) {
	chain, below := []*x509.Certificate{}, leaf
	for _, kinds := range [][]string{ca.Names()[1:], {ca.Root}} {
		above := w.issuerOf(below, kinds)
		if above == nil {
			return nil, fmt.Errorf("certificate %s: %w", serialOf(leaf), ca.ErrUnknownIssuer)
		}
		chain, below = append(chain, above), above
	}
	return chain, nil
}

// stands reports whether a certificate of this server's is still relied on: its
// authority was not revoked, as far as this process knows.
func (n *node) stands(leaf *x509.Certificate) bool {
	if n.write != nil {
		return n.write.issuerOf(leaf, ca.Names()[1:]) != nil
	}
	j := n.read.table.Judge(leaf.Raw)
	return !j.Certain || j.Status.State != certs.StateRevoked
}

func (w *writeSide) issuerOf(c *x509.Certificate, kinds []string) *x509.Certificate {
	for _, kind := range kinds {
		for _, g := range w.authority.Generations(kind) {
			if c.CheckSignatureFrom(g) == nil {
				return g
			}
		}
	}
	return nil
}
