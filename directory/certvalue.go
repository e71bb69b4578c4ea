package directory

import (
	"bytes"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"math/big"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// certificateParts are the parts of a certificate that assertions name, read
// without Go's certificate parser, which refuses some that others accept.
type certificateParts struct {
	serial               []byte // see serialForm
	issuer, subject      []byte // see issuerForm
	notBefore, notAfter  time.Time
	keyAlgorithm         string // OID
	subjectKeyIdentifier []byte
	authorityKey         []byte
	keyUsage             *asn1.BitString
	keyBegins, keyEnds   time.Time // of PrivateKeyUsagePeriod
	policies             []string  // OIDs; nil without the extension
	altNames             []string  // kinds of name, as AltNameType calls them
}

var errNotCertificate = errors.New("not a certificate")

// serialForm is the one form of an INTEGER's value: its sign and magnitude.
func serialForm(n *big.Int) []byte {
	if n.Sign() < 0 {
		return append([]byte{'-'}, n.Bytes()...)
	}
	return append([]byte{'+'}, n.Bytes()...)
}

func parseCertificate(s *Schema, der []byte) (*certificateParts, error) {
	in := cryptobyte.String(der)
	var cert, tbs, alg, issuer, validity, subject, key cryptobyte.String
	serial := new(big.Int)
	if !in.ReadASN1(&cert, casn1.SEQUENCE) || !in.Empty() || !cert.ReadASN1(&tbs, casn1.SEQUENCE) ||
		!tbs.SkipOptionalASN1(casn1.Tag(0).Constructed().ContextSpecific()) || !readInteger(&tbs, serial) ||
		!tbs.ReadASN1(&alg, casn1.SEQUENCE) || !tbs.ReadASN1(&issuer, casn1.SEQUENCE) ||
		!tbs.ReadASN1(&validity, casn1.SEQUENCE) || !tbs.ReadASN1(&subject, casn1.SEQUENCE) ||
		!tbs.ReadASN1(&key, casn1.SEQUENCE) {
		return nil, errNotCertificate
	}
	c := &certificateParts{serial: serialForm(serial)}
	var err error
	if c.issuer, err = s.nameForm(issuer); err != nil {
		return nil, err
	}
	if c.subject, err = s.nameForm(subject); err != nil {
		return nil, err
	}
	c.notBefore, _ = readTime(&validity)
	c.notAfter, _ = readTime(&validity)
	var algorithm cryptobyte.String
	var oid asn1.ObjectIdentifier
	if key.ReadASN1(&algorithm, casn1.SEQUENCE) && algorithm.ReadASN1ObjectIdentifier(&oid) {
		c.keyAlgorithm = oid.String()
	}
	extensionsOf(tbs, 3, c.readExtension)
	return c, nil
}

// readInteger accepts what BER allows, because certificates in use have it.
func readInteger(in *cryptobyte.String, n *big.Int) bool {
	var body cryptobyte.String
	if !in.ReadASN1(&body, casn1.INTEGER) || len(body) == 0 {
		return false
	}
	n.SetBytes(body)
	if body[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(len(body))*8))
	}
	return true
}

func readTime(in *cryptobyte.String) (time.Time, bool) {
	var body cryptobyte.String
	var tag casn1.Tag
	if !in.ReadAnyASN1(&body, &tag) {
		return time.Time{}, false
	}
	text := string(body)
	if tag == casn1.UTCTime {
		text = fullYear(text)
	}
	t, err := ParseTime([]byte(text))
	return t, err == nil
}

// fullYear puts the century before a UTCTime (RFC 5280 §4.1.2.5.1).
func fullYear(utc string) string {
	switch {
	case len(utc) < 2:
		return utc
	case utc[0] >= '5':
		return "19" + utc
	}
	return "20" + utc
}

