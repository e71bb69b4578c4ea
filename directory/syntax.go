package directory

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Syntax is one LDAP syntax (RFC 4517 §3): what bytes a value may have.
type Syntax struct {
	OID         string
	Description string
	// Binary: values travel with the ;binary option (RFC 4522, RFC 4523 §2).
	Binary bool
	// Opaque: not to be shown as text (X-NOT-HUMAN-READABLE).
	Opaque bool
	check  func([]byte) error
}

// Validate returns nil if v is a value of the syntax, else what is wrong with it.
func (y *Syntax) Validate(v []byte) error { return y.check(v) }

// syntaxBase is the arc of the syntaxes of RFC 4517.
const syntaxBase = "1.3.6.1.4.1.1466.115.121.1."

const (
	syntaxDN              = syntaxBase + "12"
	syntaxDirectoryString = syntaxBase + "15"
	syntaxOctetString     = syntaxBase + "40"
	syntaxCertificate     = syntaxBase + "8"
	syntaxCSN             = "1.3.6.1.4.1.4203.666.11.2.1"
)

// standardSyntaxes lists every syntax known. Values of the descriptive ones
// (schema definitions, guides) are checked as far as text goes.
func standardSyntaxes(s *Schema) []*Syntax {
	dn := func(v []byte) error { return s.checkDN(v) }
	list := []*Syntax{
		{OID: syntaxBase + "3", Description: "Attribute Type Description", check: definitionOf(attributeKeywords)},
		{OID: syntaxBase + "4", Description: "Audio", Opaque: true, check: anyBytes},
		{OID: syntaxBase + "5", Description: "Binary", Opaque: true, check: anyBytes},
		{OID: syntaxBase + "6", Description: "Bit String", check: checkBitString},
		{OID: syntaxBase + "7", Description: "Boolean", check: checkBoolean},
		{OID: syntaxCertificate, Description: "Certificate", Binary: true, Opaque: true, check: s.checkCertificate},
		{OID: syntaxBase + "9", Description: "Certificate List", Binary: true, Opaque: true, check: s.checkCertificateList},
		{OID: syntaxBase + "10", Description: "Certificate Pair", Binary: true, Opaque: true, check: s.checkCertificatePair},
		{OID: "1.3.6.1.4.1.4203.666.11.10.2.1", Description: "X.509 AttributeCertificate", Binary: true, Opaque: true, check: checkDER},
		{OID: syntaxBase + "11", Description: "Country String", check: checkCountry},
		{OID: syntaxDN, Description: "DN", check: dn},
		{OID: "1.2.36.79672281.1.5.0", Description: "RDN", check: func(v []byte) error { return s.checkRDN(v) }},
		{OID: syntaxBase + "13", Description: "Data Quality", check: checkText},
		{OID: syntaxBase + "14", Description: "Delivery Method", check: checkDeliveryMethod},
		{OID: syntaxDirectoryString, Description: "Directory String", check: checkText},
		{OID: syntaxBase + "16", Description: "DIT Content Rule Description", check: checkText},
		{OID: syntaxBase + "17", Description: "DIT Structure Rule Description", check: checkText},
		{OID: syntaxBase + "19", Description: "DSA Quality", check: checkText},
		{OID: syntaxBase + "21", Description: "Enhanced Guide", check: checkText},
		{OID: syntaxBase + "22", Description: "Facsimile Telephone Number", check: checkFacsimile},
		{OID: syntaxBase + "23", Description: "Fax", Opaque: true, check: anyBytes},
		{OID: syntaxBase + "24", Description: "Generalized Time", check: checkGeneralizedTime},
		{OID: syntaxBase + "25", Description: "Guide", check: checkText},
		{OID: syntaxBase + "26", Description: "IA5 String", check: checkIA5},
		{OID: syntaxBase + "27", Description: "INTEGER", check: checkInteger},
		{OID: syntaxBase + "28", Description: "JPEG", Opaque: true, check: anyBytes},
	}
	return append(list, moreSyntaxes(s)...)
}

