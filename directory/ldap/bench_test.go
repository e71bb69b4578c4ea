package ldap_test

import (
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cardinal/directory"
	"cardinal/directory/ldap"
	"cardinal/directory/register"
	"cardinal/internal/ber"
)

const (
	benchPeople        = 20_000
	benchOrganisations = 1_000
)

func benchUID(i int) string  { return fmt.Sprintf("%012d", 900_000_000_000+17*i) }
func benchCode(i int) string { return fmt.Sprintf("X%04d", i) }

// benchEntries makes people with one organisation and one to three roles.
func benchEntries() func() (*directory.Entry, error) {
	var waiting []*directory.Entry
	person := -1
	put := func(dn string, attrs ...string) {
		parsed, _ := directory.ParseDN(dn)
		e := &directory.Entry{DN: parsed}
		for i := 0; i < len(attrs); i += 2 {
			e.Put(attrs[i], append(e.Get(attrs[i]), []byte(attrs[i+1]))...)
		}
		waiting = append(waiting, e)
	}
	return func() (*directory.Entry, error) {
		if len(waiting) == 0 {
			switch person++; {
			case person == 0:
				benchTop(put)
			case person <= benchPeople:
				benchPerson(put, person)
			default:
				return nil, io.EOF
			}
		}
		e := waiting[0]
		waiting = waiting[1:]
		return e, nil
	}
}

func benchTop(put func(dn string, attrs ...string)) {
	put("o=nhs", "objectClass", "organization", "o", "nhs")
	for _, ou := range []string{"People", "Organisations", "Services"} {
		put("ou="+ou+",o=nhs", "objectClass", "organizationalUnit", "ou", ou)
	}
	for i := range benchOrganisations {
		id := fmt.Sprintf("%012d", 700_000_000_000+i)
		put("uniqueIdentifier="+id+",ou=Organisations,o=nhs", "objectClass", "nhsOrg", "uniqueIdentifier", id, "o", "Trust "+benchCode(i),
			"nhsIDCode", benchCode(i), "nhsOrgType", "Trust", "nhsOrgTypeCode", "TR", "postalAddress", "1 Street$Leeds", "postalCode", "LS1 1AA", "l", "Leeds")
	}
}

func benchPerson(put func(dn string, attrs ...string), i int) {
	uid, code := benchUID(i), benchCode(i%benchOrganisations)
	dn := "uid=" + uid + ",ou=People,o=nhs"
	put(dn, "objectClass", "nhsPerson", "uid", uid, "cn", "Given"+benchCode(i%500)+" Family"+benchCode(i%700), "sn", "Family"+benchCode(i%700),
		"givenName", "Given"+benchCode(i%500), "nhsPersonStatus", "1", "mail", "p"+uid+"@example.org", "displayName", "Dr Given Family",
		"personalTitle", "Dr", "telephoneNumber", "+44 113 "+uid[6:], "employeeNumber", uid[4:], "description", "a person who does not exist")
	at := "uniqueIdentifier=1" + uid[1:] + "," + dn
	put(at, "objectClass", "nhsOrgPerson", "uniqueIdentifier", "1"+uid[1:], "uid", uid, "cn", "Given Family", "sn", "Family", "o", "Trust "+code,
		"nhsIDCode", code, "nhsOrgOpenDate", "20240101")
	for r := range 1 + i%3 {
		id := fmt.Sprintf("%d%s", 2+r, uid[1:])
		put("uniqueIdentifier="+id+","+at, "objectClass", "nhsOrgPersonRole", "uniqueIdentifier", id, "nhsIDCode", code,
			"nhsJobRole", `"Clinical":"Clinical Provision":"Clinical Practitioner Access Role"`, "nhsJobRoleCode", "S8000:G8000:R8000",
			"nhsBusinessFunctionsCodes", "B0825", "nhsBusinessFunctionsCodes", "B0570", "nhsOrgOpenDate", "20240101")
	}
}

func benchRig(b *testing.B) *rig {
	r := newRig(b, nil)
	suffix, _ := directory.ParseDN("o=nhs")
	start := time.Now()
	position, err := r.updates.Register.Load(b.Context(), register.LoadJob{Ledger: r.ledger, Suffix: suffix, Next: register.FromEntries(benchEntries()), By: r.issuance})
	must(b, err)
	stored := time.Since(start)
	must(b, r.replica.WaitFor(b.Context(), position))
	b.Logf("stored after %v, found after %v", stored, time.Since(start))
	return r
}

