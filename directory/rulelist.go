package directory

import (
	"errors"
	"strings"
	"unsafe"
)

// standardRules lists the matching rules: all of RFC 4517 §4.2, those of
// RFC 4523 §3, UUID (RFC 4530), and those slapd adds and clients use.
func standardRules(s *Schema) []*MatchingRule {
	y := func(n string) string { return syntaxBase + n }
	const base = "2.5.13."
	rules := []*MatchingRule{
		{OID: base + "0", Name: "objectIdentifierMatch", Syntax: y("38"), value: s.oidForm, assertion: s.oidAssertion},
		{OID: base + "1", Name: "distinguishedNameMatch", Syntax: syntaxDN, value: s.dnForm},
		{OID: base + "2", Name: "caseIgnoreMatch", Syntax: syntaxDirectoryString, value: foldCase},
		{OID: base + "3", Name: "caseIgnoreOrderingMatch", Kind: OrderingRule, Syntax: syntaxDirectoryString, value: foldCase},
		{OID: base + "4", Name: "caseIgnoreSubstringsMatch", Kind: SubstringsRule, Syntax: y("58"), value: foldCase},
		{OID: base + "5", Name: "caseExactMatch", Syntax: syntaxDirectoryString, value: keepCase},
		{OID: base + "6", Name: "caseExactOrderingMatch", Kind: OrderingRule, Syntax: syntaxDirectoryString, value: keepCase},
		{OID: base + "7", Name: "caseExactSubstringsMatch", Kind: SubstringsRule, Syntax: y("58"), value: keepCase},
		{OID: base + "8", Name: "numericStringMatch", Syntax: y("36"), value: checked(checkNumericString, numericForm)},
		{OID: base + "9", Name: "numericStringOrderingMatch", Kind: OrderingRule, Syntax: y("36"), value: checked(checkNumericString, numericForm)},
		{OID: base + "10", Name: "numericStringSubstringsMatch", Kind: SubstringsRule, Syntax: y("58"), value: numericForm},
		{OID: base + "11", Name: "caseIgnoreListMatch", Syntax: y("41"), value: listForm(true)},
		{OID: base + "12", Name: "caseIgnoreListSubstringsMatch", Kind: SubstringsRule, Syntax: y("58"), value: listForm(true), assertion: foldCase},
		{OID: base + "13", Name: "booleanMatch", Syntax: y("7"), value: checked(checkBoolean, sameBytes)},
		{OID: base + "14", Name: "integerMatch", Syntax: y("27"), value: integerForm},
		{OID: base + "15", Name: "integerOrderingMatch", Kind: OrderingRule, Syntax: y("27"), value: integerForm},
		{OID: base + "16", Name: "bitStringMatch", Syntax: y("6"), value: checked(checkBitString, bitForm)},
		{OID: base + "17", Name: "octetStringMatch", Syntax: syntaxOctetString, value: sameBytes},
		{OID: base + "18", Name: "octetStringOrderingMatch", Kind: OrderingRule, Syntax: syntaxOctetString, value: sameBytes},
		{OID: base + "19", Name: "octetStringSubstringsMatch", Kind: SubstringsRule, Syntax: syntaxOctetString, value: sameBytes},
		{OID: base + "20", Name: "telephoneNumberMatch", Syntax: y("50"), value: telephoneForm},
		{OID: base + "21", Name: "telephoneNumberSubstringsMatch", Kind: SubstringsRule, Syntax: y("58"), value: telephoneForm},
		{OID: base + "22", Name: "presentationAddressMatch", Syntax: y("43"), value: foldCase},
		{OID: base + "24", Name: "protocolInformationMatch", Syntax: y("42"), value: foldCase},
		{OID: base + "23", Name: "uniqueMemberMatch", Syntax: y("34"), value: s.nameUIDForm},
		{OID: base + "27", Name: "generalizedTimeMatch", Syntax: y("24"), value: timeForm},
		{OID: base + "28", Name: "generalizedTimeOrderingMatch", Kind: OrderingRule, Syntax: y("24"), value: timeForm},
		{OID: base + "29", Name: "integerFirstComponentMatch", Syntax: y("27"), value: integerFirst, assertion: integerForm},
		{OID: base + "30", Name: "objectIdentifierFirstComponentMatch", Syntax: y("38"), value: s.oidFirst, assertion: s.oidAssertion},
		{OID: base + "31", Name: "directoryStringFirstComponentMatch", Syntax: syntaxDirectoryString, value: stringFirst, assertion: foldCase},
		{OID: base + "32", Name: "wordMatch", Syntax: syntaxDirectoryString, value: foldCase, match: wordMatch},
		{OID: base + "33", Name: "keywordMatch", Syntax: syntaxDirectoryString, value: foldCase, match: wordMatch},
		{OID: "1.3.6.1.4.1.1466.109.114.1", Name: "caseExactIA5Match", Syntax: y("26"), value: keepIA5},
		{OID: "1.3.6.1.4.1.1466.109.114.2", Name: "caseIgnoreIA5Match", Syntax: y("26"), value: foldIA5},
		{OID: "1.3.6.1.4.1.1466.109.114.3", Name: "caseIgnoreIA5SubstringsMatch", Kind: SubstringsRule, Syntax: y("58"), value: foldIA5},
		{OID: "1.3.6.1.4.1.4203.1.2.1", Name: "caseExactIA5SubstringsMatch", Kind: SubstringsRule, Syntax: y("58"), value: keepIA5},
		{OID: "1.3.6.1.1.16.2", Name: "UUIDMatch", Syntax: "1.3.6.1.1.16.1", value: uuidForm},
		{OID: "1.3.6.1.1.16.3", Name: "UUIDOrderingMatch", Kind: OrderingRule, Syntax: "1.3.6.1.1.16.1", value: uuidForm},
		{OID: "1.3.6.1.4.1.4203.666.11.2.2", Name: "CSNMatch", Syntax: syntaxCSN, value: checked(checkCSN, lowerForm)},
		{OID: "1.3.6.1.4.1.4203.666.11.2.3", Name: "CSNOrderingMatch", Kind: OrderingRule, Syntax: syntaxCSN, value: checked(checkCSN, lowerForm)},
		{OID: "1.2.36.79672281.1.13.3", Name: "rdnMatch", Syntax: "1.2.36.79672281.1.5.0", value: s.rdnForm},
		{OID: "1.2.840.113556.1.4.803", Name: "integerBitAndMatch", Syntax: y("27"), value: checked(checkInteger, sameBytes), match: bitsMatch(true)},
		{OID: "1.2.840.113556.1.4.804", Name: "integerBitOrMatch", Syntax: y("27"), value: checked(checkInteger, sameBytes), match: bitsMatch(false)},
	}
	rules = append(rules, s.subtreeRules()...)
	return append(rules, s.certificateRules()...)
}

