package ldap_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cardinal/directory"
)

// loadSlapd starts slapd with the entries of the benchmark and equal indexes.
func loadSlapd(b *testing.B) (address string, pid int) {
	need(b, "/usr/sbin/slapd", "slapd")
	dir := b.TempDir()
	nhs, err := filepath.Abs("../schema/nhs/nhs.schema")
	must(b, err)
	conf := filepath.Join(dir, "slapd.conf")
	must(b, os.WriteFile(conf, fmt.Appendf(nil, "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\n"+
		"include /etc/ldap/schema/inetorgperson.schema\ninclude %s\npidfile %[2]s/pid\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\nloglevel 0\n"+
		"database mdb\nsuffix \"o=nhs\"\nrootdn \"%[3]s\"\nrootpw \"%[4]s\"\ndirectory %[2]s\nmaxsize 4294967296\n"+
		"index objectClass,uid,uniqueIdentifier,cn,givenName,mail,o,ou,nhsIDCode,nhsJobRoleCode eq\nindex sn eq,sub\n", nhs, dir, rootDN, rootPassword), 0o600))
	ldif, err := os.Create(filepath.Join(dir, "all.ldif"))
	must(b, err)
	next := benchEntries()
	for {
		e, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		_, err = ldif.Write(append(directory.AppendLDIF(nil, e), '\n'))
		must(b, err)
	}
	must(b, ldif.Close())
	start := time.Now()
	out, err := exec.Command("/usr/sbin/slapadd", "-q", "-f", conf, "-l", ldif.Name()).CombinedOutput()
	if err != nil {
		b.Fatalf("slapadd: %v\n%.2000s", err, out)
	}
	b.Logf("slapadd took %v", time.Since(start))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	address = l.Addr().String()
	must(b, l.Close())
	cmd := exec.Command("/usr/sbin/slapd", "-d", "0", "-f", conf, "-h", "ldap://"+address)
	must(b, cmd.Start())
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 500 {
		if c, err := net.Dial("tcp", address); err == nil {
			_ = c.Close()
			return address, cmd.Process.Pid
		}
		time.Sleep(20 * time.Millisecond)
	}
	b.Fatal("slapd does not answer")
	return "", 0
}

// processTime is the processor time another process has used (proc(5)).
func processTime(b *testing.B, pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	must(b, err)
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
	user, err := strconv.Atoi(fields[11])
	must(b, err)
	system, err := strconv.Atoi(fields[12])
	must(b, err)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// BenchmarkBesideSlapd sends the same searches from the same client to slapd
// and to us and gives the server's processor time for each: slapd's own, and
// of ours what is left of the process after taking off what the client alone
// costs, which the run against slapd shows.
func BenchmarkBesideSlapd(b *testing.B) {
	if testing.Short() {
		b.Skip("short")
	}
	r := benchRig(b)
	address, pid := loadSlapd(b)
	requests := benchRequests(b)
	for _, name := range []string{"uid", "base", "login", "prefix"} {
		b.Run(name, func(b *testing.B) {
			drive(b, address, requests[name], 200)
			drive(b, r.plain, requests[name], 200)
			own, theirs := cpuTime(), processTime(b, pid)
			drive(b, address, requests[name], b.N)
			client := cpuTime() - own
			theirs = processTime(b, pid) - theirs
			own = cpuTime()
			drive(b, r.plain, requests[name], b.N)
			ours := cpuTime() - own - client
			per := func(d time.Duration) float64 { return float64(d) / float64(b.N) / 1e3 }
			b.ReportMetric(per(theirs), "slapd-µs/op")
			b.ReportMetric(per(ours), "ours-µs/op")
			b.ReportMetric(per(client), "client-µs/op")
			b.ReportMetric(float64(ours)/float64(theirs), "ratio")
		})
	}
}

// drive sends the requests of n persons over eight connections.
func drive(b *testing.B, address string, requests func(i int) [][]byte, n int) {
	var next atomic.Int64
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			c := dialBench(b, address, true)
			defer c.conn.Close()
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				c.askAll(requests(1 + int(i)*7%benchPeople))
			}
		})
	}
	clients.Wait()
}
