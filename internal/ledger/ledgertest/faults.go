package ledgertest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

var errFault = errors.New("a fault of the test")

// faults lets each external write fail, and fail although it persisted, and demands the truth from what is answered.
func faults(t *testing.T, e Engine) {
	for _, test := range []struct {
		step, when string
		committed  bool
		repeats    bool // the write is run again and succeeds
	}{
		{"begin", "before", true, true},
		{"begin", "after", true, true},
		{"flush", "before", true, true},
		{"flush", "after", true, true},
		{"commit", "before", false, false},
		{"commit", "after", true, false},
	} {
		t.Run(test.step+" "+test.when, func(t *testing.T) {
			armed := false
			hook := func(step string) error {
				if armed && step == test.step {
					armed = false
					return errFault
				}
				return nil
			}
			f := &ledger.Faults{Before: hook}
			if test.when == "after" {
				f = &ledger.Faults{After: hook}
			}
			l := create(t, ledger.Options{URL: e.URL(t), Faults: f})
			write(t, l, item(1, "before"))
			armed = true
			p, err := l.Write(t.Context(), func(tx *ledger.Tx) error {
				tx.Defer(insertItem, 2, "faulty", nil)
				tx.Append(journal.KindEntryAdded, 1, []byte("faulty"))
				return tx.QueryRow(`SELECT count(*) FROM suite_item`).Scan(new(int))
			})
			if armed {
				t.Fatal("the fault did not happen")
			}
			if (err == nil) != test.committed || (err == nil && p != 2) || (err != nil && !errors.Is(err, errFault)) {
				t.Errorf("position %d: %v", p, err)
			}
			head := verify(t, l)
			if got := head.Position == 2; got != test.committed {
				t.Errorf("answered %v, and the head stands at %d", err, head.Position)
			}
			if p := write(t, l, item(3, "after")); p != head.Position+1 {
				t.Errorf("the next write stands at %d", p)
			}
			verify(t, l)
		})
	}
}

// faultsForEver lets a step fail always.
func faultsForEver(t *testing.T, e Engine) {
	for _, step := range []string{"begin", "flush", "commit"} {
		armed := false
		l := create(t, ledger.Options{URL: e.URL(t), Faults: &ledger.Faults{Before: func(s string) error {
			if armed && s == step {
				return fmt.Errorf("%s: %w", s, errFault)
			}
			return nil
		}}})
		armed = true
		_, err := l.Write(t.Context(), func(tx *ledger.Tx) error {
			tx.Defer(insertItem, 1, "never", nil)
			tx.Append(journal.KindEntryAdded, 1, []byte("never"))
			return tx.QueryRow(`SELECT 1`).Scan(new(int))
		})
		armed = false
		if !errors.Is(err, errFault) || !strings.Contains(err.Error(), step) {
			t.Errorf("%s: %v", step, err)
		}
		if head := verify(t, l); head.Position != 0 {
			t.Errorf("%s: head stands at %d", step, head.Position)
		}
		write(t, l, item(1, "after"))
	}
}
