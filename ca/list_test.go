package ca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/disktest"
)

func newIssuer(t testing.TB, key crypto.Signer) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{"Exämple"}, CommonName: "CA"},
		NotBefore: time.Now(), NotAfter: time.Now().AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCRLSign, SubjectKeyId: []byte{1, 2, 3, 4}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func p256(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func fixed(list []register.Entry) entries {
	return func(yield func(register.Entry) error) error {
		for _, e := range list {
			if err := yield(e); err != nil {
				return err
			}
		}
		return nil
	}
}

func newEncoder(issuer *x509.Certificate, key crypto.Signer, walk entries) *encoder {
	at := time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)
	return &encoder{signer: key, entries: walk, header: header{issuer: issuer.RawSubject, authorityKey: issuer.SubjectKeyId,
		url: "http://pki.example/crl/signing/3.crl", number: 1 << 33, thisUpdate: at, nextUpdate: at.AddDate(0, 0, 7)}}
}

// encode gives the list and how many entries it has.
func encode(t testing.TB, e *encoder) ([]byte, int64) {
	t.Helper()
	list, err := e.collect()
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	var b bytes.Buffer
	if err := e.write(&b, rand.Reader, list); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), list.count
}

// variety is entries with every reason, both time forms, long and short
// serials, with and without a date of invalidity.
func variety(t testing.TB, n int) []register.Entry {
	t.Helper()
	reasons := []certs.Reason{0, 1, 2, 3, 4, 5, 6, 9, 10}
	var list []register.Entry
	for i := range n {
		serial, err := certs.NewSerial(time.Now(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if i%7 == 0 {
			serial = "\x80" + serial[1:]
		}
		at := time.Date(2026+i%40, 1, 2, 3, 4, 5, 0, time.UTC)
		e := register.Entry{Serial: serial, Status: certs.Status{State: certs.StateRevoked, Reason: reasons[i%len(reasons)], At: at}}
		if i%3 == 0 {
			e.Status.Invalidity = at.AddDate(0, -1, 0)
		}
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b register.Entry) int { return bytes.Compare([]byte(a.Serial), []byte(b.Serial)) })
	return list
}

func TestListSaysToX509WhatWasPutIn(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []crypto.Signer{p256(t), p384, rsaKey} {
		issuer := newIssuer(t, key)
		for _, n := range []int{0, 1, 2, 3, 50, 2000} {
			want := variety(t, n)
			e := newEncoder(issuer, key, fixed(want))
			if n == 3 {
				e.url = "" // a list of everything
			}
			der, s := encode(t, e)
			list, err := x509.ParseRevocationList(der)
			if err != nil {
				t.Fatalf("%T, %d entries: %v", key, n, err)
			}
			if err := list.CheckSignatureFrom(issuer); err != nil {
				t.Fatalf("%T, %d entries: %v", key, n, err)
			}
			compare(t, list, e, want)
			if err := checkList(bytes.NewReader(der), issuer, e.header, s); err != nil {
				t.Errorf("%T, %d entries: %v", key, n, err)
			}
		}
	}
}

func compare(t *testing.T, list *x509.RevocationList, e *encoder, want []register.Entry) {
	t.Helper()
	if list.Number.Cmp(new(big.Int).SetUint64(e.number)) != 0 || !list.ThisUpdate.Equal(e.thisUpdate) || !list.NextUpdate.Equal(e.nextUpdate) ||
		!bytes.Equal(list.AuthorityKeyId, e.authorityKey) || !bytes.Equal(list.RawIssuer, e.issuer) {
		t.Errorf("header %+v", list)
	}
	if len(list.RevokedCertificateEntries) != len(want) {
		t.Fatalf("%d entries, want %d", len(list.RevokedCertificateEntries), len(want))
	}
	for i, got := range list.RevokedCertificateEntries {
		w := want[i]
		if got.SerialNumber.Cmp(w.Serial.Big()) != 0 || got.ReasonCode != int(w.Status.Reason) || !got.RevocationTime.Equal(w.Status.At) {
			t.Errorf("entry %d: %+v, want %+v", i, got, w)
		}
		extensions := 0
		if w.Status.Reason != certs.ReasonUnspecified {
			extensions++
		}
		if !w.Status.Invalidity.IsZero() {
			extensions++
		}
		if len(got.Extensions) != extensions {
			t.Errorf("entry %d has %d extensions, want %d", i, len(got.Extensions), extensions)
		}
	}
}

func TestGuardRefusesEveryChangedOctetAndWrongExpectation(t *testing.T) {
	t.Parallel()
	key := p256(t)
	issuer := newIssuer(t, key)
	e := newEncoder(issuer, key, fixed(variety(t, 3)))
	der, s := encode(t, e)
	for i := range der {
		bad := bytes.Clone(der)
		bad[i] ^= 0x01
		if err := checkList(bytes.NewReader(bad), issuer, e.header, s); !errors.Is(err, errList) {
			t.Fatalf("octet %d of %d changed: %v", i, len(der), err)
		}
		if err := checkList(bytes.NewReader(der[:i]), issuer, e.header, s); !errors.Is(err, errList) {
			t.Fatalf("cut to %d of %d octets: %v", i, len(der), err)
		}
	}
	if err := checkList(bytes.NewReader(append(bytes.Clone(der), 0)), issuer, e.header, s); !errors.Is(err, errList) {
		t.Errorf("an octet more: %v", err)
	}
	for name, change := range map[string]func(h *header){
		"number":      func(h *header) { h.number++ },
		"url":         func(h *header) { h.url += "x" },
		"scope":       func(h *header) { h.url = "" },
		"this update": func(h *header) { h.thisUpdate = h.thisUpdate.Add(time.Second) },
		"next update": func(h *header) { h.nextUpdate = h.nextUpdate.Add(time.Second) },
		"key":         func(h *header) { h.authorityKey = []byte{9} },
		"issuer":      func(h *header) { h.issuer = []byte{0x30, 0} },
	} {
		want := e.header
		change(&want)
		if err := checkList(bytes.NewReader(der), issuer, want, s); !errors.Is(err, errList) {
			t.Errorf("another %s: %v", name, err)
		}
	}
	if err := checkList(bytes.NewReader(der), issuer, e.header, s+1); !errors.Is(err, errList) {
		t.Errorf("an entry too few: %v", err)
	}
	other := newIssuer(t, p256(t))
	if err := checkList(bytes.NewReader(der), other, e.header, s); !errors.Is(err, errList) {
		t.Errorf("another's key: %v", err)
	}
	twice := variety(t, 1)
	e.entries = fixed(append(twice, twice...))
	der, s = encode(t, e)
	if err := checkList(bytes.NewReader(der), issuer, e.header, s); !errors.Is(err, errList) {
		t.Errorf("a serial twice: %v", err)
	}
}

// TestMemoryOfAListDoesNotGrowWithIt walks many entries that exist one at
// a time: what lives while the list streams stays under a megabyte.
func TestMemoryOfAListDoesNotGrowWithIt(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	key := p256(t)
	const n = 200_000
	var most uint64
	var start runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&start)
	issuer := newIssuer(t, key)
	e := newEncoder(issuer, key, func(yield func(register.Entry) error) error {
		status := certs.Status{State: certs.StateRevoked, Reason: certs.ReasonSuperseded, At: time.Unix(1.8e9, 0)}
		for i := range n {
			serial := certs.Serial([]byte{0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
			if i == n-1 {
				var now runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&now)
				most = max(most, now.HeapAlloc)
			}
			if err := yield(register.Entry{Serial: serial, Status: status}); err != nil {
				return err
			}
		}
		return nil
	})
	list, err := e.collect()
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(e.write(writer, rand.Reader, list)) }()
	if err := checkList(reader, issuer, e.header, n); err != nil {
		t.Fatal(err)
	}
	if grown := int64(most) - int64(start.HeapAlloc); grown > 1<<20 || list.file == nil {
		t.Errorf("%d octets of heap for a list of %d octets", grown, list.size)
	}
}

