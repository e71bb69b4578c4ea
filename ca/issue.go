package ca

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

// settleTime bounds how long a failed issue tries to settle its serials; what
// it cannot is left to Recover.
const settleTime = 10 * time.Second

// Order asks for one certificate. Issuer is a kind of authority: its generation
// that issues at this moment signs. Of Request
// the caller fills Profile, Subject, PublicKey and Validity; the authority sets
// the rest. Holder is who the register files it under (by default the user id
// or the common name), Card which card it lies on, RequestID what the asker
// calls this.
type Order struct {
	Issuer    string
	Request   policies.Request
	Holder    string
	Card      string
	RequestID string

	by      *hand  // this one and no other generation
	subject []byte // the raw Name that must come of it
}

// Issued is a certificate that was signed for an order.
type Issued struct {
	certs.Ref
	Issuer      string
	Profile     string
	Shard       uint16
	Certificate *x509.Certificate // with its DER in Raw
}

// job is an order on its way.
type job struct {
	at       *hand
	approved policies.Approved
	intent   register.Intent
	issued   Issued
}

// Issue makes the certificates of all orders or of none. In the transaction
// that records them it calls record (which may be nil) for the caller's own
// writes; an error of record undoes the issue. record may be called more than
// once and must have no effects outside its transaction. When Issue returns
// without error the certificates are durable, at the position it returns.
//
// Errors: *policies.Refusal when a rule turns an order down (the register's own,
// a key seen on another card, included), ErrStopped, ErrUnknownIssuer, ErrNoKey,
// ledger.ErrQuarantine, ledger.ErrClock, and whatever record or the ledger
// returned. After an error the certificates may exist only if the ledger lost
// its connection in the commit: then they stand in the register with the
// caller's writes. In any other case their serials are revoked.
func (a *Authority) Issue(ctx context.Context, orders []Order, record func(tx *ledger.Tx, issued []Issued) error) ([]Issued, journal.Position, error) {
	if err := a.ready(ctx); err != nil {
		return nil, 0, fmt.Errorf("issuing: %w", err)
	}
	jobs, err := a.decideAll(orders)
	if err != nil {
		return nil, 0, fmt.Errorf("issuing: %w", err)
	}
	issued, position, err := a.carryOut(ctx, jobs, record)
	if errors.Is(err, register.ErrNotIssuing) { // it stopped in this moment; nothing was reserved
		if jobs, err = a.decideAgain(ctx, orders); err != nil {
			return nil, 0, fmt.Errorf("issuing: %w", err)
		}
		issued, position, err = a.carryOut(ctx, jobs, record)
	}
	if err != nil {
		a.settle(ctx, jobs, err)
		return nil, 0, fmt.Errorf("issuing: %w", err)
	}
	for _, one := range issued {
		a.Logger.Info("certificate issued", "issuer", one.Issuer, "serial", one.Serial, "profile", one.Profile)
	}
	return issued, position, nil
}

// decideAgain decides with what the register says now.
func (a *Authority) decideAgain(ctx context.Context, orders []Order) ([]*job, error) {
	if err := a.Refresh(ctx); err != nil {
		return nil, err
	}
	return a.decideAll(orders)
}

// decideAll takes the decisions side by side, at one time for all, so that the
// certificates of a pair begin and end together. Nothing is written: a refusal
// leaves no trace.
func (a *Authority) decideAll(orders []Order) ([]*job, error) {
	now := a.Now()
	jobs := make([]*job, len(orders))
	err := each(len(orders), func(i int) (err error) {
		jobs[i], err = a.decide(&orders[i], now)
		return err
	})
	return jobs, err
}

// each runs fn for 0 … n-1 at the same time and gives the first error by number.
func each(n int, fn func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = fn(i) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// decide draws the serial, whose last octet chooses the shard, and has the
// order judged.
func (a *Authority) decide(o *Order, now time.Time) (*job, error) {
	at, err := o.by, error(nil)
	if at == nil {
		at, err = a.issuing(o.Issuer, now)
	}
	if err != nil {
		return nil, err
	}
	if at.Signer == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoKey, at.name)
	}
	serial, err := certs.NewSerial(now, rand.Reader)
	if err != nil {
		return nil, err
	}
	r := o.Request
	r.Issuer, r.IssuerName, r.PublicURL = at.Issuer.Certificate, at.name, a.PublicURL
	r.Serial, r.Now, r.Shard = serial, now, ShardOf(serial, at.Shards)
	approved, err := a.Policies.Decide(r)
	if err != nil {
		return nil, err
	}
	if o.subject != nil && !bytes.Equal(approved.Template().RawSubject, o.subject) {
		return nil, fmt.Errorf("%w: it would be called %s", ErrOtherName, approved.Template().RawSubject)
	}
	j := newJob(at, approved, r.Shard)
	j.intent.Holder, j.intent.Card, j.intent.Request = o.Holder, o.Card, o.RequestID
	j.intent.Key = policies.KeyDigest(r.PublicKey)
	if j.intent.Holder == "" {
		j.intent.Holder = r.Subject.UUID
	}
	if j.intent.Holder == "" {
		j.intent.Holder = r.Subject.CommonName
	}
	return j, nil
}

