// Package disktest runs tests on a disk that is soon full.
package disktest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Temporary has temporary files made on the disk: it is for Run.
func Temporary(disk string) (environment []string) { return []string{"TMPDIR=" + disk} }

// smallDisk is set, to its path, in a process that has a small disk of its own.
const smallDisk = "CARDINAL_SMALL_DISK"

// Run runs a test once more, in a process with a mount namespace of its own, where
// there is a disk of the size (tmpfs: "16m"), with more in its environment
// ("NAME=value"), which is asked for only in the test run as usual. It gives the disk there, and "" to the test that is
// run as usual, which is then done. It skips where that cannot be had.
func Run(t *testing.T, size string, more func(disk string) (environment []string)) (disk string) {
	t.Helper()
	if testing.Short() {
		t.Skip("short")
	}
	if disk := os.Getenv(smallDisk); disk != "" {
		return disk
	}
	if _, err := exec.LookPath("unshare"); err != nil {
		t.Skipf("needs %s: apt-get install -y %s", "unshare", "util-linux")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	flags := []string{"--mount"}
	if os.Getuid() != 0 {
		flags = append(flags, "--map-root-user")
	}
	disk = t.TempDir()
	again := `mount -t tmpfs -o size=` + size + ` tmpfs "$1" && exec "$0" -test.run "^$2\$" -test.v`
	c := exec.CommandContext(ctx, "unshare", append(flags, "sh", "-c", again, os.Args[0], disk, t.Name())...)
	c.Env = append(append(os.Environ(), smallDisk+"="+disk), more(disk)...)
	out, err := c.CombinedOutput()
	if strings.Contains(string(out), "Operation not permitted") {
		t.Skip("no mount namespace of one's own on this machine")
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("there:\n%s", out)
	return ""
}

// Fill takes what room there is on a disk but for so many octets.
func Fill(t *testing.T, disk string, but int64) (remove func()) {
	t.Helper()
	f, err := os.Create(disk + "/ballast")
	if err != nil {
		t.Fatal(err)
	}
	for piece := make([]byte, 64<<10); err == nil; {
		_, err = f.Write(piece)
	}
	size, seekErr := f.Seek(0, 2)
	if !errors.Is(err, syscall.ENOSPC) || seekErr != nil {
		t.Fatal(err, seekErr)
	}
	if err := errors.Join(f.Truncate(max(0, size-but)), f.Close()); err != nil {
		t.Fatal(err)
	}
	return func() { _ = os.Remove(disk + "/ballast") }
}
