package ocsp_test

import (
	"crypto/sha256"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/replica"
	"cardinal/ocsp"
)

// TestRebuiltTableIsTheOneThatFollowed: octet for octet, however the changes were cut into batches, and what it says of
// each serial is what the last change of it said.
func TestRebuiltTableIsTheOneThatFollowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	random := rand.New(rand.NewPCG(7, 8))
	var known []certs.Serial
	want := map[certs.Serial]certs.Status{}
	last := journal.Position(0)
	for range 120 {
		if random.IntN(3) == 0 || len(known) == 0 {
			recorded := certs.Recorded{Issuer: w.auth.id}
			for range 1 + random.IntN(40) {
				serial := randomSerial(t)
				known = append(known, serial)
				want[serial] = certs.Status{}
				recorded.Certificates = append(recorded.Certificates, certs.RecordedCertificate{Serial: serial,
					Digest: sha256.Sum256([]byte(serial)), NotAfter: w.auth.cert.NotAfter, Profile: "p", Holder: "1"})
			}
			last = w.feed.Append(journal.KindCertificatesRecorded, 1, recorded.Append(nil))
			continue
		}
		from := random.IntN(len(known))
		some := slices.Clone(known[from:min(len(known), from+1+random.IntN(60))])
		status := []certs.Status{held(), revoked(certs.ReasonKeyCompromise), {}}[random.IntN(3)]
		for _, serial := range some {
			if want[serial].State != certs.StateRevoked || status.State == certs.StateRevoked {
				want[serial] = status
			}
		}
		last = w.feed.Append(journal.KindStatusChanged, 1, statusBody(w.auth, status, some...))
		if random.IntN(4) == 0 {
			w.wait(last)
		}
	}
	w.wait(last)
	for serial, status := range want {
		if got, err := w.table.Status(w.auth.id, serial); err != nil || !got.Equal(status) {
			t.Errorf("%s: %v, %v, want %v", serial, got, err, status)
		}
	}
	again, err := replica.Open(t.Context(), replica.Options{Path: filepath.Join(t.TempDir(), "again.db"), Feed: w.feed,
		Appliers: []replica.Applier{ocsp.NewTable()}, SyncAfter: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- again.Follow(t.Context()) }()
	if err := again.WaitFor(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	one, err1 := w.replica.Digest("certificates")
	two, err2 := again.Digest("certificates")
	if one != two || err1 != nil || err2 != nil {
		t.Errorf("followed %s, rebuilt %s, %v, %v", one, two, err1, err2)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	<-ended
}
