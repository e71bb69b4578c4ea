package ocsp

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1" // responderID byKey is a SHA-1 by definition (RFC 6960 §4.2.1)
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"cardinal/certs"
)

// Enroller certifies responder keys. It is wired to the CA, or to the node that has one.
type Enroller interface {
	// Responder returns the DER of a certificate with the OCSPSigning purpose, signed by the issuer's key, for the key
	// that signed the certification request csr (RFC 2986, DER; the names in it say nothing). For an issuer whose
	// certificates are not answered for here it returns ErrNotServed.
	Responder(ctx context.Context, issuer certs.IssuerID, csr []byte) (der []byte, err error)
}

// ErrNotServed: this node does not answer for certificates of the issuer, for instance because its key is off line.
// Requests about them are unauthorized.
var ErrNotServed = errors.New("the responder does not serve this issuer")

// delegate is a key of this node with the certificate that lets it sign for an issuer. It is never changed.
type delegate struct {
	key        crypto.Signer
	kind       keyKind
	elsewhere  bool // the key is not in this process: how long it takes to sign is not ours to tell
	id         responderID
	tail       []byte // certs [0] of the BasicOCSPResponse
	notBefore  time.Time
	notAfter   time.Time
	renewAfter time.Time
	notServed  bool
	again      time.Duration // after which the CA is asked again that does not serve the issuer
}

// valid reports whether relying systems accept the delegate's signature at a time.
func (d *delegate) valid(now time.Time) bool {
	return d.key != nil && !now.Before(d.notBefore) && now.Before(d.notAfter)
}

// sign returns the signature over what has a digest, as the contents of the BIT STRING. A key of this process signs as
// RFC 6979 says, without randomness: that spares hashing, and whoever asks twice within a second for the same gets the
// same octets. A token is offered random octets and does as it likes.
func (d *delegate) sign(digest []byte, m *signatureMethod) ([]byte, error) {
	if d.elsewhere {
		return d.key.Sign(rand.Reader, digest, m.hash)
	}
	return d.key.Sign(nil, digest, m.hash)
}

// newKey is the key for the next certificate: a fresh one in memory unless the configuration says where keys are.
func (r *Responder) newKey(ctx context.Context, issuer *Issuer) (crypto.Signer, error) {
	if r.config.Key == nil {
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	return r.config.Key(ctx, issuer.Name)
}

// enroll has a key certified. What comes back is judged as a relying system would judge it, so that a wrong certificate
// is found here and not at a thousand logins.
func (r *Responder) enroll(ctx context.Context, issuer *Issuer) (*delegate, error) {
	ctx, cancel := context.WithTimeout(ctx, enrollPatience)
	defer cancel()
	key, err := r.newKey(ctx, issuer)
	if err != nil {
		return nil, fmt.Errorf("responder key: %w", err)
	}
	kind, known := kindOf(key.Public())
	if !known {
		return nil, fmt.Errorf("responder key: %w", errKeyKind)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, fmt.Errorf("responder key: proving it: %w", err)
	}
	der, err := r.config.Enroller.Responder(ctx, issuer.ID, csr)
	if err != nil {
		return nil, err
	}
	now := r.config.Now()
	cert, err := checkDelegate(der, issuer, key, now)
	if err != nil {
		return nil, err
	}
	bits, err := publicKeyBits(cert.RawSubjectPublicKeyInfo)
	if err != nil {
		return nil, err
	}
	_, inMemory := key.(*ecdsa.PrivateKey)
	d := &delegate{key: key, kind: kind, elsewhere: !inMemory, notBefore: cert.NotBefore, notAfter: cert.NotAfter, id: keyID(sha1.Sum(bits))}
	if r.config.ByName {
		d.id = nameID(cert.RawSubject)
	}
	d.tail = appendHeader(appendHeader(nil, 0xa0, header(len(der))+len(der)), 0x30, len(der))
	d.tail = append(d.tail, der...)
	d.renewAfter = r.renewal(now, cert.NotAfter)
	return d, nil
}

// renewMargin is how long renewing may fail before a node that is then cut off could not sign for as long as it may
// answer.
const renewMargin = 15 * time.Minute

// renewal is when a certificate is to be renewed: at half its life, or earlier, so that what is left is never less than
// the time a node that is cut off goes on answering.
func (r *Responder) renewal(now, notAfter time.Time) time.Time {
	half := now.Add(notAfter.Sub(now) / 2)
	if early := notAfter.Add(-r.config.Limits.Stale - renewMargin); early.After(now) && early.Before(half) {
		return early
	}
	return half
}

// errKeyKind names the keys whose signatures every client verifies.
var errKeyKind = errors.New("it is neither P-256, P-384 nor RSA of 2048 bits and more")

func checkDelegate(der []byte, issuer *Issuer, key crypto.Signer, now time.Time) (*x509.Certificate, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("responder certificate: %w", err)
	}
	ca, err := x509.ParseCertificate(issuer.DER)
	if err != nil {
		return nil, fmt.Errorf("certificate of issuer %s: %w", issuer.Name, err)
	}
	pub, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	noCheck := certs.OID(certs.OIDOCSPNoCheck)
	switch {
	case !ok || !pub.Equal(key.Public()):
		return nil, errors.New("responder certificate: it is for another key")
	case cert.CheckSignatureFrom(ca) != nil:
		return nil, fmt.Errorf("responder certificate: %w", cert.CheckSignatureFrom(ca))
	case !slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
		return nil, errors.New("responder certificate: it lacks the purpose OCSPSigning (RFC 6960 §4.2.2.2)")
	case !slices.ContainsFunc(cert.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(noCheck) }):
		return nil, errors.New("responder certificate: it lacks id-pkix-ocsp-nocheck (RFC 6960 §4.2.2.2.1)")
	case now.Before(cert.NotBefore) || !now.Before(cert.NotAfter):
		return nil, fmt.Errorf("responder certificate: valid from %s to %s, not now", cert.NotBefore, cert.NotAfter)
	}
	return cert, nil
}

