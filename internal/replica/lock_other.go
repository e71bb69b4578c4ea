//go:build !unix

package replica

import "os"

// lockFile does nothing here: two processes must not open a replica at the same time after a power cut.
func lockFile(*os.File) error { return nil }