func FuzzCheckList(f *testing.F) {
	key := p256(f)
	issuer := newIssuer(f, key)
	e := newEncoder(issuer, key, fixed(variety(f, 2)))
	der, s := encode(f, e)
	f.Add(der)
	empty, _ := encode(f, newEncoder(issuer, key, fixed(nil)))
	f.Add(empty)
	f.Add([]byte{0x30, 0x88, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		err := checkList(bytes.NewReader(b), issuer, e.header, s)
		if err == nil && !bytes.Equal(b, der) {
			// another signature over the same list is a list, too
			if list, err := x509.ParseRevocationList(b); err != nil || list.CheckSignatureFrom(issuer) != nil {
				t.Fatalf("accepted %x", b)
			}
		}
	})
}

func TestCalendarWritesEveryDayAsTimeDoes(t *testing.T) {
	t.Parallel()
	var c calendar
	at := time.Date(1949, 12, 30, 23, 59, 58, 999, time.UTC)
	for range 2 { // days that were seen, and that took another's place
		for i := range 60_000 {
			at := at.Add(time.Duration(i) * (24*time.Hour + 1009*time.Second))
			want, err := asn1.Marshal(at.Truncate(time.Second))
			if got := c.appendTime(nil, at.In(time.FixedZone("", 3600))); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%s: %x, want %x, %v", at, got, want, err)
			}
		}
	}
}

