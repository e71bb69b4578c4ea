//go:build !pcsc

package main

import "cardinal/issuance/card"

// openReader needs PC/SC, which needs cgo and a system library.
func openReader(string, []byte) (card.Card, error) { return nil, errNoReader }