func moreSyntaxes(s *Schema) []*Syntax {
	return []*Syntax{
		{OID: syntaxBase + "30", Description: "Matching Rule Description", check: checkText},
		{OID: syntaxBase + "31", Description: "Matching Rule Use Description", check: checkText},
		{OID: syntaxBase + "34", Description: "Name And Optional UID", check: func(v []byte) error { return s.checkNameUID(v) }},
		{OID: syntaxBase + "35", Description: "Name Form Description", check: checkText},
		{OID: syntaxBase + "36", Description: "Numeric String", check: checkNumericString},
		{OID: syntaxBase + "37", Description: "Object Class Description", check: definitionOf(classKeywords)},
		{OID: syntaxBase + "38", Description: "OID", check: checkOID},
		{OID: syntaxBase + "39", Description: "Other Mailbox", check: checkOtherMailbox},
		{OID: syntaxOctetString, Description: "Octet String", check: anyBytes},
		{OID: syntaxBase + "41", Description: "Postal Address", check: checkPostalAddress},
		{OID: syntaxBase + "42", Description: "Protocol Information", check: checkText},
		{OID: syntaxBase + "43", Description: "Presentation Address", check: checkText},
		{OID: syntaxBase + "44", Description: "Printable String", check: checkPrintable},
		{OID: syntaxBase + "45", Description: "SubtreeSpecification", check: checkText},
		{OID: syntaxBase + "49", Description: "Supported Algorithm", Binary: true, Opaque: true, check: checkDER},
		{OID: syntaxBase + "50", Description: "Telephone Number", check: checkPrintable},
		{OID: syntaxBase + "51", Description: "Teletex Terminal Identifier", check: checkTeletex},
		{OID: syntaxBase + "52", Description: "Telex Number", check: checkTelex},
		{OID: syntaxBase + "53", Description: "UTC Time", check: checkUTCTime},
		{OID: syntaxBase + "54", Description: "LDAP Syntax Description", check: checkText},
		{OID: syntaxBase + "58", Description: "Substring Assertion", check: checkSubstringAssertion},
		{OID: "1.3.6.1.1.1.0.0", Description: "RFC2307 NIS Netgroup Triple", check: checkIA5},
		{OID: "1.3.6.1.1.1.0.1", Description: "RFC2307 Boot Parameter", check: checkIA5},
		{OID: "1.3.6.1.1.15.1", Description: "X.509 Certificate Exact Assertion", check: checkText},
		{OID: "1.3.6.1.1.15.2", Description: "X.509 Certificate Assertion", check: checkText},
		{OID: "1.3.6.1.1.15.3", Description: "X.509 Certificate Pair Exact Assertion", check: checkText},
		{OID: "1.3.6.1.1.15.4", Description: "X.509 Certificate Pair Assertion", check: checkText},
		{OID: "1.3.6.1.1.15.5", Description: "X.509 Certificate List Exact Assertion", check: checkText},
		{OID: "1.3.6.1.1.15.6", Description: "X.509 Certificate List Assertion", check: checkText},
		{OID: "1.3.6.1.1.15.7", Description: "X.509 Algorithm Identifier", check: checkText},
		{OID: "1.3.6.1.1.16.1", Description: "UUID", check: checkUUID},
		{OID: syntaxCSN, Description: "CSN", check: checkCSN},
	}
}

func anyBytes([]byte) error { return nil }

var errEmpty = errors.New("empty")

func checkText(v []byte) error {
	if len(v) == 0 {
		return errEmpty
	}
	if !utf8.Valid(v) {
		return errors.New("not UTF-8")
	}
	return nil
}

func definitionOf(keywords map[string]bool) func([]byte) error {
	return func(v []byte) error {
		_, err := parseDefinition(string(v), keywords)
		return err
	}
}

func checkIA5(v []byte) error {
	for i, c := range v {
		if c >= 0x80 {
			return fmt.Errorf("byte %d is not ASCII", i+1)
		}
	}
	return nil
}

func isPrintable(c byte) bool {
	return isLetter(c) || c >= '0' && c <= '9' || strings.IndexByte("'()+,-.=/:? ", c) >= 0
}

func checkPrintable(v []byte) error {
	if len(v) == 0 {
		return errEmpty
	}
	for i, c := range v {
		if !isPrintable(c) {
			return fmt.Errorf("byte %d is not of a Printable String", i+1)
		}
	}
	return nil
}

func checkCountry(v []byte) error {
	if len(v) != 2 {
		return errors.New("not two characters")
	}
	return checkPrintable(v)
}

func checkNumericString(v []byte) error {
	if len(v) == 0 {
		return errEmpty
	}
	for i, c := range v {
		if c != ' ' && (c < '0' || c > '9') {
			return fmt.Errorf("byte %d is neither a digit nor a space", i+1)
		}
	}
	return nil
}

func checkInteger(v []byte) error {
	d := v
	if len(d) > 0 && d[0] == '-' {
		d = d[1:]
	}
	if len(d) == 0 || len(v) > maxInteger {
		return errors.New("not an integer")
	}
	for _, c := range d {
		if c < '0' || c > '9' {
			return errors.New("not an integer")
		}
	}
	if d[0] == '0' && len(v) > 1 {
		return errors.New("an integer with leading zeros")
	}
	return nil
}

// maxInteger bounds the digits of an integer; slapd has no bound, but the
// normal form's cost grows with the square.
const maxInteger = 512

func checkBoolean(v []byte) error {
	if s := string(v); s != "TRUE" && s != "FALSE" {
		return errors.New("neither TRUE nor FALSE")
	}
	return nil
}

func checkBitString(v []byte) error {
	n := len(v)
	if n < 3 || v[0] != '\'' || v[n-1] != 'B' || v[n-2] != '\'' {
		return errors.New("not of the form '0101'B")
	}
	for _, c := range v[1 : n-2] {
		if c != '0' && c != '1' {
			return errors.New("not of the form '0101'B")
		}
	}
	return nil
}

func checkOID(v []byte) error {
	if !validType(string(v)) || len(v) == 0 {
		return errors.New("neither a name nor a numeric OID")
	}
	for _, c := range v {
		if !isTypeByte(c) {
			return errors.New("neither a name nor a numeric OID")
		}
	}
	return nil
}
