package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"cardinal/issuance/api"
)

// staffing gives people cards of their own, whose keys are in files: those who
// ask for orders, and those whom orders leave alone.
type staffing struct {
	installation
	out              string
	security, others int
	breakGlass       bool
}

func staffCommand(out io.Writer) *cobra.Command {
	s := &staffing{}
	c := &cobra.Command{Use: "staff", Short: "Register security administrators and others, and issue their cards into files", Args: cobra.NoArgs,
		Long: `Each person's authentication certificate and key are in OUT/NAME.pem, the card's number in OUT/NAME.card:
security-0, security-1 …, other-0 …; OUT/pair holds the pair of one, as load seed wants it. With
--break-glass all of them are cards that orders on many leave working.`,
		Example: "  load staff --folder cards --out staff --security 2 --others 1 --break-glass",
		RunE:    func(cmd *cobra.Command, _ []string) error { return s.run(cmd.Context(), out) }}
	s.installation.flags(c)
	c.Flags().StringVar(&s.out, "out", "staff", "folder for their files")
	c.Flags().IntVar(&s.security, "security", 2, "security administrators")
	c.Flags().IntVar(&s.others, "others", 1, "people without any such role")
	c.Flags().BoolVar(&s.breakGlass, "break-glass", false, "orders on many leave their cards working")
	return c
}

// employee is one of them.
type employee struct {
	name, card string
	key        *ecdsa.PrivateKey
	pair       api.Certificates
}

func (s *staffing) run(ctx context.Context, out io.Writer) error {
	at, err := s.addresses()
	if err != nil {
		return err
	}
	var face bytes.Buffer
	if err := paint(&face); err != nil {
		return err
	}
	l := &issuanceLoad{server: at.Issuance, manager: s.path("operators", "manager.pem"), sponsor: s.path("operators", "sponsor.pem"),
		trust: s.path("trust.pem"), picture: face.Bytes(), batch: time.Now().UTC().Format("20060102t150405")}
	w, err := l.open(0)
	if err != nil {
		return err
	}
	defer w.Close()
	var all []*employee
	for i := range s.security + s.others {
		e := &employee{name: fmt.Sprintf("security-%d", i)}
		if i >= s.security {
			e.name = fmt.Sprintf("other-%d", i-s.security)
		}
		if err := s.employ(ctx, w.(*issuanceWorker), i, e); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
		all = append(all, e)
	}
	if err := s.write(all); err != nil {
		return err
	}
	if s.breakGlass {
		if err := s.spare(ctx, all); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(out, "%d cards in %s\n", len(all), s.out)
	return err
}

// employ takes one person all the way to a card.
func (s *staffing) employ(ctx context.Context, w *issuanceWorker, i int, e *employee) error {
	person, err := w.manager.AddPerson(ctx, w.person(i))
	if err != nil {
		return err
	}
	if i < s.security {
		post := api.NewPosition{Organisation: "X98", OrganisationName: "LOAD", JobRoleCode: "S8000:G8000:X9001", JobRole: `"A":"B":"Security"`}
		if _, err := w.manager.AddPosition(ctx, person.UUID, post); err != nil {
			return err
		}
	}
	keys, issued, err := w.enrol(ctx, person.UUID, w.l.batch+"-"+e.name)
	if err != nil {
		return err
	}
	e.key, e.card, e.pair = keys.authentication, issued.Card, issued.Certificates
	_, err = w.manager.HandOver(ctx, e.card, api.Reason{})
	return err
}

func (s *staffing) write(all []*employee) error {
	if err := os.MkdirAll(filepath.Join(s.out, "pair"), 0o700); err != nil {
		return err
	}
	files := map[string]string{}
	for _, e := range all {
		if whole(e.pair.Authentication) && whole(e.pair.Signature) {
			files["pair/authentication.pem"], files["pair/signature.pem"] = e.pair.Authentication, e.pair.Signature
		}
		der, err := x509.MarshalPKCS8PrivateKey(e.key)
		if err != nil {
			return err
		}
		files[e.name+".pem"] = e.pair.Authentication + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
		files[e.name+".card"] = e.card + "\n"
	}
	var err error
	for name, text := range files {
		err = errors.Join(err, os.WriteFile(filepath.Join(s.out, name), []byte(text), 0o600))
	}
	return err
}

// whole reports a serial of 16 octets, which one in 128 is not: others can take
// its place octet for octet.
func whole(certificate string) bool {
	block, _ := pem.Decode([]byte(certificate))
	if block == nil {
		return false
	}
	c, err := x509.ParseCertificate(block.Bytes)
	return err == nil && len(c.SerialNumber.Bytes()) == 16
}

// spare puts every card into the break-glass set; nobody does it to his own.
func (s *staffing) spare(ctx context.Context, all []*employee) error {
	var asked [2]*api.Client
	for i := range asked {
		c, err := s.client(filepath.Join(s.out, fmt.Sprintf("security-%d.pem", i)))
		if err != nil {
			return err
		}
		defer c.Close()
		asked[i] = c
	}
	for i, e := range all {
		by := asked[0]
		if i == 0 {
			by = asked[1]
		}
		if _, err := by.AddBreakGlass(ctx, e.card, api.Reason{Reason: "measuring"}); err != nil {
			return fmt.Errorf("break-glass card of %s: %w", e.name, err)
		}
	}
	return nil
}
