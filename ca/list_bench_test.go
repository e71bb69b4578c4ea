package ca

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"runtime"
	"syscall"
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
)

// many walks n entries that exist 256 at a time, as in a run of the register,
// with serials of 16 octets and a date each.
func many(n int) entries {
	return func(yield func(register.Entry) error) error {
		at := time.Unix(1.8e9, 0)
		var serials certs.Serial
		var next []byte
		for i := range n {
			if len(serials) == 0 {
				next = next[:0]
				for i := i; len(next) < 256*16; i++ {
					next = append(next, 0x40, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, byte(i>>24), byte(i>>16), byte(i>>8), byte(i), 3)
				}
				serials = certs.Serial(next)
			}
			status := certs.Status{State: certs.StateRevoked, Reason: certs.ReasonSuperseded, At: at.Add(time.Duration(i) * time.Second)}
			if err := yield(register.Entry{Serial: serials[:16], Status: status}); err != nil {
				return err
			}
			serials = serials[16:]
		}
		return nil
	}
}

// BenchmarkList builds and signs a list, and reads it back as the guard does;
// cpu-ms is processor time of the whole process, sys-MB what Go has of the
// system, of one length when it is run alone.
func BenchmarkList(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000, 3_000_000} {
		key := p256(b)
		issuer := newIssuer(b, key)
		e := newEncoder(issuer, key, many(n))
		e.tempDir = b.TempDir()
		b.Run(fmt.Sprint("build and sign/", n), func(b *testing.B) {
			start := used()
			for b.Loop() {
				list, err := e.collect()
				if err != nil {
					b.Fatal(err)
				}
				if err := e.write(io.Discard, rand.Reader, list); err != nil {
					b.Fatal(err)
				}
				list.Close()
			}
			spent(b, start)
		})
		b.Run(fmt.Sprint("guard/", n), func(b *testing.B) {
			der, count := encode(b, e)
			start := used()
			for b.Loop() {
				if err := checkList(bytes.NewReader(der), issuer, e.header, count); err != nil {
					b.Fatal(err)
				}
			}
			spent(b, start)
		})
	}
}

func spent(b *testing.B, start time.Duration) {
	b.ReportMetric(float64((used()-start).Milliseconds())/float64(b.N), "cpu-ms")
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.Sys)/(1<<20), "sys-MB")
}

func used() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
