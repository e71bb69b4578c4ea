package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"cardinal/ca"
	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/keys"
	"cardinal/internal/ledger"
)

// ceremony is a plan being carried out. It opens the folder itself; serve may
// run meanwhile and takes up what was done within a second or two.
type ceremony struct {
	a        *app
	plan     *ceremonyPlan
	folder   folder
	config   Config
	pass     []byte // of the issuing CAs' keys
	rootPass []byte
	side     *writeSide
}

// heldStep is what a step came to.
type heldStep struct {
	Step string `json:"step"`
	Done string `json:"done"`
}

// heldCeremony is what a ceremony prints.
type heldCeremony struct {
	Ceremony string     `json:"ceremony"`
	SHA256   string     `json:"sha256"`
	Steps    []heldStep `json:"steps"`
}

func (c *ceremony) hold(ctx context.Context) (held heldCeremony, err error) {
	l, err := c.a.openLedger(ctx, c.folder, c.config)
	if err != nil {
		return held, err
	}
	defer closeInto(&err, l)
	if err := c.openSide(ctx, l); err != nil {
		return held, err
	}
	held = heldCeremony{Ceremony: c.plan.Ceremony, SHA256: c.plan.hash(), Steps: []heldStep{}}
	_, err = l.Write(ctx, func(tx *ledger.Tx) error {
		return register.RecordCeremony(tx, journal.Hash(c.plan.digest), string(c.plan.text))
	})
	if err != nil {
		return held, err
	}
	for i := range c.plan.Steps {
		s := &c.plan.Steps[i]
		done, err := c.step(ctx, s)
		if err != nil {
			return held, fmt.Errorf("step %d, %s: %w", i+1, s, err)
		}
		c.a.say("step %d: %s: %s", i+1, s, done)
		held.Steps = append(held.Steps, heldStep{s.String(), done})
	}
	return held, c.writeTrust(ctx)
}

// openSide puts an authority together that has the keys of the roots named.
func (c *ceremony) openSide(ctx context.Context, l *ledger.Ledger) error {
	set, err := loadPolicies(c.folder, c.config)
	if err != nil {
		return err
	}
	directory, err := loadDirectory(c.folder, c.config)
	if err != nil {
		return err
	}
	roots, err := c.roots(ctx, l)
	if err != nil {
		return err
	}
	c.side, err = c.a.writeSide(writeSideOf{folder: c.folder, config: c.config, ledger: l, policies: set, issuers: roots, directory: directory,
		keys: func(ctx context.Context, name string) (crypto.Signer, error) {
			return keys.Open(ctx, c.keyURI(name), c.pass)
		}, now: c.a.clock(c.config)})
	if err != nil {
		return err
	}
	return c.side.authority.Refresh(ctx)
}

