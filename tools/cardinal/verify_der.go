package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"cardinal/certs"
)

// The verifier reads certificates and lists with a reader of its own, so that a fault in the one
// that wrote them cannot hide itself.

// ownCertificate is what the verifier reads from the DER of a certificate (RFC 5280 §4.1), in whose memory it stands.
type ownCertificate struct {
	serial    certs.Serial
	issuer    []byte // DER of the issuer's name
	subject   []byte
	notBefore time.Time
	notAfter  time.Time
	key       []byte // the bits of the key the certificate certifies
}

// keyID names the key the certificate certifies.
func (c *ownCertificate) keyID() certs.IssuerID { return sha256.Sum256(c.key) }

var (
	errCertificate = errors.New("it is no certificate in DER")
	errList        = errors.New("it is no certificate list in DER")
)

// signedDER is SIGNED{} (RFC 5280 §4.1, §5.1): what was signed, element and content, the algorithm and the signature.
type signedDER struct {
	element, content, algorithm, signature cryptobyte.String
}

func readSigned(der []byte) (s signedDER, ok bool) {
	input, all := cryptobyte.String(der), cryptobyte.String{}
	if !input.ReadASN1(&all, asn1.SEQUENCE) || !input.Empty() ||
		!all.ReadASN1Element(&s.element, asn1.SEQUENCE) || !all.ReadASN1Element(&s.algorithm, asn1.SEQUENCE) ||
		!all.ReadASN1Element(&s.signature, asn1.BIT_STRING) || !all.Empty() {
		return s, false
	}
	content := s.element
	return s, content.ReadASN1(&s.content, asn1.SEQUENCE) && content.Empty()
}

func readOwnCertificate(der []byte) (*ownCertificate, error) {
	signed, ok := readSigned(der)
	own := &ownCertificate{}
	var version, algorithm, issuer, validity, subject, key cryptobyte.String
	tbs := signed.content
	if !ok || !tbs.ReadOptionalASN1(&version, nil, asn1.Tag(0).Constructed().ContextSpecific()) || !readSerial(&tbs, &own.serial) ||
		!tbs.ReadASN1Element(&algorithm, asn1.SEQUENCE) || !bytes.Equal(algorithm, signed.algorithm) ||
		!tbs.ReadASN1Element(&issuer, asn1.SEQUENCE) || !tbs.ReadASN1(&validity, asn1.SEQUENCE) ||
		!tbs.ReadASN1Element(&subject, asn1.SEQUENCE) || !tbs.ReadASN1(&key, asn1.SEQUENCE) ||
		!tbs.SkipOptionalASN1(asn1.Tag(1).ContextSpecific()) || !tbs.SkipOptionalASN1(asn1.Tag(2).ContextSpecific()) ||
		!tbs.SkipOptionalASN1(asn1.Tag(3).Constructed().ContextSpecific()) || !tbs.Empty() {
		return nil, errCertificate
	}
	if !readMoment(&validity, &own.notBefore) || !readMoment(&validity, &own.notAfter) || !validity.Empty() ||
		!key.SkipASN1(asn1.SEQUENCE) || !key.ReadASN1BitStringAsBytes(&own.key) || !key.Empty() {
		return nil, errCertificate
	}
	own.issuer, own.subject = issuer, subject
	return own, nil
}

// readSerial reads a CertificateSerialNumber: a positive INTEGER (RFC 5280 §4.1.2.2).
func readSerial(s *cryptobyte.String, to *certs.Serial) bool {
	var content cryptobyte.String
	if !s.ReadASN1(&content, asn1.INTEGER) || len(content) == 0 || content[0]&0x80 != 0 {
		return false
	}
	*to = certs.Serial(bytes.TrimLeft(content, "\x00"))
	return true
}

func isMoment(s cryptobyte.String) bool {
	return s.PeekASN1Tag(asn1.UTCTime) || s.PeekASN1Tag(asn1.GeneralizedTime)
}

// readMoment reads a Time: UTCTime or GeneralizedTime.
func readMoment(s *cryptobyte.String, to *time.Time) bool {
	if s.PeekASN1Tag(asn1.UTCTime) {
		return s.ReadASN1UTCTime(to)
	}
	return s.ReadASN1GeneralizedTime(to)
}

// ownList is what the verifier reads from the DER of a CRL (RFC 5280 §5.1), in whose memory it stands.
type ownList struct {
	thisUpdate time.Time
	nextUpdate time.Time
	number     uint64

	signed  signedDER
	bare    []byte            // the list without its entries
	revoked cryptobyte.String // the entries, one after another
}

