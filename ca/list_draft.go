package ca

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// draft is a list that is signed and not yet announced.
type draft struct {
	header
	at    *hand
	which certs.ListName
	made  register.MadeList
	// How many entries there may be: plausible is set for lists whose entries
	// were counted apart.
	least, most int64
	small       map[journal.Hash][]byte // what is not stored yet, being short
	rows        time.Time               // when its entries were last those of the register's rows
	bare        bool                    // it is not packed, since it will not stand for long
}

// plan is what a draft is made from: the state of its list, and of the complete
// one for a delta.
type plan struct {
	state    register.Shard
	complete register.Shard
	number   uint64
	asOf     time.Time // the snapshot's
}

// errNoBase: a delta was asked for before there was a complete list.
var errNoBase = errors.New("there is no complete list it could stand on")

func (a *Authority) plan(tx *ledger.Tx, at *hand, which certs.ListName, number uint64) (p plan, err error) {
	p = plan{number: number, asOf: tx.Time().UTC().Truncate(time.Second)}
	if p.state, err = register.LastList(tx, at.id, which); err != nil || !which.Delta {
		return p, err
	}
	complete := which
	complete.Delta = false
	p.complete, err = register.LastList(tx, at.id, complete)
	if err == nil && p.complete.List.Number == 0 {
		err = errNoBase
	}
	return p, err
}

// base is the list a delta stands on: the one it stood on before, until that is
// too old.
func (p *plan) base(policy *ListPolicy) (number uint64, at time.Time) {
	if number, at = p.state.List.Base, p.state.Based; number == 0 || p.asOf.Sub(at) >= policy.DeltaBase {
		return p.complete.List.Number, p.complete.List.ThisUpdate
	}
	return number, at
}

// headerOf is what a list says besides its entries.
func (a *Authority) headerOf(at *hand, which certs.ListName, p *plan) header {
	h := header{
		issuer:       at.Issuer.Certificate.RawSubject,
		authorityKey: at.Issuer.Certificate.SubjectKeyId,
		number:       p.number,
		thisUpdate:   p.asOf,
		nextUpdate:   a.Lists.nextUpdate(at, which, p.asOf),
		shards:       at.Shards,
		shard:        which.Shard,
		only:         which.Kind == certs.ListShard,
	}
	if which.Delta {
		h.base, _ = p.base(&a.Lists)
	}
	complete, delta := which, which
	complete.Delta, delta.Delta = false, true
	// The list of an authority with one shard is about every certificate:
	// openssl verify -crl_check_all looks up the root too, which names no list.
	if which.Kind == certs.ListShard && at.Shards > 1 {
		h.url = a.PublicURL + certs.ListPath(at.name, complete)
	}
	if !which.Delta && a.Lists.has(at, delta) {
		h.freshest = a.PublicURL + certs.ListPath(at.name, delta)
	}
	if which.Kind == certs.ListArchive {
		h.expired = a.archivedSince(at, p.asOf)
	}
	return h
}

// archivedSince is the end from which on certificates stay on an archive.
func (a *Authority) archivedSince(at *hand, asOf time.Time) time.Time {
	since := asOf.AddDate(-a.Lists.ArchiveYears, 0, 0)
	if begins := at.Issuer.Certificate.NotBefore; since.Before(begins) {
		since = begins
	}
	return since.UTC().Truncate(time.Second)
}

// draft makes a list as of the snapshot tx.
func (a *Authority) draft(tx *ledger.Tx, w wanted, number uint64) (*draft, error) {
	at, which := w.at, w.which
	p, err := a.plan(tx, at, which, number)
	if err != nil {
		return nil, err
	}
	d := &draft{header: a.headerOf(at, which, &p), at: at, which: which, small: map[journal.Hash][]byte{}}
	d.bare = w.hurry || w.again && p.asOf.Sub(p.state.List.ThisUpdate) < packAfter
	e := encoder{header: d.header, signer: at.Signer, tempDir: a.TempDir}
	var list *encoded
	if w.again {
		list, err = a.collectAgain(tx, d, &e, &p)
	} else {
		list, err = a.collect(tx, d, &e, &p)
	}
	if err != nil {
		return nil, err
	}
	defer list.Close()
	d.made = register.MadeList{Listed: p.state.Changes, Entries: list.count, ListPublished: certs.ListPublished{
		Issuer: at.id, Shard: which.Shard, Kind: which.Kind, Number: d.number, Base: d.base, ThisUpdate: d.thisUpdate, NextUpdate: d.nextUpdate}}
	if which.Delta {
		_, d.made.Based = p.base(&a.Lists)
	}
	if err := d.bound(tx, &p); err != nil {
		return nil, err
	}
	return d, d.sign(tx.Context(), a.Ledger, &e, list)
}

