package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"cardinal/tools/internal/workforce"
)

// ldapLoad asks the directory about the people of a workforce.
type ldapLoad struct {
	load
	people    workforce.Options
	address   string
	trust     string // PEM of roots: speak TLS
	bindDN    string
	password  string
	operation string
	numbers   []string
	places    []string // DNs of organisations
}

func ldapCommand(out io.Writer) *cobra.Command {
	l := &ldapLoad{}
	c := &cobra.Command{Use: "ldap", Short: "Ask the directory as logins do", Args: cobra.NoArgs,
		Long: `Operations: login (search the person by number, read its subtree of roles, read an
organisation), search (by number), base (read a person), connect (connect, bind, unbind).`,
		Example: "  load ldap --address 127.0.0.1:1636 --trust trust.pem --operation login --connections 16 --for 10s --pid 4711",
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := l.run(cmd.Context())
			if err != nil {
				return err
			}
			return r.print(out)
		}}
	l.flags(c)
	workforceFlags(c, &l.people)
	c.Flags().StringVar(&l.address, "address", "127.0.0.1:1389", "host:port of the directory")
	c.Flags().StringVar(&l.trust, "trust", "", "PEM file of roots: speak TLS")
	c.Flags().StringVar(&l.bindDN, "bind-dn", "", "bind as (default: anonymous)")
	c.Flags().StringVar(&l.password, "password", "", "password to bind with")
	c.Flags().StringVar(&l.operation, "operation", "login", "login, search, base or connect")
	return c
}

var errOperation = errors.New("is not an operation: login, search, base or connect")

func (l *ldapLoad) run(ctx context.Context) (report, error) {
	if !slices.Contains([]string{"login", "search", "base", "connect"}, l.operation) {
		return report{}, fmt.Errorf("%q %w", l.operation, errOperation)
	}
	l.numbers = slices.Collect(workforce.Numbers(l.people))
	for e := range workforce.All(l.people) {
		if strings.HasPrefix(e.DN, "uid=") {
			break
		}
		if strings.Contains(e.DN, ",ou=Organisations,") {
			l.places = append(l.places, e.DN)
		}
	}
	config, err := l.tls()
	if err != nil {
		return report{}, err
	}
	return l.measure(ctx, "ldap "+l.operation, func(int) (worker, error) {
		w := &ldapWorker{l: l, tls: config}
		if l.operation == "connect" {
			return w, nil
		}
		return w, w.connect(ctx)
	})
}

func (l *ldapLoad) tls() (*tls.Config, error) {
	if l.trust == "" {
		return nil, nil
	}
	data, err := os.ReadFile(l.trust)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s holds no certificate", l.trust)
	}
	return &tls.Config{RootCAs: roots}, nil
}

// ldapWorker is one connection.
type ldapWorker struct {
	l    *ldapLoad
	tls  *tls.Config
	conn net.Conn
	in   *ldapReader
	out  []byte
	id   int64
}

func (w *ldapWorker) Close() error {
	if w.conn == nil {
		return nil
	}
	return w.conn.Close()
}

func (w *ldapWorker) connect(ctx context.Context) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", w.l.address)
	if err != nil {
		return err
	}
	if w.tls != nil {
		host, _, _ := net.SplitHostPort(w.l.address)
		config := w.tls.Clone()
		config.ServerName = host
		conn = tls.Client(conn, config)
	}
	w.conn, w.in, w.id = conn, newLDAPReader(conn), 0
	return w.bind()
}

func (w *ldapWorker) operate(ctx context.Context, n int) error {
	who := w.l.numbers[scatter(n)%len(w.l.numbers)]
	dn := "uid=" + who + ",ou=People," + w.l.people.Suffix
	switch w.l.operation {
	case "connect":
		if err := w.connect(ctx); err != nil {
			return err
		}
		return w.unbind()
	case "search":
		return w.find(who)
	case "base":
		return w.read(dn, scopeBase, 1, who)
	}
	if err := w.find(who); err != nil {
		return err
	}
	if err := w.read(dn, scopeSubtree, 3, who); err != nil {
		return err
	}
	place := w.l.places[scatter(n+1)%len(w.l.places)]
	code, _, _ := strings.Cut(strings.TrimPrefix(place, "uniqueIdentifier="), ",")
	return w.read(place, scopeBase, 1, code)
}

// find searches all people for a number and expects exactly that person.
func (w *ldapWorker) find(who string) error {
	entries, err := w.search(searchRequest{base: "ou=People," + w.l.people.Suffix, scope: scopeSubtree, attribute: "uid", value: who, class: "nhsPerson"})
	if err != nil {
		return err
	}
	if len(entries) != 1 || !bytes.Contains(entries[0], []byte(who)) {
		return fmt.Errorf("a search for %s gave %d entries, want that one", who, len(entries))
	}
	return nil
}

// read reads an entry, or a subtree of at least so many, and expects the key
// in the first.
func (w *ldapWorker) read(dn string, scope int64, least int, key string) error {
	entries, err := w.search(searchRequest{base: dn, scope: scope})
	if err != nil {
		return err
	}
	if len(entries) < least || !bytes.Contains(entries[0], []byte(key)) {
		return fmt.Errorf("reading %s gave %d entries, want %d with %s first", dn, len(entries), least, key)
	}
	return nil
}

// scatter walks the people in no order a cache could follow.
func scatter(n int) int {
	h := uint64(n+1) * 0x9E3779B97F4A7C15
	return int((h ^ h>>29) >> 2)
}
