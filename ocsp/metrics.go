package ocsp

import "github.com/prometheus/client_golang/prometheus"

// metrics are the responder's counts.
type metrics struct {
	requests [results]prometheus.Counter
	all      *prometheus.CounterVec
	hits     prometheus.Counter
	renewed  prometheus.Counter
	wanted   prometheus.GaugeFunc
	seconds  prometheus.Histogram
	age      prometheus.GaugeFunc
	lists    prometheus.Counter
	handed   prometheus.Counter
	refused  prometheus.Counter
}

func newMetrics(r *Responder) *metrics {
	m := &metrics{
		all: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "cardinal_ocsp_requests_total",
			Help: "OCSP requests by what they were answered with."}, []string{"result"}),
		hits: prometheus.NewCounter(prometheus.CounterOpts{Name: "cardinal_ocsp_stored_total",
			Help: "OCSP requests answered without signing."}),
		renewed: prometheus.NewCounter(prometheus.CounterOpts{Name: "cardinal_ocsp_renewed_total",
			Help: "Stored answers that were signed again before anybody had to wait for it."}),
		wanted: prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "cardinal_ocsp_renewals_waiting",
			Help: "Stored answers in the third quarter of their life that wait to be signed again."},
			func() float64 { return float64(r.renewals.waiting()) }),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "cardinal_ocsp_seconds",
			Help:    "Time to answer an OCSP request, from its header read to its answer written.",
			Buckets: []float64{1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 1e-2, 1e-1, 1}}),
		age: prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "cardinal_ocsp_copy_age_seconds",
			Help: "How old what is answered from is."},
			func() float64 { return r.config.Replica.State().Age.Seconds() }),
		lists: prometheus.NewCounter(prometheus.CounterOpts{Name: "cardinal_crl_requests_total",
			Help: "Downloads of certificate lists and CA certificates."}),
		handed: prometheus.NewCounter(prometheus.CounterOpts{Name: "cardinal_status_handed_over_total",
			Help: "Connections to the status port on which something else than a plain OCSP request came."}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "cardinal_status_refused_total",
			Help: "Connections to the status port that were refused because there were too many."}),
	}
	for i := range m.requests {
		m.requests[i] = m.all.WithLabelValues(result(i).String())
	}
	return m
}

// Collectors are the responder's metrics, to be registered once.
func (r *Responder) Collectors() []prometheus.Collector {
	m := r.metrics
	return []prometheus.Collector{m.all, m.hits, m.renewed, m.wanted, m.seconds, m.age, m.lists, m.handed, m.refused, keyEnds{r}}
}

// keyEnds shows until when the responder key of each issuer may sign, so that an alarm can come before answers stop.
type keyEnds struct{ responder *Responder }

func (keyEnds) metric() *prometheus.Desc {
	return prometheus.NewDesc("cardinal_ocsp_key_end_seconds",
		"When the certificate of the responder key ends, in seconds since 1970; 0 without a key.", []string{"issuer"}, nil)
}

// Describe implements prometheus.Collector.
func (k keyEnds) Describe(out chan<- *prometheus.Desc) { out <- k.metric() }

// Collect implements prometheus.Collector. Of issuers that share a name the newest is shown.
func (k keyEnds) Collect(out chan<- prometheus.Metric) {
	for _, i := range k.responder.config.Table.Issuers() {
		d := k.responder.delegate(i.ID)
		if k.responder.config.Table.Issuer(i.Name) != i || d != nil && d.notServed {
			continue
		}
		end := 0.0
		if d != nil {
			end = float64(d.notAfter.Unix())
		}
		out <- prometheus.MustNewConstMetric(k.metric(), prometheus.GaugeValue, end, i.Name)
	}
}
