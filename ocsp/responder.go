package ocsp

import (
	"context"
	"crypto"
	"crypto/sha512"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/replica"
)

// Policy says how answers about one issuer's certificates are made.
type Policy struct {
	// NextUpdate is how long an answer may be relied on from its thisUpdate.
	NextUpdate time.Duration
	// MaxAge is how long HTTP caches may keep an answer to a GET; 0: they must ask each time (no-cache).
	MaxAge time.Duration
	// Retain puts an archive cutoff of that long ago into answers (RFC 6960 §4.4.4); 0: none.
	Retain time.Duration
	// CertHash adds the hash of the certificate to good answers (a positive statement that it exists).
	CertHash bool
	// Extended answers a serial never recorded as revoked on hold since 1970, with the extended-revoke extension
	// (RFC 6960 §2.2, §4.4.8), for clients that take unknown for good.
	Extended bool
}

// retention is how long the status of a signature certificate is told after it has ended: signatures are checked for as
// long as records must be kept, 11 years. Nothing is ever taken out of the table, so this only says so.
const retention = (11*365 + 3) * 24 * time.Hour

// DefaultPolicy is the policy for an issuer by its name, whichever generation of it: logins must see a loss within two
// minutes even from an answer kept by the client; signatures are checked in bulk and may take ten.
func DefaultPolicy(issuerName string) Policy {
	if certs.IssuerKind(issuerName) == "signing" {
		return Policy{NextUpdate: 10 * time.Minute, MaxAge: 2 * time.Minute, Retain: retention}
	}
	return Policy{NextUpdate: 2 * time.Minute}
}

// Config is what a Responder needs. Table and Replica must belong together.
type Config struct {
	Table    *Table
	Replica  *replica.Replica
	Enroller Enroller
	// Key gives the key that signs for an issuer: asked for at each renewal, it may be the same again. It must sign from
	// many goroutines; one that is not in memory is given Limits.SigningAtOnce and SigningWait. P-256, P-384, or RSA of
	// 2048 bits and more. nil: a fresh P-256 key in memory each time, which is never written anywhere.
	Key    func(ctx context.Context, issuerName string) (crypto.Signer, error)
	Policy func(issuerName string) Policy // nil: DefaultPolicy
	Limits Limits
	// UnknownIssuer answers requests about other CAs' certificates; the zero value means Unauthorized.
	UnknownIssuer ResponseStatus
	ByName        bool             // name the responder by its subject instead of its key
	Now           func() time.Time // nil: time.Now
	Logger        *slog.Logger     // nil: silent
}

// Responder answers OCSP requests and serves lists from one replica. Its handler is safe for concurrent use; Run must be
// running beside it.
type Responder struct {
	config    Config
	delegates atomic.Pointer[map[certs.IssuerID]*delegate]
	answers   *answers
	renewals  *renewals
	metrics   *metrics
	rooms     rooms
	headers   sharedHeaders
	missing   chan struct{}
	signing   queue
}

