package ca

import (
	"context"
	"crypto"
	"crypto/rand"
	"fmt"
	"log/slog"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

// Ceremony is what the making of a hierarchy needs. Key makes the key of an
// authority by its name, where it is to live: P-384 for the root, P-256 for the
// others. Name is the organisation's, put in front of the authorities' own.
type Ceremony struct {
	Ledger    *ledger.Ledger
	Policies  *policies.Set
	Name      string
	PublicURL string
	Key       func(ctx context.Context, name string) (crypto.Signer, error)
	Now       func() time.Time
	Logger    *slog.Logger
}

// Hierarchy is what a ceremony leaves: the authorities by name with their
// signers, and the root's own revocation list in DER.
type Hierarchy struct {
	Issuers  map[string]Issuer
	RootList []byte
}

// Names are the authorities, the root first.
func Names() []string { return []string{Root, Authentication, Signing, Services} }

func title(name string) string {
	return map[string]string{Root: "Root", Authentication: "Authentication", Signing: "Signing", Services: "Services"}[name]
}

// InitHierarchy makes the root above the three issuing authorities, each
// through the same rules, intents and register as every certificate, and
// publishes every list, so that none is named before it exists. It is done once
// for a ledger; one that was interrupted leaves a ledger to be thrown away.
func InitHierarchy(ctx context.Context, c Ceremony) (Hierarchy, error) {
	a, err := New(Config{Ledger: c.Ledger, Policies: c.Policies, PublicURL: c.PublicURL, Now: c.Now, Logger: c.Logger})
	if err != nil {
		return Hierarchy{}, err
	}
	made := Hierarchy{Issuers: map[string]Issuer{}}
	signers := map[string]crypto.Signer{}
	for _, name := range Names() {
		if signers[name], err = c.Key(ctx, name); err != nil {
			return made, fmt.Errorf("making the key of %s: %w", name, err)
		}
	}
	root, err := a.makeRoot(ctx, c.Name+" "+title(Root), signers[Root])
	if err != nil {
		return made, fmt.Errorf("making the root: %w", err)
	}
	made.Issuers[Root] = root.Issuer
	for _, name := range Names()[1:] {
		if made.Issuers[name], err = a.makeIssuing(ctx, name, c.Name+" "+title(name), signers[name]); err != nil {
			return made, fmt.Errorf("making authority %s: %w", name, err)
		}
	}
	made.RootList, err = a.publishAll(ctx)
	return made, err
}

// makeRoot signs the root certificate and adds the root as the issuer of its own.
func (a *Authority) makeRoot(ctx context.Context, commonName string, signer crypto.Signer) (*hand, error) {
	serial, err := certs.NewSerial(rand.Reader)
	if err != nil {
		return nil, err
	}
	approved, err := a.Policies.Decide(policies.Request{Profile: policies.ProfileRoot, IssuerName: Root, Serial: serial,
		Now: a.Now(), PublicURL: a.PublicURL, PublicKey: signer.Public(),
		Subject: policies.Subject{CommonName: commonName}})
	if err != nil {
		return nil, err
	}
	// Only here a key signs before the serial is reserved: a serial belongs to
	// an issuer, and the issuer is this certificate.
	self := &hand{name: Root, Issuer: Issuer{Signer: signer, Shards: 1}}
	c, err := self.sign(ctx, approved, a.Now())
	if err != nil {
		return nil, err
	}
	root, err := a.add(Root, Issuer{Certificate: c, Signer: signer, Shards: 1})
	if err != nil {
		return nil, err
	}
	a.byName[Root] = root
	j := newJob(root, approved, 0)
	j.intent.Holder, j.intent.Key = c.Subject.CommonName, policies.KeyDigest(c.PublicKey)
	_, err = a.Ledger.Write(ctx, func(tx *ledger.Tx) error {
		if err := register.AddIssuer(tx, certs.IssuerAdded{Name: Root, DER: c.Raw, Shards: 1}); err != nil {
			return err
		}
		if err := register.Reserve(tx, j.intent); err != nil {
			return err
		}
		return register.Record(tx, []register.Signed{{Ref: j.intent.Ref, DER: c.Raw}})
	})
	return root, err
}

// makeIssuing issues the certificate of an authority below the root and adds it
// as an issuer in the same transaction.
func (a *Authority) makeIssuing(ctx context.Context, name, commonName string, signer crypto.Signer) (Issuer, error) {
	order := Order{Issuer: Root, Request: policies.Request{Profile: policies.ProfileIssuing, PublicKey: signer.Public(),
		Subject: policies.Subject{CommonName: commonName}}}
	issued, _, err := a.Issue(ctx, []Order{order}, func(tx *ledger.Tx, issued []Issued) error {
		return register.AddIssuer(tx, certs.IssuerAdded{Name: name, DER: issued[0].Certificate.Raw, Shards: Shards})
	})
	if err != nil {
		return Issuer{}, err
	}
	issuer := Issuer{Certificate: issued[0].Certificate, Signer: signer, Shards: Shards}
	at, err := a.add(name, issuer)
	a.byName[name] = at
	return issuer, err
}

// publishAll publishes the first list of every shard and gives the root's.
func (a *Authority) publishAll(ctx context.Context) ([]byte, error) {
	rootList, err := a.PublishList(ctx, Root, 0)
	if err != nil {
		return nil, err
	}
	for _, name := range Names()[1:] { // side by side, to share the commits
		err := each(int(a.byName[name].Shards), func(shard int) error {
			_, err := a.PublishList(ctx, name, uint16(shard))
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return a.content(ctx, rootList)
}