// benchRequests are the searches measured; each gives the request of person i.
func benchRequests(b *testing.B) map[string]func(i int) [][]byte {
	uid := func(i int) []byte {
		return ask{base: "ou=People,o=nhs", scope: 2, filter: "(&(objectClass=nhsPerson)(uid=" + benchUID(i) + "))"}.pdu(b, 2)
	}
	roles := func(i int) []byte {
		return ask{base: "uniqueIdentifier=1" + benchUID(i)[1:] + ",uid=" + benchUID(i) + ",ou=People,o=nhs", scope: 1, filter: "(objectClass=nhsOrgPersonRole)"}.pdu(b, 2)
	}
	org := func(i int) []byte {
		return ask{base: fmt.Sprintf("uniqueIdentifier=%012d,ou=Organisations,o=nhs", 700_000_000_000+i%benchOrganisations), filter: "(objectClass=*)"}.pdu(b, 2)
	}
	return map[string]func(i int) [][]byte{
		"uid": func(i int) [][]byte { return [][]byte{uid(i)} },
		"plainuid": func(i int) [][]byte {
			return [][]byte{ask{base: "ou=People,o=nhs", scope: 2, filter: "(uid=" + benchUID(i) + ")"}.pdu(b, 2)}
		},
		"base":  func(i int) [][]byte { return [][]byte{org(i)} },
		"login": func(i int) [][]byte { return [][]byte{uid(i), roles(i), org(i)} },
		"person": func(i int) [][]byte {
			return [][]byte{ask{base: "uid=" + benchUID(i) + ",ou=People,o=nhs", scope: 2, filter: "(objectClass=*)"}.pdu(b, 2)}
		},
		"prefix": func(i int) [][]byte {
			return [][]byte{ask{base: "ou=People,o=nhs", scope: 2, size: 20, filter: "(sn=Family" + benchCode(i % 700)[:4] + "*)"}.pdu(b, 2)}
		},
	}
}

func benchWho(r *rig) directory.Identity {
	dn, _ := directory.ParseDN(reader)
	key, _ := r.schema.Key(dn)
	return directory.Identity{DN: dn, Key: key}
}

// BenchmarkInProcess measures a search from request octets to answer octets.
func BenchmarkInProcess(b *testing.B) {
	r := benchRig(b)
	for name, make := range benchRequests(b) {
		b.Run(name, func(b *testing.B) { benchInProcess(b, r, make) })
	}
}

// benchInProcess asks what make gives for one person after the other.
func benchInProcess(b *testing.B, r *rig, make func(i int) [][]byte) {
	var requests [][][]byte
	for i := range 4096 {
		requests = append(requests, make(1+i*7%benchPeople))
	}
	handle := ldap.Handle(r.server, benchWho(r))
	b.ReportAllocs()
	n := 0
	before := cpuTime()
	for b.Loop() {
		answerAll(b, handle, requests[n%len(requests)])
		n++
	}
	b.ReportMetric(float64(cpuTime()-before)/float64(n)/1e3, "cpu-µs/op")
}

func answerAll(b *testing.B, handle func(pdu []byte) []byte, pdus [][]byte) {
	for _, pdu := range pdus {
		if out := handle(pdu); len(out) < 100 {
			b.Fatalf("answer of %d octets: %x", len(out), out)
		}
	}
}

// BenchmarkLoopback measures server and a bare client together over TCP, eight
// connections; "constant" is the same exchange with a server that does nothing.
func BenchmarkLoopback(b *testing.B) {
	r := benchRig(b)
	constant := constantServer(b)
	requests := benchRequests(b)
	for _, name := range []string{"constant", "uid", "login"} {
		b.Run(name, func(b *testing.B) {
			address, make := r.plain, requests[name]
			if name == "constant" {
				address, make = constant, requests["uid"]
			}
			before := cpuTime()
			var next atomic.Int64
			var clients sync.WaitGroup
			for range 8 {
				clients.Go(func() {
					c := dialBench(b, address, name != "constant")
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						c.askAll(make(1 + int(i)*7%benchPeople))
					}
				})
			}
			clients.Wait()
			b.ReportMetric(float64(cpuTime()-before)/float64(b.N)/1e3, "cpu-µs/op")
		})
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

type benchClient struct {
	b    *testing.B
	conn net.Conn
	buf  []byte
}

func dialBench(b *testing.B, address string, bound bool) *benchClient {
	conn, err := net.Dial("tcp", address)
	must(b, err)
	b.Cleanup(func() { _ = conn.Close() })
	c := &benchClient{b: b, conn: conn, buf: make([]byte, 64<<10)}
	if bound {
		c.ask(bind(1, rootDN, rootPassword))
	}
	return c
}

func (c *benchClient) askAll(pdus [][]byte) {
	for _, pdu := range pdus {
		c.ask(pdu)
	}
}

// ask sends a request and reads up to the message that is no entry.
func (c *benchClient) ask(pdu []byte) {
	if _, err := c.conn.Write(pdu); err != nil {
		c.b.Error(err)
		return
	}
	have := 0
	for from := 0; ; {
		h, err := ber.ParseHeader(c.buf[from:have])
		if err == nil && have-from >= h.Total() {
			if c.buf[from+h.Size+3] != 0x64 { // after the message id of one octet
				return
			}
			from += h.Total()
			continue
		}
		n, err := c.conn.Read(c.buf[have:])
		if err != nil {
			c.b.Error(err)
			return
		}
		have += n
	}
}

func constantServer(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	b.Cleanup(func() { _ = l.Close() })
	answer := append(make([]byte, 0, 1024), envelope(2, 0x64, make([]byte, 760))...)
	answer = append(answer, envelope(2, 0x65, []byte{0x0A, 1, 0, 4, 0, 4, 0})...)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go answerAlways(conn, answer)
		}
	}()
	return l.Addr().String()
}

func answerAlways(conn net.Conn, answer []byte) {
	buf := make([]byte, 4096)
	for {
		if _, err := conn.Read(buf); err != nil {
			return
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}
