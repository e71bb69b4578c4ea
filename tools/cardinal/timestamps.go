package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cardinal/ca"
	"cardinal/ocsp/stamp"
	"cardinal/policies"
)

// stampPath is where time stamps are asked for, on the status port.
const stampPath = "/tsa"

// TimeStampsConfig is for the time-stamping authority (RFC 3161).
type TimeStampsConfig struct {
	// Off leaves it out.
	Off bool `yaml:"off"`
	// Policy is the OID in each stamp. Default one of the documentation arc.
	Policy string `yaml:"policy"`
}

// policy is the OID, nil for the default.
func (c TimeStampsConfig) policy() (asn1.ObjectIdentifier, error) {
	if c.Policy == "" {
		return nil, nil
	}
	var id asn1.ObjectIdentifier
	oid, err := x509.ParseOID(c.Policy)
	if err != nil {
		return nil, fmt.Errorf("%q is no object identifier", c.Policy)
	}
	der, err := oid.MarshalBinary() // the value alone
	if err != nil {
		return nil, err
	}
	_, err = asn1.Unmarshal(append([]byte{6, byte(len(der))}, der...), &id)
	return id, err
}

func (f folder) stampKey() string { return filepath.Join(string(f), "keys", "tsa.key") }

// stampKeyYears is how long a key gives stamps; its certificate lives on.
const stampKeyYears = 1

// openStamps makes the time-stamping authority of a node that writes and is
// asked for status; any other gives no stamps.
func (n *node) openStamps() (http.Handler, error) {
	answer := n.read.responder.Handler()
	if n.write == nil || n.config.TimeStamps.Off {
		return answer, nil
	}
	policy, err := n.config.TimeStamps.policy()
	if err != nil {
		return nil, usage("timeStamps.policy", err)
	}
	stamps, err := stamp.New(stamp.Config{Policy: policy, Now: n.surelyNow, Logger: n.logger})
	if err != nil {
		return nil, err
	}
	n.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "cardinal_time_stamps_total",
		Help: "Time stamps given."}, func() float64 { return float64(stamps.Given()) }))
	n.task("time stamps", func(ctx context.Context) error { return n.keepStamps(ctx, stamps) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == stampPath {
			stamps.ServeHTTP(w, r)
			return
		}
		answer.ServeHTTP(w, r)
	}), nil
}

var errClocksApart = errors.New("the clocks of host and ledger are apart, or the copy is old")

// surelyNow is the host's time while the ledger's agrees: the copy is as of a
// moment that the ledger's clock gave, and not long ago.
func (n *node) surelyNow() (time.Time, error) {
	now, state := n.now(), n.read.replica.State()
	if behind := now.Sub(state.Time); behind < -2*time.Second || behind > n.config.Limits.OCSPAge || state.Quarantine {
		return now, fmt.Errorf("%w: the copy is as of %s, now is %s", errClocksApart, state.Time.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return now, nil
}

// keepStamps has a key certified when there is none, it has served its time or
// fell with its CA, until ctx ends. What does not succeed is tried again, and
// said once a minute; one that fell stamps nothing meanwhile.
func (n *node) keepStamps(ctx context.Context, stamps *stamp.Authority) error {
	var told time.Time
	for {
		pause := fallenCheck
		if err := n.renewStamps(ctx, stamps); err != nil && ctx.Err() == nil {
			pause = fallenAgain
			if now := time.Now(); now.Sub(told) >= renewCheck {
				told = now
				n.logger.Error("certifying the key for time stamps", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

func (n *node) renewStamps(ctx context.Context, stamps *stamp.Authority) error {
	if id := stamps.Identity(); id != nil {
		if n.stampsOn(id.Leaf) {
			return nil
		}
		if !n.stands(id.Leaf) {
			stamps.Use(nil)
		}
	}
	id, err := n.readStamps()
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errStampFell) {
		return err
	}
	if err != nil || !n.stampsOn(id.Leaf) {
		if id, err = n.write.newStampIdentity(ctx); err != nil {
			return err
		}
		n.logger.Info("key for time stamps certified", "serial", serialOf(id.Leaf), "until", id.Leaf.NotAfter)
	}
	stamps.Use(id)
	return nil
}

// stampsOn reports whether a key has not served its time, and its CA stands.
func (n *node) stampsOn(leaf *x509.Certificate) bool {
	return n.stands(leaf) && n.now().Before(leaf.NotBefore.AddDate(stampKeyYears, 0, 0))
}

var errStampFell = errors.New("the CA of the key for time stamps was revoked")

func (n *node) readStamps() (*stamp.Identity, error) {
	pair, err := tls.LoadX509KeyPair(n.folder.stampKey(), n.folder.stampKey())
	if err != nil {
		return nil, fmt.Errorf("reading the key for time stamps: %w", err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("reading the key for time stamps: it is no P-256 key")
	}
	if !n.stands(pair.Leaf) {
		return nil, errStampFell
	}
	chain, err := n.write.chainOf(pair.Leaf)
	return &stamp.Identity{Key: key, Leaf: pair.Leaf, Chain: chain}, err
}

// newStampIdentity makes a key and has it certified; both lie in one file.
func (w *writeSide) newStampIdentity(ctx context.Context) (*stamp.Identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	issued, _, err := w.authority.Issue(ctx, []ca.Order{{Issuer: ca.Services, Request: policies.Request{Profile: policies.ProfileTimestamping,
		PublicKey: key.Public(), Subject: policies.Subject{CommonName: w.config.Name + " time stamps"}}}}, nil)
	if err != nil {
		return nil, err
	}
	leaf := issued[0].Certificate
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
	if err := replaceFile(w.folder.stampKey(), text); err != nil {
		return nil, err
	}
	chain, err := w.chainOf(leaf)
	return &stamp.Identity{Key: key, Leaf: leaf, Chain: chain}, err
}
