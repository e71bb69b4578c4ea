package main

import (
	"fmt"
	"time"
	_ "time/tzdata" // roles open and close on London's days, on a machine without zone files too
)

// london loads the zone in whose days roles open and close.
func london() (*time.Location, error) {
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		return nil, fmt.Errorf("loading the time zone of roles: %w", err)
	}
	return zone, nil
}
