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
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
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
	dir   string
	certs map[string]*x509.Certificate
}

func newStage(t *testing.T) *stage {
	s := &stage{world: newWorld(t), dir: t.TempDir(), certs: map[string]*x509.Certificate{}}
	url := s.serve()
	s.ready()
	for _, name := range []string{"good", "revoked", "held", "released", "unknown"} {
		s.certs[name] = s.leaf(s.auth, url)
		writePEM(t, s.dir, name, s.certs[name])
		if name != "unknown" {
			s.record(s.auth, s.certs[name])
		}
	}
	s.set(s.auth, revoked(certs.ReasonKeyCompromise), s.certs["revoked"])
	s.set(s.auth, held(), s.certs["held"], s.certs["released"])
	s.set(s.auth, certs.Status{}, s.certs["released"])
	writePEM(t, s.dir, "ca", s.auth.cert)
	return s
}

func (s *stage) url() string { return s.server.URL + "/ocsp" }

func TestOpenSSLAgrees(t *testing.T) {
	t.Parallel()
	need(t, "openssl", "openssl")
	s := newStage(t)
	want := map[string]string{"good": ": good", "released": ": good", "revoked": ": revoked", "held": ": revoked", "unknown": ": unknown"}
	ways := [][]string{{"-nonce", "-sha1"}, {"-nonce", "-sha256"}, {"-nonce", "-sha384"}, {"-no_nonce", "-sha512"}, {"-no_nonce", "-sha1"}}
	for name, verdict := range want {
		for _, way := range ways {
			out, code := run(t, s.dir, "openssl", "ocsp", "-issuer", "ca.pem", way[1], "-cert", name+".pem", "-url", s.url(), "-CAfile", "ca.pem", way[0])
			if code != 0 || !strings.Contains(out, name+".pem"+verdict) || !strings.Contains(out, "Response verify OK") || strings.Contains(out, "WARNING") {
				t.Errorf("%s %v: exit %d\n%s", name, way, code, out)
			}
		}
	}
	out, _ := run(t, s.dir, "openssl", "ocsp", "-issuer", "ca.pem", "-cert", "revoked.pem", "-url", s.url(), "-CAfile", "ca.pem")
	if !strings.Contains(out, "Reason: keyCompromise") || !strings.Contains(out, "Revocation Time:") {
		t.Errorf("reason or time is missing:\n%s", out)
	}
	out, _ = run(t, s.dir, "openssl", "ocsp", "-issuer", "ca.pem", "-cert", "held.pem", "-url", s.url(), "-CAfile", "ca.pem")
	if !strings.Contains(out, "Reason: certificateHold") {
		t.Errorf("hold is told as\n%s", out)
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

func TestGnuTLSAgreesAndFindsItsNonce(t *testing.T) {
	t.Parallel()
	need(t, "ocsptool", "gnutls-bin")
	s := newStage(t)
	for name, verdict := range map[string]string{"good": "Certificate Status: good", "revoked": "Certificate Status: revoked",
		"held": "Certificate Status: revoked", "released": "Certificate Status: good", "unknown": "Certificate Status: unknown"} {
		for _, more := range []string{"--nonce", "--no-nonce"} {
			out, code := run(t, s.dir, "ocsptool", "--ask="+s.url(), more, "--load-issuer=ca.pem", "--load-cert="+name+".pem", "--load-trust=ca.pem")
			trusted := strings.Contains(out, "Verifying OCSP Response: Success") || strings.Contains(out, "Verifying OCSP Response (with nonce): Success")
			if !strings.Contains(out, verdict) || !trusted && code != 0 {
				t.Errorf("%s %s: exit %d\n%s", name, more, code, out)
			}
		}
	}
}

func TestNSSAgreesByGetAndPost(t *testing.T) {
	t.Parallel()
	need(t, "vfychain", "libnss3-tools")
	need(t, "certutil", "libnss3-tools")
	s := newStage(t)
	db := "sql:" + t.TempDir()
	if out, code := run(t, s.dir, "certutil", "-N", "-d", db, "--empty-password"); code != 0 {
		t.Fatal(out)
	}
	if out, code := run(t, s.dir, "certutil", "-A", "-d", db, "-n", "ca", "-t", "CT,C,C", "-i", "ca.der"); code != 0 {
		t.Fatal(out)
	}
	for name, good := range map[string]bool{"good": true, "released": true, "revoked": false, "held": false, "unknown": false} {
		out, code := run(t, s.dir, "vfychain", "-d", db, "-pp", "-u", "0", "-g", "leaf", "-m", "ocsp", "-s", "requireInfo,failIfNoInfo", name+".der")
		if (code == 0 && strings.Contains(out, "Chain is good!")) != good {
			t.Errorf("%s: exit %d\n%s", name, code, out)
		}
	}
	if s.gets.Load() == 0 {
		t.Errorf("vfychain was expected to ask by GET")
	}
	need(t, "ocspclnt", "libnss3-tools")
	for name, verdict := range map[string]string{"good": "succeeded", "revoked": "revoked"} {
		if out, code := run(t, s.dir, "certutil", "-A", "-d", db, "-n", name, "-t", ",,", "-i", name+".der"); code != 0 {
			t.Fatal(out)
		}
		dir := strings.TrimPrefix(db, "sql:")
		out, _ := run(t, s.dir, "ocspclnt", "-d", dir, "-V", name, "-u", "c")
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