func TestCopyHashedStopsWhereWritingFails(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("0123456789"), chunk)
	var all bytes.Buffer
	sum := sha256.New()
	n, err := copyHashed(&all, sum, bytes.NewReader(content))
	if want := sha256.Sum256(content); err != nil || n != int64(len(content)) || !bytes.Equal(all.Bytes(), content) || !bytes.Equal(sum.Sum(nil), want[:]) {
		t.Errorf("copied %d octets, %v", n, err)
	}
	full := errors.New("full")
	if _, err := copyHashed(failing{full}, sha256.New(), bytes.NewReader(content)); !errors.Is(err, full) {
		t.Errorf("writing: %v", err)
	}
	if _, err := copyHashed(&all, sha256.New(), io.MultiReader(bytes.NewReader(content), iotest.ErrReader(full))); !errors.Is(err, full) {
		t.Errorf("reading: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestSpoolLeavesNoFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "list-123"), nil, 0o600); err != nil { // of a process that was killed
		t.Fatal(err)
	}
	if err := CleanSpool(dir); err != nil {
		t.Fatal(err)
	}
	s := spool{dir: dir}
	defer s.Close()
	if _, err := s.Write(make([]byte, spoolMemory+1)); err != nil || s.file == nil {
		t.Fatalf("in a file: %t, %v", s.file != nil, err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("in the folder: %v, %v", files, err)
	}
}

func TestSpoolOnAFullDiskIsAnErrorAndLeavesNoFile(t *testing.T) {
	t.Parallel()
	disk := disktest.Run(t, "16m", disktest.Temporary)
	if disk == "" {
		return
	}
	key := p256(t)
	e := newEncoder(newIssuer(t, key), key, many(220_000))
	e.tempDir = t.TempDir()
	for _, room := range []int64{0, 1 << 20, spoolMemory - 1, spoolMemory + 1<<20} {
		remove := disktest.Fill(t, disk, room)
		if list, err := e.collect(); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("with %d octets of room: %v, %v", room, list, err)
		}
		remove()
		if files, err := os.ReadDir(e.tempDir); err != nil || len(files) > 0 {
			t.Errorf("with %d octets of room: left %v, %v", room, files, err)
		}
	}
	list, err := e.collect()
	if err != nil || list.count != 220_000 {
		t.Fatalf("with room again: %v", err)
	}
	if err := list.Close(); err != nil {
		t.Error(err)
	}
}
