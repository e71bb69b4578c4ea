package main

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"cardinal/certs"
)

func TestWhatManyFindStandsInOrderAndIsBounded(t *testing.T) {
	t.Parallel()
	a := &app{err: io.Discard}
	var f findings
	const things, every = 20_000, 90
	b := a.progress("x", things)
	failed := errors.New("no more")
	err := spread(&f, b, func(give func(int)) error {
		for i := range things {
			give(i)
		}
		return failed
	}, func(i int, f *findings) {
		if i%every == 0 {
			f.found(fmt.Sprint(i), "x")
		}
	})
	if !errors.Is(err, failed) || b.done != things || len(f.all) != findingsMax || f.more != things/every+1-findingsMax {
		t.Fatalf("%d counted, %d found and %d more: %v", b.done, len(f.all), f.more, err)
	}
	for i, found := range f.all {
		if found.Where != fmt.Sprint(i*every) {
			t.Fatalf("number %d is %s", i, found.Where)
		}
	}
}

func TestTheRollKeepsWhatWasRecorded(t *testing.T) {
	t.Parallel()
	r := newRoll()
	const many = 2*rollBlock + 7
	at := func(i int) (certs.IssuerID, certs.RecordedCertificate) {
		return certs.IssuerID{byte(i % 3)}, certs.RecordedCertificate{Serial: certs.Serial(fmt.Sprintf("s%d", i)), Digest: [32]byte{byte(i)},
			NotAfter: second(int64(i)), Shard: uint16(i), Profile: fmt.Sprint("p", i%2), Holder: fmt.Sprint("h", i)}
	}
	for i := range many {
		issuer, c := at(i)
		if added, err := r.add(issuer, &c); !added || err != nil {
			t.Fatal(added, err)
		}
		if added, err := r.add(issuer, &c); added || err != nil {
			t.Fatalf("twice: %t, %v", added, err)
		}
	}
	status := certs.Status{State: certs.StateRevoked, Reason: certs.ReasonKeyCompromise, At: second(5), Invalidity: second(3)}
	r.place(many - 1).setStatus(status)
	for n, c := range r.all() {
		issuer, want := at(int(n))
		if r.at(issuer, want.Serial) != c || r.issuerOf(c) != issuer || c.serial() != want.Serial || c.digest != want.Digest || c.notAfter != int64(n) ||
			c.shard != want.Shard || r.profileOf(c) != want.Profile || r.holderOf(c) != want.Holder {
			t.Fatalf("%d is kept as %+v", n, c)
		}
		if should := (certs.Status{}); n == many-1 && c.status() != status || n != many-1 && !sameStatus(c.status(), should) {
			t.Fatalf("%d is %+v", n, c.status())
		}
	}
	if r.at(certs.IssuerID{9}, "s1") != nil || r.at(certs.IssuerID{0}, "s1") != nil || r.len() != many {
		t.Errorf("%d are kept, or one nobody recorded", r.len())
	}
}
