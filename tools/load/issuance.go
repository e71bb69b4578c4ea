package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"cardinal/issuance/api"
)

// issuanceLoad registers people, has their cases approved, and measures the
// issuing of their pairs.
type issuanceLoad struct {
	load
	server, manager, sponsor, trust string
	photo, out                      string

	picture []byte
	write   sync.Mutex
	pairs   *os.File
	batch   string
}

func issuanceCommand(out io.Writer) *cobra.Command {
	l := &issuanceLoad{}
	c := &cobra.Command{Use: "issuance", Aliases: []string{"issue"}, Short: "Register people, approve their cases, and issue their pairs", Args: cobra.NoArgs,
		Long: `The rate is of whole ways to a card: register, request, approve, issue. Both certificates of
each pair must carry the keys that were asked for.`,
		Example: "  load issuance --server https://127.0.0.1:8443 --manager operators/manager.pem --sponsor operators/sponsor.pem --trust trust.pem --photo face.jpg --out pairs.pem",
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := l.run(cmd.Context())
			return l.finish(out, r, err)
		}}
	l.flags(c)
	f := c.Flags()
	f.StringVar(&l.server, "server", "https://127.0.0.1:8443", "issuance server")
	f.StringVar(&l.manager, "manager", "", "PEM file of the operator who registers and issues")
	f.StringVar(&l.sponsor, "sponsor", "", "PEM file of the operator who approves")
	f.StringVar(&l.trust, "trust", "", "PEM file of roots")
	f.StringVar(&l.photo, "photo", "", "JPEG or PNG file every person gets")
	f.StringVar(&l.out, "out", "", "PEM file to append the authentication certificates to")
	return c
}

func (l *issuanceLoad) run(ctx context.Context) (r report, err error) {
	if l.picture, err = os.ReadFile(l.photo); err != nil {
		return r, err
	}
	if l.out != "" {
		if l.pairs, err = os.OpenFile(l.out, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
			return r, err
		}
		defer l.pairs.Close()
	}
	l.batch = time.Now().UTC().Format("20060102t150405")
	return l.measure(ctx, "issuance", l.open)
}

func (l *issuanceLoad) open(int) (worker, error) {
	manager, err := l.client(l.manager)
	if err != nil {
		return nil, err
	}
	sponsor, err := l.client(l.sponsor)
	if err != nil {
		return nil, err
	}
	return &issuanceWorker{l: l, manager: manager, sponsor: sponsor}, nil
}

func (l *issuanceLoad) client(path string) (*api.Client, error) {
	return clientOf(l.server, path, l.trust)
}

// issuanceWorker is a registration manager and a sponsor at one desk.
type issuanceWorker struct {
	l                *issuanceLoad
	manager, sponsor *api.Client
}

func (w *issuanceWorker) Close() error {
	w.manager.Close()
	w.sponsor.Close()
	return nil
}

func (w *issuanceWorker) operate(ctx context.Context, n int) error {
	name := fmt.Sprintf("%s-%d-%d", w.l.batch, n/stride, n%stride)
	person, err := w.manager.AddPerson(ctx, w.person(n))
	if err != nil {
		return err
	}
	keys, issued, err := w.enrol(ctx, person.UUID, name)
	if err != nil {
		return err
	}
	if err := carries(issued.Certificates.Authentication, keys.authentication); err != nil {
		return err
	}
	if err := carries(issued.Certificates.Signature, keys.signature); err != nil {
		return err
	}
	return w.l.keep(issued.Certificates.Authentication)
}

// pairKeys are the keys of one card.
type pairKeys struct{ authentication, signature *ecdsa.PrivateKey }

// enrol takes a person from the request of a case to an issued pair.
func (w *issuanceWorker) enrol(ctx context.Context, person, request string) (keys pairKeys, issued *api.Issued, err error) {
	opened, err := w.manager.RequestCase(ctx, api.NewCase{Person: person})
	if err != nil {
		return keys, issued, err
	}
	if _, err := w.sponsor.ApproveCase(ctx, opened.Case, api.Reason{}); err != nil {
		return keys, issued, err
	}
	asked := api.PairRequest{RequestID: request}
	if keys.authentication, asked.AuthenticationCSR, err = newKey(); err != nil {
		return keys, issued, err
	}
	if keys.signature, asked.SignatureCSR, err = newKey(); err != nil {
		return keys, issued, err
	}
	issued, err = w.manager.Issue(ctx, opened.Case, asked)
	return keys, issued, err
}

// person makes somebody no register has met: the names count in letters, and
// no two people have a document in common.
func (w *issuanceWorker) person(n int) api.NewPerson {
	number := fmt.Sprintf("%s%d", w.l.batch, n)
	return api.NewPerson{Given: "Load" + letters(n/stride), Family: "Test" + letters(n%stride) + letters(int(time.Now().UnixMicro())), Birth: "1980-02-29", Photo: w.l.picture,
		Evidence: api.Evidence{Documents: []api.Document{
			{Kind: "passport", Number: "P" + number, Photo: true, Expires: "2099-01-01"},
			{Kind: "driving-licence", Number: "D" + number, Photo: true, Expires: "2099-01-01"},
			{Kind: "bank-statement", Address: true},
		}}}
}

func letters(n int) string {
	b := []byte{}
	for ; n > 0 || len(b) == 0; n /= 26 {
		b = append(b, byte('a'+n%26))
	}
	return string(b)
}

func newKey() (*ecdsa.PrivateKey, string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, "", err
	}
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), nil
}

// carries checks that a certificate is for this key.
func carries(text string, key *ecdsa.PrivateKey) error {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return wrong("the answer holds no certificate: %q", text)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	if !key.PublicKey.Equal(c.PublicKey) {
		return wrong("certificate %x is for another key", c.SerialNumber)
	}
	return nil
}

func (l *issuanceLoad) keep(certificate string) error {
	if l.pairs == nil {
		return nil
	}
	l.write.Lock()
	defer l.write.Unlock()
	_, err := l.pairs.WriteString(certificate)
	return err
}
