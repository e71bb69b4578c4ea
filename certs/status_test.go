package certs_test

import (
	"errors"
	"testing"
	"time"

	"cardinal/certs"
)

func TestParseReasonTakesRFCNamesAndRefusesRemoveFromCRL(t *testing.T) {
	t.Parallel()
	for r := range certs.Reason(12) {
		parsed, err := certs.ParseReason(r.String())
		if r.Valid() != (err == nil) || err == nil && parsed != r {
			t.Errorf("%s: %s, %v", r, parsed, err)
		}
	}
	if r, err := certs.ParseReason("KEYCOMPROMISE"); err != nil || r != certs.ReasonKeyCompromise {
		t.Errorf("upper case: %s, %v", r, err)
	}
	for _, bad := range []string{"removeFromCRL", "", "reason(7)", "8"} {
		if _, err := certs.ParseReason(bad); !errors.Is(err, certs.ErrReason) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestStatusCheckRefusesContradictions(t *testing.T) {
	t.Parallel()
	good := []certs.Status{{}, certs.Held(), certs.Revoked(certs.ReasonUnspecified), certs.Revoked(certs.ReasonSuperseded)}
	for _, s := range good {
		if err := s.Check(); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
	bad := []certs.Status{
		{State: 3},
		{Reason: certs.ReasonSuperseded},
		{At: time.Unix(1, 0)},
		{State: certs.StateHeld},
		{State: certs.StateHeld, Reason: certs.ReasonKeyCompromise},
		certs.Revoked(certs.ReasonCertificateHold),
		certs.Revoked(certs.ReasonRemoveFromCRL),
		certs.Revoked(7),
	}
	for _, s := range bad {
		if err := s.Check(); err == nil {
			t.Errorf("%+v was accepted", s)
		}
	}
}
