package ca

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// listLife is how long after thisUpdate the next list is due at the latest. An
// issuing authority's list is replaced long before; a relying system that has
// to live through a week without us can.
const listLife = 7 * 24 * time.Hour

// rootListMonths is the same for the root, whose key has to be brought.
const rootListMonths = 6

// PublishList makes, signs, checks and announces the list of one shard of an
// authority, as of the ledger's last commit, and returns when it is durable. It
// may be called at any time; one that was overtaken by another is made anew.
// register.ErrListOvertaken when that happens again and again, ErrNoKey for an authority whose key is elsewhere,
// ledger.ErrQuarantine while lost revocations would be missing from it.
func (a *Authority) PublishList(ctx context.Context, issuer string, shard uint16) (certs.ListPublished, error) {
	at := a.known.Load().byName[issuer]
	if at == nil {
		return certs.ListPublished{}, fmt.Errorf("publishing a list: %w: %q", ErrUnknownIssuer, issuer)
	}
	return a.publish(ctx, at, shard)
}

// maxOvertaken is how often a list is made before its overtaking is an error.
const maxOvertaken = 5

func (a *Authority) publish(ctx context.Context, at *hand, shard uint16) (certs.ListPublished, error) {
	list, err := a.makeList(ctx, at, shard)
	for n := 1; n < maxOvertaken && errors.Is(err, register.ErrListOvertaken); n++ {
		list, err = a.makeList(ctx, at, shard)
	}
	if err != nil {
		return list, fmt.Errorf("publishing list %d of %s: %w", shard, at.name, err)
	}
	a.Logger.Debug("list published", "issuer", at.name, "shard", shard, "number", list.Number, "octets", list.Size)
	return list, nil
}

func (a *Authority) makeList(ctx context.Context, at *hand, shard uint16) (certs.ListPublished, error) {
	if at.Signer == nil {
		return certs.ListPublished{}, ErrNoKey
	}
	// The head moves first, so that the list is as of now and not as of the
	// last write.
	if err := a.Ledger.Heartbeat(ctx); err != nil {
		return certs.ListPublished{}, err
	}
	var d draft
	err := a.Ledger.Read(ctx, func(tx *ledger.Tx) (err error) {
		d, err = a.draft(tx, at, shard)
		return err
	})
	if err != nil {
		return certs.ListPublished{}, err
	}
	if err := a.guard(ctx, at, &d); err != nil {
		return certs.ListPublished{}, err
	}
	_, err = a.Ledger.Write(ctx, func(tx *ledger.Tx) error {
		if d.small != nil {
			if _, err := tx.PutContent(d.small); err != nil {
				return err
			}
		}
		return register.RecordList(tx, d.list, d.covers)
	})
	return d.list, err
}

// draft is a list that is signed and not yet announced.
type draft struct {
	header
	size
	list   certs.ListPublished
	covers uint64 // changes of the shard it shows
	small  []byte // its octets, when they fit one piece of content; else they are stored
}

// draft makes the list as of the snapshot tx.
func (a *Authority) draft(tx *ledger.Tx, at *hand, shard uint16) (draft, error) {
	if tx.Head().Quarantine {
		return draft{}, ledger.ErrQuarantine
	}
	state, err := register.LastList(tx, at.id, shard)
	if err != nil {
		return draft{}, err
	}
	d := draft{header: a.listHeader(at, shard, tx.Time()), covers: state.Changes}
	// Seconds since 1970, so that a register restored from an old backup does
	// not give out numbers again that relying systems have seen.
	d.number = max(state.List.Number+1, uint64(d.thisUpdate.Unix()))
	e := encoder{header: d.header, signer: at.Signer, entries: func(yield func(register.Entry) error) error {
		return register.Revoked(tx, at.id, shard, yield)
	}}
	if d.size, err = e.measure(); err != nil {
		return d, err
	}
	d.list = certs.ListPublished{Issuer: at.id, Shard: shard, Number: d.number, ThisUpdate: d.thisUpdate, NextUpdate: d.nextUpdate}
	if d.octets < ledger.ChunkSize/2 {
		var b bytes.Buffer
		err = e.write(&b, rand.Reader, d.size)
		d.small, d.list.Content, d.list.Size = b.Bytes(), sha256.Sum256(b.Bytes()), int64(b.Len())
		return d, err
	}
	w, err := a.Ledger.NewContent(tx.Context())
	if err != nil {
		return d, err
	}
	counted := &counter{w: w}
	if err := e.write(counted, rand.Reader, d.size); err != nil {
		return d, err
	}
	d.list.Content, err = w.Close()
	d.list.Size = counted.n
	return d, err
}

// listHeader is what the list of a shard made at asOf says.
func (a *Authority) listHeader(at *hand, shard uint16, asOf time.Time) header {
	h := header{
		issuer:       at.Issuer.Certificate.RawSubject,
		authorityKey: at.Issuer.Certificate.SubjectKeyId,
		thisUpdate:   asOf.UTC().Truncate(time.Second),
	}
	if at.Shards > 1 {
		h.url = fmt.Sprintf("%s/crl/%s/%d.crl", a.PublicURL, at.name, shard)
	}
	h.nextUpdate = h.thisUpdate.Add(listLife)
	if certs.IssuerKind(at.name) == Root {
		h.nextUpdate = h.thisUpdate.AddDate(0, rootListMonths, 0)
	}
	if at.stage != nil && at.stage.How == register.StoppedRetired {
		h.nextUpdate = never()
	}
	return h
}

// guard reads the list back as it would be served.
func (a *Authority) guard(ctx context.Context, at *hand, d *draft) error {
	var r io.Reader = bytes.NewReader(d.small)
	if d.small == nil {
		stored, err := a.Ledger.Feed().Content(ctx, d.list.Content)
		if err != nil {
			return err
		}
		defer stored.Close()
		r = stored
	}
	return checkList(r, at.Issuer.Certificate, d.header, d.size.entries)
}

// content gives the octets of a published list.
func (a *Authority) content(ctx context.Context, list certs.ListPublished) ([]byte, error) {
	r, err := a.Ledger.Feed().Content(ctx, journal.Hash(list.Content))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, list.Size))
}
