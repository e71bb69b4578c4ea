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
	subjectKeyIdentifier []byte
	authorityKey         []byte
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
	c.readExtensions(tbs)
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
	text := []byte(body)
	if tag == casn1.UTCTime && len(text) > 2 {
		century := "20"
		if text[0] >= '5' {
			century = "19"
		}
		text = append([]byte(century), text...)
	}
	t, err := ParseTime(text)
	return t, err == nil
}

var (
	oidSubjectKeyIdentifier = asn1.ObjectIdentifier{2, 5, 29, 14}
	oidAuthorityKey         = asn1.ObjectIdentifier{2, 5, 29, 35}
)

func (c *certificateParts) readExtensions(rest cryptobyte.String) {
	var wrapped, list cryptobyte.String
	for !rest.Empty() {
		var tag casn1.Tag
		if !rest.ReadAnyASN1(&wrapped, &tag) {
			return
		}
		if tag == casn1.Tag(3).Constructed().ContextSpecific() {
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
		var body, id cryptobyte.String
		switch {
		case oid.Equal(oidSubjectKeyIdentifier) && value.ReadASN1(&id, casn1.OCTET_STRING):
			c.subjectKeyIdentifier = id
		case oid.Equal(oidAuthorityKey) && value.ReadASN1(&body, casn1.SEQUENCE) &&
			body.ReadASN1(&id, casn1.Tag(0).ContextSpecific()):
			c.authorityKey = id
		}
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
