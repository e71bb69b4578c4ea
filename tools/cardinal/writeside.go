package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"cardinal/ca"
	"cardinal/certs"
	"cardinal/directory/register"
	"cardinal/internal/background"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/issuance"
	"cardinal/policies"
)

// writeSideOf is what the write side is made from.
type writeSideOf struct {
	folder    folder
	config    Config
	ledger    *ledger.Ledger
	policies  *policies.Set
	issuers   map[string]ca.Issuer // by init alone, which made them
	keys      func(ctx context.Context, name string) (crypto.Signer, error)
	directory *directoryOf
	paced     func(ctx context.Context, p journal.Position) error // by the copy of this process; nil: it has none
	beside    *background.Work
	now       func() time.Time
	logger    *slog.Logger
}

// writeSide is the hand that signs and the desk that decides, over one ledger.
type writeSide struct {
	writeSideOf
	authority *ca.Authority
	register  *register.Register
	desk      *issuance.Desk
}

var errNoPublicName = errors.New("is not in cardinal.yaml: certificates must name where relying systems ask, http://HOST[:PORT]")

func (a *app) writeSide(of writeSideOf) (*writeSide, error) {
	if of.logger == nil {
		of.logger = a.logger(slog.LevelWarn)
	}
	if of.config.PublicURL == "" {
		return nil, usage("publicURL", errNoPublicName)
	}
	if err := makeFolders(of.folder.spool()); err != nil {
		return nil, fmt.Errorf("making room for lists: %w", err)
	}
	authority, err := ca.New(ca.Config{Ledger: of.ledger, Issuers: of.issuers, Open: of.keys, Policies: of.policies, PublicURL: of.config.PublicURL,
		Lists: of.config.Lists.policy(), TempDir: of.folder.spool(), Beside: of.beside, Now: of.now, Logger: of.logger})
	if err != nil {
		return nil, fmt.Errorf("configuring the CA: %w", err)
	}
	entries, err := of.directory.register()
	if err != nil {
		return nil, err
	}
	makers, err := cardMakers(of.folder, of.config)
	if err != nil {
		return nil, err
	}
	desk, err := issuance.New(issuance.Config{Ledger: of.ledger, CA: authority, Directory: entries, Policies: of.policies, Suffix: of.directory.suffixes[0],
		Attestation: makers, Alone: of.config.Orders.Alone, Undo: of.config.Orders.Undo, Expiry: of.config.Orders.Expiry, Paced: of.paced, Now: of.now, Logger: of.logger})
	if err != nil {
		return nil, fmt.Errorf("configuring issuance: %w", err)
	}
	return &writeSide{writeSideOf: of, authority: authority, register: entries, desk: desk}, nil
}

// writeOperator leaves an operator's key and certificates as PEM and PKCS #12,
// and the password of the latter beside it. It is one of its own: whoever
// carries the file to another machine must not need the passphrase of the CA's
// keys for it.
func (w *writeSide) writeOperator(name string, id *identity) error {
	chain, err := w.chainOf(id.leaf)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(id.key)
	if err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: id.leaf.Raw})
	for _, c := range chain {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
	path := filepath.Join(w.folder.operators(), name)
	if err := os.WriteFile(path+".pem", text, 0o600); err != nil {
		return err
	}
	password := rand.Text()
	p12, err := pkcs12.Modern.Encode(id.key, id.leaf, chain, password)
	if err != nil {
		return fmt.Errorf("writing operator %s: %w", name, err)
	}
	path += ".p12"
	return errors.Join(os.WriteFile(path, p12, 0o600), os.WriteFile(passwordBeside(path), []byte(password+"\n"), 0o600))
}

func serialOf(c *x509.Certificate) string {
	serial, err := certs.SerialFromBig(c.SerialNumber)
	if err != nil {
		return c.SerialNumber.Text(16)
	}
	return serial.Hex()
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}
