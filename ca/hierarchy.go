package ca

import (
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/ledger"
)

// hierarchy is every authority this process knows. It is never changed, only
// replaced; a hand in it is never changed either.
type hierarchy struct {
	byName map[string]*hand
	byKey  map[certs.IssuerID]*hand
}

func (h *hierarchy) clone() *hierarchy {
	return &hierarchy{byName: maps.Clone(h.byName), byKey: maps.Clone(h.byKey)}
}

// put takes an authority in, in the place of what was known under its key.
func (h *hierarchy) put(at *hand) error {
	if named := h.byName[at.name]; named != nil && named.id != at.id {
		return fmt.Errorf("authority %s has another key here", at.name)
	}
	if keyed := h.byKey[at.id]; keyed != nil && keyed.name != at.name {
		return fmt.Errorf("authority %s has the key of %s", at.name, keyed.name)
	}
	h.byName[at.name], h.byKey[at.id] = at, at
	return nil
}

// ofKind gives the generations of a kind, the one that began last first; those
// that have stopped or do not issue at now are left out.
func (h *hierarchy) ofKind(kind string, now time.Time) []*hand {
	var out []*hand
	for _, at := range h.byName {
		if certs.IssuerKind(at.name) == kind && at.issuesAt(now) {
			out = append(out, at)
		}
	}
	slices.SortFunc(out, func(a, b *hand) int {
		return cmp.Or(b.stage.Starts.Compare(a.stage.Starts), cmp.Compare(b.name, a.name))
	})
	return out
}

// issuesAt: an authority whose stage was never read, as in a ceremony, issues.
func (at *hand) issuesAt(now time.Time) bool {
	if at.stage == nil {
		return true
	}
	return at.stage.Stopped.IsZero() && !at.stage.Starts.IsZero() && !now.Before(at.stage.Starts)
}

// issuing gives the authority of a kind that issues now: of the generations
// that do, the youngest whose key is here. An older one stands in for one whose
// key could not be opened: it is as good, and somebody waits.
func (a *Authority) issuing(kind string, now time.Time) (*hand, error) {
	h := a.known.Load()
	all := h.ofKind(kind, now)
	for _, at := range all {
		if at.Signer != nil {
			return at, nil
		}
	}
	switch {
	case len(all) > 0:
		return nil, fmt.Errorf("%w: %s", ErrNoKey, all[0].name)
	case h.byName[kind] != nil:
		return nil, fmt.Errorf("%w: no generation of %s does", register.ErrNotIssuing, kind)
	}
	return nil, fmt.Errorf("%w: %q", ErrUnknownIssuer, kind)
}

// add takes an authority in.
func (a *Authority) add(at *hand) error {
	a.changing.Lock()
	defer a.changing.Unlock()
	h := a.known.Load().clone()
	if err := h.put(at); err != nil {
		return err
	}
	a.known.Store(h)
	return nil
}

