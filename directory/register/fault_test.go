package register_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"cardinal/directory"
	"cardinal/directory/register"
	"cardinal/internal/ledger"
)

var errFault = errors.New("the disk is full")

// TestLoadSurvivesFaults fails every external write of a load in turn, before
// it was done and after, and demands all or nothing, and a second load that
// works.
func TestLoadSurvivesFaults(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	for _, persisted := range []bool{false, true} {
		for n := 1; ; n++ {
			faulted := false
			t.Run(fmt.Sprintf("%d persisted %v", n, persisted), func(t *testing.T) { faulted = loadWithFault(t, n, persisted) })
			if !faulted {
				break
			}
			if n > 60 {
				t.Fatal("too many writes for a small load")
			}
		}
	}
}

// loadWithFault reports whether there was an n-th write.
func loadWithFault(t *testing.T, n int, persisted bool) (faulted bool) {
	count, armed := 0, false
	fault := func(string) error {
		if !armed {
			return nil
		}
		if count++; count == n {
			faulted = true
			return errFault
		}
		return nil
	}
	faults := &ledger.Faults{Before: fault}
	if persisted {
		faults = &ledger.Faults{After: fault}
	}
	schema, err := directory.DefaultSchema()
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Create(t.Context(), ledger.Options{URL: "sqlite:" + filepath.Join(t.TempDir(), "l.db"), Rooms: []ledger.Room{register.Room()}, Faults: faults})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	reg, err := register.New(schema, register.Config{Suffixes: []directory.DN{dn(t, "o=nhs")}, TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{T: t, schema: schema, ledger: l, reg: reg, up: register.Updates{Register: reg, Ledger: l}}
	armed = true
	_, err = h.load(workforce(20))
	armed = false
	if (err != nil) && !faulted {
		t.Fatal(err)
	}
	if h.get("o=nhs") == nil {
		if err == nil {
			t.Fatal("the load succeeded but nothing is there")
		}
		if _, err := h.load(workforce(20)); err != nil {
			t.Fatalf("loading again: %v", err)
		}
	}
	if got := len(h.names("o=nhs")); got != 43 {
		t.Errorf("%d entries", got)
	}
	h.follow(nil).compare("o=nhs")
	return faulted
}
