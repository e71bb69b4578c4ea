package card_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cardinal/issuance/card"
	"cardinal/issuance/card/cardtest"
)

func open(t testing.TB, path string, o card.Options) card.Card {
	t.Helper()
	c, err := card.OpenSimulated(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestSimulatedCardKeepsTheContract(t *testing.T) {
	t.Parallel()
	cardtest.Run(t, func(t *testing.T) card.Card {
		if testing.Short() && strings.HasSuffix(t.Name(), "RSA-2048") {
			t.Skip("short")
		}
		return open(t, filepath.Join(t.TempDir(), "card.json"), card.Options{Create: true})
	})
}

func TestCardOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "card.json")
	if _, err := card.OpenSimulated(path, card.Options{}); !errors.Is(err, card.ErrNoCard) {
		t.Fatalf("opened what is not there: %v", err)
	}
	c := open(t, path, card.Options{Create: true, PIN: "246810", Serial: 4711})
	if err := c.VerifyPIN("000000"); err == nil {
		t.Fatal("any PIN will do")
	}
	if _, err := c.GenerateKey(card.SlotAuthentication, card.P256); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	again := open(t, path, card.Options{Create: true})
	if left, err := again.Retries(); err != nil || left != 2 {
		t.Errorf("%d tries, %v: a new process gave a try back", left, err)
	}
	if serial, err := again.Serial(); err != nil || serial != "4711" {
		t.Errorf("serial %s, %v", serial, err)
	}
	if _, err := again.Signer(card.SlotAuthentication, "246810"); err != nil {
		t.Error(err)
	}
}

func TestBadCardFilesAreRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "card.json")
	for _, text := range []string{"", "{}", `{"format":1}`, `{"format":9}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := card.OpenSimulated(path, card.Options{Create: true}); err == nil {
			t.Errorf("%q is a card", text)
		}
	}
	good := filepath.Join(t.TempDir(), "card.json")
	if err := open(t, good, card.Options{Create: true}).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(good, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := card.OpenSimulated(good, card.Options{}); err == nil || !strings.Contains(err.Error(), "0600") {
		t.Errorf("a card others can read: %v", err)
	}
}

func TestWrongManagementKeyIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "card.json")
	key := []byte("an operator's own secret")
	if err := open(t, path, card.Options{Create: true, ManagementKey: key}).Close(); err != nil {
		t.Fatal(err)
	}
	c := open(t, path, card.Options{})
	if _, err := c.GenerateKey(card.SlotAuthentication, card.P256); !errors.Is(err, card.ErrNotManaged) {
		t.Errorf("got %v", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, path, card.Options{ManagementKey: key}).GenerateKey(card.SlotAuthentication, card.P256); err != nil {
		t.Error(err)
	}
}
