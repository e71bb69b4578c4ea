package directory

import (
	"bytes"
	"encoding/asn1"
	"math/big"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// certificateMatch (RFC 4523 §3.2, X.509 §11.3.2) decides a certificate by the
// components an assertion names. pathToName and nameConstraints are Undefined.

// certificateComponents are the components matchPart decides.
var certificateComponents = []string{"serialnumber", "issuer", "subject", "subjectkeyidentifier", "authoritykeyidentifier",
	"certificatevalid", "privatekeyvalid", "subjectpublickeyalgid", "keyusage", "subjectaltname", "policy"}

// partsAssertion checks that every component of an assertion is one matchPart
// decides; the form is the assertion.
func (s *Schema) partsAssertion(v []byte) ([]byte, error) {
	if isDER(v) {
		return v, nil
	}
	g, err := parseGSER(string(v))
	if err != nil || !g.only(certificateComponents) {
		return nil, errAssertion
	}
	return v, nil
}

// only reports whether a value is a sequence of some of the components named.
func (g *gser) only(names []string) bool {
	for name := range g.fields {
		if !slices.Contains(names, name) {
			return false
		}
	}
	return len(g.fields) > 0
}

func (s *Schema) matchParts(value, assertion []byte) Truth {
	if isDER(assertion) {
		return truth(bytes.Equal(value, assertion))
	}
	g, err := parseGSER(string(assertion))
	if err != nil {
		return Undefined
	}
	return s.matchComponents(value, g)
}

func (s *Schema) matchComponents(der []byte, g *gser) Truth {
	c, err := parseCertificate(s, der)
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
		n, ok := f.integer()
		if !ok {
			return Undefined
		}
		return truth(bytes.Equal(serialForm(n), c.serial))
	case "issuer":
		return s.matchName(f, c.issuer)
	case "subject":
		return s.matchName(f, c.subject)
	case "subjectkeyidentifier":
		return matchOctets(f, c.subjectKeyIdentifier)
	case "authoritykeyidentifier":
		return matchOctets(f.fields["keyidentifier"], c.authorityKey)
	case "subjectpublickeyalgid":
		return matchOID(f, []string{c.keyAlgorithm})
	case "policy":
		return matchPolicies(f, c.policies)
	case "subjectaltname":
		return matchAltName(f, c.altNames)
	case "keyusage":
		return matchBits(f, c.keyUsage, keyUsageBits)
	}
	return matchValid(c, name, f)
}

func (g *gser) integer() (*big.Int, bool) {
	if g.quoted || g.hex || g.bits || len(g.text) > maxInteger {
		return nil, false
	}
	return new(big.Int).SetString(g.text, 10)
}

func (s *Schema) matchName(f *gser, have []byte) Truth {
	d, err := ParseDN(f.text)
	if err != nil || !f.quoted {
		return Undefined
	}
	return truth(bytes.Equal(s.issuerForm(d), have))
}

func matchOctets(f *gser, have []byte) Truth {
	if f == nil || !f.hex {
		return Undefined
	}
	return truth(have != nil && f.text == string(have))
}

func matchOID(f *gser, have []string) Truth {
	if !validOID(f.text) || f.quoted {
		return Undefined
	}
	return truth(slices.Contains(have, f.text))
}

// timeText is a Time as a GeneralizedTime.
func (g *gser) timeText() string {
	if g.choice == "utcTime" {
		return fullYear(g.text)
	}
	return g.text
}

// matchValid decides certificateValid, and privateKeyValid, which is true of a
// certificate that does not limit its key.
func matchValid(c *certificateParts, name string, f *gser) Truth {
	t, err := ParseTime([]byte(f.timeText()))
	if err != nil {
		return Undefined
	}
	from, to := c.notBefore, c.notAfter
	if name == "privatekeyvalid" {
		from, to = c.keyBegins, c.keyEnds
	}
	return truth((from.IsZero() || !t.Before(from)) && (to.IsZero() || !t.After(to)))
}

// keyUsageBits and reasonBits name bits in their order (RFC 5280 §4.2.1.3,
// §4.2.1.13).
var (
	keyUsageBits = []string{"digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement",
		"keyCertSign", "cRLSign", "encipherOnly", "decipherOnly"}
	reasonBits = []string{"unused", "keyCompromise", "cACompromise", "affiliationChanged", "superseded",
		"cessationOfOperation", "certificateHold", "privilegeWithdrawn", "aACompromise"}
)

// bitsOf reads a BIT STRING: 'digits'B, or the names of the bits that are set.
func (g *gser) bitsOf(names []string) (set []int, ok bool) {
	if g.bits {
		for i, c := range g.text {
			if c == '1' {
				set = append(set, i)
			}
		}
		return set, true
	}
	for _, item := range g.items {
		i := slices.Index(names, item.text)
		if i < 0 {
			return nil, false
		}
		set = append(set, i)
	}
	return set, g.fields != nil && len(g.fields) == 0
}

// matchBits is true if all bits asserted are set, or nothing limits them.
func matchBits(f *gser, have *asn1.BitString, names []string) Truth {
	set, ok := f.bitsOf(names)
	if !ok {
		return Undefined
	}
	for _, i := range set {
		if have != nil && have.At(i) == 0 {
			return False
		}
	}
	return True
}

