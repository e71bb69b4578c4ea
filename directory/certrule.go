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

// certificateRules are the rules of RFC 4523 §3. certificatePairMatch is
// always Undefined. Assertions are taken in every form slapd takes:
// "serial$issuer", GSER with issuer "…" or rdnSequence:"…", with or without
// the option ;binary; and besides, the DER of the whole value.
func (s *Schema) certificateRules() []*MatchingRule {
	const arc = certificateArc
	return []*MatchingRule{
		{OID: "2.5.13.34", Name: "certificateExactMatch", Syntax: arc + "1", value: s.certificateForm, assertion: s.certificateAssertion},
		{OID: "2.5.13.35", Name: "certificateMatch", Syntax: arc + "2", value: sameBytes, assertion: s.partsAssertion, match: s.matchParts},
		{OID: "2.5.13.36", Name: "certificatePairExactMatch", Syntax: arc + "3", value: s.pairForm, assertion: s.pairAssertion, match: matchPair},
		{OID: "2.5.13.37", Name: "certificatePairMatch", Syntax: arc + "4", value: sameBytes, assertion: unsupported},
		{OID: "2.5.13.38", Name: "certificateListExactMatch", Syntax: arc + "5", value: s.listForm, assertion: s.listAssertion},
		{OID: "2.5.13.39", Name: "certificateListMatch", Syntax: arc + "6", value: s.listIssuer, assertion: s.listIssuerAssertion},
		{OID: "2.5.13.40", Name: "algorithmIdentifierMatch", Syntax: arc + "7", value: algorithmForm, assertion: algorithmAssertion},
	}
}

// checkCertificate asks for a certificate's outline only: values are kept bit
// for bit and may hold what Go's certificate parser refuses.
func (s *Schema) checkCertificate(v []byte) error     { _, err := parseCertificate(s, v); return err }
func (s *Schema) checkCertificateList(v []byte) error { _, _, err := s.crlParts(v); return err }
func (s *Schema) checkCertificatePair(v []byte) error { _, err := s.pairForm(v); return err }

var errAssertion = errors.New("not an assertion of this rule")

func unsupported([]byte) ([]byte, error) { return nil, errAssertion }

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

// partsAssertion checks that every component of a certificateMatch assertion
// is one matchParts decides; the form is the assertion.
func (s *Schema) partsAssertion(v []byte) ([]byte, error) {
	if isDER(v) {
		return v, nil
	}
	g, err := parseGSER(string(v))
	if err != nil || len(g.fields) == 0 {
		return nil, errAssertion
	}
	for name := range g.fields {
		switch name {
		case "serialnumber", "issuer", "subject", "subjectkeyidentifier", "authoritykeyidentifier", "certificatevalid":
		default:
			return nil, errAssertion
		}
	}
	return v, nil
}

func (s *Schema) matchParts(value, assertion []byte) Truth {
	c, err := parseCertificate(s, value)
	if err != nil {
		return Undefined
	}
	if isDER(assertion) {
		return truth(bytes.Equal(value, assertion))
	}
	g, err := parseGSER(string(assertion))
	if err != nil {
		return Undefined
	}
	t := True
	for name, f := range g.fields {
		t = min(t, s.matchPart(c, name, f))
	}
	return t
}

func (s *Schema) matchPart(c *certificateParts, name string, f *gser) Truth {
	switch name {
	case "serialnumber":
		n, ok := new(big.Int).SetString(f.text, 10)
		if !ok || len(f.text) > maxInteger {
			return Undefined
		}
		return truth(bytes.Equal(serialForm(n), c.serial))
	case "issuer", "subject":
		d, err := ParseDN(f.text)
		if err != nil || !f.quoted {
			return Undefined
		}
		have := c.issuer
		if name == "subject" {
			have = c.subject
		}
		return truth(bytes.Equal(s.issuerForm(d), have))
	case "subjectkeyidentifier":
		return matchOctets(f, c.subjectKeyIdentifier)
	case "authoritykeyidentifier":
		return matchOctets(f.fields["keyidentifier"], c.authorityKey)
	case "certificatevalid":
		return matchValid(c, f)
	}
	return Undefined
}

func matchOctets(f *gser, have []byte) Truth {
	if f == nil || !f.hex {
		return Undefined
	}
	return truth(have != nil && f.text == string(have))
}

func matchValid(c *certificateParts, f *gser) Truth {
	text := f.text
	if f.choice == "utcTime" && len(text) > 2 {
		text = map[bool]string{true: "19", false: "20"}[text[0] >= '5'] + text
	}
	t, err := ParseTime([]byte(text))
	if err != nil {
		return Undefined
	}
	return truth(!t.Before(c.notBefore) && !t.After(c.notAfter))
}

// pairForm is the forms of both certificates of a CertificatePair, empty for
// one that is absent.
func (s *Schema) pairForm(v []byte) ([]byte, error) {
	in := cryptobyte.String(v)
	var body cryptobyte.String
	if !in.ReadASN1(&body, casn1.SEQUENCE) || !in.Empty() {
		return nil, errNotCertificate
	}
	var forms [2][]byte
	for i := range forms {
		var one cryptobyte.String
		var present bool
		if !body.ReadOptionalASN1(&one, &present, casn1.Tag(i).Constructed().ContextSpecific()) {
			return nil, errNotCertificate
		}
		if !present {
			continue
		}
		var err error
		if forms[i], err = s.certificateForm(one); err != nil {
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
	in := cryptobyte.String(v)
	var crl, tbs, alg, name cryptobyte.String
	if !in.ReadASN1(&crl, casn1.SEQUENCE) || !in.Empty() || !crl.ReadASN1(&tbs, casn1.SEQUENCE) ||
		!tbs.SkipOptionalASN1(casn1.INTEGER) || !tbs.ReadASN1(&alg, casn1.SEQUENCE) || !tbs.ReadASN1(&name, casn1.SEQUENCE) {
		return nil, thisUpdate, errors.New("not a certificate list")
	}
	thisUpdate, ok := readTime(&tbs)
	if !ok {
		return nil, thisUpdate, errors.New("not a certificate list")
	}
	issuer, err = s.nameForm(name)
	return issuer, thisUpdate, err
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
		issuer, when, ok = i.text, u.text, true
		if u.choice == "utcTime" && len(when) > 2 {
			when = map[bool]string{true: "19", false: "20"}[when[0] >= '5'] + when
		}
	}
	d, err1 := ParseDN(issuer)
	t, err2 := ParseTime([]byte(when))
	if !ok || err1 != nil || err2 != nil {
		return nil, errAssertion
	}
	return pairOf(FormatTime(t), s.issuerForm(d)), nil
}

// listIssuer and listIssuerAssertion decide certificateListMatch by its issuer
// component, the only one taken.
func (s *Schema) listIssuer(v []byte) ([]byte, error) {
	issuer, _, err := s.crlParts(v)
	return issuer, err
}

func (s *Schema) listIssuerAssertion(v []byte) ([]byte, error) {
	if isDER(v) {
		return s.listIssuer(v)
	}
	g, err := parseGSER(string(v))
	if err != nil || g.fields["issuer"] == nil || len(g.fields) != 1 {
		return nil, errAssertion
	}
	d, err := ParseDN(g.fields["issuer"].text)
	if err != nil {
		return nil, err
	}
	return s.issuerForm(d), nil
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
