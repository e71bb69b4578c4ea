package issuance_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"cardinal/issuance/issuancetest"
)

// BenchmarkCard takes a person from registration to an active card: five
// writes of the desk and two certificates, by as many stations as -cpu says.
func BenchmarkCard(b *testing.B) {
	w := issuancetest.New(b, "")
	var n atomic.Int64
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			w.Card(w.Person(fmt.Sprintf("Alex%d", n.Add(1)), "Example"))
		}
	})
}

// BenchmarkIssue is the issue alone: reserve, sign, record.
func BenchmarkIssue(b *testing.B) {
	w := issuancetest.New(b, "")
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		c := w.Approved(w.Person(fmt.Sprintf("Alex%d", n), "Example"))
		ask, _ := issuancetest.Asking(b, fmt.Sprintf("request-%d", n))
		b.StartTimer()
		if _, _, err := w.Desk.Issue(b.Context(), w.Manager.Operator(), c.ID, ask); err != nil {
			b.Fatal(err)
		}
	}
}