// New makes a Responder. It does no I/O.
func New(c Config) *Responder {
	c.Limits = c.Limits.withDefaults()
	if c.Policy == nil {
		c.Policy = DefaultPolicy
	}
	if c.UnknownIssuer == Successful {
		c.UnknownIssuer = Unauthorized
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Responder{config: c, answers: newAnswers(c.Limits.Stored), renewals: newRenewals(c.Limits.Stored), missing: make(chan struct{}, 1)}
	r.delegates.Store(&map[certs.IssuerID]*delegate{})
	r.metrics = newMetrics(r)
	r.headers = newSharedHeaders()
	r.signing = newQueue(&c.Limits)
	return r
}

// result is what a request was answered with, for the metrics.
type result uint8

const (
	resultGood result = iota
	resultRevoked
	resultHeld
	resultUnknown
	resultMixed // several certificates
	resultUnauthorized
	resultMalformed
	resultTooLarge
	resultTryLater
	resultInternal
	results // how many
)

// String is the label of a result.
func (r result) String() string {
	return [results]string{"good", "revoked", "held", "unknown", "several", "unauthorized", "malformed", "too large",
		"try later", "internal error"}[r]
}

// respond answers a request in m.out, or what kept one from being read. Kept is the answer it was made from when caches
// may keep it; it is good until m is given back.
func (r *Responder) respond(m *room, request []byte, unread error, now time.Time) (kept *answer, why result) {
	if unread == nil {
		unread = m.parsed.ParseRequest(request, r.config.Limits.Certs)
	}
	if unread != nil {
		m.out = MalformedRequest.append(m.out[:0])
		return nil, resultMalformed
	}
	a, status, why := r.answer(m, now)
	if status != Successful {
		m.out = status.append(m.out[:0])
		return nil, why
	}
	m.out = a.appendResponse(m.out[:0])
	if a.idTo == 0 {
		a = nil
	}
	return a, why
}

// answer finds a stored answer that is still true, or makes one.
func (r *Responder) answer(m *room, now time.Time) (*answer, ResponseStatus, result) {
	q := &m.parsed
	// The state is read before the data: the data then holds at least what the state promises.
	state := r.config.Replica.State()
	if state.Quarantine || state.Age > r.config.Limits.Stale {
		return nil, TryLater, resultTryLater
	}
	issuers := r.config.Table.issuers.Load()
	issuer := firstKnown(issuers, q.CertIDs)
	if issuer == nil {
		return nil, r.config.UnknownIssuer, resultUnauthorized
	}
	signer := r.delegate(issuer.ID)
	switch {
	case signer == nil || !signer.notServed && !signer.valid(now):
		r.miss()
		return nil, TryLater, resultTryLater
	case signer.notServed:
		return nil, Unauthorized, resultUnauthorized
	}
	method := signer.kind.choose(q.Preferred)
	storable := len(q.CertIDs) == 1 && q.Nonce == nil && method == &signer.kind.methods[0]
	if storable {
		if a := r.stored(&q.CertIDs[0], signer, now); a != nil {
			r.metrics.hits.Inc()
			if !now.Before(a.wanted) || a.signer != signer {
				r.renewals.add(a)
			}
			return a, Successful, a.result
		}
	}
	if !r.signing.enter() {
		return nil, TryLater, resultTryLater
	}
	m.fresh = answer{bytes: m.fresh.bytes[:0], signer: signer, method: method}
	err := r.sign(m, issuer, moment{now, state.Time})
	switch {
	case errors.Is(err, replica.ErrClosed), errors.Is(err, errLate):
		return nil, TryLater, resultTryLater
	case err != nil:
		r.config.Logger.Error("answering an OCSP request", "why", err)
		return nil, InternalError, resultInternal
	case !storable:
		m.fresh.idTo = 0
	case m.fresh.result != resultUnknown: // anybody can ask about any number of serials that do not exist
		r.answers.put(m.fresh.copyOf())
	}
	return &m.fresh, Successful, m.fresh.result
}

func firstKnown(issuers *issuerSet, ids []CertID) *Issuer {
	for i := range ids {
		if found := issuers.find(&ids[i]); found != nil {
			return found
		}
	}
	return nil
}

// stored is the answer kept for a CertID if it is still true: made from data no older than the last change to this
// serial, not in the last quarter of its life, not at a time the clock was since set back from, and by the key in use or
// by one that this replaced and whose certificate outlasts the answer.
func (r *Responder) stored(id *CertID, signer *delegate, now time.Time) *answer {
	a := r.answers.get(id.Raw)
	if a == nil || !now.Before(a.due) || now.Before(a.producedAt) || a.signer != signer && !a.outlasted(signer, now) ||
		!r.config.Table.touched.valid(id.Serial, a.generation) {
		return nil
	}
	return a
}

// outlasted reports whether relying systems take the answer for as long as it lasts, although another key signs now: all
// answers of a node would else have to be signed again at the moment its key is renewed.
func (a *answer) outlasted(signer *delegate, now time.Time) bool {
	return a.signer.valid(now) && a.nextUpdate.Before(a.signer.notAfter) && a.method.oid == signer.kind.methods[0].oid
}

// moment is when an answer is made and what the copy was complete as of.
type moment struct{ now, asOf time.Time }

// sign makes the answer in m.fresh from the newest data, in a slot of the queue, and leaves that.
func (r *Responder) sign(m *room, issuer *Issuer, t moment) error {
	a := &m.fresh
	if err := r.compose(m, issuer, t); err != nil {
		r.signing.leave()
		return err
	}
	a.signed = len(a.bytes)
	var room [sha512.Size]byte
	signature, err := r.signing.sign(a.signer, a.method.digest(room[:0], a.bytes), a.method)
	a.bytes = append(a.bytes, signature...)
	if err == nil && len(signature) < tagOctets {
		err = errors.New("the responder key made an empty signature")
	}
	return err
}

// compose writes the ResponseData.
func (r *Responder) compose(m *room, issuer *Issuer, t moment) (err error) {
	q, a := &m.parsed, &m.fresh
	policy := r.config.Policy(issuer.Name)
	d := data{responder: a.signer.id, producedAt: t.now.Truncate(time.Second), nonce: q.Nonce}
	a.thisUpdate = t.asOf.Truncate(time.Second)
	if a.thisUpdate.After(d.producedAt) {
		a.thisUpdate = d.producedAt // the ledger's clock is ahead of ours
	}
	a.producedAt, a.nextUpdate = d.producedAt, r.nextUpdate(policy, a.thisUpdate, d.producedAt)
	a.plan()
	a.maxAge = policy.MaxAge
	if m.singles, a.generation, err = r.lookUpAll(m.singles[:0], q.CertIDs); err != nil {
		return err
	}
	d.singles = m.singles
	a.result = resultOf(d.singles)
	for i := range d.singles {
		s := &d.singles[i]
		s.thisUpdate, s.nextUpdate = a.thisUpdate, a.nextUpdate
		d.extended = policy.apply(s, d.producedAt) || d.extended
	}
	a.bytes, a.idAt, a.idTo = d.append(a.bytes[:0])
	return nil
}

// nextUpdate is how long an answer may be relied on. One from a copy that was cut off would be over when it is made, and
// no relying system would take it: it lasts half as long as others from when it was made, but never beyond the stale
// limit, when this node itself would no longer answer from that copy.
func (r *Responder) nextUpdate(policy Policy, thisUpdate, producedAt time.Time) time.Time {
	next, late := thisUpdate.Add(policy.NextUpdate), producedAt.Add(policy.NextUpdate/2)
	if limit := thisUpdate.Add(r.config.Limits.Stale); late.After(limit) {
		late = limit
	}
	if late.After(next) {
		return late
	}
	return next
}

// lookUpAll finds the status for each CertID in one snapshot and returns its generation.
func (r *Responder) lookUpAll(singles []single, ids []CertID) ([]single, uint64, error) {
	snapshot, err := r.config.Replica.Begin(tableName)
	if err != nil {
		return nil, 0, err
	}
	defer snapshot.Release()
	issuers := r.config.Table.issuers.Load()
	for i := range ids {
		singles = append(singles, single{id: ids[i].Raw})
		issuer := issuers.find(&ids[i])
		if issuer == nil {
			continue // of another CA: unknown
		}
		record, ok, err := issuers.lookUp(snapshot, issuer.ID, ids[i].Serial)
		if err != nil {
			return nil, 0, err
		}
		s := &singles[i]
		s.known, s.status, s.digest = ok, record.Status, record.Digest
	}
	return singles, snapshot.Generation(), nil
}

// apply adds what the policy wants told, and reports whether the extended-revoke extension must say so.
func (p *Policy) apply(s *single, producedAt time.Time) (extended bool) {
	if p.Retain > 0 {
		s.cutoff = producedAt.Add(-p.Retain)
	}
	if !p.CertHash || s.status.State != certs.StateGood {
		s.digest = journal.Hash{}
	}
	if s.known || !p.Extended {
		return false
	}
	s.known = true
	s.status = certs.Status{State: certs.StateHeld, Reason: certs.ReasonCertificateHold, At: time.Unix(0, 0).UTC()}
	return true
}

func resultOf(singles []single) result {
	if len(singles) != 1 {
		return resultMixed
	}
	switch s := &singles[0]; {
	case !s.known:
		return resultUnknown
	case s.status.State == certs.StateGood:
		return resultGood
	case s.status.State == certs.StateHeld:
		return resultHeld
	}
	return resultRevoked
}
