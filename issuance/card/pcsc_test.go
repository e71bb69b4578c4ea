//go:build pcsc && linux

package card_test

import (
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cardinal/issuance/card"
	"cardinal/issuance/card/cardtest"
)

// TestPCSCCardKeepsTheContract puts the simulated card into vsmartcard's
// virtual reader under a real pcscd, and talks to it by piv-go.
func TestPCSCCardKeepsTheContract(t *testing.T) {
	reader := cardtest.InReader(t)
	if reader == nil {
		return
	}
	slot := &slot{}
	slot.change(t)
	reader.Insert(t, slot)
	cardtest.Run(t, func(t *testing.T) card.Card { return reopen(t, slot) })
}

// slot changes one card for another behind the reader's back: taking it out
// and putting one in takes the daemon seconds.
type slot struct {
	mutex sync.Mutex
	*card.Applet
}

func (s *slot) change(t *testing.T) {
	t.Helper()
	applet, err := card.OpenApplet(filepath.Join(t.TempDir(), "card.json"), card.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = applet.Close() })
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.Applet = applet
}

func (s *slot) Transmit(apdu []byte) ([]byte, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.Applet.Transmit(apdu)
}

func (s *slot) Power() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.Applet.Power()
}

// reopen opens a new card, waiting for the daemon to notice the first.
func reopen(t *testing.T, s *slot) card.Card {
	t.Helper()
	s.change(t)
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		readers, err := card.Readers()
		if at := slices.IndexFunc(readers, func(name string) bool { return strings.HasPrefix(name, cardtest.ReaderName) }); err == nil && at >= 0 {
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
