package ca_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"

	"cardinal/ca"
	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/ledger"
)

func need(t *testing.T, prog, pkg string) {
	t.Helper()
	if testing.Short() {
		t.Skip("short")
	}
	if _, err := exec.LookPath(prog); err != nil {
		t.Skipf("needs %s: apt-get install -y %s", prog, pkg)
	}
}

// run gives all a program said and whether it ended well.
func (w *world) run(prog string, args ...string) (string, bool) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, prog, args...).CombinedOutput()
	if ctx.Err() != nil {
		w.Fatalf("%s took over a minute", prog)
	}
	return string(out), err == nil
}

// desk is a folder of files as a relying system has them.
type desk struct {
	*world
	dir string
}

func newDesk(w *world) *desk {
	w.Helper()
	d := &desk{world: w, dir: w.TempDir()}
	for _, name := range ca.Names() {
		d.put(name+".pem", "CERTIFICATE", w.hierarchy.Issuers[name].Certificate.Raw)
	}
	return d
}

func (d *desk) put(name, kind string, ders ...[]byte) string {
	d.Helper()
	var b bytes.Buffer
	for _, der := range ders {
		pem.Encode(&b, &pem.Block{Type: kind, Bytes: der})
	}
	path := filepath.Join(d.dir, name)
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		d.Fatal(err)
	}
	return path
}

// chain puts what verifying one needs into files: its certificate and the lists
// of its shard and of the root, freshly published.
func (d *desk) chain(one ca.Issued) (certificate, lists string) {
	d.Helper()
	if _, err := d.authority.PublishList(d.Context(), one.Issuer, certs.ShardList(one.Shard)); err != nil {
		d.Fatal(err)
	}
	certificate = d.put("leaf.pem", "CERTIFICATE", one.Certificate.Raw)
	lists = d.put("lists.pem", "X509 CRL", d.listDER(one.Issuer, one.Shard), d.listDER(ca.Root, 0))
	return certificate, lists
}

// openssl is openssl's opinion of one: good, or the reason it gives.
func (d *desk) openssl(one ca.Issued) string {
	d.Helper()
	certificate, lists := d.chain(one)
	out, ok := d.run("openssl", "verify", "-crl_check_all", "-x509_strict", "-CAfile", filepath.Join(d.dir, "root.pem"),
		"-untrusted", filepath.Join(d.dir, one.Issuer+".pem"), "-CRLfile", lists, certificate)
	switch {
	case ok:
		return "good"
	case strings.Contains(out, "certificate revoked"):
		return "revoked"
	}
	return out
}

// gnutls is gnutls's opinion in the same words.
func (d *desk) gnutls(one ca.Issued) string {
	d.Helper()
	_, lists := d.chain(one)
	chain := d.put("chain.pem", "CERTIFICATE", one.Certificate.Raw, d.hierarchy.Issuers[one.Issuer].Certificate.Raw)
	out, ok := d.run("certtool", "--verify", "--load-ca-certificate", filepath.Join(d.dir, "root.pem"), "--load-crl", lists, "--infile", chain)
	switch {
	case strings.Contains(out, "revoked"):
		return "revoked"
	case ok && strings.Contains(out, "Verified"):
		return "good"
	}
	return out
}

// step does one step of a history on both certificates of a pair.
func (w *world) step(step string, pair []ca.Issued) {
	w.Helper()
	refs := []certs.Ref{pair[0].Ref, pair[1].Ref}
	word, name, _ := strings.Cut(step, " ")
	w.write(func(tx *ledger.Tx) error {
		switch word {
		case "suspend":
			return register.SetStatus(tx, refs, certs.Held())
		case "release":
			return register.Release(tx, refs)
		}
		reason, err := certs.ParseReason(name)
		if err != nil {
			return err
		}
		return register.SetStatus(tx, refs, certs.Revoked(reason))
	})
}

func TestRefereesFollowAHistory(t *testing.T) {
	t.Parallel()
	need(t, "openssl", "openssl")
	need(t, "certtool", "gnutls-bin")
	w := newWorld(t)
	d := newDesk(w)
	pair, bystander := w.issue(w.pair("900000000017", "A")), w.issue(w.pair("900000000025", "B"))
	for _, line := range []struct{ step, want string }{
		{"", "good"}, {"suspend", "revoked"}, {"release", "good"}, {"suspend", "revoked"}, {"revoke keyCompromise", "revoked"},
	} {
		if line.step != "" {
			w.step(line.step, pair)
		}
		for _, one := range pair {
			if got := d.openssl(one); got != line.want {
				t.Errorf("after %q openssl of the %s certificate: %s", line.step, one.Profile, got)
			}
			if got := d.gnutls(one); got != line.want {
				t.Errorf("after %q gnutls of the %s certificate: %s", line.step, one.Profile, got)
			}
		}
		if got := d.openssl(bystander[0]); got != "good" {
			t.Errorf("after %q openssl of another card: %s", line.step, got)
		}
	}
}

