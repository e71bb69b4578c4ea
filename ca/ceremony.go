package ca

import (
	"context"
	"crypto"
	"fmt"
	"log/slog"
	"time"

	"cardinal/certs"
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

// CommonName is what an authority is called in its certificate: the house, the
// kind, and from the second generation on its number. Names of authorities are
// never used again: relying systems look issuers up by them.
func CommonName(house, name string) string {
	n, err := certs.ParseIssuerName(name)
	if err != nil {
		return house + " " + name
	}
	title := map[string]string{Root: "Root", Authentication: "Authentication", Signing: "Signing", Services: "Services"}[n.Kind]
	if n.Generation == 1 {
		return house + " " + title
	}
	return fmt.Sprintf("%s %s G%d", house, title, n.Generation)
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
	for _, name := range Names() {
		at, err := a.make(ctx, NewGeneration{Name: name, CommonName: CommonName(c.Name, name), Signer: signers[name], FromNow: true})
		if err != nil {
			return made, fmt.Errorf("making authority %s: %w", name, err)
		}
		made.Issuers[name] = at.Issuer
	}
	made.RootList, err = a.publishAll(ctx)
	return made, err
}

// publishAll publishes the first list of every shard and gives the root's.
func (a *Authority) publishAll(ctx context.Context) ([]byte, error) {
	rootList, err := a.PublishList(ctx, Root, certs.ShardList(0))
	if err != nil {
		return nil, err
	}
	for _, name := range Names()[1:] {
		if err := a.publishFirst(ctx, a.known.Load().byName[name]); err != nil {
			return nil, err
		}
	}
	return a.content(ctx, rootList)
}
