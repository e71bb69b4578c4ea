package ocsp_test

import (
	"crypto"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/replica"
	"cardinal/ocsp"
	"cardinal/ocsp/relying"
)

// TestMillionsOfStatuses is no test but what a large workforce is measured with: CARDINAL_OCSP_STATUSES certificates of
// two CAs, 3 in 100 of them revoked, are followed from a journal into a copy in TMPDIR, and asked about. It prints how
// much of the file their statuses are and how much of the heap it takes to answer.
//
// They come in large transactions, in the order of their serials, as those do that were made one after the other.
func TestMillionsOfStatuses(t *testing.T) {
	count, err := strconv.Atoi(os.Getenv("CARDINAL_OCSP_STATUSES"))
	if err != nil {
		return
	}
	path := filepath.Join(t.TempDir(), "replica.db")
	const stored = 1 // beside what is looked up, nothing is to take room
	m := &millions{world: newWorld(t, func(w *world, c *ocsp.Config, o *replica.Options) {
		o.Path, c.Limits.Stored, w.pulse = path, stored, time.Second
	})}
	m.ready()
	begun := time.Now()
	m.fill(count)
	m.revoke(count)
	fmt.Printf("%d statuses in %v, one transaction %d\n", count, time.Since(begun).Round(time.Second), perTransaction)
	m.size(path, count)
	before := live()
	m.ask(count, 20_000, true)
	fmt.Printf("heap: %.1f MB before anything was asked, %.1f MB after 20,000 answers, at most %.1f MB while answering\n",
		before, live(), m.most)
	config := ocsp.Config{Table: m.table, Replica: m.replica, Enroller: m}
	m.responder = ocsp.New(config)
	m.runs()
	m.ready()
	m.ask(count, min(count, 400_000), false)
	fmt.Printf("heap: %.1f MB with as many stored answers as there may be\n", live())
}

// millions is a world with very many certificates.
type millions struct {
	*world
	most float64
}

// perTransaction is how many certificates come in one transaction.
const perTransaction = 8000

// of gives the n-th certificate and its CA.
func (m *millions) of(n int) (*authority, certs.RecordedCertificate) {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
	binary.BigEndian.PutUint32(sum[:], uint32(0x30000000+n/16)) // as serials are drawn: eight a second
	a := m.auth
	if n%2 == 1 {
		a = m.signing
	}
	serial, err := certs.SerialFromBytes(sum[:16])
	if err != nil {
		m.t.Fatal(err)
	}
	return a, certs.RecordedCertificate{Serial: serial, Digest: sha256.Sum256(sum[:]), NotAfter: a.cert.NotAfter,
		Profile: a.name, Holder: "123456789012"}
}

// fill records a million at a time.
func (m *millions) fill(count int) {
	const portion = 1_000_000
	for from := 0; from < count; from += portion {
		changes := map[*authority][]certs.RecordedCertificate{}
		for n := from; n < min(from+portion, count); n++ {
			a, c := m.of(n)
			changes[a] = append(changes[a], c)
		}
		for a, all := range changes {
			m.recordInOrder(a, all)
		}
	}
}

func (m *millions) recordInOrder(a *authority, all []certs.RecordedCertificate) {
	slices.SortFunc(all, func(x, y certs.RecordedCertificate) int { return strings.Compare(string(x.Serial), string(y.Serial)) })
	for some := range slices.Chunk(all, perTransaction) {
		var bodies [][]byte
		for part := range slices.Chunk(some, 400) {
			bodies = append(bodies, certs.Recorded{Issuer: a.id, Certificates: part}.Append(nil))
		}
		m.tell(journal.KindCertificatesRecorded, bodies...)
	}
}

// revokes says whether the n-th certificate is to be revoked.
func revokes(n int) bool { return n%33 == 7 }

