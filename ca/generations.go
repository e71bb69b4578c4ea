package ca

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

var (
	// ErrOtherName: the house is called otherwise today than when the authority
	// was made, so a second certificate of its key would name another subject.
	ErrOtherName = errors.New("the certificate would not carry the authority's name")
	// ErrGeneration: the name is not that of the next generation of its kind.
	ErrGeneration = errors.New("is not the next generation of its kind")
	// ErrUnended: certificates of the authority have not ended.
	ErrUnended = errors.New("certificates of the authority have not ended")
	// ErrNotBelow: only a root signs authorities.
	ErrNotBelow = errors.New("only a root certifies authorities")
)

// NewGeneration is an authority to be made. From is when it begins to issue;
// zero leaves that to Start, FromNow begins at once.
type NewGeneration struct {
	Name       string
	CommonName string
	Signer     crypto.Signer
	From       time.Time
	FromNow    bool
	Ceremony   journal.Hash
}

// Make makes the next generation of a kind of authority: a certificate under the
// root whose key is here (a root's is its own), the first list of each shard,
// and the time from which it issues, in this order, so that nothing names what
// does not exist. Made twice, it goes on where it was interrupted; Signer must
// then have the same key. The older generations go on answering for what they
// issued, and issue until this one begins.
func (a *Authority) Make(ctx context.Context, g NewGeneration) (*x509.Certificate, error) {
	at := a.known.Load().byName[g.Name]
	if at != nil && !samePublicKey(g.Signer.Public(), at.Issuer.Certificate.PublicKey) {
		return nil, fmt.Errorf("making authority %s: it exists, with another key: %w", g.Name, ErrGeneration)
	}
	if at == nil {
		if err := a.isNext(g.Name); err != nil {
			return nil, fmt.Errorf("making an authority: %w", err)
		}
	}
	at, err := a.make(ctx, g)
	if err == nil {
		err = a.publishFirst(ctx, at)
	}
	if err == nil && (g.FromNow || !g.From.IsZero()) {
		err = a.Start(ctx, g.Name, g.From, g.Ceremony)
	}
	if err != nil {
		return nil, fmt.Errorf("making authority %s: %w", g.Name, err)
	}
	return at.Issuer.Certificate, nil
}

// isNext: generations are made in order, one at a time.
func (a *Authority) isNext(name string) error {
	n, err := certs.ParseIssuerName(name)
	if err != nil {
		return err
	}
	before := certs.IssuerName{Kind: n.Kind, Generation: n.Generation - 1}
	if n.Generation > 1 && a.known.Load().byName[before.String()] != nil {
		return nil
	}
	return fmt.Errorf("%s %w", name, ErrGeneration)
}

// make gives the authority of a name with its key, made if it does not exist.
// It issues nothing yet, but in the ceremony that founds a house (FromNow).
func (a *Authority) make(ctx context.Context, g NewGeneration) (*hand, error) {
	if at := a.known.Load().byName[g.Name]; at != nil {
		open := *at
		open.Signer = g.Signer
		return &open, a.add(&open)
	}
	if certs.IssuerKind(g.Name) == Root {
		return a.makeRoot(ctx, g)
	}
	order := Order{Issuer: Root, Request: policies.Request{Profile: policies.ProfileIssuing, PublicKey: g.Signer.Public(),
		Subject: policies.Subject{CommonName: g.CommonName}}}
	var founded *certs.IssuerID
	issued, _, err := a.Issue(ctx, []Order{order}, func(tx *ledger.Tx, issued []Issued) error {
		id := certs.IssuerIDOf(issued[0].Certificate)
		founded = &id
		return found(tx, g, issued[0].Certificate, Shards)
	})
	if err != nil {
		return nil, err
	}
	at := &hand{name: g.Name, id: *founded, Issuer: Issuer{Certificate: issued[0].Certificate, Signer: g.Signer, Shards: Shards}}
	return at, a.add(at)
}

// found writes an authority down.
func found(tx *ledger.Tx, g NewGeneration, c *x509.Certificate, shards uint16) error {
	if err := register.AddIssuer(tx, certs.IssuerAdded{Name: g.Name, DER: c.Raw, Shards: shards}); err != nil {
		return err
	}
	if !g.FromNow {
		return nil
	}
	return register.StartIssuer(tx, certs.IssuerIDOf(c), time.Time{}, g.Ceremony)
}

