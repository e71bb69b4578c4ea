package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

// proveKey runs a mutual TLS 1.3 handshake over loopback, the holder's card on one side and the
// relying system on the other, and returns the certificate whose key the card proved to hold. Trust
// is not judged here: a certificate that proves its key may still be a stranger's.
func proveKey(ctx context.Context, holder tls.Certificate) (*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	server, err := doorCertificate()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("opening the relying system's door: %w", err)
	}
	defer listener.Close()
	go knock(ctx, listener.Addr().String(), holder, server.Leaf)
	connection, err := listener.Accept()
	if err != nil {
		return nil, fmt.Errorf("waiting for the card: %w", err)
	}
	defer connection.Close()
	secure := tls.Server(connection, &tls.Config{
		Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS13,
	})
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, &refusedLogin{why: fmt.Sprintf("the card did not prove its key: %v", err)}
	}
	peers := secure.ConnectionState().PeerCertificates
	if len(peers) == 0 {
		return nil, errors.New("reading the card's certificate: none was sent")
	}
	return peers[0], nil
}

// knock is the holder's side of the handshake; its own failure shows on the other side.
func knock(ctx context.Context, address string, holder tls.Certificate, door *x509.Certificate) {
	pool := x509.NewCertPool()
	pool.AddCert(door)
	dialer := tls.Dialer{Config: &tls.Config{
		Certificates: []tls.Certificate{holder}, RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS13,
	}}
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return
	}
	defer connection.Close()
	// In TLS 1.3 the client finishes first; one read waits until the server has judged.
	_, _ = connection.Read(make([]byte, 1))
}

// doorCertificate makes the throw-away server certificate of one handshake.
func doorCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making the relying system's key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making the relying system's certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("reading the relying system's certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}
