package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"cardinal/issuance/api"
)

// installation is the folder of a cardinal that serves on this machine.
type installation struct{ folder string }

func (i *installation) flags(c *cobra.Command) {
	c.Flags().StringVar(&i.folder, "folder", "cards", "the installation, which is served")
}

func (i *installation) path(parts ...string) string {
	return filepath.Join(append([]string{i.folder}, parts...)...)
}

// addresses are those a server tells in ready.json.
type addresses struct {
	LDAP       string `json:"ldap"`
	Status     string `json:"status"`
	Issuance   string `json:"issuance"`
	Operations string `json:"operations"`
}

// addresses are where it is asked now: another start may have found other ports.
func (i *installation) addresses() (a addresses, err error) {
	data, err := os.ReadFile(i.path("ready.json"))
	if err == nil {
		err = json.Unmarshal(data, &a)
	}
	if err != nil {
		return a, fmt.Errorf("finding who serves %s: %w", i.folder, err)
	}
	return a, nil
}

// client asks the issuance port as the operator whose certificate and key are
// in a PEM file.
func (i *installation) client(operator string) (*api.Client, error) {
	at, err := i.addresses()
	if err != nil {
		return nil, err
	}
	return clientOf(at.Issuance, operator, i.path("trust.pem"))
}

// clientOf asks a server as an operator, trusting the roots in a PEM file.
func clientOf(server, operator, trust string) (*api.Client, error) {
	mine, err := tls.LoadX509KeyPair(operator, operator)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(trust)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(data)
	return api.New(server, &tls.Config{Certificates: []tls.Certificate{mine}, RootCAs: roots})
}

// issuer reads the certificate of one of its CAs.
func (i *installation) issuer(name string) (*x509.Certificate, error) {
	found, err := readCertificates(i.path("ca", name+".cer"))
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// questions are about certificates of one CA, asked at one responder.
func (i *installation) questions(responder, ca string) (*ocspLoad, *x509.Certificate, error) {
	issuer, err := i.issuer(ca)
	if err != nil {
		return nil, nil, err
	}
	u, err := url.Parse(strings.TrimSuffix(responder, "/") + "/ocsp")
	if err != nil {
		return nil, nil, err
	}
	return &ocspLoad{target: u, host: u.Host}, issuer, nil
}

// readPID reads the process id a script left in a file; an empty path is none.
func readPID(path string) (int, error) {
	if path == "" {
		return 0, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(data)))
}