// anyPolicy is in every set of policies (RFC 5280 §4.2.1.4).
const anyPolicy = "2.5.29.32.0"

func matchPolicies(f *gser, have []string) Truth {
	t := False
	for _, item := range f.items {
		t = max(t, matchOID(item, have))
		if item.text == anyPolicy && len(have) > 0 {
			t = True
		}
	}
	switch {
	case len(f.items) == 0:
		return Undefined
	case slices.Contains(have, anyPolicy):
		return True
	}
	return t
}

// altNameKinds are AltNameType's names of the choices of a GeneralName.
var altNameKinds = []string{"", "rfc822Name", "dNSName", "x400Address", "directoryName", "ediPartyName",
	"uniformResourceIdentifier", "iPAddress", "registeredId"}

func matchAltName(f *gser, have []string) Truth {
	switch f.choice {
	case "builtinNameForm":
		if f.text == "" || !slices.Contains(altNameKinds, f.text) {
			return Undefined
		}
	case "otherNameForm":
		if !validOID(f.text) {
			return Undefined
		}
	default:
		return Undefined
	}
	return truth(slices.Contains(have, f.text))
}

// readExtension takes what assertions name of a certificate's extensions.
func (c *certificateParts) readExtension(oid string, value cryptobyte.String) {
	var body, id cryptobyte.String
	switch oid {
	case "2.5.29.14":
		if value.ReadASN1(&id, casn1.OCTET_STRING) {
			c.subjectKeyIdentifier = id
		}
	case "2.5.29.35":
		c.authorityKey = keyIdentifier(value)
	case "2.5.29.15":
		bits := new(asn1.BitString)
		if value.ReadASN1BitString(bits) {
			c.keyUsage = bits
		}
	case "2.5.29.16":
		if value.ReadASN1(&body, casn1.SEQUENCE) {
			c.readKeyPeriod(body)
		}
	case "2.5.29.17":
		if value.ReadASN1(&body, casn1.SEQUENCE) {
			c.readAltNames(body)
		}
	case "2.5.29.32":
		if value.ReadASN1(&body, casn1.SEQUENCE) {
			c.readPolicies(body)
		}
	}
}

func keyIdentifier(value cryptobyte.String) []byte {
	var body, id cryptobyte.String
	if value.ReadASN1(&body, casn1.SEQUENCE) && body.ReadASN1(&id, casn1.Tag(0).ContextSpecific()) {
		return id
	}
	return nil
}

func (c *certificateParts) readKeyPeriod(body cryptobyte.String) {
	var text cryptobyte.String
	var present bool
	if body.ReadOptionalASN1(&text, &present, casn1.Tag(0).ContextSpecific()) && present {
		c.keyBegins, _ = ParseTime(text)
	}
	if body.ReadOptionalASN1(&text, &present, casn1.Tag(1).ContextSpecific()) && present {
		c.keyEnds, _ = ParseTime(text)
	}
}

func (c *certificateParts) readAltNames(body cryptobyte.String) {
	for !body.Empty() {
		var name cryptobyte.String
		var tag casn1.Tag
		if !body.ReadAnyASN1(&name, &tag) {
			return
		}
		kind := int(tag & 0x1F)
		var oid asn1.ObjectIdentifier
		switch {
		case kind == 0 && name.ReadASN1ObjectIdentifier(&oid):
			c.altNames = append(c.altNames, oid.String())
		case kind > 0 && kind < len(altNameKinds):
			c.altNames = append(c.altNames, altNameKinds[kind])
		}
	}
}

func (c *certificateParts) readPolicies(body cryptobyte.String) {
	for !body.Empty() {
		var policy cryptobyte.String
		var oid asn1.ObjectIdentifier
		if !body.ReadASN1(&policy, casn1.SEQUENCE) || !policy.ReadASN1ObjectIdentifier(&oid) {
			return
		}
		c.policies = append(c.policies, oid.String())
	}
}

// certificatePairMatch (RFC 4523 §3.4) asks certificateMatch of each half.

var pairComponents = []string{"issuedtothiscaassertion", "issuedbythiscaassertion"}

func (s *Schema) pairPartsAssertion(v []byte) ([]byte, error) {
	if isDER(v) {
		return v, nil
	}
	g, err := parseGSER(string(v))
	if err != nil || !g.only(pairComponents) {
		return nil, errAssertion
	}
	for _, half := range g.fields {
		if !half.only(certificateComponents) {
			return nil, errAssertion
		}
	}
	return v, nil
}

func (s *Schema) matchPairParts(value, assertion []byte) Truth {
	if isDER(assertion) {
		return truth(bytes.Equal(value, assertion))
	}
	g, err := parseGSER(strings.TrimSpace(string(assertion)))
	halves, ok := pairHalves(value)
	if err != nil || !ok {
		return Undefined
	}
	t := True
	for i, name := range pairComponents {
		switch f := g.fields[name]; {
		case f == nil:
		case halves[i] == nil:
			t = False
		default:
			t = min(t, s.matchComponents(halves[i], f))
		}
	}
	return t
}
