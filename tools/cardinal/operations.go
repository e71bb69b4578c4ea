package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"cardinal/internal/journal/feed"
)

// serveOperations listens for those who run the node: /healthz says that the
// process answers, /readyz whether it can be asked and if not why, /metrics is
// for Prometheus, /monitor for cardinal monitor, and /unindexed tells which
// searches cost much and which index would help, and /profile where the
// processor's time goes.
func (n *node) serveOperations(ctx context.Context) error {
	l, err := listen("operations", n.config.Listen.Operations)
	if err != nil {
		return err
	}
	n.measure()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", n.readyz)
	mux.HandleFunc("GET /monitor", n.monitor)
	mux.HandleFunc("GET /unindexed", n.unindexed)
	mux.HandleFunc("GET /profile", func(w http.ResponseWriter, r *http.Request) { profile(ctx, w, r) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(n.registry, promhttp.HandlerOpts{}))
	n.addresses.Operations, n.addresses.Ready = "http://"+l.Addr().String(), true
	n.serveHTTP("operations", l, mux)
	return nil
}

// readiness is what /readyz answers.
type readiness struct {
	Ready      bool     `json:"ready"`
	Why        []string `json:"why,omitempty"`
	Epoch      uint64   `json:"epoch"`
	Position   uint64   `json:"position"`
	Age        float64  `json:"age_seconds"`
	Quarantine bool     `json:"quarantine"`
}

func (n *node) readyz(w http.ResponseWriter, r *http.Request) {
	answer := readiness{Why: n.unready()}
	if n.ledger == nil {
		n.tellFollowing(&answer)
	} else if head, err := n.ledger.Head(r.Context()); err != nil {
		answer.Why = append(answer.Why, "the ledger cannot be read")
		n.logger.Error("reading the ledger's head", "error", err)
	} else {
		answer.Epoch, answer.Position, answer.Quarantine = uint64(head.Epoch), uint64(head.Position), head.Quarantine
	}
	if n.read != nil {
		s := n.read.replica.State()
		answer.Age = s.Age.Seconds()
		if s.Age > n.config.Limits.OCSPAge {
			answer.Why = append(answer.Why, "the replica is too old to answer from")
		}
	}
	if answer.Quarantine {
		answer.Why = append(answer.Why, "in quarantine after a restore: cardinal restore --merge or --accept ends it")
	}
	answer.Ready = len(answer.Why) == 0
	w.Header().Set("Content-Type", "application/json")
	if !answer.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// unready says what is still missing before the node can be asked. A ledger in
// quarantine is served: its lists and entries are true, it only calls nothing
// good.
func (n *node) unready() (why []string) {
	if n.read == nil {
		return nil
	}
	s := n.read.replica.State()
	if s.Loading || s.Position == 0 {
		why = append(why, "the replica is catching up")
	}
	if !s.Quarantine && !n.read.responder.Ready() {
		why = append(why, "no certified responder key yet")
	}
	return why
}

// measure adds the node's own metrics to those of its rooms.
func (n *node) measure() {
	gauge := func(name, help string, read func() float64) {
		n.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "cardinal", Name: name, Help: help}, read))
	}
	if n.read != nil {
		gauge("replica_position", "Position in the journal the replica has applied.", func() float64 { return float64(n.read.replica.State().Position) })
		gauge("replica_age_seconds", "How long ago the replica was known to be complete.", func() float64 { return n.read.replica.State().Age.Seconds() })
	}
	if n.ledger != nil {
		gauge("ledger_position", "Newest position in the ledger, -1 when it cannot be read.", n.ledgerPosition)
	}
	gauge("server_certificate_seconds", "How long the server's certificate is still valid.", func() float64 {
		return n.certificate.current.Load().Leaf.NotAfter.Sub(n.now()).Seconds()
	})
	if n.write != nil {
		gauge("alarms", "What somebody must act on; /v1/health on the issuance port says what.", n.countAlarms)
	}
}

func (n *node) ledgerPosition() float64 {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	head, err := n.ledger.Head(ctx)
	if err != nil {
		return -1
	}
	return float64(head.Position)
}

// tellFollowing says how a node stands that follows a writer elsewhere.
func (n *node) tellFollowing(answer *readiness) {
	s := n.read.replica.State()
	answer.Epoch, answer.Position, answer.Quarantine = uint64(s.Epoch), uint64(s.Position), s.Quarantine
	var clock *errClock
	if s.Refused != nil && !errors.As(s.Refused, &clock) {
		answer.Why = append(answer.Why, "following has ended: "+s.Refused.Error())
	}
	if skew := n.follower.client.Skew(); skew.Abs() > feed.MaxSkew {
		answer.Why = append(answer.Why, (&errClock{skew}).Error())
	}
}

func (n *node) countAlarms() float64 {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	alarms, err := n.write.authority.Alarms(ctx)
	if err != nil {
		return -1
	}
	return float64(len(alarms))
}
