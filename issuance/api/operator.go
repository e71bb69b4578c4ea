package api

import "time"

// Self is who the server takes the caller for.
type Self struct {
	Identity   string   `json:"identity"` // UUID, or the name of a bootstrap operator
	Kind       string   `json:"kind"`     // card or bootstrap
	Roles      []string `json:"roles"`
	Activities []string `json:"activities"` // what those roles allow
}

// Operator is a bootstrap operator: somebody who may act without a card until
// enough card holders can.
type Operator struct {
	Name   string     `json:"name"`
	Role   string     `json:"role"`
	Serial string     `json:"serial"`
	Since  time.Time  `json:"since"`
	Until  time.Time  `json:"until"`
	Ended  *time.Time `json:"ended,omitempty"`
	Why    string     `json:"why,omitempty"`
}

// OperatorList answers Operators.
type OperatorList struct {
	Operators []Operator `json:"operators"`
}

// Alarm is something that will stop issuing unless somebody acts.
type Alarm struct {
	Name   string    `json:"name"`
	Ends   time.Time `json:"ends"`
	Detail string    `json:"detail"`
}

// Health is where the ledger stands.
type Health struct {
	Epoch      uint64    `json:"epoch"`
	Position   uint64    `json:"position"`
	Time       time.Time `json:"time"` // the ledger's heartbeat
	Quarantine bool      `json:"quarantine"`
	Policies   string    `json:"policies"`
	Alarms     []Alarm   `json:"alarms"`
}
