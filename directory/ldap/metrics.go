package ldap

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cardinal/directory"
	"cardinal/internal/ber"
)

// metrics counts what the server does. The counters of each kind and result
// are looked up once and then kept: the lookup costs more than the counting.
type metrics struct {
	operations *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	refused    prometheus.Counter
	handshakes prometheus.Counter
	malformed  prometheus.Counter
	panics     prometheus.Counter

	succeeded map[ber.Tag]prometheus.Counter
	durations map[ber.Tag]prometheus.Observer
}

func newMetrics(r prometheus.Registerer, s *Server) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "cardinal", Subsystem: "ldap", Name: name, Help: help})
	}
	m := &metrics{
		operations: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "cardinal", Subsystem: "ldap",
			Name: "operations_total", Help: "Requests answered, by kind and result."}, []string{"operation", "result"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "cardinal", Subsystem: "ldap",
			Name: "operation_seconds", Help: "Time from a request read to its answer gathered, by kind.",
			Buckets: prometheus.ExponentialBuckets(5e-6, 4, 12)}, []string{"operation"}),
		refused:    counter("connections_refused_total", "Connections closed because too many were open."),
		handshakes: counter("handshakes_failed_total", "TLS handshakes that came to nothing."),
		malformed:  counter("malformed_total", "Connections ended because of octets that are no request."),
		panics:     counter("panics_total", "Requests that made the server panic. Any is a fault to report."),
		succeeded:  map[ber.Tag]prometheus.Counter{}, durations: map[ber.Tag]prometheus.Observer{},
	}
	for _, op := range []ber.Tag{bindRequest, unbindRequest, searchRequest, modifyRequest, addRequest, delRequest,
		modDNRequest, compareRequest, abandonRequest, extendedRequest} {
		m.succeeded[op] = m.operations.WithLabelValues(opName(op), directory.Success.String())
		m.durations[op] = m.duration.WithLabelValues(opName(op))
	}
	if r == nil {
		return m, nil
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "cardinal", Subsystem: "ldap", Name: name, Help: help}, value)
	}
	for _, c := range []prometheus.Collector{m.operations, m.duration, m.refused, m.handshakes, m.malformed, m.panics,
		gauge("connections", "Connections open.", func() float64 { return float64(s.connections.Load()) }),
		gauge("in_flight", "Requests being worked on.", func() float64 { return float64(s.inFlight.Load()) })} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) count(op ber.Tag, code directory.Code, started time.Time) {
	if code == directory.Success {
		m.succeeded[op].Inc()
	} else {
		m.operations.WithLabelValues(opName(op), code.String()).Inc()
	}
	m.durations[op].Observe(time.Since(started).Seconds())
}
