package server_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cardinal/ca"
	"cardinal/issuance/issuancetest"
)

// TestOpenSSLSignsInWithACard has a TLS stack that is not ours shake hands with
// a card's certificate and ask who it is, then check both certificates' chain.
func TestOpenSSLSignsInWithACard(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skipf("needs %s: apt-get install -y %s", "openssl", "openssl")
	}
	o := open(t)
	uuid, _, hand := o.Holder("Alex", ordinaryJob)
	folder := t.TempDir()
	card, root := filepath.Join(folder, "card.pem"), filepath.Join(folder, "root.pem")
	writePEM(t, card, hand)
	must(t, os.WriteFile(root, certificatePEM(o.Issuers[ca.Root].Certificate), 0o600))

	host := strings.TrimPrefix(o.url, "https://")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client := exec.CommandContext(ctx, "openssl", "s_client", "-connect", host, "-cert", card, "-key", card,
		"-CAfile", root, "-verify_return_error", "-quiet", "-ign_eof", "-tls1_3")
	client.Stdin = strings.NewReader("GET /v1/operator HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n")
	answer, err := client.Output()
	if err != nil || !bytes.Contains(answer, []byte(`"identity":"`+string(uuid)+`","kind":"card"`)) {
		t.Errorf("openssl s_client: %v\n%s", err, answer)
	}

	between := filepath.Join(folder, "issuing.pem")
	must(t, os.WriteFile(between, certificatePEM(o.Issuers[ca.Authentication].Certificate), 0o600))
	out, err := exec.CommandContext(ctx, "openssl", "verify", "-x509_strict", "-purpose", "sslclient",
		"-CAfile", root, "-untrusted", between, card).CombinedOutput()
	if err != nil {
		t.Errorf("openssl verify: %v\n%s", err, out)
	}
}

func writePEM(t *testing.T, path string, hand *issuancetest.Hand) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(hand.Key)
	must(t, err)
	text := certificatePEM(hand.Certificate)
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	must(t, os.WriteFile(path, text, 0o600))
}

func certificatePEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}
