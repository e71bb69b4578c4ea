//go:build unix

package tree

import (
	"syscall"
	"unsafe"
)

// reserve takes memory that costs nothing until it is written to, a page at a
// time; nil if there is none. It is zero.
func reserve(size int64) []byte {
	b, err := syscall.Mmap(-1, 0, int(max(size, 1)), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE|reserveOnly)
	if err != nil {
		return nil
	}
	preferHuge(b)
	return b
}

func giveBack(taken [][]byte) {
	for _, b := range taken {
		_ = syscall.Munmap(b) // of memory that was mapped here: it cannot fail
	}
}

// words32 and words64 look at reserved memory as numbers.
func words32(b []byte) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
}

func words64(b []byte) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/8)
}
