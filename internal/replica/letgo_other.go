//go:build !linux

package replica

// LetGo does nothing where the system cannot be told.
func (r *Replica) LetGo() {}
