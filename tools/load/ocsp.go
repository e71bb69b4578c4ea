package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"cardinal/certs"
	"cardinal/ocsp/relying"
)

// ocspLoad asks for the status of certificates.
type ocspLoad struct {
	load
	url          string
	certificates string
	issuers      []string
	post         bool
	expect       string

	host    string
	queries []ocspQuery
}

// ocspQuery is one question, encoded beforehand, and the answers to it that
// have been judged already.
type ocspQuery struct {
	query   relying.Query
	request []byte // a whole HTTP request
	judged  *sync.Map
}

func ocspCommand(out io.Writer) *cobra.Command {
	l := &ocspLoad{}
	c := &cobra.Command{Use: "ocsp", Short: "Ask for the status of certificates", Args: cobra.NoArgs,
		Long: `Each answer's signature, signer, certificate and time are judged as a relying system must.
An answer of the same octets as one already judged counts as judged, while it is fresh.`,
		Example: "  load ocsp --url http://127.0.0.1:8080/ocsp --certificates pairs.pem --issuer ca/authentication.cer --pid 4711",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := l.prepare(); err != nil {
				return err
			}
			r, err := l.measure(cmd.Context(), "ocsp", l.open)
			return l.finish(out, r, err)
		}}
	l.flags(c)
	c.Flags().StringVar(&l.url, "url", "http://127.0.0.1:8080/ocsp", "the responder")
	c.Flags().StringVar(&l.certificates, "certificates", "", "PEM file of certificates to ask about")
	c.Flags().StringArrayVar(&l.issuers, "issuer", nil, "file of an issuing CA's certificate; may be repeated")
	c.Flags().BoolVar(&l.post, "post", false, "ask by POST instead of GET")
	c.Flags().StringVar(&l.expect, "expect", "good", "the status every certificate must have: good, held, revoked, or any")
	return c
}

var errNoIssuer = errors.New("its issuer is not among --issuer")

// prepare reads the certificates and encodes a question about each.
func (l *ocspLoad) prepare() error {
	u, err := url.Parse(l.url)
	if err != nil {
		return err
	}
	l.host = u.Host
	var issuers []*x509.Certificate
	for _, path := range l.issuers {
		found, err := readCertificates(path)
		if err != nil {
			return err
		}
		issuers = append(issuers, found...)
	}
	leaves, err := readCertificates(l.certificates)
	if err != nil {
		return err
	}
	for _, leaf := range leaves {
		q, err := l.question(u, leaf, issuers)
		if err != nil {
			return fmt.Errorf("certificate %x: %w", leaf.SerialNumber, err)
		}
		l.queries = append(l.queries, q)
	}
	return nil
}

func (l *ocspLoad) question(u *url.URL, leaf *x509.Certificate, issuers []*x509.Certificate) (ocspQuery, error) {
	for _, issuer := range issuers {
		if !bytes.Equal(issuer.RawSubject, leaf.RawIssuer) {
			continue
		}
		q := relying.Query{Leaf: leaf, Issuer: issuer, Hash: crypto.SHA1}
		der, err := q.Encode()
		if err != nil {
			return ocspQuery{}, err
		}
		return ocspQuery{query: q, request: l.encode(u, der), judged: new(sync.Map)}, nil
	}
	return ocspQuery{}, errNoIssuer
}

// encode makes the whole HTTP request (RFC 6960 Appendix A.1).
func (l *ocspLoad) encode(u *url.URL, der []byte) []byte {
	if l.post {
		return append(fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/ocsp-request\r\nContent-Length: %d\r\n\r\n", u.Path, u.Host, len(der)), der...)
	}
	return fmt.Appendf(nil, "GET %s/%s HTTP/1.1\r\nHost: %s\r\n\r\n", u.Path, url.PathEscape(base64.StdEncoding.EncodeToString(der)), u.Host)
}

// readCertificates reads DER, or every certificate of a PEM file.
func readCertificates(path string) ([]*x509.Certificate, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var der []byte
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			der = append(der, block.Bytes...)
		}
	}
	if der == nil {
		der = data
	}
	found, err := x509.ParseCertificates(der)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return found, nil
}

func (l *ocspLoad) open(int) (worker, error) {
	conn, err := net.Dial("tcp", l.host)
	if err != nil {
		return nil, err
	}
	return &ocspWorker{l: l, conn: conn, in: bufio.NewReaderSize(conn, 1<<14)}, nil
}

// ocspWorker is one connection, kept open.
type ocspWorker struct {
	l    *ocspLoad
	conn net.Conn
	in   *bufio.Reader
}

func (w *ocspWorker) Close() error { return w.conn.Close() }

func (w *ocspWorker) operate(_ context.Context, n int) error {
	q := &w.l.queries[scatter(n)%len(w.l.queries)]
	if _, err := w.conn.Write(q.request); err != nil {
		return err
	}
	response, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("answered with %s", response.Status)
	}
	if err := w.l.judge(q, body); err != nil {
		return wrongAnswer{err}
	}
	return nil
}

// judge believes an answer of the same octets for as long as it was fresh when
// it was judged in full.
func (l *ocspLoad) judge(q *ocspQuery, body []byte) error {
	now := time.Now()
	key := sha256.Sum256(body)
	if until, ok := q.judged.Load(key); ok && now.Before(until.(time.Time)) {
		return nil
	}
	answer, err := q.query.Judge(body, now)
	if err != nil {
		return err
	}
	if err := l.expected(answer); err != nil {
		return fmt.Errorf("certificate %x: %w", q.query.Leaf.SerialNumber, err)
	}
	q.judged.Store(key, answer.NextUpdate)
	return nil
}

func (l *ocspLoad) expected(a relying.Answer) error {
	want := map[string]certs.State{"good": certs.StateGood, "held": certs.StateHeld, "revoked": certs.StateRevoked}
	if l.expect == "any" || a.Known && a.Status.State == want[l.expect] {
		return nil
	}
	return fmt.Errorf("known %v, status %v; want %s", a.Known, a.Status.State, l.expect)
}