// extensionsOf calls read with each extension of a certificate (tag 3) or a
// certificate list (tag 0), until something cannot be read.
func extensionsOf(rest cryptobyte.String, tag uint8, read func(oid string, value cryptobyte.String)) {
	var wrapped, list cryptobyte.String
	for wanted := casn1.Tag(tag).Constructed().ContextSpecific(); !rest.Empty(); {
		var found casn1.Tag
		if !rest.ReadAnyASN1(&wrapped, &found) {
			return
		}
		if found == wanted {
			break
		}
	}
	if !wrapped.ReadASN1(&list, casn1.SEQUENCE) {
		return
	}
	for !list.Empty() {
		var ext, value cryptobyte.String
		var oid asn1.ObjectIdentifier
		if !list.ReadASN1(&ext, casn1.SEQUENCE) || !ext.ReadASN1ObjectIdentifier(&oid) ||
			!ext.SkipOptionalASN1(casn1.BOOLEAN) || !ext.ReadASN1(&value, casn1.OCTET_STRING) {
			return
		}
		read(oid.String(), value)
	}
}

// nameForm is the form of a Name's RDNSequence contents.
func (s *Schema) nameForm(in cryptobyte.String) ([]byte, error) {
	d, err := dnOfDER(in)
	if err != nil {
		return nil, err
	}
	return s.issuerForm(d), nil
}

// NameOfDER returns the DN an encoded X.501 Name stands for, types as OIDs.
func NameOfDER(der []byte) (DN, error) {
	in := cryptobyte.String(der)
	var body cryptobyte.String
	if !in.ReadASN1(&body, casn1.SEQUENCE) || !in.Empty() {
		return nil, errNotCertificate
	}
	return dnOfDER(body)
}

func dnOfDER(in cryptobyte.String) (DN, error) {
	var d DN
	for !in.Empty() {
		var set cryptobyte.String
		if !in.ReadASN1(&set, casn1.SET) {
			return nil, errNotCertificate
		}
		r, err := rdnOfDER(set)
		if err != nil {
			return nil, err
		}
		d = append(DN{r}, d...)
	}
	return d, nil
}

func rdnOfDER(set cryptobyte.String) (RDN, error) {
	var r RDN
	for !set.Empty() {
		var ava cryptobyte.String
		var oid asn1.ObjectIdentifier
		if !set.ReadASN1(&ava, casn1.SEQUENCE) || !ava.ReadASN1ObjectIdentifier(&oid) {
			return nil, errNotCertificate
		}
		v, ok := stringOfBER(ava)
		if !ok {
			v = ava
		}
		r = append(r, AVA{Type: oid.String(), Value: v})
	}
	return r, nil
}

// issuerForm is a name's form for comparing issuers. Other than a Key it takes
// types the schema does not know, as their OID, and compares every value
// without case, as slapd does.
func (s *Schema) issuerForm(d DN) []byte {
	var b []byte
	for i := len(d) - 1; i >= 0; i-- {
		parts := make([][]byte, 0, len(d[i]))
		for _, a := range d[i] {
			parts = append(parts, s.issuerAVA(a))
		}
		slices.SortFunc(parts, bytes.Compare)
		b = append(append(b, bytes.Join(parts, []byte{keyPlus})...), keyEnd)
	}
	return b
}

func (s *Schema) issuerAVA(a AVA) []byte {
	name := a.Type
	if t := s.Attribute(name); t != nil {
		name = t.OID
	} else if strings.EqualFold(name, "E") || strings.EqualFold(name, "EMAIL") {
		name = "1.2.840.113549.1.9.1"
	}
	v, err := prepareString(a.Value, true)
	if err != nil {
		v = a.Value
	}
	b := append([]byte(name), '=')
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}

// SubjectForm is the normal form of the subject of a certificate, as it stands
// in the form of certificates it has issued: see CertificateForm.
func (s *Schema) SubjectForm(der []byte) ([]byte, error) {
	c, err := parseCertificate(s, der)
	if err != nil {
		return nil, err
	}
	return c.subject, nil
}

// CertificateForm is the normal form (of certificateExactMatch) of a
// certificate with a positive serial number, by the form of its issuer's name.
func CertificateForm(issuer, serial []byte) []byte {
	return pairOf(serialForm(new(big.Int).SetBytes(serial)), issuer)
}
