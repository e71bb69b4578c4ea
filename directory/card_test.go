package directory_test

import (
	"strings"
	"testing"
	"time"

	"cardinal/directory"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestRolesCloseAtLondonMidnight(t *testing.T) {
	t.Parallel()
	london, err := directory.London()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		closes, now string
		want        bool
	}{
		{"", "2026-11-21T12:00:00Z", true},
		{"20261122", "2026-11-21T23:59:59Z", true},
		{"20261121", "2026-11-21T00:00:00Z", false},
		{"20261120", "2026-11-21T00:00:00Z", false},
		// In summer London is an hour ahead: its day begins at 23:00 UTC.
		{"20260702", "2026-07-01T22:59:59Z", true},
		{"20260702", "2026-07-01T23:00:00Z", false},
		// Clocks go forward at 01:00 UTC on 29 March and back on 25 October 2026.
		{"20260329", "2026-03-28T23:59:59Z", true},
		{"20260329", "2026-03-29T00:00:00Z", false},
		{"20260330", "2026-03-29T22:59:59Z", true},
		{"20260330", "2026-03-29T23:00:00Z", false},
		{"20261025", "2026-10-24T22:59:59Z", true},
		{"20261025", "2026-10-24T23:00:00Z", false},
		{"20261026", "2026-10-25T23:59:59Z", true},
		{"20261026", "2026-10-26T00:00:00Z", false},
		// The day after 28 February.
		{"20280229", "2028-02-28T23:59:59Z", true},
		{"20280229", "2028-02-29T00:00:00Z", false},
		{"20280301", "2028-02-29T23:59:59Z", true},
		// No dates: the role is closed.
		{"20270229", "2026-01-01T00:00:00Z", false}, {"20271301", "2026-01-01T00:00:00Z", false},
		{"20270100", "2026-01-01T00:00:00Z", false}, {"2027-01-01", "2026-01-01T00:00:00Z", false},
		{" 20270101", "2026-01-01T00:00:00Z", false}, {"20270101 ", "2026-01-01T00:00:00Z", false},
		{"20270101120000Z", "2026-01-01T00:00:00Z", false}, {"99999999", "2026-01-01T00:00:00Z", false},
		{"never", "2026-01-01T00:00:00Z", false}, {"２０２７０１０１", "2026-01-01T00:00:00Z", false},
		{"99991231", "2026-01-01T00:00:00Z", true},
	} {
		if got := directory.RoleActive(c.closes, at(t, c.now), london); got != c.want {
			t.Errorf("closes %q at %s: %v, want %v", c.closes, c.now, got, c.want)
		}
	}
}

func TestDaysAreCountedAsTheCalendarOfLondonDoes(t *testing.T) {
	t.Parallel()
	london, err := directory.London()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		end, now string
		want     int
	}{
		{"2026-11-21T23:59:59Z", "2026-11-21T00:00:00Z", 0},
		{"2026-11-22T00:00:00Z", "2026-11-21T23:59:59Z", 1},
		{"2026-11-20T23:59:59Z", "2026-11-21T00:00:00Z", -1},
		{"2026-06-30T23:30:00Z", "2026-06-30T12:00:00Z", 1}, // 1 July there
		{"2026-03-30T12:00:00Z", "2026-03-28T12:00:00Z", 2}, // 47 hours of it
		{"2026-10-26T00:30:00Z", "2026-10-24T23:30:00Z", 1}, // the day of 25 hours
		{"2028-03-01T12:00:00Z", "2028-02-28T12:00:00Z", 2},
		{"2029-11-21T12:00:00Z", "2026-11-21T12:00:00Z", 1096},
	} {
		if got := directory.DaysUntil(at(t, c.end), at(t, c.now), london); got != c.want {
			t.Errorf("from %s to %s: %d days, want %d", c.now, c.end, got, c.want)
		}
	}
}

func TestCardIsActiveOnlyWhenBothCertificatesAreSurelyGood(t *testing.T) {
	t.Parallel()
	now := at(t, "2026-11-21T12:00:00Z")
	states := map[byte]directory.CertificateState{'f': directory.CertificateForeign, 'd': directory.CertificateDoubtful,
		'g': directory.CertificateGood, 'h': directory.CertificateHeld, 'r': directory.CertificateRevoked, 'k': directory.CertificateCompromised}
	for spec, want := range map[string]string{ // one letter a certificate; capital: its time is over
		"": "none", "f": "none", "ff": "none", "F": "none",
		"gg": "active", "gf": "active", "g": "active",
		"d": "?", "gd": "?", "dd": "?", "hd": "?", "Gd": "?", "fd": "?",
		"hh": "suspended", "gh": "suspended",
		"rr": "cancelled", "gr": "cancelled", "hr": "cancelled", "dr": "cancelled", "RR": "cancelled",
		"kk": "lost", "kr": "lost", "rk": "lost", "dk": "lost", "KK": "lost",
		"GG": "expired", "gG": "expired", "HH": "expired", "HF": "expired",
	} {
		var card directory.Card
		for _, letter := range []byte(spec) {
			s := directory.Standing{State: states[letter|0x20], NotAfter: now.Add(time.Second)}
			if letter < 'a' {
				s.NotAfter = now.Add(-time.Second)
			}
			card.Add(s)
		}
		got, known := card.Status(now)
		if !known {
			got += "?"
		}
		if got != want {
			t.Errorf("%q: %s, want %s", spec, got, want)
		}
	}
	var unread directory.Card
	unread.Add(directory.Standing{State: directory.CertificateGood})
	if got, known := unread.Status(now); known || strings.Contains(got, "active") {
		t.Errorf("a certificate without an end: %q, %v", got, known)
	}
}
