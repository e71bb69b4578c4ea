//go:build pcsc && linux

package card_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"cardinal/issuance/card"
	"cardinal/issuance/card/cardtest"
)

// TestPCSCCardKeepsTheContract puts the simulated card into vsmartcard's
// virtual reader under a real pcscd, and talks to it by piv-go.
func TestPCSCCardKeepsTheContract(t *testing.T) {
	needReader(t)
	if os.Getenv(inside) == "" {
		again(t)
		return
	}
	port := startDaemon(t)
	slot := &slot{}
	slot.change(t)
	insert(t, slot, port)
	cardtest.Run(t, func(t *testing.T) card.Card { return reopen(t, slot) })
}

// reopen opens a new card, waiting for the daemon to notice the first.
func reopen(t *testing.T, s *slot) card.Card {
	t.Helper()
	s.change(t)
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		readers, err := card.Readers()
		if at := slices.IndexFunc(readers, func(name string) bool { return strings.HasPrefix(name, "Yubico") }); err == nil && at >= 0 {
			c, err := card.OpenPCSC(readers[at], nil)
			if err == nil {
				t.Cleanup(func() { _ = c.Close() })
				return c
			}
		}
		if time.Now().After(end) {
			t.Fatalf("readers %q: %v", readers, err)
		}
	}
}
