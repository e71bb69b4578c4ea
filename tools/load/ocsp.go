package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"cardinal/ocsp/relying"
)

// ocspLoad asks for the status of certificates.
type ocspLoad struct {
	load
	url          string
	certificates string
	serials      string
	issuers      []string
	post         bool
	nonce        bool
	once         bool
	from         int
	rate         float64
	sample       int
	expect       string

	host    string
	target  *url.URL
	queries []ocspQuery
	whole   *judge
}

// ocspQuery is one question, encoded beforehand.
type ocspQuery struct {
	query   relying.Query
	request []byte // a whole HTTP request; nil when each is made anew, for its nonce
	id      []byte // the CertID, which the answer must repeat
}

func ocspCommand(out io.Writer) *cobra.Command {
	l := &ocspLoad{}
	c := &cobra.Command{Use: "ocsp", Short: "Ask for the status of certificates", Args: cobra.NoArgs,
		Long: `Of each answer the generator checks that it names the certificate, says what it must and holds the
nonce; one in --judge it judges in full, as a relying system must: signature, signer, its certificate, and
times. Three kinds of load: the same certificates again and again (stored answers), each once (--once:
answers that must be made), and each with a nonce (--nonce: always made). With --rate the requests come at
fixed times, and what one took is counted from when it was due.`,
		Example: "  load ocsp --url http://127.0.0.1:8080/ocsp --certificates pairs.pem --issuer ca/authentication.cer --pid 4711",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := l.prepare(); err != nil {
				return err
			}
			r, err := l.run(cmd.Context())
			return l.finish(out, r, err)
		}}
	l.flags(c)
	f := c.Flags()
	f.StringVar(&l.url, "url", "http://127.0.0.1:8080/ocsp", "the responder")
	f.StringVar(&l.certificates, "certificates", "", "PEM file of certificates to ask about")
	f.StringVar(&l.serials, "serials", "", "file of serials of the first --issuer, in hexadecimal, one a line, instead of --certificates")
	f.StringArrayVar(&l.issuers, "issuer", nil, "file of an issuing CA's certificate; may be repeated")
	f.BoolVar(&l.post, "post", false, "ask by POST instead of GET")
	f.BoolVar(&l.nonce, "nonce", false, "ask with a nonce of 16 octets (by POST)")
	f.BoolVar(&l.once, "once", false, "ask about each certificate once, and end when all were asked about")
	f.IntVar(&l.from, "from", 0, "leave out so many of the certificates, which were asked about before")
	f.Float64Var(&l.rate, "rate", 0, "requests a second, at fixed times; 0: each connection asks as soon as it is answered")
	f.IntVar(&l.sample, "judge", 1000, "one in how many answers is judged in full")
	f.StringVar(&l.expect, "expect", "good", "the status every certificate must have: good, held, revoked, or any")
	return c
}

// run does the load; what it is called says which kind it was.
func (l *ocspLoad) run(ctx context.Context) (report, error) {
	name := "ocsp stored"
	switch {
	case l.nonce:
		name = "ocsp nonce"
	case l.once:
		name = "ocsp first"
	}
	c, err := l.assemble(l.open)
	if err != nil {
		return report{}, err
	}
	defer c.Close()
	var done *lap
	if l.rate > 0 {
		done, err = c.paced(ctx, l.length(), l.rate)
	} else {
		done, err = c.work(ctx, l.length())
	}
	if err != nil {
		return report{}, err
	}
	return done.report(name, l.connections)
}

var errNoIssuer = errors.New("its issuer is not among --issuer")

// prepare reads the certificates and encodes a question about each.
func (l *ocspLoad) prepare() error {
	u, err := url.Parse(l.url)
	if err != nil {
		return err
	}
	l.host = u.Host
	l.target = u
	var issuers []*x509.Certificate
	for _, path := range l.issuers {
		found, err := readCertificates(path)
		if err != nil {
			return err
		}
		issuers = append(issuers, found...)
	}
	leaves, err := l.leaves(issuers)
	if err != nil {
		return err
	}
	for _, leaf := range leaves[min(max(l.from, 0), len(leaves)):] {
		q, err := l.question(leaf, issuers)
		if err != nil {
			return fmt.Errorf("certificate %x: %w", leaf.SerialNumber, err)
		}
		l.queries = append(l.queries, q)
	}
	if len(l.queries) == 0 {
		return errNothing
	}
	l.whole = newJudge(l.expect)
	return nil
}

// leaves are the certificates to ask about, or of each as much as a question needs.
func (l *ocspLoad) leaves(issuers []*x509.Certificate) ([]*x509.Certificate, error) {
	if l.serials == "" {
		return readCertificates(l.certificates)
	}
	if len(issuers) == 0 {
		return nil, errNoIssuer
	}
	data, err := os.ReadFile(l.serials)
	if err != nil {
		return nil, err
	}
	var leaves []*x509.Certificate
	for line := range strings.FieldsSeq(string(data)) {
		serial, ok := new(big.Int).SetString(line, 16)
		if !ok {
			return nil, fmt.Errorf("reading %s: %q is no serial", l.serials, line)
		}
		leaves = append(leaves, &x509.Certificate{SerialNumber: serial, RawIssuer: issuers[0].RawSubject})
	}
	return leaves, nil
}

func (l *ocspLoad) question(leaf *x509.Certificate, issuers []*x509.Certificate) (ocspQuery, error) {
	for _, issuer := range issuers {
		if !bytes.Equal(issuer.RawSubject, leaf.RawIssuer) {
			continue
		}
		q := ocspQuery{query: relying.Query{Leaf: leaf, Issuer: issuer, Hash: crypto.SHA1}}
		der, err := q.query.Encode()
		if err != nil {
			return q, err
		}
		if q.id, err = certIDIn(der); err == nil && !l.nonce {
			q.request = l.encode(der)
		}
		return q, err
	}
	return ocspQuery{}, errNoIssuer
}

// certIDIn is the CertID of a request for one certificate: five sequences down.
func certIDIn(der []byte) ([]byte, error) {
	in, id := cryptobyte.String(der), cryptobyte.String(nil)
	for range 4 {
		if !in.ReadASN1(&in, asn1.SEQUENCE) {
			return nil, errors.New("not a request")
		}
	}
	if !in.ReadASN1Element(&id, asn1.SEQUENCE) {
		return nil, errors.New("not a request")
	}
	return id, nil
}

// encode makes the whole HTTP request (RFC 6960 Appendix A.1).
func (l *ocspLoad) encode(der []byte) []byte {
	u := l.target
	if l.post || l.nonce {
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
