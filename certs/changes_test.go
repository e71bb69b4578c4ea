package certs_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal"
)

type body interface{ Append([]byte) []byte }

func fill(n byte) (h [32]byte) {
	for i := range h {
		h[i] = n + byte(i)
	}
	return h
}

// samples are the changes whose bodies stand in testdata for ever.
func samples() map[string]body {
	issuer := certs.IssuerID(fill(0x10))
	end := time.Date(2029, 11, 21, 19, 29, 59, 0, time.UTC)
	return map[string]body{
		"issuer-added-1": certs.IssuerAdded{Name: "authentication", DER: []byte{0x30, 0x03, 0x02, 0x01, 0x05}, Shards: 16},
		"recorded-1": certs.Recorded{Issuer: issuer, Certificates: []certs.RecordedCertificate{
			{Serial: "\x01\x02", Digest: fill(0x40), NotAfter: end, Shard: 7, Profile: "authentication", Holder: "900000000017"},
			{Serial: "\xff", NotAfter: end, Shard: 300, Profile: "server", Holder: ""},
		}},
		"status-held-1": &certs.StatusChange{Issuer: issuer, Serials: []certs.Serial{"\x05"}, Status: certs.Status{
			State: certs.StateHeld, Reason: certs.ReasonCertificateHold, At: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)}},
		"status-released-1": &certs.StatusChange{Issuer: issuer, Serials: []certs.Serial{"\x05"}},
		"status-set-1": &certs.StatusChange{Issuer: issuer, Serials: []certs.Serial{
			"\x01\x02\x03", "\x01\x02", "\x01\x02\x04", "\x7f", "\x01\x02\x03", "\x01\x03"},
			Status: certs.Status{State: certs.StateRevoked, Reason: certs.ReasonKeyCompromise,
				At: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC), Invalidity: time.Date(2026, 12, 24, 0, 0, 0, 0, time.UTC)}},
		"list-published-1": certs.ListPublished{Issuer: issuer, Shard: 15, Number: 1 << 40,
			ThisUpdate: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC), NextUpdate: time.Date(2027, 1, 9, 3, 4, 5, 0, time.UTC),
			Content: fill(0x80), Size: 5_000_000_000},
		"generation-1": certs.GenerationChanged{Issuer: issuer, Starts: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC),
			Stopped: time.Date(2029, 1, 2, 3, 4, 5, 0, time.UTC), How: "retired", Ceremony: fill(0x60)},
		"cross-1": certs.CrossCertified{Issuer: issuer, DER: []byte{0x30, 0x03, 0x02, 0x01, 0x05}, Ceremony: fill(0x60)},
		"list-published-2": certs.ListPublished{Issuer: issuer, Shard: 15, Number: 1 << 40, Base: 1<<40 - 7,
			ThisUpdate: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC), NextUpdate: time.Date(2027, 1, 9, 3, 4, 5, 0, time.UTC),
			Content: fill(0x80), Size: 5_000_000_000, Packed: fill(0x90), PackedSize: 2_000_000_000},
		"list-archive-2": certs.ListPublished{Issuer: issuer, Kind: certs.ListArchive, Number: 1,
			ThisUpdate: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC), NextUpdate: time.Date(2027, 1, 9, 3, 4, 5, 0, time.UTC),
			Content: fill(0x80), Size: 5},
	}
}

func parse(name string, b []byte) (body, error) {
	kind, _, _ := strings.Cut(name, "-")
	switch kind {
	case "issuer":
		return certs.ParseIssuerAdded(b)
	case "recorded":
		return certs.ParseRecorded(b)
	case "list":
		return certs.ParseListPublished(b)
	case "generation":
		return certs.ParseGenerationChanged(b)
	case "cross":
		return certs.ParseCrossCertified(b)
	}
	c, err := certs.ParseStatusChange(b)
	return &c, err
}

var update = flag.Bool("update", false, "write new golden files; existing ones never change")

func TestBodiesNeverDriftFromGoldenFiles(t *testing.T) {
	t.Parallel()
	for name, c := range samples() {
		path := filepath.Join("testdata", name+".hex")
		got := c.Append(nil)
		if *update {
			writeNew(t, path, got)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: body is\n%x, golden\n%x", name, got, want)
		}
		parsed, err := parse(name, want)
		if err != nil || !reflect.DeepEqual(parsed, c) {
			t.Errorf("%s: parsed %+v, %v, want %+v", name, parsed, err, c)
		}
	}
}

func writeNew(t *testing.T, path string, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for line := range slices.Chunk(b, 32) {
		fmt.Fprintf(f, "%x\n", line)
	}
}

func TestParseRefusesEveryTruncationAndTrailingBytes(t *testing.T) {
	t.Parallel()
	for name, c := range samples() {
		b := c.Append(nil)
		for n := range b {
			if _, err := parse(name, b[:n]); !errors.Is(err, certs.ErrChange) {
				t.Fatalf("%s cut to %d of %d: %v", name, n, len(b), err)
			}
		}
		if _, err := parse(name, append(b, 0)); !errors.Is(err, certs.ErrChange) {
			t.Errorf("%s with a trailing byte: %v", name, err)
		}
	}
}