func TestRefereesReadAListWithEveryReason(t *testing.T) {
	t.Parallel()
	need(t, "openssl", "openssl")
	need(t, "certtool", "gnutls-bin")
	w := newWorld(t)
	d := newDesk(w)
	words := map[certs.Reason]string{
		certs.ReasonKeyCompromise: "Key Compromise", certs.ReasonSuperseded: "Superseded", certs.ReasonCessationOfOperation: "Cessation Of Operation",
		certs.ReasonAffiliationChanged: "Affiliation Changed", certs.ReasonPrivilegeWithdrawn: "Privilege Withdrawn", certs.ReasonUnspecified: ""}
	for reason, word := range words {
		one := w.issue(w.pair("900000000017", reason.String()))[1]
		status := certs.Revoked(reason)
		status.Invalidity = w.Now().AddDate(0, 0, -3)
		w.setStatus(status, one.Ref)
		_, lists := d.chain(one)
		out, ok := w.run("openssl", "crl", "-in", lists, "-noout", "-text", "-CAfile", filepath.Join(d.dir, "signing.pem"))
		if !ok || !strings.Contains(out, "verify OK") || !strings.Contains(out, strings.ToUpper(one.Serial.Hex())) || !strings.Contains(out, word) ||
			!strings.Contains(out, "Invalidity Date") || !strings.Contains(out, "Issuing Distribution Point: critical") {
			t.Errorf("openssl of a list with %s: %s", reason, out)
		}
		out, ok = w.run("certtool", "--verify-crl", "--load-ca-certificate", filepath.Join(d.dir, "signing.pem"), "--infile", lists)
		if !ok || !strings.Contains(out, "Verified") {
			t.Errorf("certtool of a list with %s: %s", reason, out)
		}
	}
}

func TestListOfAnotherShardDoesNotClearACertificate(t *testing.T) {
	t.Parallel()
	need(t, "openssl", "openssl")
	w := newWorld(t)
	d := newDesk(w)
	one := w.issue(w.pair("900000000017", "A"))[0]
	certificate, _ := d.chain(one)
	other := d.put("other.pem", "X509 CRL", d.listDER(one.Issuer, (one.Shard+1)%ca.Shards), d.listDER(ca.Root, 0))
	out, ok := w.run("openssl", "verify", "-crl_check_all", "-CAfile", filepath.Join(d.dir, "root.pem"),
		"-untrusted", filepath.Join(d.dir, one.Issuer+".pem"), "-CRLfile", other, certificate)
	if ok {
		t.Errorf("openssl took another shard's list: %s", out)
	}
}

func TestZlintFindsNothingInOurLists(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// The CA/Browser Forum's rules are for TLS on the open web: they know no
	// certificateHold.
	registry, err := lint.GlobalRegistry().Filter(lint.FilterOptions{IncludeSources: lint.SourceList{lint.RFC5280, lint.Community}})
	if err != nil {
		t.Fatal(err)
	}
	for i, status := range []certs.Status{certs.Held(), certs.Revoked(certs.ReasonUnspecified), certs.Revoked(certs.ReasonKeyCompromise)} {
		one := w.issue(w.pair("900000000017", status.Reason.String()))[i%2]
		w.setStatus(status, one.Ref)
		if _, err := w.authority.PublishList(t.Context(), one.Issuer, certs.ShardList(one.Shard)); err != nil {
			t.Fatal(err)
		}
		w.lintList(w.listDER(one.Issuer, one.Shard), registry)
	}
	w.lintList(w.listDER(ca.Root, 0), registry)
}

func (w *world) lintList(der []byte, registry lint.Registry) {
	w.Helper()
	list, err := zx509.ParseRevocationList(der)
	if err != nil {
		w.Fatal(err)
	}
	results := zlint.LintRevocationListEx(list, registry)
	if len(results.Results) < 8 {
		w.Errorf("only %d lints ran", len(results.Results))
	}
	for name, r := range results.Results {
		if r.Status > lint.Pass {
			w.Errorf("%s: %s %s", name, r.Status, r.Details)
		}
	}
}
