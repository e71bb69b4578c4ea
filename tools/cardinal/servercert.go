package main

import (
	"context"

	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"cardinal/ca"
	"cardinal/policies"
)

// serverNames are what the server's certificate is good for: the public
// address, what it listens on, and this host.
func serverNames(c Config) (names []string, ips []net.IP) {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	if u, err := url.Parse(c.PublicURL); err == nil {
		hosts = append(hosts, u.Hostname())
	}
	for _, address := range []string{c.Listen.LDAP, c.Listen.LDAPS, c.Listen.Issuance} {
		if host, _, err := net.SplitHostPort(address); err == nil {
			hosts = append(hosts, host)
		}
	}
	if host, _, err := net.SplitHostPort(c.Feed.Listen); err == nil {
		hosts = append(hosts, host)
	}
	hosts = append(hosts, c.Feed.Names...)
	if host, err := os.Hostname(); err == nil {
		hosts = append(hosts, host)
	}
	slices.Sort(hosts)
	for _, host := range slices.Compact(hosts) {
		switch ip := net.ParseIP(host); {
		case host == "" || ip != nil && ip.IsUnspecified():
		case ip != nil:
			ips = append(ips, ip)
		default:
			names = append(names, host)
		}
	}
	return names, ips
}

// newServerCertificate makes a key, has it certified, and puts both in place:
// the key first under another name, so that the two files always fit.
func (w *writeSide) newServerCertificate(ctx context.Context) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	names, ips := serverNames(w.config)
	issued, _, err := w.authority.Issue(ctx, []ca.Order{{Issuer: ca.Services, Request: policies.Request{Profile: policies.ProfileServer, PublicKey: key.Public(),
		Subject: policies.Subject{CommonName: "Cardinal server", DNSNames: names, IPs: ips}}}}, nil)
	if err != nil {
		return nil, fmt.Errorf("issuing the server's certificate: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	// One file holds both: key and certificate change together or not at all.
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issued[0].Certificate.Raw})
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.authority.ByKey(issued[0].Ref.Issuer).Raw})...)
	chain := slices.Clone(text)
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
	if err := errors.Join(replaceFile(w.folder.serverKey(), text), replaceFile(w.folder.serverCertificate(), chain)); err != nil {
		return nil, err
	}
	return readServerCertificate(w.folder)
}

// readServerCertificate reads key and certificates from the key's file; the
// certificate's own file is for people and programs that want only that.
func readServerCertificate(f folder) (*tls.Certificate, error) {
	mine, err := tls.LoadX509KeyPair(f.serverKey(), f.serverKey())
	if err != nil {
		return nil, usage("reading the server's certificate from "+f.serverKey(), err)
	}
	return &mine, nil
}

// replaceFile puts a whole new file in the place of an old one. A power cut
// leaves the one or the other.
func replaceFile(path string, data []byte) error {
	f, err := os.OpenFile(path+".part", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".part", path)
}

// serverCertificate is the certificate in use; it is replaced while serving.
type serverCertificate struct {
	current atomic.Pointer[tls.Certificate]
	clients func() *x509.CertPool        // the CAs clients' certificates come from; named to them, so that they pick the right one
	stands  func(*x509.Certificate) bool // whether one is still relied on; nil: until it ends
	now     func() time.Time
	logger  *slog.Logger
}

// tlsConfig asks clients for certificates. Whether one is needed, and whether
// it is still good, is the server's to say.
func (s *serverCertificate) tlsConfig(auth tls.ClientAuthType) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ClientAuth: auth, Time: s.now, GetCertificate: s.get}
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		offered := c.Clone()
		offered.GetConfigForClient, offered.ClientCAs = nil, s.clients()
		return offered, nil
	}
	return c
}

// get gives the certificate in use (tls.Config.GetCertificate).
func (s *serverCertificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return s.current.Load(), nil
}

// due is when a certificate should be renewed: after two thirds of its life.
func due(c *x509.Certificate) time.Time {
	return c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) / 3 * 2)
}

// renewCheck is how often it is looked whether a certificate is due, and how long
// after a try that did not succeed the next one is made. fallenCheck is how often
// it is looked whether it still stands: clients refuse one whose CA was revoked.
const (
	renewCheck  = time.Minute
	fallenCheck = time.Second
	fallenAgain = 5 * time.Second // after a try: there may be no CA yet to ask
)

// keep renews the certificate when it is due or fell with its CA, until ctx
// ends. A renewal that does not succeed is tried again, and said once a minute.
func (s *serverCertificate) keep(ctx context.Context, renew func(context.Context) (*tls.Certificate, error)) error {
	var tried, told time.Time
	for {
		leaf, now := s.current.Load().Leaf, time.Now()
		fallen := s.stands != nil && !s.stands(leaf)
		if since := now.Sub(tried); fallen && since >= fallenAgain || s.now().After(due(leaf)) && since >= renewCheck {
			tried = now
			switch next, err := renew(ctx); {
			case err != nil && now.Sub(told) >= renewCheck:
				told = now
				s.logger.Error("renewing the server's certificate", "fallen", fallen, "error", err)
			case err == nil && !next.Leaf.Equal(leaf): // the role that writes may not have renewed it yet
				s.current.Store(next)
				s.logger.Info("renewed the server's certificate", "until", next.Leaf.NotAfter)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(fallenCheck):
		}
	}
}
