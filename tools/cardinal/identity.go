package main

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"software.sslmate.com/src/go-pkcs12"
)

// identity is a certificate with its key and what came with them.
type identity struct {
	leaf  *x509.Certificate
	key   crypto.PrivateKey
	chain []*x509.Certificate // without the leaf; issuing CA first, roots last
}

var (
	errNotPEM  = errors.New("not PEM")
	errNoPair  = errors.New("holds no certificate with its private key")
	errNoRoots = errors.New("no roots to trust: give --trust FILE")
)

// parsePEMIdentity reads certificates and a PKCS #8 key in any order; the leaf
// is the certificate the key belongs to. errNotPEM: it is something else.
func parsePEMIdentity(data []byte) (*identity, error) {
	var certificates []*x509.Certificate
	id := &identity{}
	blocks := 0
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		blocks++
		var err error
		switch block.Type {
		case "CERTIFICATE":
			var c *x509.Certificate
			c, err = x509.ParseCertificate(block.Bytes)
			certificates = append(certificates, c)
		case "PRIVATE KEY":
			id.key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			id.key, err = x509.ParseECPrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			id.key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		}
		if err != nil {
			return nil, fmt.Errorf("block %d (%s): %w", blocks, block.Type, err)
		}
	}
	if blocks == 0 {
		return nil, errNotPEM
	}
	for _, c := range certificates {
		if id.leaf == nil && belongs(c, id.key) {
			id.leaf = c
			continue
		}
		id.chain = append(id.chain, c)
	}
	if id.leaf == nil {
		return nil, errNoPair
	}
	return id, nil
}

func parseP12Identity(data []byte, password string) (*identity, error) {
	key, leaf, chain, err := pkcs12.DecodeChain(data, password)
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("neither PEM, nor a simulated card, nor PKCS #12: %w", err)
	}
	return &identity{leaf: leaf, key: key, chain: chain}, nil
}

func belongs(c *x509.Certificate, key crypto.PrivateKey) bool {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return false
	}
	public, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(signer.Public())
}

// tlsConfig presents the identity and trusts the roots in the file, or those
// that came with the identity.
func (id *identity) tlsConfig(trust string) (*tls.Config, error) {
	mine := tls.Certificate{PrivateKey: id.key, Leaf: id.leaf, Certificate: [][]byte{id.leaf.Raw}}
	roots := x509.NewCertPool()
	known := 0
	for _, c := range id.chain {
		if bytes.Equal(c.RawIssuer, c.RawSubject) {
			roots.AddCert(c)
			known++
			continue
		}
		mine.Certificate = append(mine.Certificate, c.Raw)
	}
	if trust != "" {
		data, err := os.ReadFile(trust)
		if err != nil {
			return nil, err
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("%s: %w", trust, errNoRoots)
		}
		known++
	}
	if known == 0 {
		return nil, errNoRoots
	}
	return &tls.Config{Certificates: []tls.Certificate{mine}, RootCAs: roots, MinVersion: tls.VersionTLS13}, nil
}
