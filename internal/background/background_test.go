package background_test

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"cardinal/internal/background"
)

// The tests change GOMAXPROCS, so that none runs beside another.

func TestThereAreMorePlacesWhileWorkIsGoingOnAndShortlyAfter(t *testing.T) {
	t.Setenv("GOMAXPROCS", "")
	before := runtime.GOMAXPROCS(runtime.NumCPU())
	defer runtime.GOMAXPROCS(before)
	n := runtime.NumCPU()
	w := background.New()
	synctest.Test(t, func(t *testing.T) {
		places := func(want int, when string) {
			t.Helper()
			if got := runtime.GOMAXPROCS(0); got != want {
				t.Errorf("%s: %d places, want %d", when, got, want)
			}
			if got := w.Going(); got != (want > n) {
				t.Errorf("%s: there is work: %t", when, got)
			}
			if got := background.Processors(); got != n {
				t.Errorf("%s: %d processors, want %d", when, got, n)
			}
		}
		places(n, "before")
		long, short := w.Begin(), w.Begin()
		short()
		time.Sleep(time.Minute)
		places(n+background.Spare, "while one works")
		long()
		time.Sleep(time.Second)
		places(n+background.Spare, "shortly after")
		w.Begin()()
		time.Sleep(4500 * time.Millisecond)
		places(n+background.Spare, "shortly after another")
		time.Sleep(time.Minute)
		places(n, "long after")
		end := w.Begin()
		places(n+background.Spare, "with new work")
		end()
		time.Sleep(time.Minute)
		places(n, "in the end")
	})
}

func TestAChosenNumberStays(t *testing.T) {
	t.Setenv("GOMAXPROCS", "3")
	w := background.New()
	if w != nil {
		t.Fatal("there is work that would change it")
	}
	before := runtime.GOMAXPROCS(0)
	w.Begin()()
	if got := runtime.GOMAXPROCS(0); got != before {
		t.Errorf("%d places, want %d", got, before)
	}
}
