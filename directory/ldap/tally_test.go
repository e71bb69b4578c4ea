package ldap_test

import (
	"testing"
	"time"

	"cardinal/directory/ldap"
)

func TestSpansFallIntoTheBucketThatHoldsThem(t *testing.T) {
	t.Parallel()
	for b := range ldap.SpanBuckets - 1 {
		end := ldap.SpanEnd(b)
		if got := ldap.SpanBucket(end - 1); got != b {
			t.Fatalf("%v falls into bucket %d, want %d", end-1, got, b)
		}
		if got := ldap.SpanBucket(end); got != b+1 {
			t.Fatalf("%v falls into bucket %d, want %d", end, got, b+1)
		}
	}
	if b := ldap.SpanBucket(-1); b != 0 {
		t.Errorf("a clock set back falls into bucket %d", b)
	}
	if b := ldap.SpanBucket(1 << 62); b != ldap.SpanBuckets-1 {
		t.Errorf("an age falls into bucket %d", b)
	}
}

func TestQuantilesAreAFifthOffAtMost(t *testing.T) {
	t.Parallel()
	var took []time.Duration
	for i := range 10_000 {
		took = append(took, time.Duration(i+1)*10*time.Microsecond)
	}
	for share, want := range map[float64]time.Duration{0.5: 50 * time.Millisecond, 0.95: 95 * time.Millisecond, 0.99: 99 * time.Millisecond, 1: 100 * time.Millisecond} {
		got := ldap.Quantile(share, took)
		if got < want*8/10 || got > want*12/10 {
			t.Errorf("the %v quantile is %v, want about %v", share, got, want)
		}
	}
	if got := ldap.Quantile(0.5, nil); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

// BenchmarkCounting measures what counting an operation and its time costs:
// what "one" takes over "clock", the two looks at it.
func BenchmarkCounting(b *testing.B) {
	r := newRig(b, nil)
	b.Run("clock", func(b *testing.B) {
		for b.Loop() {
			_ = time.Since(time.Now())
		}
	})
	b.Run("one", func(b *testing.B) {
		count := ldap.Counting(r.server)
		b.ReportAllocs()
		for b.Loop() {
			count()
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(p *testing.PB) {
			count := ldap.Counting(r.server)
			for p.Next() {
				count()
			}
		})
	})
}
