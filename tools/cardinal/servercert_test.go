package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var errLater = errors.New("later")

func lasting(from time.Time, life time.Duration) *tls.Certificate {
	return &tls.Certificate{Leaf: &x509.Certificate{Raw: []byte(from.String()), NotBefore: from, NotAfter: from.Add(life)}}
}

// TestTheServersCertificateIsRenewedByItself: after two thirds of its life,
// and again when the first try does not succeed.
func TestTheServersCertificateIsRenewedByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		s := &serverCertificate{now: time.Now, logger: slog.New(slog.DiscardHandler)}
		s.current.Store(lasting(begun, 90*10*time.Minute))
		var tries atomic.Int32
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go s.keep(ctx, func(context.Context) (*tls.Certificate, error) {
			if tries.Add(1) == 1 {
				return nil, errLater
			}
			return lasting(time.Now(), 90*10*time.Minute), nil
		})
		time.Sleep(59 * 10 * time.Minute)
		synctest.Wait()
		if tries.Load() != 0 {
			t.Errorf("renewed after 59 of 90")
		}
		time.Sleep(2 * 10 * time.Minute)
		synctest.Wait()
		got, err := s.get(nil)
		if tries.Load() != 2 || err != nil || !got.Leaf.NotBefore.After(begun) {
			t.Errorf("after 61 of 90: %d tries, certificate from %s", tries.Load(), got.Leaf.NotBefore)
		}
	})
}

// TestAServersCertificateThatFellIsReplacedInSeconds: its CA was revoked, and the
// next one comes a moment later.
func TestAServersCertificateThatFellIsReplacedInSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first, second := lasting(time.Now(), 90*time.Hour), lasting(time.Now().Add(time.Second), 90*time.Hour)
		var revoked, rolled atomic.Bool
		s := &serverCertificate{now: time.Now, logger: slog.New(slog.DiscardHandler),
			stands: func(c *x509.Certificate) bool { return c == second.Leaf || !revoked.Load() }}
		s.current.Store(first)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go s.keep(ctx, func(context.Context) (*tls.Certificate, error) {
			if !rolled.Load() {
				return nil, errLater
			}
			return second, nil
		})
		for _, event := range []*atomic.Bool{&revoked, &rolled} {
			if got, _ := s.get(nil); got != first {
				t.Error("replaced for nothing")
			}
			event.Store(true)
			time.Sleep(10 * time.Second)
			synctest.Wait()
		}
		if got, err := s.get(nil); got != second {
			t.Errorf("10 s after the next CA began it serves with the old one's, %v", err)
		}
	})
}

func TestServerNamesCoverEveryAddress(t *testing.T) {
	t.Parallel()
	c := Config{PublicURL: "http://pki.example.org", Listen: Listen{LDAPS: "192.0.2.7:636", Issuance: "0.0.0.0:8443"}}
	names, ips := serverNames(c)
	has := map[string]bool{}
	for _, n := range names {
		has[n] = true
	}
	for _, ip := range ips {
		has[ip.String()] = true
	}
	for _, want := range []string{"localhost", "127.0.0.1", "pki.example.org", "192.0.2.7"} {
		if !has[want] {
			t.Errorf("%s is not among %v %v", want, names, ips)
		}
	}
	if has["0.0.0.0"] {
		t.Error("the unspecified address is a name")
	}
}
