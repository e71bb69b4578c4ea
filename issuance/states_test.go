package issuance

import (
	"slices"
	"testing"
)

func TestEndsAreEnds(t *testing.T) {
	t.Parallel()
	for _, m := range caseMoves() {
		for _, end := range []string{CaseRefused, CaseHandedOver, CaseWithdrawn} {
			if slices.Contains(m.from, end) {
				t.Errorf("case: %s leads out of %s", m.verb, end)
			}
		}
	}
	for _, m := range cardMoves() {
		if slices.Contains(m.from, CardReplaced) || slices.Contains(m.from, CardCancelled) && m.to != CardReplaced {
			t.Errorf("card: %s leads out of an end to %s", m.verb, m.to)
		}
	}
}

func TestMovesOutsideTheTableAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		verb, from, to string
		want           bool
	}{
		{verbHandOver, CardIssued, CardActive, true},
		{verbHandOver, CardSuspended, CardActive, false},
		{verbResume, CardSuspended, CardIssued, true},
		{verbResume, CardCancelled, CardActive, false},
		{verbSuspend, CardExpired, CardSuspended, false},
		{verbCancel, CardExpired, CardCancelled, true},
		{verbRenew, CardExpired, CardActive, true},
		{verbRenew, CardSuspended, CardActive, false},
	} {
		if got := allowed(cardMoves(), c.verb, c.from, c.to); got != c.want {
			t.Errorf("%s from %s to %s allowed: %t", c.verb, c.from, c.to, got)
		}
	}
}

func TestDaysCountInLondon(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		opens, closes, today string
		want                 bool
	}{
		{"", "", "2026-03-29", true},
		{"20260329", "", "2026-03-29", true},
		{"20260330", "", "2026-03-29", false},
		{"", "20260329", "2026-03-29", false}, // the close date is the first day without the role
		{"", "20260330", "2026-03-29", true},
		{"soon", "", "2026-03-29", false}, // doubt fails closed
		{"", "never", "2026-03-29", false},
		{"20260329120000", "20270101000000", "2026-03-29", true},
	} {
		e := newEntry(nil, classRole)
		if c.opens != "" {
			e.PutString(attrOpens, c.opens)
		}
		if c.closes != "" {
			e.PutString(attrCloses, c.closes)
		}
		if got := openOn(e, c.today); got != c.want {
			t.Errorf("open %q, close %q on %s: %t", c.opens, c.closes, c.today, got)
		}
	}
}

func TestNumbersAreMasked(t *testing.T) {
	t.Parallel()
	for number, want := range map[string]string{"": "", "12": "**", "P1234567": "******67", "ÄÖÜ": "*ÖÜ"} {
		if got := (Document{Number: number}).masked().Number; got != want {
			t.Errorf("%q is shown as %q, want %q", number, got, want)
		}
	}
}
