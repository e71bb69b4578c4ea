package ocsp

import (
	"net/http"
	"testing"
	"time"
)

func TestHTTPDatesAreThoseOfNetHTTP(t *testing.T) {
	t.Parallel()
	at := time.Date(2024, 2, 28, 23, 59, 58, 999, time.FixedZone("somewhere", 5400))
	for range 3000 {
		if got, want := string(appendHTTPTime(nil, at)), at.UTC().Format(http.TimeFormat); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
		at = at.Add(31*time.Hour + 61*time.Second)
	}
}
