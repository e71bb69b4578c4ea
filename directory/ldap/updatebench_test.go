package ldap_test

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// BenchmarkModify has connections modify entries of their own, each waiting for
// its answer: durable, and shown by the copy. slapd does the same.
func BenchmarkModify(b *testing.B) {
	r := newRig(b, nil)
	r.ldif(workforce)
	ours := modifying{r, r.plain}
	ours.prepare(b)
	for _, connections := range []int{1, 16, 64} {
		b.Run(fmt.Sprint(connections), func(b *testing.B) { ours.run(b, connections) })
	}
	b.Run("slapd", func(b *testing.B) {
		address, _ := loadSlapd(b)
		theirs := modifying{r, address}
		theirs.prepare(b)
		for _, connections := range []int{1, 64} {
			b.Run(fmt.Sprint(connections), func(b *testing.B) { theirs.run(b, connections) })
		}
	})
}

// modifying is the benchmark against one server.
type modifying struct {
	*rig
	address string
}

func (m modifying) bound(b *testing.B) *wire {
	w := openWire(b, m.address, m.schema)
	w.send(bind(1, rootDN, rootPassword))
	w.until(1, wireWait)
	return w
}

func (m modifying) prepare(b *testing.B) {
	w := m.bound(b)
	for i := range 64 {
		w.send(device(2, fmt.Sprint("m", i)))
		expectAnswer(b, w, 2, 0)
	}
}

func (m modifying) run(b *testing.B, connections int) {
	var n atomic.Int64
	var done sync.WaitGroup
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	for i := range connections {
		w := m.bound(b)
		name, answer := fmt.Sprintf("cn=m%d,ou=Services,o=nhs", i), make([]byte, 512)
		done.Go(func() {
			w.modifyWhile(name, answer, func() (int64, bool) { k := n.Add(1); return k, k <= int64(b.N) })
		})
	}
	done.Wait()
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	cpu := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "modifies/s")
	b.ReportMetric(float64(cpu.Microseconds())/float64(b.N), "cpu-µs/op") // of this process, with the clients
}

// modifyWhile modifies an entry as long as there is a number to write.
func (w *wire) modifyWhile(name string, answer []byte, next func() (int64, bool)) {
	for k, more := next(); more; k, more = next() {
		w.send(modify(2, name, change(2, "description", fmt.Sprint("value ", k))))
		if n, err := w.conn.Read(answer); err != nil || n < 10 || answer[9] != 0 {
			w.t.Errorf("answer %x, %v", answer[:n], err)
		}
	}
}

// BenchmarkLeaveLargeGroup deletes members of a group of 66,000, one an update,
// each answered when a search shows it.
func BenchmarkLeaveLargeGroup(b *testing.B) {
	r := newRig(b, nil)
	r.ldif(workforce)
	const size = 66_000
	w := bound(b, r, rootDN, rootPassword)
	w.send(add(2, "cn=all,ou=Services,o=nhs", attribute("objectClass", "groupOfNames"), attribute("cn", "all"), attribute("member", "cn=nobody")))
	expectAnswer(b, w, 2, 0)
	for i := 0; i < size; i += 3000 {
		members := make([]string, 3000)
		for j := range members {
			members[j] = fmt.Sprintf("uid=%012d,ou=People,o=nhs", i+j)
		}
		w.send(modify(3, "cn=all,ou=Services,o=nhs", change(0, "member", members...)))
		expectAnswer(b, w, 3, 0)
	}
	n := 0
	for b.Loop() {
		w.send(modify(4, "cn=all,ou=Services,o=nhs", change(1, "member", fmt.Sprintf("uid=%012d,ou=People,o=nhs", n))))
		expectAnswer(b, w, 4, 0)
		n++
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(time.Millisecond), "ms/member")
	var one [1]byte
	f, err := os.CreateTemp(b.TempDir(), "sync")
	must(b, err)
	defer f.Close()
	began := time.Now()
	for range 20 {
		_, err = f.Write(one[:])
		must(b, err)
		must(b, f.Sync())
	}
	b.ReportMetric(float64(time.Since(began))/20/float64(time.Millisecond), "ms/fsync")
}