// ShardOf is the list, of so many, that a serial is on: its last octet chooses,
// so that whoever has a serial alone can tell.
func ShardOf(serial certs.Serial, shards uint16) uint16 {
	return uint16(serial[len(serial)-1]) % shards
}

func newJob(at *hand, approved policies.Approved, shard uint16) *job {
	ref := certs.Ref{Issuer: at.id, Serial: approved.Serial()}
	return &job{at: at, approved: approved,
		intent: register.Intent{Ref: ref, Profile: approved.Profile(), Shard: shard,
			Policy: approved.PolicyHash(), TBS: approved.TBS()},
		issued: Issued{Ref: ref, Issuer: at.name, Profile: approved.Profile(), Shard: shard}}
}

// carryOut reserves, signs and records.
func (a *Authority) carryOut(ctx context.Context, jobs []*job, record func(*ledger.Tx, []Issued) error) ([]Issued, journal.Position, error) {
	var err error
	for range clockLooks {
		_, err = a.Ledger.Write(ctx, func(tx *ledger.Tx) error { return a.reserve(tx, jobs) })
		if !errors.Is(err, ledger.ErrClock) {
			break
		}
	}
	if err != nil {
		return nil, 0, asRefusal(err)
	}
	if err := a.signAll(ctx, jobs); err != nil {
		return nil, 0, err
	}
	issued := make([]Issued, len(jobs))
	signed := make([]register.Signed, len(jobs))
	for i, j := range jobs {
		issued[i] = j.issued
		signed[i] = register.Signed{Ref: j.intent.Ref, DER: j.issued.Certificate.Raw}
	}
	position, err := a.Ledger.Write(ctx, func(tx *ledger.Tx) error {
		if err := register.Record(tx, signed); err != nil {
			return err
		}
		if record == nil {
			return nil
		}
		return record(tx, issued)
	})
	return issued, position, err
}

func (a *Authority) reserve(tx *ledger.Tx, jobs []*job) error {
	if skew := tx.Time().Sub(a.Now()).Abs(); skew > maxClockSkew {
		return fmt.Errorf("the ledger's time is %s from the host's: %w", skew.Round(time.Millisecond), ledger.ErrClock)
	}
	for _, j := range jobs {
		if err := a.mayIssue(tx, j); err != nil {
			return err
		}
		if err := register.Reserve(tx, j.intent); err != nil {
			return err
		}
	}
	return nil
}

// mayIssue asks the register, whatever this process believes. Responders are
// certified for every authority that has not been retired: an answer is owed
// for each of its certificates, by one that was revoked most of all.
func (a *Authority) mayIssue(tx *ledger.Tx, j *job) error {
	err := register.MayIssue(tx, j.at.id)
	if j.issued.Profile != policies.ProfileResponder || !errors.Is(err, register.ErrNotIssuing) {
		return err
	}
	return register.Unretired(tx, j.at.id)
}

// asRefusal gives the register's own rule the form of every other rule.
func asRefusal(err error) error {
	var seen *register.KeySeenError
	if !errors.As(err, &seen) {
		return err
	}
	return &policies.Refusal{Rule: "key-seen", Clause: "FIPS 201-3 §4.2.2, a key is made on one card and stays there",
		Detail: seen.Error()}
}

func (a *Authority) signAll(ctx context.Context, jobs []*job) error {
	return each(len(jobs), func(i int) error {
		j := jobs[i]
		made, err := j.at.sign(ctx, j.approved, a.Now())
		var mismatch *MismatchError
		if errors.As(err, &mismatch) {
			a.Logger.Error("this certificate was never approved", "issuer", j.at.name, "der", hex.EncodeToString(made.Raw))
			a.stop(err)
		}
		j.issued.Certificate = made
		return err
	})
}

