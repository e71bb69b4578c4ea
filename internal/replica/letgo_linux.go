package replica

import (
	"os"
	"syscall"
)

// LetGo gives the mapped pages of the file back to the system, which keeps them
// cached: after much was read once, what is resident of the process is then
// what it goes on reading. It may be called at any time.
func (r *Replica) LetGo() {
	r.files.RLock()
	defer r.files.RUnlock()
	if r.file == nil {
		return
	}
	info, err := os.Stat(r.file.path)
	if err != nil {
		return
	}
	// Of pages of a file that are mapped shared this loses nothing.
	_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, r.file.db.Info().Data, uintptr(info.Size()), syscall.MADV_DONTNEED)
}
