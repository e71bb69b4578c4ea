package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"cardinal/ca"
	"cardinal/certs/nodes"
	"cardinal/internal/journal/feed"
	"cardinal/internal/ledger"
	"cardinal/ocsp"
	"cardinal/policies"
)

// certifyResponder answers POST /v1/responder?issuer=ID: a certification request (RFC 2986) is the body, the certificate
// as DER the answer; 404 for an issuer that is not answered for. A certificate is filed under the node's name, and never
// recorded once the node is disabled.
func (n *node) certifyResponder(w http.ResponseWriter, r *http.Request, to feed.Node) {
	csr, err := io.ReadAll(io.LimitReader(r.Body, maxRequest+1))
	if err != nil {
		return
	}
	id, err := issuerIDOf("/" + strings.ToLower(r.URL.Query().Get("issuer")))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	der, err := n.write.responder(r.Context(), csr, ca.ResponderOrder{Issuer: id, Holder: to.Name, Lifetime: n.responderLife(r.Context(), to),
		Allow: func(tx *ledger.Tx) error { return mayFollow(tx, to.Name) }})
	var refusal *policies.Refusal
	switch {
	case errors.Is(err, ocsp.ErrNotServed):
		http.Error(w, err.Error(), http.StatusNotFound)
	case errors.Is(err, nodes.ErrDisabled):
		http.Error(w, "this node was disabled", http.StatusForbidden)
	case errors.As(err, &refusal):
		http.Error(w, refusal.Error(), http.StatusBadRequest)
	case err != nil:
		n.logger.Error("certifying a responder key", "node", to.Name, "error", err)
		http.Error(w, "not certified", http.StatusServiceUnavailable)
	default:
		_, _ = w.Write(der)
	}
}

// mayFollow refuses a node that was disabled before this transaction.
func mayFollow(tx *ledger.Tx, name string) error {
	known, err := nodes.Find(tx, name)
	if err == nil && !known.Disabled.IsZero() {
		err = nodes.ErrDisabled
	}
	return err
}

// edgeMargin is how long a responder certificate of an edge outlasts what a node may answer that is cut off: time to
// renew it in.
const edgeMargin = time.Hour

// responderLife is how long a node's responder certificates live. Nobody can revoke one, so a machine at a site gets as
// long as it may answer while it is cut off, and an hour.
func (n *node) responderLife(ctx context.Context, to feed.Node) time.Duration {
	if to.Scope != feed.Edge {
		return 0
	}
	age := n.config.Status.EdgeAge
	states, err := n.feed.leases.Applied(ctx)
	if err != nil {
		n.logger.Warn("reading what a node said of itself", "node", to.Name, "error", err)
	}
	for _, s := range states {
		if s.Name == to.Name && s.OCSPAge > 0 {
			age = min(age, s.OCSPAge)
		}
	}
	return min(age+edgeMargin, 48*time.Hour)
}