func (m *millions) revoke(count int) {
	serials := map[*authority][]certs.Serial{}
	for n := range count {
		if revokes(n) {
			a, c := m.of(n)
			serials[a] = append(serials[a], c.Serial)
		}
	}
	status := revoked(certs.ReasonKeyCompromise)
	status.Invalidity = status.At.Add(-time.Hour)
	for a, all := range serials {
		for part := range slices.Chunk(all, 1000) {
			m.tell(journal.KindStatusChanged, statusBody(a, status, part...))
		}
	}
}

// tell appends a transaction, waits for the copy to have it, and lets go of it.
func (m *millions) tell(kind journal.Kind, bodies ...[]byte) {
	last := m.append(kind, bodies...)
	for i := range bodies {
		m.feed.Erase(last - journal.Position(i))
	}
}

// size prints how much of the file the statuses take.
func (m *millions) size(path string, count int) {
	info, err := os.Stat(path)
	if err != nil {
		m.t.Fatal(err)
	}
	var used, pages, keys int
	err = m.replica.View("certificates", func(b *bbolt.Bucket, _ replica.State) error {
		status := b.Bucket([]byte("status"))
		return status.ForEachBucket(func(issuer []byte) error {
			s := status.Bucket(issuer).Stats()
			used, pages, keys = used+s.LeafInuse+s.BranchInuse, pages+s.LeafAlloc+s.BranchAlloc, keys+s.KeyN
			return nil
		})
	})
	if err != nil {
		m.t.Fatal(err)
	}
	each := func(n int) float64 { return float64(n) / float64(count) }
	fmt.Printf("disk: file %.0f MB, pages of statuses %.0f MB (%.1f octets each, %.1f of them used, %d keys)\n",
		float64(info.Size())/1e6, float64(pages)/1e6, each(pages), each(used), keys)
}

// runs has another responder run until the test ends.
func (m *millions) runs() {
	ended := make(chan error, 1)
	ctx := m.t.Context()
	go func() { ended <- m.responder.Run(ctx) }()
	m.t.Cleanup(func() {
		if err := <-ended; err != nil {
			m.t.Error(err)
		}
	})
}

// ask asks about certificates here and there; when judged, every answer must be right.
func (m *millions) ask(count, questions int, judged bool) {
	h := m.responder.Handler()
	for i := range questions {
		n := int(uint64(i) * 0x9E3779B97F4A7C15 % uint64(count))
		a, c := m.of(n)
		id := idOf(a, crypto.SHA1, c.Serial.Big())
		der := requestFor(id).der(m.t)
		out := &collected{sink: sink{header: http.Header{}}}
		h.ServeHTTP(out, &http.Request{Method: "GET", URL: &url.URL{Path: "/ocsp"}, RequestURI: getPath(der), Header: http.Header{}})
		if judged {
			m.judge(n, out.body)
		}
		if i%1000 == 0 {
			m.most = max(m.most, heapNow())
		}
	}
}

type collected struct {
	sink
	body []byte
}

func (c *collected) Write(b []byte) (int, error) {
	c.body = append(c.body, b...)
	return len(b), nil
}

var _ io.Writer = (*collected)(nil)

func (m *millions) judge(n int, body []byte) {
	a, c := m.of(n)
	leaf := *a.cert
	leaf.SerialNumber, leaf.RawIssuer = c.Serial.Big(), a.cert.RawSubject
	answer, err := relying.Query{Leaf: &leaf, Issuer: a.cert, Hash: crypto.SHA1}.Judge(body, time.Now())
	if err != nil || !answer.Known || answer.Good() == revokes(n) {
		m.t.Fatalf("certificate %d: %+v, %v", n, answer, err)
	}
}

// live is how much of the heap is in use after everything else was given up, in MB.
func live() float64 {
	runtime.GC()
	runtime.GC() // what sync.Pool keeps survives one
	return heap("/gc/heap/live:bytes")
}

// heapNow is how large the heap is, with what is not collected yet, in MB.
func heapNow() float64 { return heap("/memory/classes/heap/objects:bytes") }

func heap(name string) float64 {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	return float64(sample[0].Value.Uint64()) / 1e6
}
