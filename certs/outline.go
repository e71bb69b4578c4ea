package certs

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// ErrDER says that bytes are not the DER they should be.
var ErrDER = errors.New("not the expected DER")

// Outline is what a hot path needs of a certificate, taken from its DER
// without building an x509.Certificate: no keys, no names are decoded. The
// slices point into the DER they came from. It is not a check: a certificate
// with an outline may still be refused by x509.ParseCertificate.
type Outline struct {
	TBS            []byte // the whole to-be-signed certificate, with its header
	Serial         Serial
	Issuer         []byte // raw Name
	Subject        []byte // raw Name
	SPKI           []byte // raw SubjectPublicKeyInfo
	NotBefore      time.Time
	NotAfter       time.Time
	AuthorityKeyID []byte // keyIdentifier of the extension, nil when absent
}

// OutlineOf reads a DER Certificate (RFC 5280 §4.1); trailing bytes and any
// departure from DER on the way give ErrDER.
func OutlineOf(der []byte) (Outline, error) {
	in := cryptobyte.String(der)
	var cert, element cryptobyte.String
	if !in.ReadASN1(&cert, cbasn1.SEQUENCE) || !in.Empty() ||
		!cert.ReadASN1Element(&element, cbasn1.SEQUENCE) {
		return Outline{}, fmt.Errorf("%w: certificate", ErrDER)
	}
	return OutlineOfTBS(element)
}

// OutlineOfTBS reads a DER TBSCertificate, such as an intent keeps.
func OutlineOfTBS(der []byte) (Outline, error) {
	out := Outline{TBS: der}
	in := cryptobyte.String(der)
	var tbs cryptobyte.String
	if !in.ReadASN1(&tbs, cbasn1.SEQUENCE) || !in.Empty() ||
		!tbs.SkipOptionalASN1(cbasn1.Tag(0).Constructed().ContextSpecific()) {
		return Outline{}, fmt.Errorf("%w: to-be-signed certificate", ErrDER)
	}
	if err := out.readSerial(&tbs); err != nil {
		return Outline{}, err
	}
	var validity, issuer, subject, spki cryptobyte.String
	if !tbs.SkipASN1(cbasn1.SEQUENCE) ||
		!tbs.ReadASN1Element(&issuer, cbasn1.SEQUENCE) ||
		!tbs.ReadASN1(&validity, cbasn1.SEQUENCE) ||
		!tbs.ReadASN1Element(&subject, cbasn1.SEQUENCE) ||
		!tbs.ReadASN1Element(&spki, cbasn1.SEQUENCE) {
		return Outline{}, fmt.Errorf("%w: fields of the certificate", ErrDER)
	}
	out.Issuer, out.Subject, out.SPKI = issuer, subject, spki
	if !readTime(&validity, &out.NotBefore) || !readTime(&validity, &out.NotAfter) || !validity.Empty() {
		return Outline{}, fmt.Errorf("%w: validity", ErrDER)
	}
	return out, out.readExtensions(tbs)
}

func (o *Outline) readSerial(tbs *cryptobyte.String) error {
	var raw cryptobyte.String
	if !tbs.ReadASN1(&raw, cbasn1.INTEGER) || len(raw) == 0 || raw[0]&0x80 != 0 ||
		len(raw) > 1 && raw[0] == 0 && raw[1]&0x80 == 0 {
		return fmt.Errorf("%w: serial number", ErrDER)
	}
	var err error
	o.Serial, err = SerialFromBytes(raw)
	return err
}

func readTime(in *cryptobyte.String, t *time.Time) bool {
	if in.PeekASN1Tag(cbasn1.UTCTime) {
		return in.ReadASN1UTCTime(t)
	}
	return in.ReadASN1GeneralizedTime(t)
}

func (o *Outline) readExtensions(rest cryptobyte.String) error {
	var wrapped, list cryptobyte.String
	var present bool
	if !rest.SkipOptionalASN1(cbasn1.Tag(1).ContextSpecific()) ||
		!rest.SkipOptionalASN1(cbasn1.Tag(2).ContextSpecific()) ||
		!rest.ReadOptionalASN1(&wrapped, &present, cbasn1.Tag(3).Constructed().ContextSpecific()) ||
		!rest.Empty() {
		return fmt.Errorf("%w: end of the certificate", ErrDER)
	}
	if !present {
		return nil
	}
	if !wrapped.ReadASN1(&list, cbasn1.SEQUENCE) || !wrapped.Empty() {
		return fmt.Errorf("%w: extensions", ErrDER)
	}
	for !list.Empty() {
		var ext, id, value cryptobyte.String
		if !list.ReadASN1(&ext, cbasn1.SEQUENCE) ||
			!ext.ReadASN1(&id, cbasn1.OBJECT_IDENTIFIER) ||
			!ext.SkipOptionalASN1(cbasn1.BOOLEAN) ||
			!ext.ReadASN1(&value, cbasn1.OCTET_STRING) || !ext.Empty() {
			return fmt.Errorf("%w: extension", ErrDER)
		}
		if bytes.Equal(id, []byte{0x55, 0x1d, 0x23}) && !o.readAuthorityKeyID(value) {
			return fmt.Errorf("%w: authorityKeyIdentifier", ErrDER)
		}
	}
	return nil
}

func (o *Outline) readAuthorityKeyID(value cryptobyte.String) bool {
	var aki, id cryptobyte.String
	var present bool
	if !value.ReadASN1(&aki, cbasn1.SEQUENCE) || !value.Empty() ||
		!aki.ReadOptionalASN1(&id, &present, cbasn1.Tag(0).ContextSpecific()) {
		return false
	}
	if present {
		o.AuthorityKeyID = id
	}
	return true
}

// IssuerAndSerial is the part of OutlineOf that names a certificate to a
// relying system: the raw issuer Name and the serial.
func IssuerAndSerial(der []byte) (issuer []byte, serial Serial, err error) {
	o, err := OutlineOf(der)
	return o.Issuer, o.Serial, err
}
