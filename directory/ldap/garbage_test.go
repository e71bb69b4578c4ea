package ldap_test

import (
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cardinal/directory/ldap"
	"cardinal/internal/ber"
)

// How much garbage is sent: connections in the ordinary run, processor time of
// this process (both ends) in the long one.
const (
	garbageConnections = 150
	garbageSoak        = time.Hour
)

// garbageMemory is what garbage from eight clients at once may make the server
// hold: each may have a request of 256 KiB before it has bound, 16 MiB after.
const garbageMemory = 160 << 20

// TestGarbageLeavesNothingBehind throws malformed, truncated, nested, oversized
// and pipelined octets at the sockets. Nothing may panic, memory stays bounded
// meanwhile, and afterwards there are as many goroutines and as much memory as
// before, and searches are answered. It runs alone: it counts goroutines.
func TestGarbageLeavesNothingBehind(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, func(c *ldap.Config) { c.Writer, c.Limits.MaxInFlight = nil, 50 })
	r.ldif(workforce)
	throwGarbage(r, 20, time.Now().Add(time.Minute)) // what is built once is not left behind by each
	settled(t, r)
	busy := func() int { return runtime.NumGoroutine() - ldap.Resting(r.server) }
	goroutines, heap := busy(), heapInUse()
	var highest atomic.Uint64
	watched := make(chan struct{})
	stop := time.AfterFunc(0, func() { watchHeap(&highest, watched) })
	defer stop.Stop()
	if os.Getenv("CARDINAL_SOAK") != "" {
		for end := cpuTime() + garbageSoak; cpuTime() < end && !t.Failed(); {
			throwGarbage(r, garbageConnections, time.Now().Add(10*time.Minute))
		}
	} else {
		throwGarbage(r, garbageConnections, time.Now().Add(20*time.Second))
	}
	close(watched)
	settled(t, r)
	if n := ldap.Panics(r.server); n != 0 {
		t.Errorf("%v panics", n)
	}
	if most := highest.Load(); most > heap+garbageMemory {
		t.Errorf("%d MiB in use meanwhile, %d before", most>>20, heap>>20)
	}
	if now := heapInUse(); now > heap+8<<20 {
		t.Errorf("%d KiB in use afterwards, %d before", now>>10, heap>>10)
	}
	for deadline := time.Now().Add(time.Minute); busy() > goroutines+2; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", busy(), goroutines)
		}
	}
	if got, err := search(r.dial(reader, "reading"), "o=nhs", "(uid=900000000017)"); err != nil || len(got) != 2 {
		t.Errorf("what stands is not found: %q, %v", names(got), err)
	}
}

// settled waits until the server holds no connection.
func settled(t *testing.T, r *rig) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ldap.Connections(r.server) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are left", ldap.Connections(r.server))
		}
	}
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC() // what the first one found to finish
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func watchHeap(highest *atomic.Uint64, until chan struct{}) {
	for {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		highest.Store(max(highest.Load(), m.HeapInuse))
		select {
		case <-until:
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// throwGarbage opens so many connections, eight at a time.
func throwGarbage(r *rig, connections int64, deadline time.Time) {
	var left atomic.Int64
	left.Store(connections)
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			g := newGarbage(r.t)
			for left.Add(-1) >= 0 && time.Now().Before(deadline) {
				g.throw(r)
			}
		})
	}
	clients.Wait()
}

// garbage makes octets that are nearly requests.
type garbage struct {
	rng   *rand.Rand
	seeds [][]byte
	sink  []byte
}