// subtreeRules are the DN rules clients ask with extensible filters: slapd's
// dnSubtreeMatch, dnOneLevelMatch, dnSubordinateMatch and dnSuperiorMatch.
func (s *Schema) subtreeRules() []*MatchingRule {
	rule := func(n, name string, match func(v, a Key) bool) *MatchingRule {
		return &MatchingRule{OID: "1.3.6.1.4.1.4203.666.4." + n, Name: name, Syntax: syntaxDN, value: s.dnForm,
			match: func(v, a []byte) Truth { return truth(match(Key(v), Key(a))) }}
	}
	return []*MatchingRule{
		rule("8", "dnOneLevelMatch", func(v, a Key) bool { return v != "" && v.Parent() == a }),
		rule("9", "dnSubtreeMatch", func(v, a Key) bool { return a.Contains(v) }),
		rule("10", "dnSubordinateMatch", func(v, a Key) bool { return v != a && a.Contains(v) }),
		rule("11", "dnSuperiorMatch", func(v, a Key) bool { return v != a && v.Contains(a) }),
	}
}

// oidForm resolves names through the schema, so that a name and its OID match
// (RFC 4517 §4.2.26). A name the schema does not know stands for itself.
func (s *Schema) oidForm(v []byte) ([]byte, error) {
	if f, ok := s.oidOf(v); ok {
		return f, nil
	}
	if err := checkOID(v); err != nil {
		return nil, err
	}
	return lowerForm(v)
}

// oidAssertion is Undefined for a name the schema does not know.
func (s *Schema) oidAssertion(v []byte) ([]byte, error) {
	if f, ok := s.oidOf(v); ok {
		return f, nil
	}
	if validOID(string(v)) {
		return v, nil
	}
	return nil, errors.New("an object identifier the schema does not know")
}

func (s *Schema) oidOf(v []byte) ([]byte, bool) {
	if c := s.classes[string(v)]; c != nil { // no copy: objectClass is tested all the time
		return unsafe.Slice(unsafe.StringData(c.OID), len(c.OID)), true
	}
	name := string(v)
	if c := s.Class(name); c != nil {
		return []byte(c.OID), true
	}
	if a := s.Attribute(name); a != nil && !strings.Contains(name, ";") {
		return []byte(a.OID), true
	}
	if r := s.Rule(name); r != nil {
		return []byte(r.OID), true
	}
	return nil, false
}

func (s *Schema) dnForm(v []byte) ([]byte, error) {
	d, err := ParseDN(string(v))
	if err != nil {
		return nil, err
	}
	return s.AppendKey(nil, d)
}

func (s *Schema) rdnForm(v []byte) ([]byte, error) {
	r, err := ParseRDN(string(v))
	if err != nil {
		return nil, err
	}
	return s.appendRDNKey(nil, r)
}

func (s *Schema) checkDN(v []byte) error  { _, err := s.dnForm(v); return err }
func (s *Schema) checkRDN(v []byte) error { _, err := s.rdnForm(v); return err }

// splitNameUID cuts an optional #'0101'B off a name (RFC 4517 §3.3.21).
func splitNameUID(v []byte) (name, uid []byte) {
	if i := strings.LastIndexByte(string(v), '#'); i >= 0 && checkBitString(v[i+1:]) == nil {
		return v[:i], v[i+1:]
	}
	return v, nil
}

func (s *Schema) checkNameUID(v []byte) error {
	name, _ := splitNameUID(v)
	return s.checkDN(name)
}

func (s *Schema) nameUIDForm(v []byte) ([]byte, error) {
	name, uid := splitNameUID(v)
	k, err := s.dnForm(name)
	if err != nil {
		return nil, err
	}
	return append(k, uid...), nil
}

// firstComponent returns the first word of "( word …".
func firstComponent(v []byte) ([]byte, error) {
	t := &tokens{s: string(v)}
	open, _ := t.next()
	first, ok := t.next()
	if open.text != "(" || !ok {
		return nil, errors.New("no first component")
	}
	return []byte(first.text), nil
}

func integerFirst(v []byte) ([]byte, error) {
	f, err := firstComponent(v)
	if err != nil {
		return nil, err
	}
	return integerForm(f)
}

func stringFirst(v []byte) ([]byte, error) {
	f, err := firstComponent(v)
	if err != nil {
		return nil, err
	}
	return foldCase(f)
}

func (s *Schema) oidFirst(v []byte) ([]byte, error) {
	f, err := firstComponent(v)
	if err != nil {
		return nil, err
	}
	return s.oidForm(f)
}
