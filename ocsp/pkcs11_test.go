//go:build pkcs11 && cgo

package ocsp_test

import (
	"context"
	"crypto"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"testing"

	"cardinal/internal/keys"
	"cardinal/internal/replica"
	"cardinal/ocsp"
)

// TestResponderKeysWorkInAToken answers with keys in SoftHSM. It is not parallel: the module finds its store by an
// environment variable of the process.
func TestResponderKeysWorkInAToken(t *testing.T) {
	need(t, "softhsm2-util", "softhsm2")
	dir := t.TempDir()
	conf := filepath.Join(dir, "softhsm2.conf")
	if err := os.WriteFile(conf, []byte("directories.tokendir = "+dir+"\nobjectstore.backend = file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", conf)
	if out, code := run(t, dir, "softhsm2-util", "--init-token", "--free", "--label", "ocsp", "--pin", "1234", "--so-pin", "5678"); code != 0 {
		t.Fatal(out)
	}
	w := newWorld(t, func(_ *world, c *ocsp.Config, _ *replica.Options) {
		c.Key = func(ctx context.Context, name string) (crypto.Signer, error) {
			uri := "pkcs11:module-path=/usr/lib/softhsm/libsofthsm2.so;token=ocsp;object=" + name + ";id=" + hex.EncodeToString([]byte(name))
			signer, err := keys.Create(ctx, uri, keys.P256, []byte("1234"))
			if c, ok := signer.(io.Closer); ok {
				t.Cleanup(func() { _ = c.Close() })
			}
			return signer, err
		}
	})
	w.serve()
	w.ready()
	for _, a := range []*authority{w.auth, w.signing} {
		c := w.issued(a)
		id := idOf(a, crypto.SHA256, c.SerialNumber)
		for range 20 {
			if d := parseAnswer(t, w.ask(requestFor(id).nonce([]byte{4, 1, 1}).der(t)), a); d.Responses[0].Status.Tag != 0 {
				t.Errorf("%s: %d", a.name, d.Responses[0].Status.Tag)
			}
		}
	}
}
