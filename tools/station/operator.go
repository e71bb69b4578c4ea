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
	"strings"

	"github.com/spf13/cobra"
	"software.sslmate.com/src/go-pkcs12"

	"cardinal/issuance/api"
	"cardinal/issuance/card"
)

// operator says as whom, where, and trusting whom a command asks.
type operator struct {
	url      string
	as       string
	password string
	trust    string
}

var (
	errNoURL       = errors.New("give --url https://host:port, or set CARDINAL_SERVER")
	errNoOperator  = errors.New("give --as FILE (PKCS #12, PEM), or set CARDINAL_OPERATOR")
	errNoRoots     = errors.New("no root to trust: give --trust FILE, or set CARDINAL_TRUST")
	errHalfRenewed = errors.New("its keys are newer than its certificates: an operator must finish the renewal, with --as")
	errNoPair      = errors.New("holds no certificate with its private key")
)

func (s *station) operatorFlags(c *cobra.Command) *cobra.Command {
	f := c.Flags()
	f.StringVar(&s.who.url, "url", "", "issuance server (default: $CARDINAL_SERVER)")
	f.StringVar(&s.who.as, "as", "", "operator's certificate and key, PKCS #12 or PEM (default: $CARDINAL_OPERATOR)")
	f.StringVar(&s.who.password, "password-file", "", "file with the password of a PKCS #12 operator (default: the file beside it that ends in .password)")
	f.StringVar(&s.who.trust, "trust", "", "PEM file of roots to trust (default: $CARDINAL_TRUST, else those in the operator's file)")
	return c
}

func (s *station) serverURL() (string, error) {
	if url := or(s.who.url, s.env("CARDINAL_SERVER")); url != "" {
		return url, nil
	}
	return "", usage("server", errNoURL)
}

// dial makes a client that speaks as the operator; nothing is asked yet.
func (s *station) dial() (*api.Client, error) {
	path := or(s.who.as, s.env("CARDINAL_OPERATOR"))
	if path == "" {
		return nil, usage("operator", errNoOperator)
	}
	id, chain, err := s.readOperator(path)
	if err != nil {
		return nil, usage("reading the operator "+path, err)
	}
	return s.client(id, chain)
}

// dialAsCard makes a client that speaks with the card's own sign-in key.
func (s *station) dialAsCard(c card.Card, pin string) (*api.Client, error) {
	der, err := c.Certificate(card.SlotAuthentication)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the card's sign-in certificate: %w", err)
	}
	key, err := c.Signer(card.SlotAuthentication, pin)
	if err != nil {
		return nil, err
	}
	if !sameKey(leaf.PublicKey, key.Public()) {
		return nil, refused("card", errHalfRenewed)
	}
	return s.client(tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil)
}

func (s *station) client(id tls.Certificate, chain []*x509.Certificate) (*api.Client, error) {
	url, err := s.serverURL()
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	known := false
	for _, c := range chain {
		if bytes.Equal(c.RawIssuer, c.RawSubject) {
			roots.AddCert(c)
			known = true
		} else {
			id.Certificate = append(id.Certificate, c.Raw)
		}
	}
	if trust := or(s.who.trust, s.env("CARDINAL_TRUST")); trust != "" {
		text, err := os.ReadFile(trust)
		if err != nil {
			return nil, usage("trust", err)
		}
		roots = x509.NewCertPool()
		known = roots.AppendCertsFromPEM(text)
	}
	if !known {
		return nil, usage("trust", errNoRoots)
	}
	client, err := api.New(url, &tls.Config{Certificates: []tls.Certificate{id}, RootCAs: roots, Time: s.now})
	if err != nil {
		return nil, usage("server", err)
	}
	return client, nil
}

// readOperator reads PEM blocks in any order, or PKCS #12.
func (s *station) readOperator(path string) (tls.Certificate, []*x509.Certificate, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	if block, _ := pem.Decode(data); block != nil {
		return readPEM(data)
	}
	password := ""
	if beside := strings.TrimSuffix(path, ".p12") + ".password"; s.who.password == "" && isFile(beside) { // as init leaves it
		s.who.password = beside
	}
	if s.who.password != "" {
		text, err := os.ReadFile(s.who.password)
		if err != nil {
			return tls.Certificate{}, nil, err
		}
		line, _, _ := bytes.Cut(text, []byte("\n"))
		password = string(bytes.TrimSuffix(line, []byte("\r")))
	} else if password, err = s.secret("Password of " + path + ": "); err != nil {
		return tls.Certificate{}, nil, err
	}
	key, leaf, chain, err := pkcs12.DecodeChain(data, password)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, chain, nil
}

func readPEM(data []byte) (id tls.Certificate, chain []*x509.Certificate, err error) {
	var all []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "CERTIFICATE":
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return id, nil, err
			}
			all = append(all, c)
		case "PRIVATE KEY":
			if id.PrivateKey, err = x509.ParsePKCS8PrivateKey(block.Bytes); err != nil {
				return id, nil, err
			}
		}
	}
	for _, c := range all {
		if id.Leaf == nil && belongs(c, id.PrivateKey) {
			id.Leaf, id.Certificate = c, [][]byte{c.Raw}
		} else {
			chain = append(chain, c)
		}
	}
	if id.Leaf == nil {
		return id, nil, errNoPair
	}
	return id, chain, nil
}

func belongs(c *x509.Certificate, key crypto.PrivateKey) bool {
	signer, ok := key.(crypto.Signer)
	return ok && sameKey(c.PublicKey, signer.Public())
}

func sameKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

func or(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
