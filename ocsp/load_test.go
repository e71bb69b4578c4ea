package ocsp_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/replica"
	"cardinal/ocsp"
)

// TestServeForLoad is no test but what tools/load/peers/ocsp.sh measures: the responder as the program serves it, over a
// copy with so many certificates that issuing them would take longer than all the rest. It writes ca.cer, serials and
// address into the folder it is given and serves until its standard input ends.
func TestServeForLoad(t *testing.T) {
	dir, count := os.Getenv("CARDINAL_OCSP_LOAD"), os.Getenv("CARDINAL_OCSP_SERIALS")
	if dir == "" {
		return
	}
	n, err := strconv.Atoi(count)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(w *world, _ *ocsp.Config, _ *replica.Options) { w.pulse = time.Second }) // as a ledger's
	w.ready()
	serials := w.recordMany(n)
	l, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("CARDINAL_OCSP_PORT"))
	if err != nil {
		t.Fatal(err)
	}
	s := w.responder.NewServer(&http.Server{})
	go func() { _ = s.Serve(l) }()
	debug.FreeOSMemory()
	for name, text := range map[string]string{"ca.cer": string(w.auth.cert.Raw), "serials": strings.Join(serials, "\n") + "\n", "address": l.Addr().String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = s.Shutdown(context.Background())
	var heap debug.GCStats
	debug.ReadGCStats(&heap)
	fmt.Println("collections:", heap.NumGC)
}

// recordMany records that many certificates, the same each time, and gives their serials.
func (w *world) recordMany(n int) (serials []string) {
	w.t.Helper()
	for len(serials) < n {
		change := certs.Recorded{Issuer: w.auth.id}
		for range min(400, n-len(serials)) {
			sum := sha256.Sum256([]byte(strconv.Itoa(len(serials))))
			sum[0] = sum[0]&0x7f | 0x40
			serial := certs.Serial(sum[:16])
			serials = append(serials, hex.EncodeToString([]byte(serial)))
			change.Certificates = append(change.Certificates, certs.RecordedCertificate{Serial: serial, Digest: sum,
				NotAfter: w.auth.cert.NotAfter, Profile: "authentication", Holder: "123456789012"})
		}
		w.feed.Append(journal.KindCertificatesRecorded, 1, change.Append(nil))
	}
	head, _ := w.feed.Head(w.t.Context())
	w.wait(head.Position)
	return serials
}