// Refresh reads from the register which authorities there are and where each
// stands in its life, and opens the keys of those that are new here
// (Config.Open). A key that cannot be opened is logged once, is an alarm, and
// is tried again after 1 to 10 s. It is called by a Publisher and by an
// Issue that finds its authority stopped.
func (a *Authority) Refresh(ctx context.Context) error {
	var all []register.Generation
	err := a.Ledger.Read(ctx, func(tx *ledger.Tx) (err error) {
		all, err = register.Generations(tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("reading the authorities: %w", err)
	}
	a.changing.Lock()
	defer a.changing.Unlock()
	h := a.known.Load().clone()
	var errs []error
	for i := range all {
		errs = append(errs, a.take(ctx, h, &all[i]))
	}
	a.known.Store(h)
	return errors.Join(errs...)
}

// take makes a hand of what the register says and what is open already.
func (a *Authority) take(ctx context.Context, h *hierarchy, g *register.Generation) error {
	at := &hand{name: g.Name, id: g.ID, stage: g}
	if known := h.byKey[g.ID]; known != nil {
		at.Issuer, at.unopened, at.again = known.Issuer, known.unopened, known.again
	} else {
		c, err := x509.ParseCertificate(g.DER)
		if err != nil {
			return fmt.Errorf("reading authority %s: %w", g.Name, err)
		}
		at.Issuer = Issuer{Certificate: c, Shards: g.Shards}
	}
	if g.How == register.StoppedRetired {
		at.Signer, at.unopened = nil, nil // its key is to be destroyed
	} else if at.Signer == nil && a.Open != nil && certs.IssuerKind(g.Name) != Root {
		a.open(ctx, at)
	}
	return h.put(at)
}

// How long a key that cannot be opened is left alone: a wrong passphrase takes
// half a second of a processor to be found wrong, a token that hangs longer, and
// the publisher refreshes up to five times a second.
const (
	openShare = 20 // times as long as the try took
	openRest  = time.Second
	openMost  = 10 * time.Second
)

// open opens the key of an authority that was made elsewhere or later.
func (a *Authority) open(ctx context.Context, at *hand) {
	known, begun := at.unopened != nil, time.Now()
	if known && begun.Before(at.again) {
		return
	}
	signer, err := a.Open(ctx, at.name)
	tried := time.Now()
	at.again = tried.Add(min(max(openShare*tried.Sub(begun), openRest), openMost))
	if err == nil && !samePublicKey(signer.Public(), at.Issuer.Certificate.PublicKey) {
		err = fmt.Errorf("the key of authority %s does not belong to its certificate", at.name)
	}
	at.unopened = err
	switch {
	case err == nil:
		at.Signer = signer
		a.Logger.Info("authority opened", "issuer", at.name, "starts", at.stage.Starts)
	case !known:
		a.Logger.Error("opening the key of an authority", "issuer", at.name, "error", err)
	}
}

// Generations gives the certificates of all authorities of a kind that have
// not been revoked, the oldest first: those below which clients may come.
func (a *Authority) Generations(kind string) []*x509.Certificate {
	var hands []*hand
	for _, at := range a.known.Load().byName {
		revoked := at.stage != nil && at.stage.Revoked
		if certs.IssuerKind(at.name) == kind && !revoked {
			hands = append(hands, at)
		}
	}
	slices.SortFunc(hands, func(x, y *hand) int {
		return cmp.Or(x.Issuer.Certificate.NotBefore.Compare(y.Issuer.Certificate.NotBefore), cmp.Compare(x.name, y.name))
	})
	out := make([]*x509.Certificate, len(hands))
	for i, at := range hands {
		out[i] = at.Issuer.Certificate
	}
	return out
}

// Opened is nil when an authority of a kind issues here now, else why none does.
func (a *Authority) Opened(kind string) error {
	_, err := a.issuing(kind, a.Now())
	if err == nil || !errors.Is(err, ErrNoKey) {
		return err
	}
	for _, at := range a.known.Load().ofKind(kind, a.Now()) {
		if at.unopened != nil {
			return at.unopened
		}
	}
	return err
}

// ByKey is the certificate of the authority with a key, nil when it is none of
// ours.
func (a *Authority) ByKey(id certs.IssuerID) *x509.Certificate {
	if at := a.known.Load().byKey[id]; at != nil {
		return at.Issuer.Certificate
	}
	return nil
}

// Give lends an authority its key until the next Refresh: one that was retired
// is opened no more, and its last lists may not all be made.
func (a *Authority) Give(name string, signer crypto.Signer) error {
	at := a.known.Load().byName[name]
	if at == nil {
		return fmt.Errorf("%w: %q", ErrUnknownIssuer, name)
	}
	if !samePublicKey(signer.Public(), at.Issuer.Certificate.PublicKey) {
		return fmt.Errorf("the key of authority %s does not belong to its certificate", name)
	}
	open := *at
	open.Signer = signer
	return a.add(&open)
}