func randomSerials(t testing.TB, n int) []certs.Serial {
	t.Helper()
	serials := make([]certs.Serial, n)
	for i := range serials {
		var err error
		if serials[i], err = certs.NewSerial(time.Now(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	return serials
}

func TestSplitKeepsEveryBodyWithinTheJournalsLimit(t *testing.T) {
	t.Parallel()
	serials := randomSerials(t, 20_000)
	c := certs.StatusChange{Issuer: fill(1), Serials: append(slices.Clone(serials), serials[:100]...), Status: certs.Revoked(certs.ReasonSuperseded)}
	c.Status.At = time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)
	var back []certs.Serial
	parts := c.Split()
	for _, part := range parts {
		b := part.Append(nil)
		if len(b) > journal.MaxBody {
			t.Fatalf("body of %d octets", len(b))
		}
		parsed, err := certs.ParseStatusChange(b)
		if err != nil || !parsed.Status.Equal(c.Status) || parsed.Issuer != c.Issuer {
			t.Fatalf("parsed %+v, %v", parsed.Status, err)
		}
		back = append(back, parsed.Serials...)
	}
	slices.Sort(serials)
	if !slices.Equal(back, serials) {
		t.Error("the parts do not hold the set")
	}
	if len(parts) > 5 {
		t.Errorf("%d parts for 20,000 serials", len(parts))
	}
	if got := (&certs.StatusChange{}).Split(); got != nil {
		t.Errorf("an empty set gave %d parts", len(got))
	}
}

func TestRecordedSplitsWithinTheJournalsLimit(t *testing.T) {
	t.Parallel()
	c := certs.Recorded{Issuer: fill(1)}
	for i, s := range randomSerials(t, 3000) {
		c.Certificates = append(c.Certificates, certs.RecordedCertificate{
			Serial: s, Digest: fill(byte(i)), NotAfter: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC),
			Shard: 16, Profile: "authentication", Holder: strings.Repeat("x", i%200)})
	}
	n := 0
	for _, part := range c.Split() {
		b := part.Append(nil)
		if len(b) > journal.MaxBody {
			t.Fatalf("body of %d octets", len(b))
		}
		parsed, err := certs.ParseRecorded(b)
		if err != nil || !reflect.DeepEqual(parsed, part) {
			t.Fatalf("part changed on the way: %v", err)
		}
		n += len(parsed.Certificates)
	}
	if n != len(c.Certificates) {
		t.Errorf("%d of %d certificates", n, len(c.Certificates))
	}
}

func TestStatusChangeRefusesBodiesAppendWouldNotWrite(t *testing.T) {
	t.Parallel()
	undated := certs.StatusChange{Serials: []certs.Serial{"\x01"}, Status: certs.Held()}
	if _, err := certs.ParseStatusChange(undated.Append(nil)); !errors.Is(err, certs.ErrChange) {
		t.Errorf("a hold without a time: %v", err)
	}
	good := certs.StatusChange{Serials: []certs.Serial{"\x01\x02", "\x01\x03"}}
	head := len((&certs.StatusChange{}).Append(nil)) - 1
	b := good.Append(nil)
	packed := b[head+1:]
	cases := map[string][]byte{
		"out of order":         {0x20, 2, 1, 3, 1, 2},
		"repeated":             {0x20, 2, 1, 2, 2},
		"shared prefix unused": {0x20, 2, 1, 2, 0, 1, 3},
		"length repeated":      {0x20, 2, 1, 2, 0x21, 2, 3},
		"leading zero":         {0x20, 2, 0, 2},
		"too long":             append([]byte{0x20, 21}, bytes.Repeat([]byte{1}, 21)...),
		"unknown flag":         {0x60, 2, 1, 2},
		"shares with nothing":  {0x21, 2, 2},
		"no length":            {0x20},
		"empty serial":         {0x00},
	}
	if !bytes.Equal(packed, []byte{0x20, 2, 1, 2, 1, 3}) {
		t.Fatalf("packed as %x", packed)
	}
	for name, p := range cases {
		bad := append(append(bytes.Clone(b[:head]), byte(len(p))), p...)
		if c, err := certs.ParseStatusChange(bad); !errors.Is(err, certs.ErrChange) {
			t.Errorf("%s: %x, %v", name, c.Serials, err)
		}
	}
}

func fuzzBody(f *testing.F, prefix string) {
	for name, c := range samples() {
		if strings.HasPrefix(name, prefix) {
			f.Add(c.Append(nil))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parse(prefix, b)
		if err != nil {
			if !errors.Is(err, certs.ErrChange) {
				t.Fatalf("another error: %v", err)
			}
			return
		}
		if again := c.Append(nil); !bytes.Equal(again, b) {
			t.Fatalf("one value, two bodies:\n%x\n%x", b, again)
		}
	})
}

func FuzzIssuerAdded(f *testing.F)   { fuzzBody(f, "issuer") }
func FuzzRecorded(f *testing.F)      { fuzzBody(f, "recorded") }
func FuzzStatusChange(f *testing.F)  { fuzzBody(f, "status") }
func FuzzListPublished(f *testing.F) { fuzzBody(f, "list") }
func FuzzGeneration(f *testing.F)    { fuzzBody(f, "generation") }
func FuzzCross(f *testing.F)         { fuzzBody(f, "cross") }

func BenchmarkStatusChangeParse(b *testing.B) {
	c := certs.StatusChange{Serials: randomSerials(b, 3900), Status: certs.Revoked(certs.ReasonSuperseded)}
	body := c.Append(nil)
	b.ReportMetric(float64(len(body))/3900, "octets/serial")
	for b.Loop() {
		if _, err := certs.ParseStatusChange(body); err != nil {
			b.Fatal(err)
		}
	}
}
