package register_test

import (
	"regexp"
	"testing"
	"time"

	"cardinal/internal/ledger/pgtest"
)

// TestHistoriesEndTheSameOnPostgreSQL leaves out in which second a status
// began: that database has its own clock.
func TestHistoriesEndTheSameOnPostgreSQL(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w := (&world{TB: t, now: time.Now()}).openWith(pgtest.URL(t), nil)
	second := regexp.MustCompile(` -?[0-9]+`)
	for _, h := range histories {
		got, want := second.ReplaceAllString(w.play(h.steps), ""), second.ReplaceAllString(h.want, "")
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", h.steps, got, want)
		}
	}
}
