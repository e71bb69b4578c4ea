package directory

import "time"

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
	y, m, d := now.In(london).Date()
	return day.After(time.Date(y, m, d, 0, 0, 0, 0, time.UTC))
}