// settle spoils what a failed issue reserved. Serials that were never written,
// or that were recorded after all, stay as they are.
func (a *Authority) settle(ctx context.Context, jobs []*job, cause error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	why := "not recorded: " + cause.Error()
	_, err := a.Ledger.Write(ctx, func(tx *ledger.Tx) error {
		for _, j := range jobs {
			if err := spoilOpen(tx, j.intent.Ref, why); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		a.Logger.Error("serials are left open until the next start", "count", len(jobs), "error", err)
	}
}

func spoilOpen(tx *ledger.Tx, ref certs.Ref, why string) error {
	err := register.Spoil(tx, ref, why)
	if errors.Is(err, register.ErrNotReserved) {
		return nil
	}
	return err
}

// Recover settles what an earlier process reserved and never recorded: such a
// certificate may have been signed, so its serial is recorded as promised and
// revoked. Call it before the first Issue. Another process that issues from the
// same ledger at this moment loses what it has under way, and says so.
func (a *Authority) Recover(ctx context.Context) error {
	return a.recoverBefore(ctx, a.Now().Add(time.Hour))
}

// recoverBlock is how many intents are settled in one transaction.
const recoverBlock = 64

func (a *Authority) recoverBefore(ctx context.Context, limit time.Time) error {
	for {
		n := 0
		_, err := a.Ledger.Write(ctx, func(tx *ledger.Tx) error {
			open, err := register.OpenIntents(tx)
			n = 0
			for _, in := range open {
				if n == recoverBlock || in.Reserved.After(limit) {
					break
				}
				if err := register.Spoil(tx, in.Ref, "interrupted before it was recorded"); err != nil {
					return err
				}
				n++
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("settling open intents: %w", err)
		}
		if n > 0 {
			a.Logger.Warn("interrupted certificates were revoked", "count", n)
		}
		if n < recoverBlock {
			return nil
		}
	}
}

// ResponderOrder asks for the certificate of a delegated OCSP responder (RFC 6960 §4.2.2.2).
type ResponderOrder struct {
	Issuer certs.IssuerID
	Key    crypto.PublicKey // proved to be the asker's own
	// Holder is whom the certificate is filed under; "" for the responder's own name.
	Holder string
	// Lifetime is from five minutes ago, in whole seconds; 0: the profile's 48 hours, which are also the most.
	Lifetime time.Duration
	// Allow may refuse in the transaction that records the certificate; nil allows.
	Allow func(tx *ledger.Tx) error
}

// Responder certifies a responder's key for an authority of ours and gives the DER, filed under the responder's name.
func (a *Authority) Responder(ctx context.Context, issuer certs.IssuerID, pub crypto.PublicKey) ([]byte, error) {
	return a.CertifyResponder(ctx, ResponderOrder{Issuer: issuer, Key: pub})
}

// CertifyResponder certifies a responder's key for an authority of ours and gives the DER. An authority that another
// process made since the last look is taken in first: who follows the ledger may hear of it before this process does.
func (a *Authority) CertifyResponder(ctx context.Context, o ResponderOrder) ([]byte, error) {
	at, err := a.ofKey(ctx, o.Issuer)
	if err != nil {
		return nil, fmt.Errorf("enrolling a responder of %s: %w", o.Issuer, err)
	}
	var record func(*ledger.Tx, []Issued) error
	if o.Allow != nil {
		record = func(tx *ledger.Tx, _ []Issued) error { return o.Allow(tx) }
	}
	issued, _, err := a.Issue(ctx, []Order{{by: at, Holder: o.Holder, Request: policies.Request{
		Profile: policies.ProfileResponder, PublicKey: o.Key, Validity: o.Lifetime,
		Subject: policies.Subject{CommonName: "OCSP responder " + at.name},
	}}}, record)
	if err != nil {
		return nil, fmt.Errorf("enrolling a responder of %s: %w", at.name, err)
	}
	return issued[0].Certificate.Raw, nil
}

// ofKey finds an authority, in the register if need be.
func (a *Authority) ofKey(ctx context.Context, id certs.IssuerID) (*hand, error) {
	if at := a.known.Load().byKey[id]; at != nil {
		return at, nil
	}
	refreshed := a.Refresh(ctx)
	if at := a.known.Load().byKey[id]; at != nil {
		return at, nil // whatever is wrong with others
	}
	return nil, cmp.Or(refreshed, ErrUnknownIssuer)
}
