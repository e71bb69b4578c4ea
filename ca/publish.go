package ca

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// ErrNoSuchList: the policy has no such list of this authority.
var ErrNoSuchList = errors.New("there is no such list")

// PublishList makes, signs, checks and announces a list of an authority, as of
// the ledger's last commit, and returns when it is durable. A complete list
// takes its delta with it, under the same number (RFC 5280 §5.2.4). It may be
// called at any time; one that was overtaken by another is made anew.
// register.ErrListOvertaken when that happens again and again, ErrNoSuchList,
// ErrNoKey for an authority whose key is elsewhere, *ImplausibleError, and
// ledger.ErrQuarantine while lost revocations would be missing from it.
func (a *Authority) PublishList(ctx context.Context, issuer string, which certs.ListName) (certs.ListPublished, error) {
	at := a.known.Load().byName[issuer]
	if at == nil {
		return certs.ListPublished{}, fmt.Errorf("publishing a list: %w: %q", ErrUnknownIssuer, issuer)
	}
	if !which.Valid() || !a.Lists.has(at, which) {
		return certs.ListPublished{}, fmt.Errorf("publishing list %s of %s: %w", which, issuer, ErrNoSuchList)
	}
	return a.publish(ctx, wanted{at: at, which: which})
}

// maxOvertaken is how often a list is made before its overtaking is an error.
const maxOvertaken = 5

// wanted is a list to be made. Again: for the publisher, which makes it anew
// whenever something changes, and may save itself work that is done over soon.
// Hurry: other lists wait behind it that lack a card.
type wanted struct {
	at    *hand
	which certs.ListName
	again bool
	hurry bool
}

func (a *Authority) publish(ctx context.Context, w wanted) (certs.ListPublished, error) {
	defer a.Beside.Begin()()
	begun := time.Now()
	made, err := a.makeLists(ctx, w)
	for n := 1; n < maxOvertaken && errors.Is(err, register.ErrListOvertaken); n++ {
		made, err = a.makeLists(ctx, w)
	}
	if err != nil {
		return certs.ListPublished{}, fmt.Errorf("publishing list %s of %s: %w", w.which, w.at.name, err)
	}
	for i := range made {
		a.Logger.Debug("list published", "issuer", w.at.name, "list", made[i].Name().String(), "number", made[i].Number,
			"entries", made[i].Entries, "octets", made[i].Size, "packed", made[i].PackedSize, "took", time.Since(begun))
	}
	return made[0].ListPublished, nil
}

// makeLists makes a list, and with a complete one its delta.
func (a *Authority) makeLists(ctx context.Context, w wanted) ([]register.MadeList, error) {
	if w.at.Signer == nil {
		return nil, ErrNoKey
	}
	// The head moves first, so that the list is as of now and not as of the
	// last write.
	if err := a.Ledger.Heartbeat(ctx); err != nil {
		return nil, err
	}
	var drafts []*draft
	err := a.Ledger.Read(ctx, func(tx *ledger.Tx) (err error) {
		drafts, err = a.drafts(tx, w)
		return err
	})
	if err == nil {
		err = a.record(ctx, drafts)
	}
	a.last.put(drafts, err)
	if err != nil {
		return nil, errors.Join(err, a.forget(context.WithoutCancel(ctx), drafts))
	}
	made := make([]register.MadeList, len(drafts))
	for i, d := range drafts {
		made[i] = d.made
	}
	return made, nil
}

// drafts makes the lists as of one snapshot, with one number.
func (a *Authority) drafts(tx *ledger.Tx, w wanted) ([]*draft, error) {
	if tx.Head().Quarantine {
		return nil, ledger.ErrQuarantine
	}
	last, err := register.LastNumber(tx, w.at.id, w.which)
	if err != nil {
		return nil, err
	}
	// Seconds since 1970, so that a register restored from an old backup does
	// not give out numbers again that relying systems have seen.
	number := max(last+1, uint64(tx.Time().Unix()))
	d, err := a.draft(tx, w, number)
	if err != nil {
		return []*draft{d}, err
	}
	out := []*draft{d}
	delta := w
	delta.which.Delta = true
	if w.which.Delta || !a.Lists.has(w.at, delta.which) {
		return out, nil
	}
	d, err = a.draft(tx, delta, number)
	if errors.Is(err, errNoBase) { // this is the first
		return out, nil
	}
	return append(out, d), err
}

// record checks the drafts and announces them, all or none.
func (a *Authority) record(ctx context.Context, drafts []*draft) error {
	made := make([]register.MadeList, len(drafts))
	for i, d := range drafts {
		if err := d.guard(ctx, a.Ledger); err != nil {
			return err
		}
		made[i] = d.made
	}
	_, err := a.Ledger.Write(ctx, func(tx *ledger.Tx) error {
		for _, d := range drafts {
			for _, content := range d.small {
				if _, err := tx.PutLoose(content); err != nil {
					return err
				}
			}
		}
		return register.RecordLists(tx, made...)
	})
	return err
}

// forget has what was stored for lists that came to nothing dropped later.
func (a *Authority) forget(ctx context.Context, drafts []*draft) error {
	var stored []journal.Hash
	for _, d := range drafts {
		if d != nil && len(d.small) == 0 && d.made.Size > 0 {
			stored = append(stored, d.made.Content, d.made.Packed)
		}
	}
	if len(stored) == 0 {
		return nil
	}
	_, err := a.Ledger.Write(ctx, func(tx *ledger.Tx) error {
		register.Forget(tx, stored...)
		return nil
	})
	return err
}

// content gives the octets of a published list.
func (a *Authority) content(ctx context.Context, list certs.ListPublished) ([]byte, error) {
	r, err := a.Ledger.Feed().Content(ctx, list.Content)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, list.Size))
}
