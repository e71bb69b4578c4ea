package directory

import (
	"bytes"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"math/big"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// certificateArc is the arc of the assertion syntaxes of RFC 4523 §2.
const certificateArc = "1.3.6.1.1.15."

// certificateRules are the rules of RFC 4523 §3. Assertions are taken in every form slapd takes:
// "serial$issuer", GSER with issuer "…" or rdnSequence:"…", with or without
// the option ;binary; and besides, the DER of the whole value.
func (s *Schema) certificateRules() []*MatchingRule {
	const arc = certificateArc
	return []*MatchingRule{
		{OID: "2.5.13.34", Name: "certificateExactMatch", Syntax: arc + "1", value: s.certificateForm, assertion: s.certificateAssertion},
		{OID: "2.5.13.35", Name: "certificateMatch", Syntax: arc + "2", value: sameBytes, assertion: s.partsAssertion, match: s.matchParts},
		{OID: "2.5.13.36", Name: "certificatePairExactMatch", Syntax: arc + "3", value: s.pairForm, assertion: s.pairAssertion, match: matchPair},
		{OID: "2.5.13.37", Name: "certificatePairMatch", Syntax: arc + "4", value: sameBytes, assertion: s.pairPartsAssertion, match: s.matchPairParts},
		{OID: "2.5.13.38", Name: "certificateListExactMatch", Syntax: arc + "5", value: s.listForm, assertion: s.listAssertion},
		{OID: "2.5.13.39", Name: "certificateListMatch", Syntax: arc + "6", value: sameBytes, assertion: s.listPartsAssertion, match: s.matchListParts},
		{OID: "2.5.13.40", Name: "algorithmIdentifierMatch", Syntax: arc + "7", value: algorithmForm, assertion: algorithmAssertion},
	}
}

// checkCertificate asks for a certificate's outline only: values are kept bit
// for bit and may hold what Go's certificate parser refuses.
func (s *Schema) checkCertificate(v []byte) error     { _, err := parseCertificate(s, v); return err }
func (s *Schema) checkCertificateList(v []byte) error { _, _, err := s.crlParts(v); return err }
func (s *Schema) checkCertificatePair(v []byte) error { _, err := s.pairForm(v); return err }

var errAssertion = errors.New("not an assertion of this rule")

// pairOf joins two parts so that they cannot run into each other.
func pairOf(a, b []byte) []byte {
	out := binary.AppendUvarint(make([]byte, 0, len(a)+len(b)+2), uint64(len(a)))
	return append(append(out, a...), b...)
}

func (s *Schema) certificateForm(v []byte) ([]byte, error) {
	c, err := parseCertificate(s, v)
	if err != nil {
		return nil, err
	}
	return pairOf(c.serial, c.issuer), nil
}

func isDER(v []byte) bool { return len(v) > 1 && v[0] == 0x30 && v[1] >= 0x20 && checkDER(v) == nil }

func (s *Schema) certificateAssertion(v []byte) ([]byte, error) {
	if isDER(v) {
		return s.certificateForm(v)
	}
	text := strings.TrimSpace(string(v))
	if !strings.HasPrefix(text, "{") {
		serial, issuer, ok := strings.Cut(text, "$")
		if !ok {
			return nil, errAssertion
		}
		return s.serialAndIssuer(serial, issuer)
	}
	g, err := parseGSER(text)
	if err != nil {
		return nil, err
	}
	return s.exactOf(g)
}

func (s *Schema) exactOf(g *gser) ([]byte, error) {
	serial, issuer := g.fields["serialnumber"], g.fields["issuer"]
	if serial == nil || issuer == nil || len(g.fields) != 2 || serial.hex || serial.quoted {
		return nil, errAssertion
	}
	if issuer.choice != "" && issuer.choice != "rdnSequence" || !issuer.quoted {
		return nil, errAssertion
	}
	return s.serialAndIssuer(serial.text, issuer.text)
}

func (s *Schema) serialAndIssuer(serial, issuer string) ([]byte, error) {
	n, ok := new(big.Int).SetString(strings.TrimSpace(serial), 10)
	if !ok || len(serial) > maxInteger {
		return nil, errAssertion
	}
	d, err := ParseDN(issuer)
	if err != nil {
		return nil, err
	}
	return pairOf(serialForm(n), s.issuerForm(d)), nil
}

// pairHalves cuts a CertificatePair; a half that is absent is nil.
func pairHalves(v []byte) (halves [2][]byte, ok bool) {
	in := cryptobyte.String(v)
	var body cryptobyte.String
	if !in.ReadASN1(&body, casn1.SEQUENCE) || !in.Empty() {
		return halves, false
	}
	for i := range halves {
		var one cryptobyte.String
		var present bool
		if !body.ReadOptionalASN1(&one, &present, casn1.Tag(i).Constructed().ContextSpecific()) {
			return halves, false
		}
		if present {
			halves[i] = one
		}
	}
	return halves, true
}

// pairForm is the forms of both certificates of a CertificatePair, empty for
// one that is absent.
func (s *Schema) pairForm(v []byte) ([]byte, error) {
	halves, ok := pairHalves(v)
	if !ok {
		return nil, errNotCertificate
	}
	var forms [2][]byte
	for i, half := range halves {
		if half == nil {
			continue
		}
		var err error
		if forms[i], err = s.certificateForm(half); err != nil {
			return nil, err
		}
	}
	return pairOf(forms[0], forms[1]), nil
}

func (s *Schema) pairAssertion(v []byte) ([]byte, error) {
	if isDER(v) {
		return s.pairForm(v)
	}
	g, err := parseGSER(string(v))
	if err != nil {
		return nil, err
	}
	var forms [2][]byte
	n := 0
	for i, name := range []string{"issuedtothiscaassertion", "issuedbythiscaassertion"} {
		f := g.fields[name]
		if f == nil {
			continue
		}
		n++
		if forms[i], err = s.exactOf(f); err != nil {
			return nil, err
		}
	}
	if n == 0 || n != len(g.fields) {
		return nil, errAssertion
	}
	return pairOf(forms[0], forms[1]), nil
}

// matchPair compares the certificates the assertion names.
func matchPair(value, assertion []byte) Truth {
	v0, v1 := unpair(value)
	a0, a1 := unpair(assertion)
	return truth((len(a0) == 0 || bytes.Equal(a0, v0)) && (len(a1) == 0 || bytes.Equal(a1, v1)))
}

func unpair(b []byte) (x, y []byte) {
	n, k := binary.Uvarint(b)
	if k <= 0 || n > uint64(len(b)-k) {
		return nil, nil
	}
	return b[k : k+int(n)], b[k+int(n):]
}

// crlParts reads the issuer and thisUpdate of a CRL.
func (s *Schema) crlParts(v []byte) (issuer []byte, thisUpdate time.Time, err error) {
	l, err := s.parseList(v)
	if err != nil {
		return nil, thisUpdate, err
	}
	return l.issuer, l.thisUpdate, nil
}

func (s *Schema) listForm(v []byte) ([]byte, error) {
	issuer, t, err := s.crlParts(v)
	if err != nil {
		return nil, err
	}
	return pairOf(FormatTime(t), issuer), nil
}

func (s *Schema) listAssertion(v []byte) ([]byte, error) {
	if isDER(v) {
		return s.listForm(v)
	}
	text := strings.TrimSpace(string(v))
	issuer, when, ok := strings.Cut(text, "$")
	if strings.HasPrefix(text, "{") {
		g, err := parseGSER(text)
		if err != nil {
			return nil, err
		}
		i, u := g.fields["issuer"], g.fields["thisupdate"]
		if i == nil || u == nil || len(g.fields) != 2 {
			return nil, errAssertion
		}
		issuer, when, ok = i.text, u.timeText(), true
	}
	d, err1 := ParseDN(issuer)
	t, err2 := ParseTime([]byte(when))
	if !ok || err1 != nil || err2 != nil {
		return nil, errAssertion
	}
	return pairOf(FormatTime(t), s.issuerForm(d)), nil
}

// algorithmForm is the algorithm's OID; assertions with parameters are refused.
func algorithmForm(v []byte) ([]byte, error) {
	in := cryptobyte.String(v)
	var body, inner cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !in.ReadASN1(&body, casn1.SEQUENCE) {
		return nil, errors.New("not an algorithm")
	}
	if body.PeekASN1Tag(casn1.SEQUENCE) && body.ReadASN1(&inner, casn1.SEQUENCE) {
		body = inner
	}
	if !body.ReadASN1ObjectIdentifier(&oid) {
		return nil, errors.New("not an algorithm")
	}
	return []byte(oid.String()), nil
}

func algorithmAssertion(v []byte) ([]byte, error) {
	g, err := parseGSER(string(v))
	if err != nil || g.fields["algorithm"] == nil || len(g.fields) != 1 || !validOID(g.fields["algorithm"].text) {
		return nil, errAssertion
	}
	return []byte(g.fields["algorithm"].text), nil
}
