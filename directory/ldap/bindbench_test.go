package ldap_test

import (
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"cardinal/internal/ber"
)

// bindConn is a connection that waits for one answer at a time.
type bindConn struct {
	net.Conn
	buf [512]byte
}

// ask sends a request and reads the octets of one answer.
func (c *bindConn) ask(pdu []byte) error {
	if _, err := c.Write(pdu); err != nil {
		return err
	}
	n := 0
	for {
		read, err := c.Read(c.buf[n:])
		if err != nil {
			return err
		}
		n += read
		if h, err := ber.ParseHeader(c.buf[:n]); err == nil && n >= h.Total() {
			return nil
		}
	}
}

func dialBind(b *testing.B, address string) *bindConn {
	b.Helper()
	c, err := net.Dial("tcp", address)
	must(b, err)
	return &bindConn{Conn: c}
}

// BenchmarkConnection is a new connection, a simple bind and an unbind, client
// and server in one process.
func BenchmarkConnection(b *testing.B) {
	r := newRig(b, nil)
	r.ldif(workforce)
	for name, who := range map[string][2]string{"SSHA": {reader, "reading"}, "Argon2": {alex, "alex's password"}} {
		b.Run(name, func(b *testing.B) {
			pdu := bind(1, who[0], who[1])
			for b.Loop() {
				c := dialBind(b, r.plain)
				must(b, c.ask(pdu))
				_, _ = c.Write(envelope(2, 0x42, nil))
				_, _ = io.Copy(io.Discard, c)
				_ = c.Close()
			}
		})
	}
}

// BenchmarkBindsAtOnce has very many connections bind against Argon2id at the
// same moment, remembered, and another search meanwhile: how long until the
// last is bound, and what a search takes in the middle beside one before.
func BenchmarkBindsAtOnce(b *testing.B) {
	const many = 5_000
	r := newRig(b, nil)
	r.ldif(workforce)
	pdu := bind(1, alex, "alex's password")
	conns := make([]*bindConn, many)
	for i := range conns {
		conns[i] = dialBind(b, r.plain)
		defer conns[i].Close()
	}
	must(b, conns[0].ask(pdu))
	looker := dialBind(b, r.plain)
	defer looker.Close()
	must(b, looker.ask(bind(1, reader, "reading")))
	search := ask{base: bo, filter: "(uid=900000000041)", attrs: []string{"1.1"}}.pdu(b, 2)
	look := func() time.Duration {
		started := time.Now()
		must(b, looker.ask(search))
		return time.Since(started)
	}
	median := func(list []time.Duration) time.Duration {
		slices.Sort(list)
		return list[len(list)/2]
	}
	var calm, busy []time.Duration
	for range 500 {
		calm = append(calm, look())
	}
	var took time.Duration
	for b.Loop() {
		var done sync.WaitGroup
		bound := make(chan struct{})
		started := time.Now()
		for _, c := range conns {
			done.Go(func() {
				if err := c.ask(pdu); err != nil {
					b.Error(err)
				}
			})
		}
		go func() { done.Wait(); close(bound) }()
		for open := true; open; {
			busy = append(busy, look())
			select {
			case <-bound:
				open = false
			default:
			}
		}
		took += time.Since(started)
	}
	b.ReportMetric(took.Seconds()*1000/float64(b.N), "ms/5000-binds")
	b.ReportMetric(float64(median(calm).Microseconds()), "µs-search-calm")
	b.ReportMetric(float64(median(busy).Microseconds()), "µs-search-meanwhile")
}
