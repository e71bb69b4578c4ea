//go:build !unix

package tree

// reserve gives nothing where memory cannot be mapped this way: there is no
// recall then.
func reserve(int64) []byte { return nil }

func giveBack([][]byte) {}

func words32([]byte) []uint32 { return nil }

func words64([]byte) []uint64 { return nil }
