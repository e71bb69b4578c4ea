package tree

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"cardinal/directory"
)

// BenchmarkNote keeps modifications of a person: what history adds to a change.
func BenchmarkNote(b *testing.B) {
	schema, err := directory.DefaultSchema()
	if err != nil {
		b.Fatal(err)
	}
	t, err := New(schema, Options{})
	if err != nil {
		b.Fatal(err)
	}
	db, err := bbolt.Open(filepath.Join(b.TempDir(), "x.db"), 0o600, &bbolt.Options{NoSync: true})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	name, _ := directory.ParseDN("uid=900000000017,ou=People,o=nhs")
	e := &directory.Entry{DN: name}
	for _, a := range [][]string{{"objectClass", "top", "person", "organizationalPerson", "inetOrgPerson", "nhsPerson"}, {"uid", "900000000017"},
		{"cn", "Alex Example"}, {"sn", "Example"}, {"givenName", "Alex"}, {"mail", "alex.example@trust.example.org"}, {"nhsPersonStatus", "1"},
		{"structuralObjectClass", "nhsPerson"}, {"creatorsName", "cn=issuance"}, {"createTimestamp", "20260101000000Z"},
		{"modifiersName", "cn=issuance"}, {"modifyTimestamp", "20260101000000Z"}} {
		e.PutString(a[0], a[1:]...)
	}
	mods := []directory.Modification{{Op: directory.ModReplace, Attribute: directory.Attribute{Type: "mail", Values: directory.Values("a@example.org")}}}
	bytes, cpu := uint64(0), processorTime()
	b.ResetTimer()
	for n := 0; n < b.N; {
		err := db.Update(func(tx *bbolt.Tx) error {
			root, err := tx.CreateBucketIfNotExists([]byte("directory"))
			if err != nil {
				return err
			}
			if err := t.writer.begin(root); err != nil {
				return err
			}
			from := n
			n += 512
			return noteSome(t.writer, e, mods, from)
		})
		if err != nil {
			b.Fatal(err)
		}
		bytes = t.writer.past.state.bytes
	}
	b.ReportMetric(float64(bytes)/float64(b.N), "bytes/op")
	b.ReportMetric(float64((processorTime()-cpu).Nanoseconds())/float64(b.N)/1000, "cpu-µs/op")
}

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func noteSome(w *writer, e *directory.Entry, mods []directory.Modification, n int) error {
	w.records.position, w.records.micro = uint64(n+1), uint64(time.Now().UnixMicro())
	before, err := w.records.append(1, directory.UUID{1}, e)
	if err != nil {
		return err
	}
	old, err := parseHead(before)
	if err != nil {
		return err
	}
	after, err := w.tree.schema.Replay(e, mods)
	if err != nil {
		return err
	}
	r, err := w.records.append(1, directory.UUID{1}, after)
	if err != nil {
		return err
	}
	now, err := parseHead(r)
	if err != nil {
		return err
	}
	for range 512 {
		if err := w.note(noted{kind: ChangeModified, uuid: directory.UUID{1}, name: "uid=900000000017,ou=People,o=nhs", old: old, now: now.attributes, mods: mods}); err != nil {
			return err
		}
	}
	return nil
}
