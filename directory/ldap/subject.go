package ldap

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"

	"cardinal/directory"
	"cardinal/internal/ber"
)

// subjectName turns the DER of a Name (RFC 5280 §4.1.2.4) into a name of the
// directory, leaf first.
func subjectName(der []byte) (string, bool) {
	top := ber.NewReader(der)
	sequence, err := top.Enter(ber.Sequence)
	if err != nil {
		return "", false
	}
	var dn directory.DN
	for !sequence.Empty() {
		set, err := sequence.Enter(ber.Set)
		if err != nil {
			return "", false
		}
		rdn, ok := subjectRDN(&set)
		if !ok {
			return "", false
		}
		dn = append(directory.DN{rdn}, dn...)
	}
	return dn.String(), len(dn) > 0
}

func subjectRDN(set *ber.Reader) (rdn directory.RDN, ok bool) {
	for !set.Empty() {
		ava, err := set.Enter(ber.Sequence)
		if err != nil {
			return nil, false
		}
		_, raw, err := ava.Raw()
		if err != nil {
			return nil, false
		}
		var oid asn1.ObjectIdentifier
		if _, err := asn1.Unmarshal(raw, &oid); err != nil {
			return nil, false
		}
		_, raw, err = ava.Raw()
		if err != nil {
			return nil, false
		}
		var text string
		if _, err := asn1.Unmarshal(raw, &text); err != nil {
			return nil, false
		}
		rdn = append(rdn, directory.AVA{Type: attributeName(oid.String()), Value: []byte(text)})
	}
	return rdn, len(rdn) > 0
}

// attributeName names the usual types of subjects; others stay numbers, which
// a name may use as well.
func attributeName(oid string) string {
	switch oid {
	case "2.5.4.3":
		return "cn"
	case "2.5.4.4":
		return "sn"
	case "2.5.4.5":
		return "serialNumber"
	case "2.5.4.6":
		return "c"
	case "2.5.4.7":
		return "l"
	case "2.5.4.8":
		return "st"
	case "2.5.4.10":
		return "o"
	case "2.5.4.11":
		return "ou"
	case "2.5.4.42":
		return "givenName"
	case "0.9.2342.19200300.100.1.25":
		return "dc"
	case "0.9.2342.19200300.100.1.1":
		return "uid"
	}
	return oid
}

// principalName finds the user principal name among the other names of the
// subject alternative name extension.
func principalName(cert *x509.Certificate) (string, bool) {
	upn := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}
	for _, extension := range cert.Extensions {
		if extension.Id.String() != "2.5.29.17" {
			continue
		}
		top := ber.NewReader(extension.Value)
		names, err := top.Enter(ber.Sequence)
		for err == nil && !names.Empty() {
			var tag ber.Tag
			var value []byte
			if tag, value, err = names.Next(); err != nil || tag != 0xA0 {
				continue
			}
			if text, ok := otherName(value, upn); ok {
				return text, true
			}
		}
	}
	return "", false
}

func otherName(value []byte, want asn1.ObjectIdentifier) (string, bool) {
	r := ber.NewReader(value)
	_, raw, err := r.Raw()
	if err != nil {
		return "", false
	}
	var oid asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(raw, &oid); err != nil || !oid.Equal(want) {
		return "", false
	}
	explicit, err := r.Expect(0xA0)
	if err != nil {
		return "", false
	}
	var text string
	_, err = asn1.Unmarshal(explicit, &text)
	return text, err == nil && text != ""
}

// badDN is the answer to a name that does not parse.
func badDN(err error) error {
	return &directory.Error{Code: directory.InvalidDNSyntax, Message: fmt.Sprintf("invalid DN: %v", err)}
}
