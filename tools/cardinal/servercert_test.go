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
	return &tls.Certificate{Leaf: &x509.Certificate{NotBefore: from, NotAfter: from.Add(life)}}
}

// TestTheServersCertificateIsRenewedByItself: after two thirds of its life,
// and again when the first try does not succeed.
func TestTheServersCertificateIsRenewedByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		s := &serverCertificate{now: time.Now, logger: slog.New(slog.DiscardHandler)}
		s.current.Store(lasting(begun, 90*time.Hour))
		var tries atomic.Int32
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go s.keep(ctx, func(context.Context) (*tls.Certificate, error) {
			if tries.Add(1) == 1 {
				return nil, errLater
			}
			return lasting(time.Now(), 90*time.Hour), nil
		})
		time.Sleep(59 * time.Hour)
		synctest.Wait()
		if tries.Load() != 0 {
			t.Errorf("renewed after 59 of 90 hours")
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		got, err := s.get(nil)
		if tries.Load() != 2 || err != nil || !got.Leaf.NotBefore.After(begun) {
			t.Errorf("after 61 of 90 hours: %d tries, certificate from %s", tries.Load(), got.Leaf.NotBefore)
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
