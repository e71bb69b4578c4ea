package cardtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cardinal/issuance/card"
)

const (
	inside   = "CARDINAL_READER_DAEMON" // set in the process that has a reader daemon of its own
	driver   = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so"
	patience = time.Minute
)

// ReaderName is how the virtual reader's name begins: clients of one maker's
// cards look for it.
const ReaderName = "Yubico"

// Reader is vsmartcard's virtual reader under a real pcscd.
type Reader struct{ port int }

// InReader runs the calling test with a reader daemon of its own. There is one
// pcscd a machine, by its socket's path; so the test runs itself again in a
// mount namespace with another /run. It gives nil in the first process, where
// the test has then passed, failed or been skipped, and the reader in the second.
func InReader(t *testing.T) *Reader {
	t.Helper()
	needReader(t)
	if os.Getenv(inside) == "" {
		again(t)
		return nil
	}
	return startDaemon(t)
}

func needReader(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("short")
	}
	if _, err := exec.LookPath("unshare"); err != nil {
		t.Skipf("needs %s: apt-get install -y %s", "unshare", "util-linux")
	}
	if _, err := exec.LookPath("pcscd"); err != nil {
		t.Skipf("needs %s: apt-get install -y %s", "pcscd", "pcscd")
	}
	if _, err := os.Stat(driver); err != nil {
		t.Skipf("needs %s: apt-get install -y %s", "vpcd", "vsmartcard-vpcd")
	}
}

func again(t *testing.T) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	flags := []string{"--mount"}
	if os.Getuid() != 0 {
		flags = append(flags, "--map-root-user")
	}
	script := `mount -t tmpfs tmpfs /run && mkdir /run/pcscd && exec "$0" -test.run "^$1\$" -test.v`
	c := exec.CommandContext(ctx, "unshare", append(flags, "sh", "-c", script, program, t.Name())...)
	c.Env = append(os.Environ(), inside+"=1")
	out, err := c.CombinedOutput()
	if strings.Contains(string(out), "Operation not permitted") {
		t.Skip("no mount namespace of one's own on this machine")
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// quietPort is free, and below those that systems give out by themselves: no
// other test is given it before the daemon listens there.
func quietPort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 30_000 + rand.IntN(2_000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// startDaemon runs pcscd with one virtual reader until the test ends.
func startDaemon(t *testing.T) *Reader {
	t.Helper()
	port := quietPort(t)
	folder := t.TempDir()
	text := fmt.Sprintf("FRIENDLYNAME \"Yubico YubiKey CCID\"\nDEVICENAME /dev/null:0x%X\nLIBPATH %s\nCHANNELID 0x%X\n", port, driver, port)
	if err := os.WriteFile(filepath.Join(folder, "vpcd"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	daemon := exec.Command("pcscd", "--foreground", "--error", "-c", folder)
	daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = daemon.Process.Kill()
		_ = daemon.Wait()
	})
	return &Reader{port}
}

// Insert puts a card into the reader for as long as the test runs. The daemon
// takes a moment to notice.
func (r *Reader) Insert(t *testing.T, c card.Inserted) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) { // until the reader listens
			err := card.ServeReader(ctx, fmt.Sprintf("127.0.0.1:%d", r.port), c)
			if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
				served <- err
				return
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}
