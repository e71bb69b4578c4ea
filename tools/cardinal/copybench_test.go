package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/directory"
	"cardinal/directory/tree"
	"cardinal/internal/journal"
	"cardinal/internal/replica"
	"cardinal/ocsp"
)

// copyBench is a copy as a node serves from, of a workforce with cards, and the
// journal it follows in memory: what a change costs in the copy alone.
type copyBench struct {
	b       *testing.B
	feed    *journal.Memory
	copy    *readSide
	cards   []benchCard
	issuers [2]certs.IssuerID
	moulds  [2][]byte
	serials [2][]byte // of the moulds
}

type benchCard struct {
	person, card directory.UUID
	serials      [2]certs.Serial
}

// benchSize is CARDINAL_BENCH_CARDS, or 10,000.
func benchSize(b *testing.B) int {
	n, err := strconv.Atoi(os.Getenv("CARDINAL_BENCH_CARDS"))
	if err != nil {
		n = 10_000
	}
	b.Logf("%d cards", n)
	return n
}

// newCopyBench makes persons with a card each; with shown, persons have their
// certificates in the directory.
func newCopyBench(b *testing.B, n int, shown bool) *copyBench {
	b.Helper()
	schema, err := directory.DefaultSchema()
	if err != nil {
		b.Fatal(err)
	}
	x := &copyBench{b: b, feed: journal.NewMemory(), copy: &readSide{table: ocsp.NewTable()}}
	if x.copy.tree, err = tree.New(schema, tree.Options{SpillDir: b.TempDir(), Memory: 512 << 20}); err != nil {
		b.Fatal(err)
	}
	x.makeIssuers()
	x.makeCards(n)
	x.load(shown)
	if x.copy.replica, err = replica.Open(b.Context(), replica.Options{Path: filepath.Join(b.TempDir(), "replica.db"), Feed: x.feed,
		Appliers: x.copy.appliers(), SyncAfter: time.Second}); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- x.copy.replica.Follow(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, x.copy.replica.Close()); err != nil {
			b.Error(err)
		}
	})
	x.wait(x.head())
	return x
}

func (x *copyBench) head() journal.Position {
	h, _ := x.feed.Head(x.b.Context())
	return h.Position
}

func (x *copyBench) wait(p journal.Position) {
	x.b.Helper()
	if err := x.copy.replica.WaitFor(x.b.Context(), p); err != nil {
		x.b.Fatal(err)
	}
}

func (x *copyBench) makeIssuers() {
	for i, name := range []string{"authentication", "signing"} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			x.b.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name + " CA", Organization: []string{"Test"}},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0), IsCA: true, BasicConstraintsValid: true}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			x.b.Fatal(err)
		}
		ca, _ := x509.ParseCertificate(der)
		x.issuers[i] = certs.IssuerIDOf(ca)
		added := certs.IssuerAdded{Name: name, DER: der, Shards: 16}
		x.feed.Append(journal.KindIssuerAdded, certs.IssuerAddedVersion, added.Append(nil))
		x.serials[i] = bytes.Repeat([]byte{0x41 + byte(i)}, 16)
		leaf := &x509.Certificate{SerialNumber: new(big.Int).SetBytes(x.serials[i]), Subject: pkix.Name{CommonName: "900000000017_EXAMPLE_ALEX"},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(3, 0, 0), CRLDistributionPoints: []string{"http://crl.example.org/" + name + "/7.crl"},
			OCSPServer: []string{"http://ocsp.example.org/ocsp"}, IssuingCertificateURL: []string{"http://crl.example.org/" + name + ".cer"}}
		if x.moulds[i], err = x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), key); err != nil {
			x.b.Fatal(err)
		}
	}
}

func (x *copyBench) makeCards(n int) {
	random := mathrand.New(mathrand.NewPCG(1, 2))
	some := func() (u [16]byte) {
		binary.BigEndian.PutUint64(u[:], random.Uint64())
		binary.BigEndian.PutUint64(u[8:], random.Uint64())
		return u
	}
	recorded := [2]certs.Recorded{{Issuer: x.issuers[0]}, {Issuer: x.issuers[1]}}
	for k := range n {
		c := benchCard{person: some(), card: some()}
		for i := range c.serials {
			serial := some()
			binary.BigEndian.PutUint32(serial[:], uint32(0x37000000+k/8)) // as they are drawn: four cards a second
			c.serials[i] = certs.Serial(serial[:])
			recorded[i].Certificates = append(recorded[i].Certificates, certs.RecordedCertificate{Serial: c.serials[i],
				Digest: sha256.Sum256(serial[:]), NotAfter: time.Now().AddDate(3, 0, 0), Profile: "card", Holder: "900000000017"})
		}
		x.cards = append(x.cards, c)
	}
	for _, r := range recorded {
		// As a copy that was rebuilt has them: any order will do.
		slices.SortFunc(r.Certificates, func(a, b certs.RecordedCertificate) int { return bytes.Compare([]byte(a.Serial), []byte(b.Serial)) })
		for _, part := range r.Split() {
			x.feed.Append(journal.KindCertificatesRecorded, certs.RecordedVersion, part.Append(nil))
		}
	}
}