// makeRoot signs a root certificate and adds the root as the issuer of its own.
func (a *Authority) makeRoot(ctx context.Context, g NewGeneration) (*hand, error) {
	serial, err := certs.NewSerial(a.Now(), rand.Reader)
	if err != nil {
		return nil, err
	}
	approved, err := a.Policies.Decide(policies.Request{Profile: policies.ProfileRoot, IssuerName: g.Name, Serial: serial,
		Now: a.Now(), PublicURL: a.PublicURL, PublicKey: g.Signer.Public(),
		Subject: policies.Subject{CommonName: g.CommonName}})
	if err != nil {
		return nil, err
	}
	// Only here a key signs before the serial is reserved: a serial belongs to
	// an issuer, and the issuer is this certificate.
	self := &hand{name: g.Name, Issuer: Issuer{Signer: g.Signer, Shards: 1}}
	c, err := self.sign(ctx, approved, a.Now())
	if err != nil {
		return nil, err
	}
	root, err := newHand(g.Name, Issuer{Certificate: c, Signer: g.Signer, Shards: 1})
	if err != nil {
		return nil, err
	}
	j := newJob(root, approved, 0)
	j.intent.Holder, j.intent.Key = c.Subject.CommonName, policies.KeyDigest(c.PublicKey)
	_, err = a.Ledger.Write(ctx, func(tx *ledger.Tx) error {
		if err := found(tx, g, c, 1); err != nil {
			return err
		}
		if err := register.Reserve(tx, j.intent); err != nil {
			return err
		}
		return register.Record(tx, []register.Signed{{Ref: j.intent.Ref, DER: c.Raw}})
	})
	if err != nil {
		return nil, err
	}
	return root, a.add(root)
}

// publishFirst publishes the lists an authority does not have yet, side by side,
// to share the commits.
func (a *Authority) publishFirst(ctx context.Context, at *hand) error {
	lists := a.Lists.complete(at)
	return each(len(lists), func(i int) error {
		var last register.Shard
		err := a.Ledger.Read(ctx, func(tx *ledger.Tx) (err error) {
			last, err = register.LastList(tx, at.id, lists[i])
			return err
		})
		if err == nil && last.List.Number == 0 {
			_, err = a.publish(ctx, wanted{at: at, which: lists[i]})
		}
		return err
	})
}

// Start says from when on an authority issues, zero for now; the last word
// counts. register.ErrGenerationEnded when it has stopped.
func (a *Authority) Start(ctx context.Context, name string, from time.Time, ceremony journal.Hash) error {
	at := a.known.Load().byName[name]
	if at == nil {
		return fmt.Errorf("starting an authority: %w: %q", ErrUnknownIssuer, name)
	}
	_, err := a.Ledger.Write(ctx, func(tx *ledger.Tx) error { return register.StartIssuer(tx, at.id, from, ceremony) })
	if err != nil {
		return fmt.Errorf("starting authority %s: %w", name, err)
	}
	return a.Refresh(ctx)
}

// CrossSign certifies the key of an authority under a root it does not stand
// below, by the name and no longer than the certificate it has. by must be a
// root whose key is here. Signed twice by the same root, the first is given.
func (a *Authority) CrossSign(ctx context.Context, name, by string, ceremony journal.Hash) (*x509.Certificate, error) {
	h := a.known.Load()
	at, root := h.byName[name], h.byName[by]
	if at == nil || root == nil {
		return nil, fmt.Errorf("cross-signing %s by %s: %w", name, by, ErrUnknownIssuer)
	}
	if certs.IssuerKind(by) != Root || name == by {
		return nil, fmt.Errorf("cross-signing %s by %s: %w", name, by, ErrNotBelow)
	}
	if c := crossBy(at, root); c != nil {
		return c, nil
	}
	own := at.Issuer.Certificate
	profile := policies.ProfileIssuing
	if certs.IssuerKind(name) == Root {
		profile = policies.ProfileCross
	}
	order := Order{by: root, subject: own.RawSubject, Request: policies.Request{Profile: profile, PublicKey: own.PublicKey,
		Subject: policies.Subject{CommonName: own.Subject.CommonName}, Validity: a.crossLife(profile, own, root.Issuer.Certificate)}}
	issued, _, err := a.Issue(ctx, []Order{order}, func(tx *ledger.Tx, issued []Issued) error {
		return register.AddCross(tx, issued[0].Ref, issued[0].Certificate.Raw, ceremony)
	})
	if err != nil {
		return nil, fmt.Errorf("cross-signing %s by %s: %w", name, by, err)
	}
	return issued[0].Certificate, a.Refresh(ctx)
}

