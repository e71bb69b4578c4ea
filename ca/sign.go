package ca

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/smallstep/certificates/cas/apiv1"
	"github.com/smallstep/certificates/cas/softcas"

	"cardinal/certs"
	"cardinal/policies"
)

// MismatchError says that the signed content is not the approved one: our own
// program, or what holds the key, cannot be trusted. The authority stops.
type MismatchError struct {
	Issuer string
	Serial certs.Serial
}

// Error names the certificate.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("certificate %s of %s was signed with other content than was approved", e.Serial, e.Issuer)
}

// sign spends an approval and makes its certificate. It is the only place where
// a key signs a certificate. With a *MismatchError comes the certificate that
// should not exist.
func (at *hand) sign(ctx context.Context, approved policies.Approved, now time.Time) (*x509.Certificate, error) {
	template := approved.Template()
	if at.Signer == nil {
		return nil, fmt.Errorf("signing with %s: %w", at.name, ErrNoKey)
	}
	if err := approved.Spend(now); err != nil {
		return nil, fmt.Errorf("signing with %s: %w", at.name, err)
	}
	chain := at.Issuer.Certificate
	if approved.Issuer() == nil {
		chain = template // a root signs itself
	} else if !approved.Issuer().Equal(chain) {
		return nil, fmt.Errorf("signing with %s: approved for another authority: %w", at.name, policies.ErrNotApproved)
	}
	cas, err := softcas.New(ctx, apiv1.Options{CertificateChain: []*x509.Certificate{chain}, Signer: at.Signer})
	if err != nil {
		return nil, fmt.Errorf("signing with %s: %w", at.name, err)
	}
	made, err := cas.CreateCertificate(&apiv1.CreateCertificateRequest{
		Template: template, Lifetime: template.NotAfter.Sub(template.NotBefore)})
	if err != nil {
		return nil, fmt.Errorf("signing %s with %s: %w", approved.Serial(), at.name, err)
	}
	if !bytes.Equal(made.Certificate.RawTBSCertificate, approved.TBS()) {
		return made.Certificate, &MismatchError{Issuer: at.name, Serial: approved.Serial()}
	}
	return made.Certificate, nil
}
