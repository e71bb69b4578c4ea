package policies

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Record is a kind of record and how long it is kept.
type Record struct {
	Name     string `yaml:"record"`
	Holds    string `yaml:"holds"`
	Years    int    `yaml:"years"` // calendar years; 0 = erased at once
	From     string `yaml:"from"`  // the event the years count from
	Citation string `yaml:"cite"`
}

// Retention says how long each kind of record is kept.
type Retention struct{ Records []Record }

// Until is the time from which a record whose years began at start may be
// erased. A kind that is not listed is kept: found is false.
func (r *Retention) Until(kind string, start time.Time) (until time.Time, found bool) {
	at := slices.IndexFunc(r.Records, func(record Record) bool { return record.Name == kind })
	if at < 0 {
		return time.Time{}, false
	}
	return addYears(start.UTC(), r.Records[at].Years), true
}

func parseRetention(text []byte) (*Retention, error) {
	var f struct {
		Records []Record `yaml:"records"`
	}
	if err := decodeStrict(text, &f); err != nil {
		return nil, err
	}
	var problems []error
	for _, record := range f.Records {
		problems = append(problems, cited(record.Name, record.Citation))
		if record.Years < 0 || record.From == "" || record.Name == "" {
			problems = append(problems, fmt.Errorf("%s: want record, years and from", record.Name))
		}
	}
	return &Retention{Records: f.Records}, errors.Join(problems...)
}
