package ocsp_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"
	xocsp "golang.org/x/crypto/ocsp"

	"cardinal/certs"
	"cardinal/internal/nginxtest"
)

// need skips a test whose program is missing.
func need(t *testing.T, program, pkg string) {
	t.Helper()
	if testing.Short() {
		t.Skip("short")
	}
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("needs %s: apt-get install -y %s", program, pkg)
	}
}

// run starts a program and returns what it wrote and its exit code.
func run(t *testing.T, dir, program string, args ...string) (output string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return out.String(), exit.ExitCode()
	case err != nil:
		t.Fatalf("%s: %v\n%s", program, err, out.String())
	}
	return out.String(), 0
}

func writePEM(t *testing.T, dir, name string, c *x509.Certificate) string {
	t.Helper()
	path := filepath.Join(dir, name+".pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".der"), c.Raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// stage is a responder with one certificate in each state, as files.
type stage struct {
	*world
	dir     string
	certs   map[string]*x509.Certificate
	foreign *authority
	talkers map[string]*talker
	nginx   *nginxtest.Server // once it runs
}

func newStage(t *testing.T) *stage {
	s := &stage{world: newWorld(t), dir: t.TempDir(), certs: map[string]*x509.Certificate{}, talkers: map[string]*talker{}}
	s.counts = true
	url := s.serve()
	s.ready()
	for _, name := range []string{"good", "revoked", "held", "released", "unknown", "lost"} {
		s.certs[name] = s.leaf(s.auth, url)
		writePEM(t, s.dir, name, s.certs[name])
		if name != "unknown" {
			s.record(s.auth, s.certs[name])
		}
	}
	s.foreign = newAuthority(t, "foreign")
	s.certs["foreign"] = s.leaf(s.foreign, url)
	writePEM(t, s.dir, "foreign", s.certs["foreign"])
	writePEM(t, s.dir, "foreign-ca", s.foreign.cert)
	s.set(s.auth, revoked(certs.ReasonKeyCompromise), s.certs["revoked"])
	s.set(s.auth, held(), s.certs["held"], s.certs["released"])
	s.set(s.auth, certs.Status{}, s.certs["released"])
	writePEM(t, s.dir, "ca", s.auth.cert)
	return s
}

func (s *stage) url() string { return s.server.URL + "/ocsp" }

func TestOpenSSLIsToldReasonAndTime(t *testing.T) {
	t.Parallel()
	need(t, "openssl", "openssl")
	s := newStage(t)
	for name, reason := range map[string]string{"revoked": "Reason: keyCompromise", "held": "Reason: certificateHold"} {
		out, _ := run(t, s.dir, "openssl", "ocsp", "-issuer", "ca.pem", "-sha512", "-cert", name+".pem", "-url", s.url(), "-CAfile", "ca.pem")
		if !strings.Contains(out, reason) || !strings.Contains(out, "Revocation Time:") || !strings.Contains(out, "Response verify OK") {
			t.Errorf("reason or time is missing:\n%s", out)
		}
	}
}

func TestOpenSSLAgreesAboutSeveralAtOnce(t *testing.T) {
	t.Parallel()
	need(t, "openssl", "openssl")
	s := newStage(t)
	out, code := run(t, s.dir, "openssl", "ocsp", "-issuer", "ca.pem", "-cert", "good.pem", "-cert", "revoked.pem", "-cert", "unknown.pem",
		"-url", s.url(), "-CAfile", "ca.pem")
	for _, line := range []string{"good.pem: good", "revoked.pem: revoked", "unknown.pem: unknown", "Response verify OK"} {
		if !strings.Contains(out, line) || code != 0 || strings.Contains(out, "WARNING") {
			t.Errorf("exit %d, %q is missing:\n%s", code, line, out)
		}
	}
	// A signed request: the asker's certificate does not matter.
	key := filepath.Join(s.dir, "key.pem")
	if out, code := run(t, s.dir, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
		"-keyout", key, "-out", "asker.pem", "-subj", "/CN=asker", "-days", "2"); code != 0 {
		t.Fatal(out)
	}
	out, code = run(t, s.dir, "openssl", "ocsp", "-issuer", "ca.pem", "-cert", "good.pem", "-signer", "asker.pem", "-signkey", key,
		"-url", s.url(), "-CAfile", "ca.pem")
	if code != 0 || !strings.Contains(out, "good.pem: good") {
		t.Errorf("signed request: exit %d\n%s", code, out)
	}
}

func TestOpenSSLAcceptsAnswersToGet(t *testing.T) {
	t.Parallel()
	need(t, "openssl", "openssl")
	s := newStage(t)
	for name, verdict := range map[string]string{"good": ": good", "revoked": ": revoked", "unknown": ": unknown"} {
		if out, code := run(t, s.dir, "openssl", "ocsp", "-issuer", "ca.pem", "-sha256", "-cert", name+".pem", "-no_nonce", "-reqout", "request"); code != 0 {
			t.Fatal(out)
		}
		request, err := os.ReadFile(filepath.Join(s.dir, "request"))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client(t).Get(s.server.URL + getPath(request))
		if err != nil {
			t.Fatal(err)
		}
		err = os.WriteFile(filepath.Join(s.dir, "answer"), bodyOf(t, answer), 0o600)
		_ = answer.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		out, code := run(t, s.dir, "openssl", "ocsp", "-respin", "answer", "-issuer", "ca.pem", "-sha256", "-cert", name+".pem", "-CAfile", "ca.pem", "-no_nonce")
		if code != 0 || !strings.Contains(out, name+".pem"+verdict) || !strings.Contains(out, "Response verify OK") {
			t.Errorf("%s: exit %d\n%s", name, code, out)
		}
	}
}

func TestOpenSSLReadsTheBundleOfCACertificates(t *testing.T) {
	t.Parallel()
	need(t, "openssl", "openssl")
	w := newWorld(t)
	dir := t.TempDir()
	r := w.call("GET", "/ca/signing.p7c", nil)
	if err := os.WriteFile(filepath.Join(dir, "ca.p7c"), bodyOf(t, r), 0o600); err != nil {
		t.Fatal(err)
	}
	out, code := run(t, dir, "openssl", "pkcs7", "-inform", "DER", "-in", "ca.p7c", "-print_certs")
	if code != 0 || !strings.Contains(out, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.signing.cert.Raw}))) {
		t.Errorf("exit %d\n%s", code, out)
	}
}