// How often Run looks whether a responder certificate is due, and how soon it tries again after a failure and asks again
// about an issuer that is not served, doubling up to the former: an authority that just began may be known here a moment
// before the CA has opened its key.
const (
	renewEvery = time.Minute
	retryAfter = 2 * time.Second
)

// enrollPatience is how long the CA may take over one key: one that hangs must not keep other issuers' from renewal.
const enrollPatience = 20 * time.Second

// Run gets a responder key certified for each issuer, as issuers appear, and renews it when half of its life is over, and
// it renews stored answers. It returns nil when ctx ends. Without it every answer is tryLater.
func (r *Responder) Run(ctx context.Context) error {
	var renewing sync.WaitGroup
	for range (cap(r.signing.slots) + 1) / 2 {
		renewing.Go(func() { r.renew(ctx) })
	}
	defer renewing.Wait()
	retry := retryAfter
	failing := map[certs.IssuerID]string{}
	for {
		added := *r.config.Table.added.Load()
		due := r.renewDue(ctx, failing)
		wait, missing := r.untilAgain(), r.missing
		if due {
			retry = retryAfter
		} else {
			// Whatever is asked meanwhile, the CA is not asked more often.
			wait, missing = min(retry, wait), nil
			retry = min(2*retry, renewEvery)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-added:
		case <-missing:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// miss tells Run that a request found no key that may sign, as after a leap of the clock.
func (r *Responder) miss() {
	select {
	case r.missing <- struct{}{}:
	default:
	}
}

// renewDue renews what is due, and reports whether all went well. Failing remembers what was logged of each issuer.
func (r *Responder) renewDue(ctx context.Context, failing map[certs.IssuerID]string) bool {
	for _, issuer := range r.config.Table.Issuers() {
		if !r.delegate(issuer.ID).due(r.config.Now()) {
			continue
		}
		d, err := r.enroll(ctx, issuer)
		switch {
		case errors.Is(err, ErrNotServed):
			again := retryAfter
			if before := r.delegate(issuer.ID); before != nil && before.notServed {
				again = min(2*before.again, renewEvery)
			}
			d = &delegate{notServed: true, again: again, renewAfter: r.config.Now().Add(again)}
		case err != nil:
			if text := err.Error(); failing[issuer.ID] != text && ctx.Err() == nil {
				failing[issuer.ID] = text
				r.config.Logger.Warn("certifying a responder key", "issuer", issuer.Name, "why", err)
			}
			continue
		default:
			r.config.Logger.Info("responder key certified", "issuer", issuer.Name, "until", d.notAfter)
		}
		delete(failing, issuer.ID)
		r.setDelegate(issuer.ID, d)
	}
	return len(failing) == 0
}

// untilAgain is how long Run may rest: less than renewEvery while an issuer has only just been found not to be served.
func (r *Responder) untilAgain() time.Duration {
	wait := renewEvery
	for _, d := range *r.delegates.Load() {
		if d.notServed {
			wait = min(wait, d.again)
		}
	}
	return wait
}

// due reports whether another delegate is needed: none, half its life over, or not valid on a clock that was set.
func (d *delegate) due(now time.Time) bool {
	return d == nil || !now.Before(d.renewAfter) || !d.notServed && !d.valid(now)
}

func (r *Responder) delegate(id certs.IssuerID) *delegate { return (*r.delegates.Load())[id] }

// setDelegate is called by Run alone.
func (r *Responder) setDelegate(id certs.IssuerID, d *delegate) {
	next := map[certs.IssuerID]*delegate{id: d}
	for other, known := range *r.delegates.Load() {
		if other != id {
			next[other] = known
		}
	}
	r.delegates.Store(&next)
}

// Ready reports whether every issuer served has a responder key that may sign, so that a node that answers tryLater is
// not announced.
func (r *Responder) Ready() bool {
	now := r.config.Now()
	issuers := r.config.Table.Issuers()
	for _, i := range issuers {
		if d := r.delegate(i.ID); d == nil || !d.notServed && !d.valid(now) {
			return false
		}
	}
	return len(issuers) > 0
}
