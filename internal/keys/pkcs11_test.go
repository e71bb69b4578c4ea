//go:build pkcs11 && cgo

package keys_test

import (
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"cardinal/internal/keys/keytest"
)

// TestSoftHSMKeepsTheContract is not parallel: the module finds its store by an
// environment variable of the process.
func TestSoftHSMKeepsTheContract(t *testing.T) {
	need(t, "softhsm2-util", "softhsm2")
	module := "/usr/lib/softhsm/libsofthsm2.so"
	if _, err := os.Stat(module); err != nil {
		t.Skipf("needs %s: apt-get install -y %s", "softhsm2-util", "softhsm2")
	}
	keytest.Run(t, func(t *testing.T) keytest.Place {
		dir := t.TempDir()
		tokens, conf := filepath.Join(dir, "tokens"), filepath.Join(dir, "softhsm2.conf")
		if err := os.Mkdir(tokens, 0o700); err != nil {
			t.Fatal(err)
		}
		text := "directories.tokendir = " + tokens + "\nobjectstore.backend = file\n"
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("SOFTHSM2_CONF", conf)
		out, err := exec.CommandContext(t.Context(), "softhsm2-util", "--init-token", "--free", "--label", "ca", "--pin", "1234", "--so-pin", "5678").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return keytest.Place{
			URI: func(name string) string {
				return "pkcs11:module-path=" + module + ";token=ca;id=" + hex.EncodeToString([]byte(name)) + ";object=" + name
			},
			Pass:  []byte("1234"),
			Wrong: []byte("9999"),
		}
	})
}
