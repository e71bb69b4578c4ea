package main

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/cloudflare/cfssl/certinfo"
	"github.com/spf13/cobra"

	"cardinal/issuance/api"
)

func certCommand(a *app) *cobra.Command {
	d := &desk{a: a}
	return d.flags(parent("cert", "Look at certificates", "  cardinal cert show alex.pem", certShow(d)))
}

// shownCertificate is one certificate with what the register says of it, when
// it was asked by serial.
type shownCertificate struct {
	Serial      string                `json:"serial"` // lower-case hex; certinfo's own is decimal
	Record      *api.Certificate      `json:"record,omitempty"`
	Certificate *certinfo.Certificate `json:"certificate"`
}

// certShow prints a file's certificates, or those of record with a serial.
func certShow(d *desk) *cobra.Command {
	ask := d.command(deskCommand{use: "show FILE|SERIAL", short: "Show a certificate from a file, or those of record with a serial", args: cobra.ExactArgs(1),
		example: "cardinal cert show 7f3a09 --json",
		ask: func(ctx context.Context, c *api.Client, args []string) error {
			list, err := c.Certificates(ctx, strings.ToLower(args[0]))
			if err != nil {
				return err
			}
			for i := range list.Certificates {
				of, err := x509.ParseCertificate(list.Certificates[i].DER)
				if err != nil {
					return err
				}
				if err := showCertificate(d.a, of, &list.Certificates[i]); err != nil {
					return err
				}
			}
			return nil
		}})
	overAPI := ask.RunE
	ask.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := os.Stat(args[0]); err != nil && isSerial(args[0]) {
			return overAPI(cmd, args)
		}
		return showCertificateFile(d.a, args[0])
	}
	return ask
}

var errNoCertificate = errors.New("holds no certificate")

func isSerial(text string) bool {
	if len(text)%2 == 1 {
		text = "0" + text
	}
	_, err := hex.DecodeString(text)
	return err == nil
}

func showCertificateFile(a *app, path string) error {
	found, err := readCertificates(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return usage("reading the certificate", err)
	case err != nil:
		return wrong("reading the certificate "+path, err)
	}
	for _, c := range found {
		if err := showCertificate(a, c, nil); err != nil {
			return err
		}
	}
	return nil
}

func readCertificates(path string) ([]*x509.Certificate, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseCertificates(data)
}

// parseCertificates reads DER, or every certificate of a PEM file.
func parseCertificates(data []byte) (found []*x509.Certificate, err error) {
	block, rest := pem.Decode(data)
	if block == nil {
		return x509.ParseCertificates(data)
	}
	for ; block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		found = append(found, c)
	}
	if len(found) == 0 {
		return nil, errNoCertificate
	}
	return found, nil
}

func showCertificate(a *app, c *x509.Certificate, record *api.Certificate) error {
	serial := hex.EncodeToString(c.SerialNumber.Bytes())
	data := shownCertificate{Serial: serial, Record: record, Certificate: certinfo.ParseCertificate(c)}
	return a.print(data, func(w io.Writer) {
		row(w, "subject", c.Subject)
		row(w, "issuer", c.Issuer)
		row(w, "serial", serial)
		row(w, "valid", c.NotBefore.Format(time.RFC3339)+" to "+c.NotAfter.Format(time.RFC3339))
		row(w, "key", c.PublicKeyAlgorithm)
		row(w, "ocsp", strings.Join(c.OCSPServer, " "))
		row(w, "crl", strings.Join(c.CRLDistributionPoints, " "))
		if record != nil {
			row(w, "profile", record.Profile)
			row(w, "holder", record.Holder)
			row(w, "card", record.Card)
			row(w, "status", record.Status.State+" "+record.Status.Reason)
		}
	})
}
