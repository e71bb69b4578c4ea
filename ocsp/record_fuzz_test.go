package ocsp

import (
	"bytes"
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal"
)

func FuzzParseRecord(f *testing.F) {
	at := time.Unix(1.7e9, 0).UTC()
	for _, r := range []Record{
		{},
		{Recorded: true, Digest: journal.Hash{1, 2, 3}, NotAfter: at},
		{Recorded: true, Status: certs.Status{State: certs.StateRevoked, Reason: 1, At: at, Invalidity: at}, Changed: 1 << 40},
		{Status: certs.Status{State: certs.StateHeld, Reason: 6, At: at}, Changed: 7},
		{Recorded: true, Changed: 9},
	} {
		f.Add(r.append(nil))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, ok := parseRecord(raw)
		if !ok {
			return
		}
		again, ok := parseRecord(r.append(nil))
		if !ok || !again.Status.Equal(r.Status) || again.Changed != r.Changed || again.Recorded != r.Recorded || again.Digest != r.Digest {
			t.Errorf("%x reads as %+v, written again as %+v", raw, r, again)
		}
	})
}

func TestRecordIsSmallAndRoundsNotAfterUpToADay(t *testing.T) {
	t.Parallel()
	r := Record{Recorded: true, Digest: journal.Hash{9}, NotAfter: time.Date(2029, 5, 6, 7, 8, 9, 0, time.UTC)}
	raw := r.append(nil)
	if len(raw) != 35 {
		t.Errorf("a good certificate takes %d bytes", len(raw))
	}
	back, ok := parseRecord(raw)
	if want := time.Date(2029, 5, 7, 0, 0, 0, 0, time.UTC); !ok || !back.NotAfter.Equal(want) {
		t.Errorf("not after %s, want %s", back.NotAfter, want)
	}
	r.Status, r.Changed = certs.Status{State: certs.StateRevoked, Reason: 1, At: r.NotAfter}, 1<<30
	if n := len(r.append(nil)); n > 50 {
		t.Errorf("a revoked certificate takes %d bytes", n)
	}
	if !bytes.Equal(raw, back.append(nil)) {
		t.Errorf("written again it is %x", back.append(nil))
	}
}