// crossLife is how long a second certificate lives, 0 for as long as the
// profile says: it ends with the first one or with who signs it.
func (a *Authority) crossLife(profile string, own, root *x509.Certificate) time.Duration {
	begin, full := a.Policies.Profile(profile).Validity.Lifetime(a.Now())
	end := own.NotAfter
	if root.NotAfter.Before(end) {
		end = root.NotAfter
	}
	if !end.Before(full) {
		return 0
	}
	return end.Sub(begin)
}

// crossBy is the certificate a root gave an authority's key, nil when it gave none.
func crossBy(at, root *hand) *x509.Certificate {
	if at.Issuer.Certificate.CheckSignatureFrom(root.Issuer.Certificate) == nil {
		return at.Issuer.Certificate
	}
	if at.stage == nil {
		return nil
	}
	for _, der := range at.stage.Cross {
		if c, err := x509.ParseCertificate(der); err == nil && c.CheckSignatureFrom(root.Issuer.Certificate) == nil {
			return c
		}
	}
	return nil
}

// RevokeIssuer ends an authority before its time: it stops issuing everywhere
// with this transaction, every certificate of its key is revoked (a root's own
// is not: nobody looks a root up on its own list), and the lists of the roots
// whose keys are here are published. The certificates below it stay as they
// are; verifiers refuse them with their issuer, and our status service calls
// them revoked. Done twice, it only publishes.
func (a *Authority) RevokeIssuer(ctx context.Context, name string, reason certs.Reason, ceremony journal.Hash) error {
	if err := a.revokeIssuer(ctx, name, reason, ceremony); err != nil {
		return fmt.Errorf("revoking authority %s: %w", name, err)
	}
	return nil
}

func (a *Authority) revokeIssuer(ctx context.Context, name string, reason certs.Reason, ceremony journal.Hash) error {
	if err := a.Refresh(ctx); err != nil {
		return err
	}
	at := a.known.Load().byName[name]
	if at == nil {
		return ErrUnknownIssuer
	}
	refs, by, err := a.certificatesOf(at)
	if err != nil {
		return err
	}
	_, err = a.Ledger.Write(ctx, func(tx *ledger.Tx) error {
		if at.stage.How == "" {
			if err := register.StopIssuer(tx, at.id, register.StoppedRevoked, ceremony); err != nil {
				return err
			}
		}
		return register.SetStatus(tx, unrevoked(tx, refs), certs.Revoked(reason))
	})
	if err != nil {
		return err
	}
	for _, root := range by {
		if root.Signer == nil {
			continue
		}
		if _, err := a.publish(ctx, wanted{at: root, which: certs.ShardList(0)}); err != nil {
			return err
		}
	}
	return a.Refresh(ctx)
}

// certificatesOf gives every certificate of an authority's key that a root
// signed, but a root's own, and those roots.
func (a *Authority) certificatesOf(at *hand) (refs []certs.Ref, by []*hand, err error) {
	all := append([][]byte{at.Issuer.Certificate.Raw}, at.stage.Cross...)
	for _, der := range all {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, nil, err
		}
		root := a.signerOf(c)
		if root == nil || root.id == at.id {
			continue
		}
		serial, err := certs.SerialFromBig(c.SerialNumber)
		if err != nil {
			return nil, nil, err
		}
		refs, by = append(refs, certs.Ref{Issuer: root.id, Serial: serial}), append(by, root)
	}
	return refs, by, nil
}

// signerOf is the root of ours that signed a certificate of an authority.
func (a *Authority) signerOf(c *x509.Certificate) *hand {
	for _, at := range a.known.Load().byName {
		if certs.IssuerKind(at.name) == Root && c.CheckSignatureFrom(at.Issuer.Certificate) == nil {
			return at
		}
	}
	return nil
}

func unrevoked(tx *ledger.Tx, refs []certs.Ref) []certs.Ref {
	var out []certs.Ref
	for _, ref := range refs {
		if s, err := register.StatusOf(tx, ref); err != nil || s.State != certs.StateRevoked {
			out = append(out, ref) // an error comes again where it can be told
		}
	}
	return out
}
