package certs

import (
	"time"

	"cardinal/internal/journal"
)

// Versions of these bodies, as of those in changes.go.
const (
	GenerationChangedVersion uint8 = 1
	CrossCertifiedVersion    uint8 = 1
)

// GenerationChanged says where an authority stands in its life from here on:
// from when on it issues, or that it has stopped for ever, and how. Starts is
// zero while nobody has said, Stopped while it has not. Times are whole
// seconds. Ceremony is the SHA-256 of the file the step was read from.
type GenerationChanged struct {
	Issuer   IssuerID
	Starts   time.Time
	Stopped  time.Time
	How      string // "", revoked or retired
	Ceremony journal.Hash
}

// Append appends the body to b.
func (c GenerationChanged) Append(b []byte) []byte {
	e := journal.NewEncoder(b)
	e.AppendHash(journal.Hash(c.Issuer))
	e.AppendUint(seconds(c.Starts))
	e.AppendUint(seconds(c.Stopped))
	e.AppendString(c.How)
	e.AppendHash(c.Ceremony)
	return e.Bytes()
}

// ParseGenerationChanged reads a body of version 1.
func ParseGenerationChanged(body []byte) (GenerationChanged, error) {
	d := journal.NewDecoder(body)
	c := GenerationChanged{Issuer: IssuerID(d.Hash()), Starts: timeIn(d), Stopped: timeIn(d), How: d.String(), Ceremony: d.Hash()}
	return c, ended(d, "generation changed")
}

// CrossCertified says that the key of an authority of ours has another
// certificate, under another authority of ours (RFC 4949, cross-certificate).
// Issuer is the certified key, not the one that signed.
type CrossCertified struct {
	Issuer   IssuerID
	DER      []byte
	Ceremony journal.Hash
}

// Append appends the body to b.
func (c CrossCertified) Append(b []byte) []byte {
	e := journal.NewEncoder(b)
	e.AppendHash(journal.Hash(c.Issuer))
	e.AppendBytes(c.DER)
	e.AppendHash(c.Ceremony)
	return e.Bytes()
}

// ParseCrossCertified reads a body of version 1; DER points into body.
func ParseCrossCertified(body []byte) (CrossCertified, error) {
	d := journal.NewDecoder(body)
	c := CrossCertified{Issuer: IssuerID(d.Hash()), DER: d.Bytes(), Ceremony: d.Hash()}
	return c, ended(d, "cross-certified")
}
