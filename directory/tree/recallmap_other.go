//go:build unix && !linux

package tree

const reserveOnly = 0

func preferHuge([]byte) {}
