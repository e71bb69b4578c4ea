package tree

import "syscall"

const reserveOnly = syscall.MAP_NORESERVE

// preferHuge asks for pages of 2 MiB: a record is then found with one look
// into the processor's table of pages where 4 KiB take several. Without them it
// is merely slower.
func preferHuge(b []byte) {
	if len(b) >= 8<<20 {
		_ = syscall.Madvise(b, syscall.MADV_HUGEPAGE)
	}
}
