package main

import (
	"time"

	"cardinal/certs"
	"cardinal/directory"
	"cardinal/directory/ldap"
	"cardinal/internal/replica"
	"cardinal/ocsp"
)

// cardStatus tells the directory what OCSP answers, from the same table.
type cardStatus struct {
	*ocsp.Table
	replica *replica.Replica
	stale   time.Duration // beyond it OCSP answers tryLater
}

var _ ldap.CardStatus = cardStatus{}

// Standing implements ldap.CardStatus.
func (c cardStatus) Standing(der []byte) directory.Standing {
	j := c.Judge(der)
	if j.Status.State == certs.StateGood && c.replica.State().Age > c.stale {
		j.Certain = false
	}
	return directory.Standing{State: certificateState(j), NotAfter: j.NotAfter}
}

func certificateState(j ocsp.Judgement) directory.CertificateState {
	switch {
	case !j.Ours:
		return directory.CertificateForeign
	case !j.Certain:
		return directory.CertificateDoubtful
	}
	switch j.Status.State {
	case certs.StateGood:
		return directory.CertificateGood
	case certs.StateHeld:
		return directory.CertificateHeld
	}
	if j.Status.Reason == certs.ReasonKeyCompromise {
		return directory.CertificateCompromised
	}
	return directory.CertificateRevoked
}
