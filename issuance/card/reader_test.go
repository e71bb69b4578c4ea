//go:build linux

package card_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
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

// slot changes one card for another behind the reader's back: taking it out
// and putting one in takes the daemon seconds.
type slot struct {
	mutex sync.Mutex
	*card.Applet
}

func (s *slot) change(t *testing.T) {
	t.Helper()
	applet, err := card.OpenApplet(filepath.Join(t.TempDir(), "card.json"), card.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = applet.Close() })
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.Applet = applet
}

func (s *slot) Transmit(apdu []byte) ([]byte, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.Applet.Transmit(apdu)
}

func (s *slot) Power() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.Applet.Power()
}

// again runs one test again with a /run of its own: there is one pcscd a
// machine, by its socket's path.
func again(t *testing.T) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience+patience/2)
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

// startDaemon runs pcscd with one virtual reader and gives the reader's port.
func startDaemon(t *testing.T) (port int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port = listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
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
	return port
}

// insert puts a card into the reader for as long as the test runs.
func insert(t *testing.T, s *slot, port int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		var err error
		for range 200 { // until the reader listens
			if err = card.ServeReader(ctx, fmt.Sprintf("127.0.0.1:%d", port), s); err == nil {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		served <- err
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}