// load puts persons and cards into one load of the suffix.
func (x *copyBench) load(shown bool) {
	suffix, _ := directory.ParseDN("o=nhs")
	manifest := directory.LoadManifest{Suffix: suffix, Defaults: []directory.Attribute{{Type: "creatorsName", Values: directory.Values("cn=admin,o=nhs")},
		{Type: "createTimestamp", Values: directory.Values("20260102030405Z")}, {Type: "modifiersName", Values: directory.Values("cn=admin,o=nhs")},
		{Type: "modifyTimestamp", Values: directory.Values("20260102030405Z")}}}
	names, seal := &directory.LoadNames{}, &directory.BlockSealer{}
	packer := directory.NewEntryPacker(names)
	blocks := directory.NewBlockWriter(names, func(b *directory.Block) error {
		data := seal.Seal(b)
		manifest.Blocks = append(manifest.Blocks, directory.LoadBlock{Content: x.feed.PutContent(data), Size: int64(len(data)), Entries: b.Entries})
		return nil
	})
	put := func(u directory.UUID, dn string, attributes ...string) *directory.Entry {
		name, err := directory.ParseDN(dn)
		if err != nil {
			x.b.Fatal(err)
		}
		e := &directory.Entry{DN: name}
		for i := 0; i < len(attributes); i += 2 {
			e.Put(attributes[i], append(e.Get(attributes[i]), []byte(attributes[i+1]))...)
		}
		manifest.Entries++
		return e
	}
	add := func(u directory.UUID, e *directory.Entry) {
		if err := blocks.Add(packer.Append(nil, u, e)); err != nil {
			x.b.Fatal(err)
		}
	}
	add(directory.UUID{1}, put(directory.UUID{1}, "o=nhs", "objectClass", "organization", "o", "nhs"))
	add(directory.UUID{2}, put(directory.UUID{2}, "ou=People,o=nhs", "objectClass", "organizationalUnit", "ou", "People"))
	for i, c := range x.cards {
		uid := fmt.Sprintf("9%011d", i)
		dn := "uid=" + uid + ",ou=People,o=nhs"
		e := put(c.person, dn, "objectClass", "nhsPerson", "uid", uid, "cn", fmt.Sprintf("Given%d Family%d", i%500, i%700), "sn", fmt.Sprintf("Family%d", i%700),
			"givenName", fmt.Sprintf("Given%d", i%500), "nhsPersonStatus", "1", "mail", "p"+uid+"@example.org", "displayName", "Dr Given Family",
			"personalTitle", "Dr", "telephoneNumber", "+44 113 "+uid[6:], "employeeNumber", uid[4:], "structuralObjectClass", "nhsPerson")
		if shown {
			for k := range 2 {
				der := bytes.Clone(x.moulds[k])
				copy(der[bytes.Index(der, x.serials[k]):], c.serials[k])
				e.Put("userCertificate;binary", append(e.Get("userCertificate;binary"), der)...)
			}
		}
		add(c.person, e)
		number := fmt.Sprintf("C%010d", i)
		add(c.card, put(c.card, "uniqueIdentifier="+number+","+dn, "objectClass", "cardinalCard", "uniqueIdentifier", number, "cardState", "active",
			"cardNotAfter", "20290101000000Z", "structuralObjectClass", "cardinalCard"))
	}
	if err := blocks.Close(); err != nil {
		x.b.Fatal(err)
	}
	loaded := directory.SuffixLoaded{Suffix: suffix, Content: x.feed.PutContent(manifest.Append(nil)), Entries: manifest.Entries}
	x.feed.Append(journal.KindSuffixLoaded, directory.ChangeVersion, loaded.Append(nil))
}

// suspend is the transaction of one block.
func (x *copyBench) suspend(cards []benchCard) journal.Position {
	replace := func(name, value string) directory.Modification {
		return directory.Modification{Op: directory.ModReplace, Attribute: directory.Attribute{Type: name, Values: directory.Values(value)}}
	}
	set := directory.EntriesModified{Mods: []directory.Modification{replace("cardState", "suspended"), replace("modifiersName", "cn=issuance"), replace("modifyTimestamp", "20261122030405Z")}}
	held := certs.Held()
	held.At = time.Now().UTC().Truncate(time.Second)
	statuses := [2]certs.StatusChange{{Issuer: x.issuers[0], Status: held}, {Issuer: x.issuers[1], Status: held}}
	for _, c := range cards {
		set.UUIDs = append(set.UUIDs, c.card)
		for i := range statuses {
			statuses[i].Serials = append(statuses[i].Serials, c.serials[i])
		}
	}
	slices.SortFunc(set.UUIDs, func(a, b directory.UUID) int { return bytes.Compare(a[:], b[:]) })
	records := []journal.Record{{Kind: journal.KindEntriesModified, Version: directory.ChangeVersion, Body: set.Append(nil)}}
	for i := range statuses {
		records = append(records, journal.Record{Kind: journal.KindStatusChanged, Version: certs.StatusChangeVersion, Body: statuses[i].Append(nil)})
	}
	return x.feed.Commit(records...)
}

func benchCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkNightInTheCopy suspends every card in blocks, each as soon as the
// copy shows the one before it.
func BenchmarkNightInTheCopy(b *testing.B) {
	size := benchSize(b)
	for _, shown := range []bool{false, true} {
		for _, block := range []int{500, 1000, 2000} {
			b.Run(fmt.Sprintf("shown=%t/block=%d", shown, block), func(b *testing.B) {
				x := newCopyBench(b, size, shown)
				b.ResetTimer()
				began, longest := benchCPU(), time.Duration(0)
				for from := 0; from < size; from += block {
					at := time.Now()
					x.wait(x.suspend(x.cards[from:min(from+block, size)]))
					longest = max(longest, time.Since(at))
				}
				b.StopTimer()
				b.ReportMetric(float64((benchCPU()-began).Microseconds())/float64(size), "cpu-µs/card")
				b.ReportMetric(float64(longest.Milliseconds()), "longest-ms")
			})
		}
	}
}

// BenchmarkLookingBesideTheNight looks persons up, one each millisecond, while
// nothing happens and while every card is suspended: how much longer that takes
// is what the copy takes from those who sign in.
func BenchmarkLookingBesideTheNight(b *testing.B) {
	size := benchSize(b)
	x := newCopyBench(b, size, true)
	for range 2000 { // what makes sign-ins quick is in memory then
		x.look(0)
	}
	time.Sleep(3 * time.Second)
	const each = 2000
	quiet := x.looks(func(n int) bool { return n < each })
	var done atomic.Bool
	ended := make(chan error, 1)
	go func() {
		var err error
		for from := 0; from < size && err == nil; from += 1000 {
			err = x.copy.replica.WaitFor(context.Background(), x.suspend(x.cards[from:min(from+1000, size)]))
		}
		done.Store(true)
		ended <- err
	}()
	beside := x.looks(func(int) bool { return !done.Load() })
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	for name, took := range map[string][]time.Duration{"quiet": quiet, "beside": beside} {
		slices.Sort(took)
		for at, part := range map[string]int{"p50": 500, "p99": 990, "p99.9": 999} {
			b.ReportMetric(float64(took[len(took)*part/1000].Nanoseconds())/1000, name+"-"+at+"-µs")
		}
	}
}

// looks says how long each look took, until it is enough.
func (x *copyBench) looks(more func(n int) bool) (took []time.Duration) {
	for more(len(took)) {
		took = append(took, x.look(len(took)*7919%len(x.cards)))
		time.Sleep(time.Millisecond)
	}
	return took
}

// look reads the person of a card.
func (x *copyBench) look(n int) time.Duration {
	dn, err := directory.ParseDN(fmt.Sprintf("uid=9%011d,ou=People,o=nhs", n))
	if err != nil {
		x.b.Fatal(err)
	}
	key, err := x.copy.tree.Schema().Key(dn)
	if err != nil {
		x.b.Fatal(err)
	}
	began := time.Now()
	if err := x.copy.tree.Get(key, func(e *tree.Entry) error { _, err := e.Decode(); return err }); err != nil {
		x.b.Error(err)
	}
	return time.Since(began)
}

// BenchmarkLoneChangeInTheCopy makes one change at a time: of an entry, and of a
// card with both certificates.
func BenchmarkLoneChangeInTheCopy(b *testing.B) {
	x := newCopyBench(b, benchSize(b), true)
	lone := func(change func(i int) journal.Position) func(b *testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			began := benchCPU()
			i := 0
			for b.Loop() {
				x.wait(change(i * 7919 % len(x.cards)))
				i++
			}
			b.ReportMetric(float64((benchCPU()-began).Microseconds())/float64(i), "cpu-µs/op")
		}
	}
	b.Run("nothing", lone(func(int) journal.Position { return x.feed.Append(journal.KindOrderMoved, 1, []byte("x")) }))
	b.Run("entry", lone(func(i int) journal.Position {
		m := directory.EntryModified{UUID: x.cards[i].person, Mods: []directory.Modification{{Op: directory.ModReplace,
			Attribute: directory.Attribute{Type: "telephoneNumber", Values: directory.Values(strconv.Itoa(i))}}}}
		return x.feed.Append(journal.KindEntryModified, directory.ChangeVersion, m.Append(nil))
	}))
	b.Run("card", lone(func(i int) journal.Position { return x.suspend(x.cards[i : i+1]) }))
}
