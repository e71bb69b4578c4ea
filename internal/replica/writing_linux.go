//go:build amd64 || arm64

package replica

import (
	"os"
	"syscall"
)

const syncFileRangeWrite = 2 // SYNC_FILE_RANGE_WRITE

// beginWriting asks the system to begin putting on disk what was written to a
// file, and waits for none of it. Nothing is promised by that: a sync follows,
// which has the less to do and tells what went wrong.
func beginWriting(f *os.File) {
	_ = syscall.SyncFileRange(int(f.Fd()), 0, 0, syncFileRangeWrite)
}
