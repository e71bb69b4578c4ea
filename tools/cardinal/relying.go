package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"cardinal/certs"
	"cardinal/directory"
	"cardinal/ocsp/relying"
)

// expiryAlert is how many days before the end of a certificate a login warns its holder: the window
// in which holders may renew their own card.
const expiryAlert = 90

// loginTimeout bounds each network step of a login. A patient waits: a relying system that has not
// heard within this time says so and refuses.
const loginTimeout = 10 * time.Second

// relyingSystem is a hospital application at a login: it trusts a root, knows where the directory
// is, and takes everything else from the card's certificate.
type relyingSystem struct {
	trust     *x509.CertPool // roots
	issuers   []*x509.Certificate
	directory string            // ldap:// or ldaps:// URL
	identity  []tls.Certificate // what it shows the directory
	suffix    string
	now       func() time.Time
	london    *time.Location // in whose days roles open and close
}

// loginStep is one step of a login with the time it took.
type loginStep struct {
	Step   string  `json:"step"`
	OK     bool    `json:"ok"`
	Millis float64 `json:"ms"`
	Detail string  `json:"detail"`
}

// loginReport is what a login found. Refused names the reason when the holder may not enter.
type loginReport struct {
	User    string        `json:"user"`
	Name    string        `json:"name"`
	Roles   []loginRole   `json:"roles"`
	Card    string        `json:"cardStatus,omitempty"` // as the directory has it
	CardID  string        `json:"card,omitempty"`
	Days    int           `json:"expiresInDays"` // days in London from today
	Ends    string        `json:"ends"`          // day in London
	Alert   string        `json:"alert,omitempty"`
	Refused string        `json:"refused,omitempty"`
	Steps   []loginStep   `json:"steps"`
	Total   time.Duration `json:"-"`
}

// loginRole is one role profile the holder may choose for the session.
type loginRole struct {
	ID           string `json:"id"`
	Organisation string `json:"organisation"`
	Name         string `json:"organisationName"`
	Job          string `json:"job"`
	JobCode      string `json:"jobCode"`
}

// refusedLogin says that the card itself was judged and found wanting, as opposed to a service that
// could not be asked.
type refusedLogin struct{ why string }

func (e *refusedLogin) Error() string { return e.why }

// step runs one part of the login and notes it in the report.
func (r *loginReport) step(name string, run func() (string, error)) error {
	begin := time.Now()
	detail, err := run()
	took := time.Since(begin)
	if err != nil {
		detail = err.Error()
		var refused *refusedLogin
		if errors.As(err, &refused) {
			r.Refused = refused.why
		}
	}
	r.Total += took
	r.Steps = append(r.Steps, loginStep{Step: name, OK: err == nil, Millis: float64(took.Microseconds()) / 1000, Detail: detail})
	return err
}

// login does what a relying system does when a card is put into its reader: it has the card prove
// its key in a TLS handshake, checks the chain to the root, asks OCSP whether the card still counts,
// and reads the holder, the card and the roles in one search. The report holds every step up to the first that
// failed; the error of a card that must not enter is *refusedLogin.
func (s *relyingSystem) login(ctx context.Context, holder tls.Certificate) (*loginReport, error) {
	report := &loginReport{}
	var leaf, issuer *x509.Certificate
	err := report.step("handshake", func() (detail string, err error) {
		leaf, err = proveKey(ctx, holder)
		if err != nil {
			return "", err
		}
		return "the card proved the key of " + leaf.Subject.CommonName, nil
	})
	if err != nil {
		return report, err
	}
	err = report.step("chain", func() (detail string, err error) {
		issuer, err = s.checkChain(leaf)
		if err != nil {
			return "", err
		}
		return "issued by " + issuer.Subject.CommonName, nil
	})
	if err != nil {
		return report, err
	}
	report.User = leaf.Subject.CommonName
	report.expiry(leaf.NotAfter, s.now(), s.london)
	if err := report.step("status", func() (string, error) { return s.checkStatus(ctx, leaf, issuer) }); err != nil {
		return report, err
	}
	return report, report.step("directory", func() (string, error) { return s.readRoles(ctx, report) })
}

func (r *loginReport) expiry(end, now time.Time, london *time.Location) {
	r.Days, r.Ends, r.Alert = directory.DaysUntil(end, now, london), end.In(london).Format("2 January 2006"), ""
	if r.Days < expiryAlert {
		r.Alert = fmt.Sprintf("your card's certificates end in %d days, on %s: renew them now", r.Days, r.Ends)
	}
}

// checkChain verifies the certificate to the trusted root and that it is one for signing in with a
// card; the issuer comes from the trust file, never from the card.
func (s *relyingSystem) checkChain(leaf *x509.Certificate) (*x509.Certificate, error) {
	pool := x509.NewCertPool()
	for _, issuer := range s.issuers {
		pool.AddCert(issuer)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots: s.trust, Intermediates: pool, CurrentTime: s.now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil, &refusedLogin{why: fmt.Sprintf("the certificate is not trusted: %v", err)}
	}
	if !slices.ContainsFunc(leaf.UnknownExtKeyUsage, certs.OID(certs.OIDSmartcardLogon).Equal) {
		return nil, &refusedLogin{why: "the certificate is not for signing in with a smartcard"}
	}
	if _, err := certs.ParseUUID(leaf.Subject.CommonName); err != nil {
		return nil, &refusedLogin{why: fmt.Sprintf("the certificate names no user: %v", err)}
	}
	return chains[0][1], nil
}

// checkStatus asks the responder named in the certificate, with a nonce, so that the answer is of
// this moment.
func (s *relyingSystem) checkStatus(ctx context.Context, leaf, issuer *x509.Certificate) (string, error) {
	if len(leaf.OCSPServer) == 0 {
		return "", &refusedLogin{why: "the certificate names no OCSP responder"}
	}
	query, err := relying.NewQuery(leaf, issuer)
	if err != nil {
		return "", err
	}
	client := &http.Client{Timeout: loginTimeout}
	defer client.CloseIdleConnections()
	answer, err := query.Ask(ctx, client, leaf.OCSPServer[0], s.now)
	if err != nil {
		return "", err
	}
	switch {
	case answer.Good():
		return "good, says " + leaf.OCSPServer[0], nil
	case !answer.Known:
		return "", &refusedLogin{why: "the certificate is unknown to its issuer's responder"}
	case answer.Status.State == certs.StateHeld:
		return "", &refusedLogin{why: "the card is suspended since " + answer.Status.At.Format(time.RFC3339)}
	}
	return "", &refusedLogin{why: fmt.Sprintf("the card is revoked since %s (%s)", answer.Status.At.Format(time.RFC3339), answer.Status.Reason)}
}

// summary is the report in a sentence.
func (r *loginReport) summary() string {
	if r.Refused != "" {
		return "refused: " + r.Refused
	}
	names := make([]string, len(r.Roles))
	for i, role := range r.Roles {
		names[i] = role.Job + " at " + role.Name
	}
	return fmt.Sprintf("%s (%s), card %s, roles: %s", r.Name, r.User, or(r.Card, "of unknown status"), strings.Join(names, "; "))
}
