package main

import (
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"

	"cardinal/certs"
)

// The verifier reads certificates and lists with a reader of its own, so that a fault in the one
// that wrote them cannot hide itself.

// ownCertificate is what the verifier reads from the DER of a certificate (RFC 5280 §4.1).
type ownCertificate struct {
	serial    *big.Int
	issuer    []byte // DER of the issuer's name
	subject   []byte
	notBefore time.Time
	notAfter  time.Time
	keyID     certs.IssuerID // of the key the certificate certifies
	commonCN  string
}

type derCertificate struct {
	TBS       derTBS
	Algorithm pkix.AlgorithmIdentifier
	Signature asn1.BitString
}

type derTBS struct {
	Version   int `asn1:"optional,explicit,default:0,tag:0"`
	Serial    *big.Int
	Algorithm pkix.AlgorithmIdentifier
	Issuer    asn1.RawValue
	Validity  struct{ NotBefore, NotAfter time.Time }
	Subject   asn1.RawValue
	Key       struct {
		Algorithm pkix.AlgorithmIdentifier
		Bits      asn1.BitString
	}
	IssuerUnique  asn1.BitString  `asn1:"optional,tag:1"`
	SubjectUnique asn1.BitString  `asn1:"optional,tag:2"`
	Extensions    []asn1.RawValue `asn1:"omitempty,optional,explicit,tag:3"`
}

var errTrailing = errors.New("bytes follow the end")

func readOwnCertificate(der []byte) (*ownCertificate, error) {
	var c derCertificate
	rest, err := asn1.Unmarshal(der, &c)
	if err == nil && len(rest) > 0 {
		err = errTrailing
	}
	if err != nil {
		return nil, fmt.Errorf("reading a certificate: %w", err)
	}
	own := &ownCertificate{
		serial: c.TBS.Serial, issuer: c.TBS.Issuer.FullBytes, subject: c.TBS.Subject.FullBytes,
		notBefore: c.TBS.Validity.NotBefore, notAfter: c.TBS.Validity.NotAfter,
		keyID: sha256.Sum256(c.TBS.Key.Bits.RightAlign()),
	}
	var name pkix.RDNSequence
	if _, err := asn1.Unmarshal(c.TBS.Subject.FullBytes, &name); err != nil {
		return nil, fmt.Errorf("reading the subject of a certificate: %w", err)
	}
	var full pkix.Name
	full.FillFromRDNSequence(&name)
	own.commonCN = full.CommonName
	return own, nil
}

// ownList is what the verifier reads from the DER of a CRL (RFC 5280 §5.1).
type ownList struct {
	issuer     []byte
	thisUpdate time.Time
	nextUpdate time.Time
	entries    map[string]ownListEntry // by raw serial
	number     uint64
}

type ownListEntry struct {
	at     time.Time
	reason certs.Reason
}

type derList struct {
	TBS       derTBSList
	Algorithm pkix.AlgorithmIdentifier
	Signature asn1.BitString
}

type derTBSList struct {
	Version    int `asn1:"optional,default:0"`
	Algorithm  pkix.AlgorithmIdentifier
	Issuer     asn1.RawValue
	ThisUpdate time.Time
	NextUpdate time.Time        `asn1:"optional"`
	Revoked    []derListEntry   `asn1:"optional"`
	Extensions []pkix.Extension `asn1:"tag:0,optional,explicit"`
}

type derListEntry struct {
	Serial     *big.Int
	At         time.Time
	Extensions []pkix.Extension `asn1:"optional"`
}

func readOwnList(der []byte) (*ownList, error) {
	var l derList
	rest, err := asn1.Unmarshal(der, &l)
	if err == nil && len(rest) > 0 {
		err = errTrailing
	}
	if err != nil {
		return nil, fmt.Errorf("reading a list: %w", err)
	}
	own := &ownList{
		issuer: l.TBS.Issuer.FullBytes, thisUpdate: l.TBS.ThisUpdate, nextUpdate: l.TBS.NextUpdate,
		entries: make(map[string]ownListEntry, len(l.TBS.Revoked)),
	}
	for _, e := range l.TBS.Revoked {
		entry := ownListEntry{at: e.At}
		for _, x := range e.Extensions {
			if x.Id.String() != certs.OIDReasonCode {
				continue
			}
			var reason asn1.Enumerated
			if _, err := asn1.Unmarshal(x.Value, &reason); err != nil {
				return nil, fmt.Errorf("reading the reason of %x: %w", e.Serial, err)
			}
			entry.reason = certs.Reason(reason)
		}
		own.entries[string(e.Serial.Bytes())] = entry
	}
	return own, own.readNumber(l.TBS.Extensions)
}

func (l *ownList) readNumber(extensions []pkix.Extension) error {
	for _, x := range extensions {
		if x.Id.String() != certs.OIDCRLNumber {
			continue
		}
		var number *big.Int
		if _, err := asn1.Unmarshal(x.Value, &number); err != nil || !number.IsUint64() {
			return fmt.Errorf("reading the number of a list: %w", errors.Join(err, errTrailing))
		}
		l.number = number.Uint64()
		return nil
	}
	return errors.New("a list carries no number")
}
