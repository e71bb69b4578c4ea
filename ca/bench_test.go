package ca_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"cardinal/ca"
)

// BenchmarkPairs issues pairs whose keys were made before, by many desks at
// once; it reports pairs a second.
func BenchmarkPairs(b *testing.B) {
	for _, desks := range []int{1, 16, 64} {
		b.Run(fmt.Sprint(desks), func(b *testing.B) { issuePairs(b, desks) })
	}
}

func issuePairs(b *testing.B, desks int) {
	w := newWorld(b)
	orders := make([][]ca.Order, b.N)
	for i := range orders {
		orders[i] = w.pair(fmt.Sprint(900000000000+i), fmt.Sprint("card ", i))
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range desks {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
				if _, _, err := w.authority.Issue(b.Context(), orders[i], nil); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pairs/s")
}
