package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"

	"github.com/spf13/cobra"
)

// target is a directory server and who asks it.
type target struct {
	url      string
	trust    []string // PEM files of roots
	bindDN   string   // "" stays anonymous, "-" is the identity `load data --services` writes
	password string

	address string
	tls     *tls.Config // nil: in the clear
}

func (t *target) flags(c *cobra.Command) {
	c.Flags().StringVar(&t.url, "url", "ldap://127.0.0.1:1389", "the directory: ldap://HOST:PORT, or ldaps://HOST:PORT for TLS 1.3")
	t.identityFlags(c)
}

func (t *target) identityFlags(c *cobra.Command) {
	c.Flags().StringArrayVar(&t.trust, "trust", nil, "PEM file of roots to trust; may be repeated")
	c.Flags().StringVar(&t.bindDN, "bind-dn", "-", `bind as; "" stays anonymous (default: the identity that "load data --services" writes)`)
	c.Flags().StringVar(&t.password, "password", servicePassword, "password to bind with")
}

var errScheme = errors.New("is neither ldap:// nor ldaps://")

// resolve makes sense of what was given on the command line.
func (t *target) resolve(suffix string) error {
	u, err := url.Parse(t.url)
	if err != nil {
		return err
	}
	if t.bindDN == "-" {
		t.bindDN = serviceDN(suffix)
	}
	t.address = u.Host
	switch u.Scheme {
	case "ldap":
		return nil
	case "ldaps":
	default:
		return fmt.Errorf("%s %w", t.url, errScheme)
	}
	roots := x509.NewCertPool()
	for _, path := range t.trust {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !roots.AppendCertsFromPEM(data) {
			return fmt.Errorf("%s holds no certificate", path)
		}
	}
	t.tls = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13, ServerName: u.Hostname()}
	return nil
}

// dial connects. On the loopback network each connection number has an address
// of its own, or the ports of one would run out.
func (t *target) dial(ctx context.Context, i int) (*wire, error) {
	var d net.Dialer
	if host, _, _ := net.SplitHostPort(t.address); host == "127.0.0.1" {
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, byte(1+i/200%200), byte(1+i%200))}
	}
	conn, err := d.DialContext(ctx, "tcp", t.address)
	if err != nil {
		return nil, err
	}
	if t.tls == nil {
		return newWire(conn), nil
	}
	secure := tls.Client(conn, t.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return newWire(secure), nil
}

// login connects and binds.
func (t *target) login(ctx context.Context, i int) (*wire, error) {
	w, err := t.dial(ctx, i)
	if err != nil || t.bindDN == "" {
		return w, err
	}
	if err := w.bind(t.bindDN, t.password); err != nil {
		return nil, errors.Join(fmt.Errorf("binding as %s: %w", t.bindDN, err), w.Close())
	}
	return w, nil
}
