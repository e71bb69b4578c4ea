package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"cardinal/ca"
	"cardinal/certs/register"
	"cardinal/directory"
	"cardinal/internal/ledger"
	"cardinal/issuance"
	"cardinal/issuance/api"
	"cardinal/policies"
)

// wrong is a fault of the request itself, found before the desk is asked.
type wrong struct {
	status int
	rule   string
	field  string
	detail string
}

// Error says what is wrong.
func (w *wrong) Error() string { return w.detail }

// title is the short text of a problem type (RFC 9457 §3.1.4).
func title(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "the request is not understood"
	case http.StatusUnauthorized:
		return "no client certificate"
	case http.StatusForbidden:
		return "refused to this operator"
	case http.StatusNotFound:
		return "not known here"
	case http.StatusConflict:
		return "refused as things stand"
	case http.StatusUnprocessableEntity:
		return "refused by a rule"
	case http.StatusServiceUnavailable:
		return "not possible now"
	case http.StatusInternalServerError:
		return "internal error"
	}
	return http.StatusText(status)
}

// statusOf maps the desk's kinds to HTTP (RFC 9110 §15.5).
func statusOf(kind issuance.Kind) int {
	switch kind {
	case issuance.KindInput:
		return http.StatusBadRequest
	case issuance.KindUnknown:
		return http.StatusNotFound
	case issuance.KindOperator, issuance.KindRight:
		return http.StatusForbidden
	case issuance.KindConflict:
		return http.StatusConflict
	}
	return http.StatusUnprocessableEntity
}

// problemOf is the one place that turns errors into answers.
func problemOf(err error) api.Problem {
	var refusal *issuance.Refusal
	var policy *policies.Refusal
	var bad *wrong
	var entry *directory.Error
	var status *register.TransitionError
	switch {
	case errors.As(err, &bad):
		return api.Problem{Status: bad.status, Rule: bad.rule, Field: bad.field, Detail: bad.detail}
	case errors.As(err, &refusal):
		return api.Problem{Status: statusOf(refusal.Kind), Rule: refusal.Rule, Clause: refusal.Clause, Field: refusal.Field, Detail: refusal.Detail}
	case errors.As(err, &policy):
		return api.Problem{Status: http.StatusUnprocessableEntity, Rule: policy.Rule, Clause: policy.Clause, Detail: policy.Detail}
	case errors.As(err, &status):
		return api.Problem{Status: http.StatusConflict, Rule: "certificate.status", Clause: "RFC 5280 §5.3.1", Detail: status.Error()}
	case errors.As(err, &entry):
		return api.Problem{Status: http.StatusUnprocessableEntity, Rule: "directory." + entry.Code.String(), Clause: "RFC 4511 §4.1.9", Detail: entry.Message}
	}
	for _, t := range notNow() {
		if errors.Is(err, t.err) {
			return api.Problem{Status: http.StatusServiceUnavailable, Rule: t.rule, Detail: t.err.Error()}
		}
	}
	return api.Problem{Status: http.StatusInternalServerError, Rule: "internal"}
}

type temporary struct {
	err   error
	rule  string
	after time.Duration // when it is worth asking again (RFC 9110 §10.2.3)
}

// After how long a station is told to ask again: soon where a fault may pass by itself, later where somebody must act.
const (
	soon  = 5 * time.Second
	later = time.Minute
)

// notNow are the faults that are nobody's mistake and may pass.
func notNow() []temporary {
	return []temporary{
		{ledger.ErrQuarantine, "ledger.quarantine", later},
		{ledger.ErrClock, "ledger.clock", later},
		{ledger.ErrFull, "ledger.full", later},
		{ledger.ErrReadOnly, "ledger.read-only", later},
		{ledger.ErrClosed, "ledger.closed", soon},
		{ledger.ErrOutcomeUnknown, "ledger.outcome-unknown", soon},
		{ledger.ErrUnreachable, "ledger.unreachable", soon},
		{ca.ErrStopped, "ca.stopped", later},
		{ca.ErrNoKey, "ca.no-key", later},
		{ca.ErrUnknownIssuer, "ca.unknown-issuer", later},
		{context.DeadlineExceeded, "request.timeout", soon},
		{context.Canceled, "request.cancelled", soon},
	}
}

// retryAfter is how long to wait before asking again what was refused by a rule.
func retryAfter(rule string) time.Duration {
	for _, t := range notNow() {
		if t.rule == rule {
			return t.after
		}
	}
	return soon
}

// refuse answers with a problem document. What a rule refused is logged with
// the rule; a fault with its error, which the answer does not show.
func (s *server) refuse(w http.ResponseWriter, x *exchange, err error) {
	p := problemOf(err)
	p.Type, p.Title, p.Instance = "urn:cardinal:rule:"+p.Rule, title(p.Status), "urn:cardinal:request:"+x.id
	if p.Status >= http.StatusInternalServerError {
		s.logger.Error("not answered", "request", x.id, "method", x.Method, "path", x.URL.Path, "rule", p.Rule, "error", err)
	} else {
		s.logger.Info("refused", "request", x.id, "method", x.Method, "path", x.URL.Path, "rule", p.Rule, "status", p.Status)
	}
	body, err := json.Marshal(p)
	if err != nil {
		s.logger.Error("writing a problem document", "request", x.id, "error", err)
	}
	header(w, "application/problem+json")
	if p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter(p.Rule)/time.Second)))
	}
	w.WriteHeader(p.Status)
	w.Write(body)
}
