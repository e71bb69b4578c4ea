package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cardinal/certs"
)

func crlVerify(a *app) *cobra.Command {
	var trust string
	c := &cobra.Command{Use: "verify FILE|URL…", Short: "Check lists as a relying system should", Args: cobra.MinimumNArgs(1),
		Long: `Checks each list: its form, its signature under one of the CAs in --trust, its dates, its number,
and that what was fetched from a URL is the list of that URL. Exits with 1 if one of them is not as
it should be.`,
		Example: "  cardinal crl verify --trust cards/trust.pem http://pki.example.org/crl/signing/3.crl",
		RunE: func(cmd *cobra.Command, args []string) error {
			cas, err := readCertificates(trust)
			if err != nil {
				return usage("reading the CAs to trust", err)
			}
			var all []verifiedList
			bad := 0
			for _, from := range args {
				v := a.verifyList(cmd.Context(), from, cas)
				if len(v.Wrong) > 0 {
					bad++
				}
				all = append(all, v)
			}
			err = a.print(all, func(w io.Writer) {
				for i := range all {
					all[i].table(w)
				}
			})
			if bad > 0 && err == nil {
				err = wrong("crl verify", fmt.Errorf("%d of %d lists are not as they should be", bad, len(args)))
			}
			return err
		}}
	c.Flags().StringVar(&trust, "trust", "trust.pem", "PEM file with the CAs, as cardinal init leaves it")
	return c
}

// verifiedList is what was found out about one list.
type verifiedList struct {
	From       string    `json:"from"`
	Issuer     string    `json:"issuer,omitempty"`
	Number     string    `json:"number,omitempty"`
	Base       string    `json:"base,omitempty"`
	Scope      string    `json:"scope,omitempty"` // the URL in issuingDistributionPoint; empty: every certificate
	ThisUpdate time.Time `json:"this_update,omitzero"`
	NextUpdate time.Time `json:"next_update,omitzero"`
	Entries    int       `json:"entries"`
	Wrong      []string  `json:"wrong"`
}

func (v *verifiedList) table(w io.Writer) {
	verdict := "good"
	if len(v.Wrong) > 0 {
		verdict = "WRONG"
	}
	row(w, v.From, verdict, v.Issuer, "number "+or(v.Number, "?"), fmt.Sprintf("%d entries", v.Entries))
	for _, why := range v.Wrong {
		row(w, "", "  "+why)
	}
}

func (v *verifiedList) wrong(format string, args ...any) {
	v.Wrong = append(v.Wrong, fmt.Sprintf(format, args...))
}

// maxFetchedList bounds what crl verify takes from a URL or a file.
const maxFetchedList = 256 << 20

func (a *app) verifyList(ctx context.Context, from string, cas []*x509.Certificate) verifiedList {
	v := verifiedList{From: from, Wrong: []string{}}
	data, err := readList(ctx, from)
	if err != nil {
		v.wrong("it cannot be read: %v", err)
		return v
	}
	if block, _ := pem.Decode(data); block != nil {
		data = block.Bytes
	}
	list, err := x509.ParseRevocationList(data)
	if err != nil {
		v.wrong("it is no certificate list in DER or PEM: %v", err)
		return v
	}
	v.Issuer, v.ThisUpdate, v.NextUpdate, v.Entries = list.Issuer.String(), list.ThisUpdate, list.NextUpdate, len(list.RevokedCertificateEntries)
	v.checkIssuer(list, cas)
	v.checkDates(a.now())
	v.checkExtensions(list)
	return v
}

// fetchWait is how long a list may take: a long one over a slow line.
const fetchWait = 2 * time.Minute

func readList(ctx context.Context, from string) ([]byte, error) {
	if !strings.HasPrefix(from, "http://") && !strings.HasPrefix(from, "https://") {
		f, err := os.Open(from)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return io.ReadAll(io.LimitReader(f, maxFetchedList))
	}
	ctx, cancel := context.WithTimeout(ctx, fetchWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answers %s", answer.Status)
	}
	return io.ReadAll(io.LimitReader(answer.Body, maxFetchedList))
}

var errNotListed = errors.New("it may not sign lists")

// checkIssuer looks for the CA by name, and among several of that name for the
// one whose key signed.
func (v *verifiedList) checkIssuer(list *x509.RevocationList, cas []*x509.Certificate) {
	var why error
	named := false
	for _, c := range cas {
		if !bytes.Equal(c.RawSubject, list.RawIssuer) {
			continue
		}
		named = true
		if why = list.CheckSignatureFrom(c); why == nil && c.KeyUsage&x509.KeyUsageCRLSign == 0 {
			why = errNotListed
		}
		if why == nil {
			return
		}
	}
	switch {
	case !named:
		v.wrong("none of the %d CAs to trust is called %s: is --trust the file of this installation?", len(cas), v.Issuer)
	default:
		v.wrong("the signature does not hold: %v", why)
	}
}

func (v *verifiedList) checkDates(now time.Time) {
	switch {
	case v.NextUpdate.IsZero():
		v.wrong("it does not say when the next is due (nextUpdate)")
	case now.After(v.NextUpdate):
		v.wrong("the next was due %s ago: see why there is none, and cardinal crl publish", now.Sub(v.NextUpdate).Round(time.Second))
	}
	if v.ThisUpdate.After(now.Add(time.Minute)) {
		v.wrong("it is of %s, which is to come: one of the clocks is wrong", v.ThisUpdate.Format(time.RFC3339))
	}
}

func (v *verifiedList) checkExtensions(list *x509.RevocationList) {
	if list.Number == nil {
		v.wrong("it has no number (cRLNumber)")
	} else {
		v.Number = list.Number.String()
	}
	for _, x := range list.Extensions {
		switch x.Id.String() {
		case certs.OIDDeltaCRLIndicator:
			var base *big.Int
			if _, err := asn1.Unmarshal(x.Value, &base); err != nil || !x.Critical {
				v.wrong("its deltaCRLIndicator cannot be read, or is not critical")
				continue
			}
			v.Base = base.String()
		case certs.OIDIssuingDistribution:
			v.Scope = scopeOf(x.Value)
			if !x.Critical || v.Scope == "" {
				v.wrong("its issuingDistributionPoint cannot be read, or is not critical")
			}
		}
	}
	from := strings.Replace(v.From, "-delta.crl", ".crl", 1)
	if strings.HasPrefix(from, "http") && v.Scope != "" && v.Scope != from {
		v.wrong("it is the list of %s: it says nothing about certificates that name %s", v.Scope, from)
	}
}

// scopeOf is the one URL of an IssuingDistributionPoint; "" if it has none.
func scopeOf(der []byte) string {
	var point struct {
		Name struct {
			Full []asn1.RawValue `asn1:"optional,tag:0"`
		} `asn1:"optional,tag:0"`
	}
	if _, err := asn1.Unmarshal(der, &point); err != nil || len(point.Name.Full) == 0 {
		return ""
	}
	return string(point.Name.Full[0].Bytes)
}
