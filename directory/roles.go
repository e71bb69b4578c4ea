package directory

import (
	"fmt"
	"time"
	_ "time/tzdata" // days are London's, on a machine without zone files too
)

// London loads the zone in whose days roles open and close and certificates
// run out.
func London() (*time.Location, error) {
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		return nil, fmt.Errorf("loading the time zone of roles: %w", err)
	}
	return zone, nil
}

// RoleActive reports whether a role counts at an instant: its close date
// (YYYYMMDD, an Europe/London day) is absent or later than today; an open
// date still to come does not matter, as relying systems ignore it. A date
// that cannot be read closes the role. London must be the Europe/London zone.
func RoleActive(closeDate string, now time.Time, london *time.Location) bool {
	if closeDate == "" {
		return true
	}
	day, err := time.Parse("20060102", closeDate)
	if err != nil {
		return false
	}
	return day.After(dayOf(now, london))
}

// DaysUntil counts the days from today to the day of an instant, both days of
// a zone: 0 on that day itself, negative after it.
func DaysUntil(end, now time.Time, zone *time.Location) int {
	return int(dayOf(end, zone).Sub(dayOf(now, zone)) / (24 * time.Hour))
}

// dayOf is the day of an instant in a zone, as midnight UTC, so that days are
// as far apart as the calendar says whatever the clocks do.
func dayOf(at time.Time, zone *time.Location) time.Time {
	y, m, d := at.In(zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}
