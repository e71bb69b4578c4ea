package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal/feed"
	"cardinal/ocsp"
)

// nodeIdentity is the certificate a read node shows its writer. It is replaced while following.
type nodeIdentity struct {
	path    string // where a renewed one is kept
	current atomic.Pointer[tls.Certificate]
}

func (f folder) nodeKey() string { return filepath.Join(f.keys(), "node.key") }

// readNodeIdentity reads the certificate that was renewed last, or the one that was handed over if that is newer.
func readNodeIdentity(f folder, c FollowConfig) (*nodeIdentity, error) {
	id := &nodeIdentity{path: f.nodeKey()}
	given, err := tls.LoadX509KeyPair(f.path(c.Certificate), f.path(c.Key))
	renewed, err2 := tls.LoadX509KeyPair(id.path, id.path)
	switch {
	case err != nil && err2 != nil:
		return nil, err
	case err != nil, err2 == nil && !renewed.Leaf.NotBefore.Before(given.Leaf.NotBefore):
		id.current.Store(&renewed)
	default:
		id.current.Store(&given)
	}
	return id, nil
}

// tlsConfig presents the identity to writers that the roots in a file vouch for.
func (id *nodeIdentity) tlsConfig(trust string) (*tls.Config, error) {
	found, err := readCertificates(trust)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	for _, c := range found {
		if string(c.RawIssuer) == string(c.RawSubject) {
			roots.AddCert(c)
		}
	}
	return &tls.Config{RootCAs: roots, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return id.current.Load(), nil }}, nil
}

// newRequest makes a key and asks for a certificate for it (RFC 2986): what names it gets is the writer's to say.
func newRequest() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	return key, der, err
}

// maxChain bounds a certificate with its issuer in PEM.
const maxChain = 64 << 10

// newCertificate has a new key certified for a purpose, and gives key and certificates as PEM.
func (fw *follower) newCertificate(ctx context.Context, purpose string) ([]byte, error) {
	key, request, err := newRequest()
	if err != nil {
		return nil, err
	}
	chain, err := fw.client.Post(ctx, "/v1/certificate?for="+purpose, request, maxChain)
	if err != nil {
		return nil, fmt.Errorf("asking for a %s certificate: %w", purpose, err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	text := append(chain, pemBlock("PRIVATE KEY", private)...)
	if _, err := tls.X509KeyPair(text, text); err != nil {
		return nil, fmt.Errorf("the writer's %s certificate: %w", purpose, err)
	}
	return text, nil
}

// serverCertificate makes the certificate this node serves LDAPS with.
func (fw *follower) serverCertificate(ctx context.Context) (*tls.Certificate, error) {
	text, err := fw.newCertificate(ctx, "server")
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if err := errors.Join(replaceFile(fw.folder.serverKey(), text), replaceFile(fw.folder.serverCertificate(), pem.EncodeToMemory(block))); err != nil {
		return nil, err
	}
	return readServerCertificate(fw.folder)
}

// keepIdentity renews the certificate this node follows with when two thirds of its life are over, until ctx ends.
func (fw *follower) keepIdentity(ctx context.Context) error {
	logger := fw.app.logger(slog.LevelInfo)
	for {
		if fw.now().After(due(fw.identity.current.Load().Leaf)) {
			next, err := fw.renewIdentity(ctx)
			switch {
			case ctx.Err() != nil:
				return nil
			case err != nil:
				logger.Error("renewing this node's certificate", "ends", fw.identity.current.Load().Leaf.NotAfter, "why", err)
			default:
				fw.identity.current.Store(next)
				fw.client.Reconnect()
				logger.Info("renewed this node's certificate", "until", next.Leaf.NotAfter)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(renewCheck):
		}
	}
}

func (fw *follower) renewIdentity(ctx context.Context) (*tls.Certificate, error) {
	text, err := fw.newCertificate(ctx, "client")
	if err != nil {
		return nil, err
	}
	if err := replaceFile(fw.identity.path, text); err != nil {
		return nil, err
	}
	next, err := tls.X509KeyPair(text, text)
	return &next, err
}

// maxResponder bounds a responder certificate.
const maxResponder = 64 << 10

// responder has a responder key of this node certified.
func (fw *follower) responder(ctx context.Context, issuer certs.IssuerID, csr []byte) ([]byte, error) {
	der, err := fw.client.Post(ctx, "/v1/responder?issuer="+hex.EncodeToString(issuer[:]), csr, maxResponder)
	var told *feed.Problem
	if errors.As(err, &told) && told.Status == 404 {
		return nil, ocsp.ErrNotServed
	}
	return der, err
}
