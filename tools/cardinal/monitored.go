package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"cardinal/directory/ldap"
)

// costlyShown is how many forms of costly searches /monitor tells, and
// /unindexed at most.
const (
	costlyShown = 20
	costlyAll   = 200
)

// nodeReport is what /monitor answers: what the node has counted since it
// began. cardinal monitor makes rates of two of them.
type nodeReport struct {
	At        time.Time         `json:"at"`
	Role      string            `json:"role"`
	Ready     bool              `json:"ready"`
	Why       []string          `json:"why,omitempty"`
	Replica   *replicaReport    `json:"replica,omitempty"`
	Directory *ldap.Report      `json:"directory,omitempty"`
	OCSP      map[string]uint64 `json:"ocsp,omitempty"` // requests by result
	Stored    uint64            `json:"ocsp_stored,omitempty"`
	Downloads uint64            `json:"downloads,omitempty"` // of lists and CA certificates
	Issuance  map[string]uint64 `json:"issuance,omitempty"`  // requests by HTTP status
}

type replicaReport struct {
	Epoch      uint64  `json:"epoch"`
	Position   uint64  `json:"position"`
	Age        float64 `json:"age_seconds"`
	Limit      float64 `json:"limit_seconds"` // of age, for OCSP
	Loading    bool    `json:"loading,omitempty"`
	Quarantine bool    `json:"quarantine,omitempty"`
}

// monitor answers with all that is counted.
func (n *node) monitor(w http.ResponseWriter, _ *http.Request) {
	r := nodeReport{At: n.now(), Role: n.role, Why: n.unready()}
	if n.read != nil {
		s := n.read.replica.State()
		r.Replica = &replicaReport{Epoch: uint64(s.Epoch), Position: uint64(s.Position), Age: s.Age.Seconds(),
			Limit: n.config.Limits.OCSPAge.Seconds(), Loading: s.Loading, Quarantine: s.Quarantine}
		if s.Age > n.config.Limits.OCSPAge {
			r.Why = append(r.Why, "the replica is too old to answer from")
		}
		if s.Quarantine {
			r.Why = append(r.Why, "in quarantine after a restore")
		}
	}
	if n.answering != nil {
		report := n.answering.Report(costlyShown)
		r.Directory = &report
	}
	families, err := n.registry.Gather()
	if err != nil {
		n.logger.Warn("gathering metrics", "error", err)
	}
	for _, f := range families {
		r.take(f)
	}
	r.Ready = len(r.Why) == 0
	writeJSON(w, r)
}

// take adds what other rooms counted.
func (r *nodeReport) take(f *dto.MetricFamily) {
	labelled := func(label string) map[string]uint64 {
		out := map[string]uint64{}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == label {
					out[l.GetValue()] += uint64(m.GetCounter().GetValue())
				}
			}
		}
		return out
	}
	first := func() uint64 {
		if len(f.GetMetric()) == 0 {
			return 0
		}
		return uint64(f.GetMetric()[0].GetCounter().GetValue())
	}
	switch f.GetName() {
	case "cardinal_ocsp_requests_total":
		r.OCSP = labelled("result")
	case "cardinal_ocsp_stored_total":
		r.Stored = first()
	case "cardinal_crl_requests_total":
		r.Downloads = first()
	case "cardinal_issuance_requests_total":
		r.Issuance = labelled("code")
	}
}

// unindexed answers with the forms of costly searches.
func (n *node) unindexed(w http.ResponseWriter, _ *http.Request) {
	if n.answering == nil {
		http.Error(w, "this node answers no searches", http.StatusNotFound)
		return
	}
	writeJSON(w, n.answering.Costly(costlyAll))
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v)
}

// countIssuance counts what stations ask, by the status of the answer.
func (n *node) countIssuance(h http.Handler) http.Handler {
	counts := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "cardinal_issuance_requests_total",
		Help: "Requests of stations, by the HTTP status of the answer."}, []string{"code"})
	n.registry.MustRegister(counts)
	return promhttp.InstrumentHandlerCounter(counts, h)
}

// serverName is how a node is called by the address of its operations port.
func serverName(url string) string {
	_, host, found := strings.Cut(url, "://")
	if !found {
		host = url
	}
	return strings.TrimSuffix(host, "/")
}