// collect encodes the entries of the register's rows.
func (a *Authority) collect(tx *ledger.Tx, d *draft, e *encoder, p *plan) (*encoded, error) {
	d.rows = time.Now()
	e.entries = a.entriesOf(tx, d, p)
	return e.collect()
}

func (a *Authority) entriesOf(tx *ledger.Tx, d *draft, p *plan) entries {
	return func(yield func(register.Entry) error) error {
		switch {
		case d.which.Delta:
			_, since := p.base(&a.Lists)
			return register.Changed(tx, register.Since{Issuer: d.at.id, Which: d.which, At: since}, yield)
		case d.which.Kind == certs.ListArchive:
			return register.Archived(tx, d.at.id, d.expired, yield)
		}
		return register.Revoked(tx, d.at.id, d.which, yield)
	}
}

// bound counts apart from the walk how many entries the list must and may have,
// and holds it against the list before: entries go by being released, each a
// change, or by their certificates' end.
func (d *draft) bound(tx *ledger.Tx, p *plan) error {
	if d.which.Delta {
		d.least, d.most = 0, 1<<62
		return nil
	}
	must, may, err := register.Plausible(tx, d.at.id, d.which)
	d.least, d.most = must, must+may
	released := int64(p.state.Changes - p.state.Listed)
	d.least = max(d.least, p.state.Entries-released-may)
	return err
}

// packMin is the shortest list that is also kept in gzip: under it the headers
// of HTTP weigh as much.
const packMin = 1 << 10

// A list of which the one before is younger than packAfter, or behind which
// others wait that lack a card, is hurried: it is
// packed only if it is shorter than packSoon, and made anew if it has stood for
// packAfter without a change. Packing, storing and comparing the packed form is
// a third of what a long list costs.
const (
	packAfter = time.Minute
	packSoon  = 256 << 10
)

// sign writes the list to where it is stored and beside it its packed form.
func (d *draft) sign(ctx context.Context, l *ledger.Ledger, e *encoder, list *encoded) error {
	keep := &keeper{draft: d, ledger: l, short: list.size < ledger.ChunkSize/2}
	plain, err := keep.begin(ctx)
	if err != nil {
		return err
	}
	d.bare = d.bare && list.size >= packSoon
	if list.size < packMin || d.bare {
		if err := e.write(plain, rand.Reader, list); err != nil {
			return err
		}
		d.made.Content, d.made.Size, err = plain.end()
		return err
	}
	packed, err := keep.begin(ctx)
	if err != nil {
		return err
	}
	pack, err := gzip.NewWriterLevel(packed, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if err := e.write(io.MultiWriter(plain, pack), rand.Reader, list); err != nil {
		return err
	}
	if err := pack.Close(); err != nil {
		return err
	}
	if d.made.Content, d.made.Size, err = plain.end(); err != nil {
		return err
	}
	if packed.size*10 > d.made.Size*9 { // not worth a second form
		return nil
	}
	d.made.Packed, d.made.PackedSize, err = packed.end()
	return err
}

// keeper begins contents: short ones in memory, to be stored with the
// announcement, others in pieces.
type keeper struct {
	*draft
	ledger *ledger.Ledger
	short  bool
}

// keeping is a content being written.
type keeping struct {
	*keeper
	size int64
	room bytes.Buffer
	long *ledger.ContentWriter // nil: room
}

func (k *keeper) begin(ctx context.Context) (*keeping, error) {
	out := &keeping{keeper: k}
	var err error
	if !k.short {
		out.long, err = k.ledger.NewLooseContent(ctx)
	}
	return out, err
}

// Write implements io.Writer.
func (k *keeping) Write(p []byte) (n int, err error) {
	if k.long != nil {
		n, err = k.long.Write(p)
	} else {
		n, err = k.room.Write(p)
	}
	k.size += int64(n)
	return n, err
}

func (k *keeping) end() (journal.Hash, int64, error) {
	if k.long != nil {
		h, err := k.long.Close()
		return h, k.size, err
	}
	h := journal.Hash(sha256.Sum256(k.room.Bytes()))
	k.draft.small[h] = k.room.Bytes()
	return h, k.size, nil
}
