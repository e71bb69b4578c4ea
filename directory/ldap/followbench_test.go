package ldap_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	client "github.com/go-ldap/ldap/v3"
)

// BenchmarkTellingAModification is the time from the answer to a modification
// to the message that tells a follower of it, as a client sees both.
func BenchmarkTellingAModification(b *testing.B) {
	r := newRig(b, nil)
	r.ldif(workforce)
	w := openWire(b, r.plain, r.schema)
	w.send(bind(1, reader, "reading"), withControls(ask{base: "o=nhs", scope: 2, filter: "(objectClass=*)"}.pdu(b, 2),
		control("2.16.840.1.113730.3.4.3", true, []byte{0x30, 9, 2, 1, 15, 1, 1, 0xFF, 1, 1, 0})))
	_ = w.raw(10 * time.Second)
	r.settled(1)
	c := r.dial(rootDN, rootPassword)
	var took []time.Duration
	for i := range b.N {
		mod := client.NewModifyRequest("ou=Services,o=nhs", nil)
		mod.Replace("description", []string{fmt.Sprint("n", i)})
		must(b, c.Modify(mod))
		start := time.Now()
		_ = w.raw(10 * time.Second)
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkModifyBesideIdleFollowers modifies while many follow something else.
func BenchmarkModifyBesideIdleFollowers(b *testing.B) {
	for _, followers := range []int{0, 1000, 4000} {
		b.Run(fmt.Sprint(followers), func(b *testing.B) {
			r := newRig(b, nil)
			r.ldif(workforce)
			r.config.Limits.MaxFollowingPerIdentity, r.config.Limits.MaxFollowingPerConnection, r.config.Limits.MaxInFlightPerConnection = 10_000, 1000, 1000
			r.restart(nil)
			for n := range followers / 1000 {
				r.idle(n * 1000)
			}
			r.settled(followers)
			c := r.dial(rootDN, rootPassword)
			cpu := cpuTime()
			b.ResetTimer()
			for i := range b.N {
				mod := client.NewModifyRequest("ou=Services,o=nhs", nil)
				mod.Replace("description", []string{fmt.Sprint("n", i)})
				must(b, c.Modify(mod))
			}
			b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

// idle adds a thousand who follow what does not happen, behind those there are.
func (r *rig) idle(there int) {
	w := openWire(r.t, r.plain, r.schema)
	w.send(bind(1, reader, "reading"))
	go func() { _, _ = io.Copy(io.Discard, w.conn) }()
	for id := range 1000 {
		w.send(withControls(ask{base: "ou=People,o=nhs", scope: 2, filter: fmt.Sprintf("(uid=%d)", id%20)}.pdu(r.t, id+2),
			control("2.16.840.1.113730.3.4.3", true, []byte{0x30, 9, 2, 1, 15, 1, 1, 0xFF, 1, 1, 0})))
		for r.server.Following() < there+id-50 {
			time.Sleep(time.Millisecond)
		}
	}
}

// BenchmarkRefresh has a raw client and a slapd take the whole directory.
func BenchmarkRefresh(b *testing.B) {
	r := benchRig(b)
	b.Run("raw", func(b *testing.B) {
		cpu, n := cpuTime(), 0
		for range b.N {
			w := openWire(b, r.plain, r.schema)
			w.send(bind(1, rootDN, rootPassword), withControls(ask{base: "o=nhs", scope: 2, filter: "(objectClass=*)"}.pdu(b, 2),
				control("1.3.6.1.4.1.4203.1.9.1.1", true, []byte{0x30, 3, 0x0A, 1, 1})))
			got, _ := io.Copy(io.Discard, &untilQuiet{w})
			n += int(got)
		}
		b.ReportMetric(float64(n)/float64(b.N)/1e6, "MB/op")
		b.ReportMetric(float64((cpuTime()-cpu).Milliseconds())/float64(b.N), "cpu-ms/op")
	})
	b.Run("slapd", func(b *testing.B) {
		for range b.N {
			start := time.Now()
			c := newConsumer(b, r.plain, "refreshAndPersist", "dbnosync")
			for !strings.Contains(c.log.String(), "REFRESH_PRESENT") {
				time.Sleep(50 * time.Millisecond)
			}
			b.ReportMetric(time.Since(start).Seconds(), "s/refresh")
			c.stop()
		}
	})
}

// untilQuiet reads until nothing has come for a while.
type untilQuiet struct{ w *wire }

func (u *untilQuiet) Read(p []byte) (int, error) {
	_ = u.w.conn.SetReadDeadline(time.Now().Add(3 * time.Second))
	n, err := u.w.conn.Read(p)
	if err != nil {
		return n, io.EOF
	}
	return n, nil
}
