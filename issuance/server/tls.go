package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// TLSConfig makes the configuration for serving: TLS 1.3 with the given server
// certificate, and a client certificate required whose key the handshake
// proves and that was signed by one of the issuers (the Authentication and
// Services CAs) for client authentication.
//
// The handshake does not judge time or revocation: that is done for every
// request from the register, which then can say in a problem document that a
// card has expired instead of ending the connection with an alert. issuers is
// asked at each handshake, since authorities come and go; it must be safe for
// concurrent use.
func TLSConfig(certificate tls.Certificate, issuers func() *x509.CertPool) *tls.Config {
	c := &tls.Config{
		Certificates: []tls.Certificate{certificate},
		MinVersion:   tls.VersionTLS13,
		ClientAuth:   tls.RequireAnyClientCert,
		NextProtos:   []string{"h2", "http/1.1"},
		VerifyConnection: func(state tls.ConnectionState) error {
			return signedByUs(state.PeerCertificates, issuers())
		},
	}
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		offered := c.Clone()
		offered.GetConfigForClient = nil
		offered.ClientCAs = issuers() // so that a client with several cards picks the right one
		return offered, nil
	}
	return c
}

var errNoClientCertificate = errors.New("no client certificate")

// signedByUs checks the signature and the key purpose, as of a moment inside
// the certificate's own validity.
func signedByUs(chain []*x509.Certificate, issuers *x509.CertPool) error {
	if len(chain) == 0 {
		return errNoClientCertificate
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: issuers, CurrentTime: chain[0].NotBefore.Add(time.Second),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return fmt.Errorf("verifying the client certificate: %w", err)
	}
	return nil
}
