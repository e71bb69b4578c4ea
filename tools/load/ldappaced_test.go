package main

import (
	"bytes"
	"net"
	"runtime"
	"testing"

	"cardinal/internal/ber"
)

// found is an entry with one attribute.
func found(id int64, dn string, values ...string) []byte {
	b, message := ber.Begin(nil, tagSequence)
	b = ber.AppendInt(b, ber.Integer, id)
	b, entry := ber.Begin(b, tagSearchEntry)
	b = ber.AppendString(b, ber.OctetString, dn)
	b, list := ber.Begin(b, tagSequence)
	b, attribute := ber.Begin(b, tagSequence)
	b = ber.AppendString(b, ber.OctetString, "ou")
	b, set := ber.Begin(b, tagSet)
	for _, v := range values {
		b = ber.AppendString(b, ber.OctetString, v)
	}
	for _, mark := range []int{set, attribute, list, entry, message} {
		b = ber.End(b, mark)
	}
	return b
}

// reads answers every search with one entry of two values, a few octets at a time.
func reads(t *testing.T, dn string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			go func() {
				defer c.Close()
				for id, in := int64(1), newLDAPReader(c); ; id++ {
					in.forget()
					if _, _, err := in.next(id); err != nil {
						return
					}
					for part := range bytes.Lines(append(found(id, dn, "a\n", "b"), result(id, tagSearchDone, 0)...)) {
						_, _ = c.Write(part)
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

func TestSearchesAreAskedAtAPace(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux")
	}
	for name, values := range map[string]int{"right": 2, "wrong": 3} {
		l := &ldapLoad{rate: 200, world: &world{suffix: "o=nhs", places: []place{{dn: "ou=a,o=nhs", values: values}}}}
		l.connections, l.seconds, l.target.address = 3, 0.5, reads(t, "ou=a,o=nhs")
		o, _ := findOperation("base")
		o.asks = func(w *ldapWorker, n int) []question { return append(w.baseSteps(n), w.baseSteps(n+1)...) }
		r, err := l.run(t.Context(), o)
		if name == "right" && (err != nil || r.Operations != 100 || r.Wrong+r.Errors != 0 || r.Late == nil || r.Seconds < 0.4) {
			t.Errorf("%+v, %v", r, err)
		}
		if name == "wrong" && r.Wrong != 100 {
			t.Errorf("%+v, %v, of what is wrong", r, err)
		}
	}
}

func FuzzLDAPReply(f *testing.F) {
	f.Add(append(found(1, "o=nhs", "x"), result(1, tagSearchDone, 0)...))
	f.Add([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		d := &ldapDialogue{ldapWorker: &ldapWorker{wire: &wire{id: 1}}, open: []question{{right: func([][]byte) error { return nil }}}}
		size, _, err := d.reply(data)
		if size < 0 || size > len(data) || err != nil && size != 0 && len(data) == 0 {
			t.Fatalf("%d of %d octets", size, len(data))
		}
		if err == nil && size > 0 {
			_ = d.judge(data[:size])
		}
	})
}