// ownListEntry is one line of a list.
type ownListEntry struct {
	serial certs.Serial
	at     time.Time
	reason certs.Reason
}

// reasonCode and cRLNumber (RFC 5280 §5.3.1, §5.2.3), as they stand in DER.
var (
	derReasonCode = []byte{0x55, 0x1d, 0x15}
	derCRLNumber  = []byte{0x55, 0x1d, 0x14}
)

func readOwnList(der []byte) (*ownList, error) {
	own := &ownList{}
	var ok bool
	if own.signed, ok = readSigned(der); !ok {
		return nil, errList
	}
	tbs := own.signed.content
	if !tbs.SkipOptionalASN1(asn1.INTEGER) || !tbs.SkipASN1(asn1.SEQUENCE) || !tbs.SkipASN1(asn1.SEQUENCE) ||
		!readMoment(&tbs, &own.thisUpdate) || isMoment(tbs) && !readMoment(&tbs, &own.nextUpdate) {
		return nil, errList
	}
	before, extensions, extended := own.signed.content[:len(own.signed.content)-len(tbs)], cryptobyte.String{}, false
	if !tbs.ReadOptionalASN1(&own.revoked, nil, asn1.SEQUENCE) {
		return nil, errList
	}
	after := tbs
	if !tbs.ReadOptionalASN1(&extensions, &extended, asn1.Tag(0).Constructed().ContextSpecific()) || !tbs.Empty() || !extended {
		return nil, errList
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(list *cryptobyte.Builder) {
		list.AddASN1(asn1.SEQUENCE, func(tbs *cryptobyte.Builder) {
			tbs.AddBytes(before)
			tbs.AddBytes(after)
		})
		list.AddBytes(own.signed.algorithm)
		list.AddBytes(own.signed.signature)
	})
	var err error
	if own.bare, err = b.Bytes(); err != nil {
		return nil, fmt.Errorf("%w: %w", errList, err)
	}
	return own, own.readNumber(extensions)
}

func (l *ownList) readNumber(extensions cryptobyte.String) error {
	var all, value, number cryptobyte.String
	if !extensions.ReadASN1(&all, asn1.SEQUENCE) || !extensions.Empty() {
		return errList
	}
	if !findExtension(all, derCRLNumber, &value) {
		return fmt.Errorf("%w: it carries no number", errList)
	}
	number = value
	if !value.ReadASN1Integer(&l.number) || !value.Empty() {
		return fmt.Errorf("%w: its number is %x", errList, []byte(number))
	}
	return nil
}

// findExtension looks for the value of an extension among others (RFC 5280 §4.1).
func findExtension(all cryptobyte.String, id []byte, value *cryptobyte.String) (found bool) {
	for !all.Empty() {
		var one, name, content cryptobyte.String
		if !all.ReadASN1(&one, asn1.SEQUENCE) || !one.ReadASN1(&name, asn1.OBJECT_IDENTIFIER) || !one.SkipOptionalASN1(asn1.BOOLEAN) ||
			!one.ReadASN1(&content, asn1.OCTET_STRING) || !one.Empty() {
			return false
		}
		if bytes.Equal(name, id) {
			*value = content
			return true
		}
	}
	return false
}

// each gives the entries of a list one after another.
func (l *ownList) each(do func(ownListEntry)) error {
	for rest := l.revoked; !rest.Empty(); {
		var entry ownListEntry
		var one, extensions, value cryptobyte.String
		if !rest.ReadASN1(&one, asn1.SEQUENCE) || !readSerial(&one, &entry.serial) || !readMoment(&one, &entry.at) ||
			!one.ReadOptionalASN1(&extensions, nil, asn1.SEQUENCE) || !one.Empty() {
			return fmt.Errorf("%w: an entry after %d octets of them", errList, len(l.revoked)-len(rest))
		}
		if findExtension(extensions, derReasonCode, &value) {
			var reason int
			if !value.ReadASN1Enum(&reason) || !value.Empty() || reason < 0 || reason > 255 {
				return fmt.Errorf("%w: the reason of %s", errList, entry.serial.Hex())
			}
			entry.reason = certs.Reason(reason)
		}
		do(entry)
	}
	return nil
}

// checkSignature verifies the list under its issuer's key. It is parsed without its entries, which were read
// already: there may be millions, and they cannot change what was signed.
func (l *ownList) checkSignature(by *x509.Certificate) error {
	parsed, err := x509.ParseRevocationList(l.bare)
	if err != nil {
		return err
	}
	parsed.RawTBSRevocationList = l.signed.element
	return parsed.CheckSignatureFrom(by)
}
