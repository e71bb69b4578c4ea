package directory

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// certificateListMatch (RFC 4523 §3.6, X.509 §11.3.6) decides a certificate
// list by the components an assertion names.

// listParts are the parts of a certificate list that assertions name.
type listParts struct {
	issuer       []byte // see issuerForm
	thisUpdate   time.Time
	nextUpdate   time.Time // zero: not given
	number       *big.Int  // nil without the extension
	authorityKey []byte
	reasons      *asn1.BitString // onlySomeReasons
	points       [][]byte        // URIs of the issuing distribution point
}

var errNotList = errors.New("not a certificate list")

func (s *Schema) parseList(der []byte) (*listParts, error) {
	in := cryptobyte.String(der)
	var crl, tbs, alg, name cryptobyte.String
	if !in.ReadASN1(&crl, casn1.SEQUENCE) || !in.Empty() || !crl.ReadASN1(&tbs, casn1.SEQUENCE) ||
		!tbs.SkipOptionalASN1(casn1.INTEGER) || !tbs.ReadASN1(&alg, casn1.SEQUENCE) || !tbs.ReadASN1(&name, casn1.SEQUENCE) {
		return nil, errNotList
	}
	l := &listParts{}
	var ok bool
	if l.thisUpdate, ok = readTime(&tbs); !ok {
		return nil, errNotList
	}
	if tbs.PeekASN1Tag(casn1.UTCTime) || tbs.PeekASN1Tag(casn1.GeneralizedTime) {
		l.nextUpdate, _ = readTime(&tbs)
	}
	var err error
	if l.issuer, err = s.nameForm(name); err != nil {
		return nil, err
	}
	extensionsOf(tbs, 0, l.readExtension)
	return l, nil
}

func (l *listParts) readExtension(oid string, value cryptobyte.String) {
	switch oid {
	case "2.5.29.20":
		n := new(big.Int)
		if readInteger(&value, n) {
			l.number = n
		}
	case "2.5.29.35":
		l.authorityKey = keyIdentifier(value)
	case "2.5.29.28":
		var body cryptobyte.String
		if value.ReadASN1(&body, casn1.SEQUENCE) {
			l.readPoint(body)
		}
	}
}

// readPoint reads an IssuingDistributionPoint (RFC 5280 §5.2.5).
func (l *listParts) readPoint(body cryptobyte.String) {
	for !body.Empty() {
		var part, names cryptobyte.String
		var tag casn1.Tag
		if !body.ReadAnyASN1(&part, &tag) {
			return
		}
		switch {
		case tag == casn1.Tag(0).ContextSpecific().Constructed() && part.ReadASN1(&names, casn1.Tag(0).ContextSpecific().Constructed()):
			l.readPointNames(names)
		case tag == casn1.Tag(3).ContextSpecific() && len(part) > 0:
			l.reasons = &asn1.BitString{Bytes: part[1:], BitLength: 8*(len(part)-1) - int(part[0]&7)}
		}
	}
}

func (l *listParts) readPointNames(names cryptobyte.String) {
	for !names.Empty() {
		var name cryptobyte.String
		var tag casn1.Tag
		if !names.ReadAnyASN1(&name, &tag) {
			return
		}
		if tag == casn1.Tag(6).ContextSpecific() {
			l.points = append(l.points, name)
		}
	}
}

var listComponents = []string{"issuer", "mincrlnumber", "maxcrlnumber", "reasonflags", "dateandtime", "distributionpoint", "authoritykeyidentifier"}

func (s *Schema) listPartsAssertion(v []byte) ([]byte, error) {
	if isDER(v) {
		return v, nil
	}
	g, err := parseGSER(string(v))
	if err != nil || !g.only(listComponents) {
		return nil, errAssertion
	}
	return v, nil
}

func (s *Schema) matchListParts(value, assertion []byte) Truth {
	if isDER(assertion) {
		return truth(bytes.Equal(value, assertion))
	}
	g, err := parseGSER(string(assertion))
	if err != nil {
		return Undefined
	}
	l, err := s.parseList(value)
	if err != nil {
		return Undefined
	}
	t := True
	for name, f := range g.fields {
		t = min(t, s.matchListPart(l, name, f))
	}
	return t
}

func (s *Schema) matchListPart(l *listParts, name string, f *gser) Truth {
	switch name {
	case "issuer":
		return s.matchName(f, l.issuer)
	case "authoritykeyidentifier":
		return matchOctets(f.fields["keyidentifier"], l.authorityKey)
	case "reasonflags":
		return matchSomeBit(f, l.reasons)
	case "distributionpoint":
		return matchPoint(f, l.points)
	case "dateandtime":
		t, err := ParseTime([]byte(f.timeText()))
		if err != nil {
			return Undefined
		}
		return truth(!t.Before(l.thisUpdate) && (l.nextUpdate.IsZero() || t.Before(l.nextUpdate)))
	}
	n, ok := f.integer()
	switch {
	case !ok:
		return Undefined
	case l.number == nil:
		return False
	case name == "mincrlnumber":
		return truth(l.number.Cmp(n) >= 0)
	}
	return truth(l.number.Cmp(n) <= 0)
}

// matchSomeBit is true if the list covers one of the reasons asserted.
func matchSomeBit(f *gser, have *asn1.BitString) Truth {
	set, ok := f.bitsOf(reasonBits)
	if !ok {
		return Undefined
	}
	return truth(have == nil || slices.ContainsFunc(set, func(i int) bool { return have.At(i) != 0 }))
}

// matchPoint compares URIs, the only names this decides.
func matchPoint(f *gser, have [][]byte) Truth {
	if f.choice != "fullName" || len(f.items) == 0 {
		return Undefined
	}
	t := False
	for _, item := range f.items {
		if item.choice != "uniformResourceIdentifier" || !item.quoted {
			return Undefined
		}
		if slices.ContainsFunc(have, func(p []byte) bool { return string(p) == item.text }) {
			t = True
		}
	}
	return t
}
