//go:build pkcs11 && cgo

package ca_test

import (
	"context"
	"crypto"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"testing"

	"cardinal/ca"
	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/keys"
	"cardinal/internal/ledger"
)

// TestAuthoritiesWorkWithKeysInAToken makes the hierarchy, a pair and its lists
// with every key in SoftHSM. It is not parallel: the module finds its store by
// an environment variable of the process.
func TestAuthoritiesWorkWithKeysInAToken(t *testing.T) {
	need(t, "softhsm2-util", "softhsm2")
	dir := t.TempDir()
	conf := filepath.Join(dir, "softhsm2.conf")
	if err := os.WriteFile(conf, []byte("directories.tokendir = "+dir+"\nobjectstore.backend = file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", conf)
	w := newWorld(t)
	if out, ok := w.run("softhsm2-util", "--init-token", "--free", "--label", "ca", "--pin", "1234", "--so-pin", "5678"); !ok {
		t.Fatal(out)
	}
	h, l := w.ceremonyWith(func(ctx context.Context, name string) (crypto.Signer, error) {
		algorithm := keys.P256
		if name == ca.Root {
			algorithm = keys.P384
		}
		uri := "pkcs11:module-path=/usr/lib/softhsm/libsofthsm2.so;token=ca;object=" + name + ";id=" + hex.EncodeToString([]byte(name))
		signer, err := keys.Create(ctx, uri, algorithm, []byte("1234"))
		if c, ok := signer.(io.Closer); ok {
			t.Cleanup(func() { c.Close() })
		}
		return signer, err
	})
	w.hierarchy, w.ledger = h, l
	w.authority = w.newAuthority(h.Issuers)
	pair := w.issue(w.pair("900000000017", "card-1"))
	w.setStatus(certs.Held(), pair[0].Ref)
	d := newDesk(w)
	if got := d.openssl(pair[0]); got != "revoked" {
		t.Errorf("the held one: %s", got)
	}
	if got := d.openssl(pair[1]); got != "good" {
		t.Errorf("the other: %s", got)
	}
}

// ceremonyWith makes a hierarchy in a ledger of its own.
func (w *world) ceremonyWith(key func(context.Context, string) (crypto.Signer, error)) (ca.Hierarchy, *ledger.Ledger) {
	w.Helper()
	l, err := ledger.Create(w.Context(), ledger.Options{URL: "sqlite:" + filepath.Join(w.TempDir(), "ledger.db"),
		Rooms: []ledger.Room{register.Room()}, Now: w.Now})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { l.Close() })
	h, err := ca.InitHierarchy(w.Context(), ca.Ceremony{Ledger: l, Policies: w.policies, Name: "Token", PublicURL: publicURL, Now: w.Now, Key: key})
	if err != nil {
		w.Fatal(err)
	}
	return h, l
}
