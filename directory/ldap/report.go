package ldap

import "time"

// Report is what a server has counted since it began. Two of them tell rates.
type Report struct {
	Began          time.Time         `json:"began"`
	Connections    int64             `json:"connections"`
	TLS            int64             `json:"tls"`
	InFlight       int64             `json:"in_flight"`
	Accepted       uint64            `json:"accepted"` // connections
	Received       uint64            `json:"received"` // octets
	Sent           uint64            `json:"sent"`     // octets
	Entries        uint64            `json:"entries"`
	Candidates     uint64            `json:"candidates"` // entries searches looked at
	CostlySearches uint64            `json:"costly_searches"`
	CostlyTested   uint64            `json:"costly_tested"`
	Operations     []OperationReport `json:"operations"`
	Costly         []CostlySearch    `json:"costly"` // the costliest first
}

// OperationReport is what became of one kind of operation. Spans counts those
// that ended.
type OperationReport struct {
	Kind   string `json:"kind"`
	Begun  uint64 `json:"begun"`
	Failed uint64 `json:"failed"`
	Spans  Spans  `json:"spans"`
}

// Report tells what the server has done, with the given number of forms of
// costly searches at most.
func (s *Server) Report(costly int) Report {
	r := Report{Began: s.began, Connections: max(s.connections.Load(), 0), TLS: max(s.secured.Load(), 0),
		InFlight: max(s.inFlight.Load(), 0), Accepted: s.numbers.Load(), Received: s.received(), Sent: s.sent(),
		Entries: s.entries(), Candidates: s.tested(), CostlySearches: s.costly.searches.Load(),
		CostlyTested: s.costly.tested.Load(), Costly: s.Costly(costly)}
	for k := range kinds {
		r.Operations = append(r.Operations, OperationReport{Kind: k.String(), Begun: s.tally.begun(k), Failed: s.tally.failed(k), Spans: s.tally.spans(k)})
	}
	return r
}
