package policies_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/smallstep/certificates/cas/apiv1"
	"github.com/smallstep/certificates/cas/softcas"

	"cardinal/certs"
	"cardinal/policies"
)

const publicURL = "http://pki.example.org"

func noon() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

func newKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newSerial(t testing.TB) certs.Serial {
	t.Helper()
	serial, err := certs.NewSerial(time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return serial
}

func defaultSet(t testing.TB) *policies.Set {
	t.Helper()
	set, err := policies.Default()
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// authority is a certificate and the key it signs with.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// sign spends the approval through the same software that signs in earnest.
func sign(t testing.TB, a policies.Approved, key crypto.Signer) *x509.Certificate {
	t.Helper()
	template := a.Template()
	parent := a.Issuer()
	if parent == nil {
		parent = a.Template()
	}
	cas, err := softcas.New(context.Background(), apiv1.Options{CertificateChain: []*x509.Certificate{parent}, Signer: key})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := cas.CreateCertificate(&apiv1.CreateCertificateRequest{
		Template: template, Lifetime: template.NotAfter.Sub(template.NotBefore),
	})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Certificate
}

func newRoot(t testing.TB, set *policies.Set) authority {
	t.Helper()
	key := newKey(t, elliptic.P384())
	approved, err := set.Decide(policies.Request{
		Profile: policies.ProfileRoot, IssuerName: "root", Serial: newSerial(t), Now: noon(),
		Subject: policies.Subject{CommonName: "Cardinal Root"}, PublicKey: key.Public(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return authority{sign(t, approved, key), key}
}

func newIssuing(t testing.TB, set *policies.Set, root authority) authority {
	t.Helper()
	key := newKey(t, elliptic.P256())
	approved, err := set.Decide(policies.Request{
		Profile: policies.ProfileIssuing, Issuer: root.certificate, IssuerName: "root", Serial: newSerial(t), Now: noon(),
		Subject: policies.Subject{CommonName: "Cardinal Issuing"}, PublicKey: key.Public(), PublicURL: publicURL,
	})
	if err != nil {
		t.Fatal(err)
	}
	return authority{sign(t, approved, root.key), key}
}

// request is a sound request for each end-entity profile.
func request(t testing.TB, profile string, issuer authority) policies.Request {
	t.Helper()
	r := policies.Request{
		Profile: profile, Issuer: issuer.certificate, Serial: newSerial(t), Now: noon(),
		PublicKey: newKey(t, elliptic.P256()).Public(), PublicURL: publicURL, Shard: 7, IssuerName: "services",
	}
	switch profile {
	case policies.ProfileAuthentication:
		r.IssuerName = "authentication"
		r.Subject = policies.Subject{UUID: "900000000017", UPN: "900000000017@example.org", Mail: []string{"alex@example.org"}, SID: "S-1-5-21-1-2-3-1104"}
	case policies.ProfileSignature:
		r.IssuerName = "signing"
		r.Subject = policies.Subject{UUID: "900000000017", Given: "Alex Zoë", Family: "O'Example", Mail: []string{"alex@example.org"}}
	case policies.ProfileServer:
		r.Subject = policies.Subject{CommonName: "issuance", DNSNames: []string{"issuance.example.org", "localhost"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}}
	case policies.ProfileOperator:
		r.Subject = policies.Subject{CommonName: "bootstrap-manager"}
	default:
		r.Subject = policies.Subject{CommonName: "station 1"}
	}
	return r
}

func leafProfiles() []string {
	return []string{policies.ProfileAuthentication, policies.ProfileSignature, policies.ProfileResponder,
		policies.ProfileServer, policies.ProfileClient, policies.ProfileOperator, policies.ProfileTimestamping}
}

// wantRefusal checks that err is a *Refusal by the rule.
func wantRefusal(t *testing.T, err error, rule string) {
	t.Helper()
	var refusal *policies.Refusal
	if !errors.As(err, &refusal) {
		t.Fatalf("got %v, want a refusal by %s", err, rule)
	}
	if refusal.Rule != rule {
		t.Fatalf("refused by %s (%s): %s; want %s", refusal.Rule, refusal.Clause, refusal.Detail, rule)
	}
	if refusal.Clause == "" || refusal.Detail == "" {
		t.Fatalf("refusal %s without clause or detail: %+v", rule, refusal)
	}
}

// newRSA gives a key of 2048 bits; it may take seconds.
func newRSA(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
