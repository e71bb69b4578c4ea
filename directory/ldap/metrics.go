package ldap

import (
	"github.com/prometheus/client_golang/prometheus"

	"cardinal/directory"
)

// metrics counts what goes wrong. What the server does is counted in its tally,
// and only shown here.
type metrics struct {
	refused    prometheus.Counter
	handshakes prometheus.Counter
	malformed  prometheus.Counter
	panics     prometheus.Counter
}

func newMetrics(r prometheus.Registerer, s *Server) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "cardinal", Subsystem: "ldap", Name: name, Help: help})
	}
	m := &metrics{
		refused:    counter("connections_refused_total", "Connections closed because too many were open."),
		handshakes: counter("handshakes_failed_total", "TLS handshakes that came to nothing."),
		malformed:  counter("malformed_total", "Connections ended because of octets that are no request."),
		panics:     counter("panics_total", "Requests that made the server panic. Any is a fault to report."),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.refused, m.handshakes, m.malformed, m.panics, newExhibit(s)} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// exhibit presents a server's tally to Prometheus.
type exhibit struct {
	server     *Server
	operations *prometheus.Desc
	duration   *prometheus.Desc
	plain      []plainMetric
}

// plainMetric is one number of the server.
type plainMetric struct {
	desc *prometheus.Desc
	typ  prometheus.ValueType
	read func() uint64
}

func newExhibit(s *Server) *exhibit {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName("cardinal", "ldap", name), help, labels, nil)
	}
	x := &exhibit{server: s,
		operations: desc("operations_total", "Requests answered, by kind and result.", "operation", "result"),
		duration:   desc("operation_seconds", "Time from a request read to its answer gathered, by kind.", "operation"),
	}
	add := func(name, help string, typ prometheus.ValueType, read func() uint64) {
		x.plain = append(x.plain, plainMetric{desc(name, help), typ, read})
	}
	add("connections", "Connections open.", prometheus.GaugeValue, func() uint64 { return uint64(s.connections.Load()) })
	add("connections_total", "Connections accepted.", prometheus.CounterValue, s.numbers.Load)
	add("tls_connections", "Connections open over TLS.", prometheus.GaugeValue, func() uint64 { return uint64(max(s.secured.Load(), 0)) })
	add("in_flight", "Requests being worked on.", prometheus.GaugeValue, func() uint64 { return uint64(s.inFlight.Load()) })
	add("received_bytes_total", "Octets read, after TLS.", prometheus.CounterValue, s.received)
	add("sent_bytes_total", "Octets written, before TLS.", prometheus.CounterValue, s.sent)
	add("entries_total", "Entries returned by searches.", prometheus.CounterValue, s.entries)
	add("candidates_total", "Entries that searches looked at.", prometheus.CounterValue, s.tested)
	add("unindexed_searches_total", "Searches that looked at many more entries than they found.", prometheus.CounterValue, func() uint64 { return s.costly.searches.Load() })
	add("unindexed_candidates_total", "Entries those searches looked at.", prometheus.CounterValue, func() uint64 { return s.costly.tested.Load() })
	return x
}

// Describe implements prometheus.Collector.
func (x *exhibit) Describe(out chan<- *prometheus.Desc) {
	out <- x.operations
	out <- x.duration
	for i := range x.plain {
		out <- x.plain[i].desc
	}
}

// Collect implements prometheus.Collector.
func (x *exhibit) Collect(out chan<- prometheus.Metric) {
	for k := range kinds {
		x.collect(k, out)
	}
	for i := range x.plain {
		p := &x.plain[i]
		out <- prometheus.MustNewConstMetric(p.desc, p.typ, float64(p.read()))
	}
}

// collect shows one kind of operation. Its histogram has a bucket for each
// doubling: dashboards need no more, and every bucket is a series.
func (x *exhibit) collect(k kind, out chan<- prometheus.Metric) {
	s := x.server.tally.spans(k)
	succeeded := s.Count
	for code := range x.server.tally.results[k] {
		if n := x.server.tally.results[k][code].Load(); n > 0 {
			succeeded -= min(n, succeeded)
			out <- prometheus.MustNewConstMetric(x.operations, prometheus.CounterValue, float64(n), k.String(), directory.Code(code).String())
		}
	}
	out <- prometheus.MustNewConstMetric(x.operations, prometheus.CounterValue, float64(succeeded), k.String(), directory.Success.String())
	buckets, total := map[float64]uint64{}, uint64(0)
	for b, n := range s.Buckets[:spanBuckets-1] {
		total += n
		if b%spanParts == 0 {
			buckets[spanEnd(b).Seconds()] = total
		}
	}
	out <- prometheus.MustNewConstHistogram(x.duration, s.Count, float64(s.Nanos)/1e9, buckets, k.String())
}
