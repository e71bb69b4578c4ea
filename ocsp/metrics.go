package ocsp

import "github.com/prometheus/client_golang/prometheus"

// metrics are the responder's counts.
type metrics struct {
	requests [results]prometheus.Counter
	all      *prometheus.CounterVec
	hits     prometheus.Counter
	seconds  prometheus.Histogram
	age      prometheus.GaugeFunc
	lists    prometheus.Counter
}

func newMetrics(r *Responder) *metrics {
	m := &metrics{
		all: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "cardinal_ocsp_requests_total",
			Help: "OCSP requests by what they were answered with."}, []string{"result"}),
		hits: prometheus.NewCounter(prometheus.CounterOpts{Name: "cardinal_ocsp_stored_total",
			Help: "OCSP requests answered without signing."}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "cardinal_ocsp_seconds",
			Help:    "Time to answer an OCSP request, from its header read to its answer written.",
			Buckets: []float64{1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 1e-2, 1e-1, 1}}),
		age: prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "cardinal_ocsp_copy_age_seconds",
			Help: "How old what is answered from is."},
			func() float64 { return r.config.Replica.State().Age.Seconds() }),
		lists: prometheus.NewCounter(prometheus.CounterOpts{Name: "cardinal_crl_requests_total",
			Help: "Downloads of certificate lists and CA certificates."}),
	}
	for i := range m.requests {
		m.requests[i] = m.all.WithLabelValues(result(i).String())
	}
	return m
}

// Collectors are the responder's metrics, to be registered once.
func (r *Responder) Collectors() []prometheus.Collector {
	m := r.metrics
	return []prometheus.Collector{m.all, m.hits, m.seconds, m.age, m.lists}
}