// nssStore is a fresh certificate store that trusts the CA.
func (s *stage) nssStore(t *testing.T) string {
	t.Helper()
	store := "sql:" + t.TempDir()
	for _, args := range [][]string{{"-N", "-d", store, "--empty-password"},
		{"-A", "-d", store, "-n", "ca", "-t", "CT,C,C", "-i", "ca.der"}} {
		if out, code := run(t, s.dir, "certutil", args...); code != 0 {
			t.Fatal(out)
		}
	}
	return store
}

func TestOldNSSClientAgrees(t *testing.T) {
	t.Parallel()
	need(t, "ocspclnt", "libnss3-tools")
	need(t, "certutil", "libnss3-tools")
	s := newStage(t)
	store := s.nssStore(t)
	for name, verdict := range map[string]string{"good": "succeeded", "revoked": "revoked"} {
		if out, code := run(t, s.dir, "certutil", "-A", "-d", store, "-n", name, "-t", ",,", "-i", name+".der"); code != 0 {
			t.Fatal(out)
		}
		out, _ := run(t, s.dir, "ocspclnt", "-d", strings.TrimPrefix(store, "sql:"), "-V", name, "-u", "c")
		if !strings.Contains(strings.ToLower(out), verdict) {
			t.Errorf("ocspclnt %s:\n%s", name, out)
		}
	}
}

func TestZlintFindsNothingWrong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serve()
	w.ready()
	good, lost := w.issued(w.auth), w.issued(w.auth)
	w.set(w.auth, revoked(certs.ReasonKeyCompromise), lost)
	for _, c := range []*x509.Certificate{good, lost, w.leaf(w.auth, "")} {
		der := w.ask(requestFor(idOf(w.auth, crypto.SHA1, c.SerialNumber)).der(t))
		parsed, err := xocsp.ParseResponse(der, nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, result := range zlint.LintOcspResponse(parsed).Results {
			if result.Status > lint.Pass {
				t.Errorf("%s: %s %s", name, result.Status, result.Details)
			}
		}
	}
}
