package policies_test

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/policies"
)

func need(t *testing.T, program, pkg string) {
	t.Helper()
	if testing.Short() {
		t.Skip("short")
	}
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("needs %s: apt-get install -y %s", program, pkg)
	}
}

func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// chain writes root.pem, issuing.pem and one file a profile.
func chain(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	set := defaultSet(t)
	root := newRoot(t, set)
	issuing := newIssuing(t, set, root)
	write := func(name string, der []byte) {
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
		if err := os.WriteFile(filepath.Join(folder, name+".pem"), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("root", root.certificate.Raw)
	write("issuing", issuing.certificate.Raw)
	for _, profile := range leafProfiles() {
		approved, err := set.Decide(request(t, profile, issuing))
		if err != nil {
			t.Fatal(err)
		}
		write(profile, sign(t, approved, issuing.key).Raw)
	}
	return folder
}

func TestOpenSSLReadsWhatTheProfilesSay(t *testing.T) {
	t.Parallel()
	need(t, "openssl", "openssl")
	folder := chain(t)
	wants := map[string][]string{
		"root": {"CA:TRUE", "Certificate Sign, CRL Sign", "ecdsa-with-SHA384", "Not After : Nov 21 11:54:59 2046 GMT"},
		"issuing": {"CA:TRUE, pathlen:0", "Certificate Sign, CRL Sign", "URI:http://pki.example.org/crl/root",
			"CA Issuers - URI:http://pki.example.org/ca/root.cer", "X509v3 Any Policy", "2036 GMT"},
		"authentication": {"Subject: O = Cardinal, OU = People, CN = 900000000017", "X509v3 Key Usage: critical\n                Digital Signature\n",
			"TLS Web Client Authentication, Microsoft Smartcard Login, PKINIT Client Auth", "CA:FALSE", "othername: UPN::900000000017@example.org",
			"email:alex@example.org", "1.3.6.1.4.1.311.25.2:", "S-1-5-21-1-2-3-1104", "OCSP - URI:http://pki.example.org/ocsp",
			"CA Issuers - URI:http://pki.example.org/ca/authentication.cer", "URI:http://pki.example.org/crl/authentication/7.crl",
			"Policy: 1.3.6.1.4.1.32473.1.1", "Not Before: Nov 21 11:55:00 2026 GMT", "Not After : Nov 21 11:54:59 2029 GMT",
			"X509v3 Subject Key Identifier", "X509v3 Authority Key Identifier"},
		"signature": {"X509v3 Key Usage: critical\n                Non Repudiation\n", "1.3.6.1.5.5.7.3.36", "E-mail Protection",
			"CN = 900000000017_Alex-Zo", "SN = O'Example", "GN = Alex Zo", "Not After : Nov 21 11:54:59 2029 GMT", "crl/signing/7.crl"},
		"responder": {"OCSP Signing", "OCSP No Check", "Not After : Nov 23 11:54:59 2026 GMT"},
		"server":    {"TLS Web Server Authentication", "DNS:issuance.example.org, DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1"},
		"client":    {"TLS Web Client Authentication"},
		"operator":  {"OU = Operators, CN = bootstrap-manager", "Not After : Dec 21 11:54:59 2026 GMT"},
	}
	for profile, texts := range wants {
		out := run(t, "openssl", "x509", "-in", filepath.Join(folder, profile+".pem"), "-noout", "-text")
		for _, want := range texts {
			if !strings.Contains(out, want) {
				t.Errorf("%s: openssl does not show %q\n%s", profile, want, out)
			}
		}
	}
	verify := func(purpose, profile string) {
		t.Helper()
		run(t, "openssl", "verify", "-x509_strict", "-policy_check", "-attime", "1795262400", "-purpose", purpose,
			"-CAfile", filepath.Join(folder, "root.pem"), "-untrusted", filepath.Join(folder, "issuing.pem"), filepath.Join(folder, profile+".pem"))
	}
	verify("sslclient", "authentication")
	verify("smimesign", "signature")
	verify("ocsphelper", "responder")
	verify("sslserver", "server")
	verify("sslclient", "client")
	verify("sslclient", "operator")
}

func TestGnuTLSReadsWhatTheProfilesSay(t *testing.T) {
	t.Parallel()
	need(t, "certtool", "gnutls-bin")
	folder := chain(t)
	wants := map[string][]string{
		"issuing":        {"Certificate Authority (CA): TRUE", "Path Length Constraint: 0", "Certificate signing", "CRL signing"},
		"authentication": {"Key Usage (critical):\n\t\t\tDigital signature.\n", "Smart Card Logon", "1.3.6.1.5.2.3.4", "TLS WWW Client", "900000000017@example.org"},
		"signature":      {"Key Usage (critical):\n\t\t\tNon repudiation.\n", "Email protection", "1.3.6.1.5.5.7.3.36"},
		"responder":      {"OCSP signing"},
	}
	for profile, texts := range wants {
		out := run(t, "certtool", "--certificate-info", "--infile", filepath.Join(folder, profile+".pem"))
		for _, want := range texts {
			if !strings.Contains(out, want) {
				t.Errorf("%s: certtool does not show %q\n%s", profile, want, out)
			}
		}
	}
}

// TestDraftAndSignatureAgreeForEveryIssuerKey covers what the algorithm in the
// to-be-signed part depends on.
func TestDraftAndSignatureAgreeForEveryIssuerKey(t *testing.T) {
	t.Parallel()
	set := defaultSet(t)
	root := newRoot(t, set)
	if testing.Short() {
		t.Skip("short")
	}
	for _, key := range []authority{{key: newKey(t, elliptic.P256())}, {key: newKey(t, elliptic.P384())}, {key: newRSA(t)}} {
		approved, err := set.Decide(policies.Request{
			Profile: policies.ProfileIssuing, Issuer: root.certificate, IssuerName: "root", Serial: newSerial(t), Now: noon(),
			Subject: policies.Subject{CommonName: "Cardinal Authentication", Organization: "Example Trust"}, PublicKey: key.key.Public(), PublicURL: publicURL + "/",
		})
		if err != nil {
			t.Fatal(err)
		}
		key.certificate = sign(t, approved, root.key)
		leaf, err := set.Decide(request(t, policies.ProfileSignature, key))
		if err != nil {
			t.Fatal(err)
		}
		signed := sign(t, leaf, key.key)
		if !bytes.Equal(signed.RawTBSCertificate, leaf.TBS()) || signed.CheckSignatureFrom(key.certificate) != nil {
			t.Errorf("%T: signed bytes differ from the approved", key.key.Public())
		}
		if serial, err := certs.SerialFromBig(signed.SerialNumber); err != nil || serial != leaf.Serial() {
			t.Errorf("serial %s, %v", serial, err)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	set := defaultSet(b)
	issuing := newIssuing(b, set, newRoot(b, set))
	r := request(b, policies.ProfileSignature, issuing)
	for b.Loop() {
		if _, err := set.Decide(r); err != nil {
			b.Fatal(err)
		}
	}
}