func newGarbage(t testing.TB) *garbage {
	return &garbage{rng: rand.New(rand.NewPCG(rand.Uint64(), 7)), sink: make([]byte, 16<<10), seeds: [][]byte{
		bind(1, reader, "reading"), bind(1, reader, "wrong"), bind(2, "", ""), compare(4, alex, "cn", "x"),
		ask{base: "o=nhs", scope: 2, filter: "(&(cn=a*)(!(sn>=b))(|(uid=9*)(mail=*x*y)))", attrs: []string{"*", "+", "@person"}}.pdu(t, 2),
		ask{base: "o=nhs", scope: 2, filter: "(objectClass=*)"}.pdu(t, 3), ask{base: "", filter: "(objectClass=*)"}.pdu(t, 3),
		ask{base: "o=nhs", scope: 2, filter: "(cn=*)", controls: [][]byte{control("1.2.840.113556.1.4.319", true, ber.Append(nil, ber.Sequence, append(ber.AppendInt(nil, ber.Integer, 2), octets("")...)))}}.pdu(t, 6),
		move(5, alex, rename{"cn=x", true, ""}), add(6, "cn=x,o=nhs", attribute("objectClass", "device")), modify(7, alex, change(2, "sn", "x")),
		envelope(8, 0x4A, []byte(bo)), envelope(9, 0x77, ber.AppendString(nil, 0x80, "1.3.6.1.4.1.4203.1.11.3")), envelope(10, 0x50, []byte{3}),
		envelope(11, 0x77, append(ber.AppendString(nil, 0x80, "1.3.6.1.1.8"), 0x81, 5, 0x30, 3, 2, 1, 3)), envelope(12, 0x77, extended(txnStart, nil)),
		envelope(13, 0x42, nil), []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), {0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3},
	}}
}

func (g *garbage) seed() []byte { return slices.Clone(g.seeds[g.rng.IntN(len(g.seeds))]) }

// throw sends a few pieces over one connection and goes away in one of the
// ways clients do.
func (g *garbage) throw(r *rig) {
	address := r.plain
	if g.rng.IntN(8) == 0 {
		address = r.secure
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		r.t.Errorf("dialling: %v", err)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if g.rng.IntN(2) == 0 {
		_, _ = conn.Write(g.seeds[0])
	}
	for range 1 + g.rng.IntN(4) {
		if _, err := conn.Write(g.piece()); err != nil {
			return
		}
	}
	switch tcp := conn.(*net.TCPConn); g.rng.IntN(4) {
	case 0: // cut at once
		_ = tcp.SetLinger(0)
	case 1: // nothing more to say: the server answers and closes
		_ = tcp.CloseWrite()
		for {
			if _, err := conn.Read(g.sink); err != nil {
				return
			}
		}
	case 2:
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
		_, _ = io.ReadFull(conn, g.sink[:1+g.rng.IntN(64)])
	}
}

func (g *garbage) piece() []byte {
	b := g.seed()
	switch g.rng.IntN(8) {
	case 0: // truncated
		return b[:g.rng.IntN(len(b)+1)]
	case 1: // some octets are others
		for range 1 + g.rng.IntN(6) {
			b[g.rng.IntN(len(b))] = byte(g.rng.Uint32())
		}
	case 2: // some are missing, some there twice
		at := g.rng.IntN(len(b))
		return slices.Concat(b[:at], b[min(len(b), at+g.rng.IntN(4)):], b[at:])
	case 3: // announces more than it has
		return slices.Concat([]byte{0x30, 0x84, byte(g.rng.IntN(256)), byte(g.rng.IntN(256)), 0xFF, 0xFF}, b)
	case 4:
		return g.nested()
	case 5: // pipelined, garbage among it
		for range g.rng.IntN(60) {
			b = append(b, g.seed()...)
		}
		return append(b, byte(g.rng.Uint32()))
	case 6: // large, and half of it never comes
		size := 1 << (10 + g.rng.IntN(9))
		return append(ber.AppendLength([]byte{0x30}, size), make([]byte, size/2)...)
	}
	return b
}

// nested is a search with a filter of many levels, or sequences in sequences.
func (g *garbage) nested() []byte {
	depth := 1 + g.rng.IntN(200)
	if g.rng.IntN(20) == 0 {
		depth *= 15
	}
	f := []byte{0x87, 2, 'c', 'n'}
	for range depth {
		f = ber.Append(nil, []ber.Tag{0xA2, 0xA0, 0xA1, 0x30}[g.rng.IntN(4)], f)
	}
	body := slices.Concat(octets("o=nhs"), []byte{0x0A, 1, 2, 0x0A, 1, 0, 2, 1, 0, 2, 1, 0, 1, 1, 0}, f, []byte{0x30, 0})
	return envelope(20, 0x63, body)
}
