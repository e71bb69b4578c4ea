package keys_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"cardinal/internal/keys"
	"cardinal/internal/keys/keytest"
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

func TestFileKeepsTheContract(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short") // scrypt costs 0.1 s a key, on purpose
	}
	keytest.Run(t, func(t *testing.T) keytest.Place {
		dir := t.TempDir()
		return keytest.Place{
			URI:   func(name string) string { return "file:" + filepath.Join(dir, name) },
			Pass:  []byte("correct horse"),
			Wrong: []byte("battery staple"),
		}
	})
}

func newFile(t *testing.T, pass string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "ca key.pem")
	if _, err := keys.Create(context.Background(), "file:"+path, keys.P384, []byte(pass)); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFileIsPrivateAndNothingIsLeftBeside(t *testing.T) {
	t.Parallel()
	path := newFile(t, "secret")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	beside, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(beside) != 1 {
		t.Errorf("%d files, %v", len(beside), err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Open(context.Background(), "file:"+path, []byte("secret")); !errors.Is(err, keys.ErrExposed) {
		t.Errorf("a file the group may read: %v", err)
	}
}

func TestOpensslReadsOurFile(t *testing.T) {
	t.Parallel()
	need(t, "openssl", "openssl")
	path := newFile(t, "a pass phrase")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "openssl", "pkey", "-in", path, "-passin", "pass:a pass phrase", "-pubout").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ours, err := keys.Open(ctx, "file:"+path, []byte("a pass phrase"))
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(ours.Public())
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(out)
	if block == nil || !bytes.Equal(block.Bytes, spki) {
		t.Errorf("openssl read another key: %s", out)
	}
	if out, err := exec.CommandContext(ctx, "openssl", "pkey", "-in", path, "-passin", "pass:wrong", "-noout").CombinedOutput(); err == nil {
		t.Errorf("openssl took a wrong passphrase: %s", out)
	}
}

func TestWeReadOpensslsFile(t *testing.T) {
	t.Parallel()
	need(t, "openssl", "openssl")
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	plain, sealed := filepath.Join(dir, "plain"), filepath.Join(dir, "sealed")
	for _, args := range [][]string{
		{"genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", plain},
		{"pkcs8", "-topk8", "-scrypt", "-v2", "aes-256-cbc", "-in", plain, "-out", sealed, "-passout", "pass:x1"},
	} {
		if out, err := exec.CommandContext(ctx, "openssl", args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if err := os.Chmod(sealed, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Open(ctx, "file://"+sealed, []byte("x1")); err != nil {
		t.Error(err)
	}
}

func TestOpenRefusesWhatIsNoKeyURIWithoutRepeatingIt(t *testing.T) {
	t.Parallel()
	for _, uri := range []string{"", "file:", "plain/path", "http://x", "file://host/x", "pkcs12:pin-value=1234"} {
		_, err := keys.Open(context.Background(), uri, nil)
		if !errors.Is(err, keys.ErrURI) || err.Error() != keys.ErrURI.Error() {
			t.Errorf("%q: %v", uri, err)
		}
	}
}

func TestEmptyPassphraseMakesNoKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "k")
	if _, err := keys.Create(context.Background(), "file:"+path, keys.P256, nil); !errors.Is(err, keys.ErrPassphrase) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file was written: %v", err)
	}
}