// roots gives the roots of the ledger whose keys the plan names.
func (c *ceremony) roots(ctx context.Context, l *ledger.Ledger) (map[string]ca.Issuer, error) {
	var all []register.Issuer
	err := l.Read(ctx, func(tx *ledger.Tx) (err error) {
		all, err = register.Issuers(tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	roots := map[string]ca.Issuer{}
	for _, i := range all {
		if certs.IssuerKind(i.Name) != ca.Root || c.plan.Keys[i.Name] == "" {
			continue
		}
		certificate, err := x509.ParseCertificate(i.DER)
		if err != nil {
			return nil, fmt.Errorf("reading authority %s: %w", i.Name, err)
		}
		signer, err := keys.Open(ctx, c.keyURI(i.Name), c.rootPass)
		if err != nil {
			return nil, usage("opening the key of "+i.Name, err)
		}
		roots[i.Name] = ca.Issuer{Certificate: certificate, Signer: signer, Shards: i.Shards}
	}
	return roots, nil
}

func (c *ceremony) keyURI(name string) string {
	if uri := c.plan.Keys[name]; uri != "" {
		return c.folder.keyURI(uri)
	}
	return c.folder.keyURI(keysNow(c.folder, c.config).of(name))
}

func (c *ceremony) passOf(name string) []byte {
	if certs.IssuerKind(name) == ca.Root {
		return c.rootPass
	}
	return c.pass
}

func (c *ceremony) step(ctx context.Context, s *ceremonyStep) (string, error) {
	digest, authority := journal.Hash(c.plan.digest), c.side.authority
	switch {
	case s.Make != nil:
		return c.make(ctx, s.Make)
	case s.Start != nil:
		return "from " + s.Start.From, authority.Start(ctx, s.Start.Name, when(s.Start.From), digest)
	case s.CrossSign != nil:
		made, err := authority.CrossSign(ctx, s.CrossSign.Name, s.CrossSign.By, digest)
		if err != nil {
			return "", err
		}
		path := filepath.Join(c.folder.certificates(), s.CrossSign.Name+"-by-"+s.CrossSign.By+".cer")
		return "serial " + serialOf(made) + ", " + path, replaceFile(path, made.Raw)
	case s.Revoke != nil:
		reason, err := certs.ParseReason(s.Revoke.Reason)
		if err != nil {
			return "", err
		}
		if err := authority.RevokeIssuer(ctx, s.Revoke.Name, reason, digest); err != nil {
			return "", err
		}
		return c.revoked(ctx)
	case s.Retire != nil:
		return c.retire(ctx, s.Retire)
	}
	list, err := authority.PublishList(ctx, s.List.Name, certs.ShardList(0))
	return fmt.Sprintf("number %d, next update %s", list.Number, list.NextUpdate.Format("2006-01-02")), err
}

// revoked says which lists do not tell of it yet: those of roots whose keys were
// not given.
func (c *ceremony) revoked(ctx context.Context) (string, error) {
	lacking, err := c.side.authority.Unlisted(ctx)
	if err != nil || len(lacking) == 0 {
		return "revoked", err
	}
	return fmt.Sprintf("revoked; NOT yet on the list of %s: do it again with --key NAME=…, or hold a ceremony with a list step", strings.Join(lacking, ", ")), nil
}

// make makes an authority on a key that is there, from an interrupted ceremony
// or brought, or on one made now.
func (c *ceremony) make(ctx context.Context, s *makeStep) (string, error) {
	algorithm := algorithmOf(certs.IssuerKind(s.Name))
	if certs.IssuerKind(s.Name) == ca.Root && c.plan.Keys[s.Name] == "" {
		return "", usage("keys."+s.Name, keys.ErrNoKey)
	}
	if err := c.mayMake(s.Name); err != nil {
		return "", err
	}
	signer, err := keys.Open(ctx, c.keyURI(s.Name), c.passOf(s.Name))
	if errors.Is(err, keys.ErrNoKey) {
		signer, err = keys.Create(ctx, c.keyURI(s.Name), algorithm, c.passOf(s.Name))
	}
	if err != nil {
		return "", usage("the key of "+s.Name, err)
	}
	made, err := c.side.authority.Make(ctx, ca.NewGeneration{Name: s.Name, CommonName: ca.CommonName(c.config.Name, s.Name), Signer: signer,
		From: when(s.From), FromNow: s.From == "now", Ceremony: journal.Hash(c.plan.digest)})
	if err != nil {
		return "", err
	}
	path := filepath.Join(c.folder.certificates(), s.Name+".cer")
	return fmt.Sprintf("%s, SHA-256 %s, ends %s", made.Subject, fingerprint(made), made.NotAfter.Format("2006-01-02")), replaceFile(path, made.Raw)
}

// mayMake refuses before a key is made that would lie there for nothing: when no
// root can certify it, or when it would get another passphrase than those that
// serve opens with it.
func (c *ceremony) mayMake(name string) error {
	if certs.IssuerKind(name) == ca.Root {
		return nil
	}
	if err := c.side.authority.Opened(ca.Root); err != nil {
		return fmt.Errorf("%w (give it: --key root=file:…)", err)
	}
	var wrong error
	for _, kind := range ca.Names()[1:] {
		switch err := c.side.authority.Opened(kind); {
		case err == nil:
			return nil
		case errors.Is(err, keys.ErrPassphrase):
			wrong = usage("opening the key of the CA "+kind, err)
		}
	}
	return wrong
}

// retire writes the archive whole before the key goes.
func (c *ceremony) retire(ctx context.Context, s *retireStep) (string, error) {
	path := c.folder.path(s.Archive)
	if err := makeFolders(filepath.Dir(path)); err != nil {
		return "", err
	}
	if err := c.giveKey(ctx, s.Name); err != nil {
		return "", err
	}
	f, err := os.OpenFile(path+".part", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	done, err := c.side.authority.Retire(ctx, ca.Retirement{Name: s.Name, Archive: f, Early: s.Early, Ceremony: journal.Hash(c.plan.digest)})
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(path+".part"))
	}
	if err := errors.Join(os.Rename(path+".part", path), replaceFile(path+".sig", done.Signature)); err != nil {
		return "", err
	}
	said := fmt.Sprintf("%d certificates, SHA-256 of the archive %x", done.Certificates, done.Digest)
	if !s.DestroyKey {
		return said, nil
	}
	return said + ", the key is destroyed", keys.Destroy(ctx, c.keyURI(s.Name), c.passOf(s.Name))
}

// giveKey opens the key of an authority that an interrupted ceremony has
// retired already: by itself the authority opens such a key no more.
func (c *ceremony) giveKey(ctx context.Context, name string) error {
	signer, err := keys.Open(ctx, c.keyURI(name), c.passOf(name))
	if err != nil {
		return usage("opening the key of "+name, err)
	}
	return c.side.authority.Give(name, signer)
}

// writeTrust writes anew what relying systems are to trust: every authority
// that was not revoked, roots first.
func (c *ceremony) writeTrust(ctx context.Context) error {
	if err := c.side.authority.Refresh(ctx); err != nil {
		return err
	}
	var text []byte
	for _, kind := range ca.Names() {
		for _, g := range c.side.authority.Generations(kind) {
			text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.Raw})...)
		}
	}
	return replaceFile(c.folder.trust(), text)
}
