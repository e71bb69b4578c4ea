package certs

import (
	"fmt"
	"time"

	"cardinal/internal/journal"
)

// lastSecond is 9999-12-31T23:59:59Z, the last time a certificate can hold
// (RFC 5280 §4.1.2.5).
const lastSecond = 253402300799

// seconds is how every body of this room writes a time: whole seconds since
// 1970, rounded down; 0 is an absent time.
func seconds(t time.Time) uint64 {
	if t.IsZero() || t.Unix() < 0 {
		return 0
	}
	return uint64(t.Unix())
}

func timeIn(d *journal.Decoder) time.Time {
	n := d.UintMax(lastSecond)
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(int64(n), 0).UTC()
}

func serialIn(d *journal.Decoder) Serial {
	s := Serial(d.Bytes())
	if !s.Valid() {
		d.Fail("not a serial number")
	}
	return s
}

func ended(d *journal.Decoder, what string) error {
	if err := d.End(); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrChange, what, err)
	}
	return nil
}
