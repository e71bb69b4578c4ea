package policies

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"net"

	"cardinal/certs"
)

// Object identifiers that certs does not name.
const (
	oidSecurityIDString = "1.3.6.1.4.1.311.25.2.1" // MS-WCCE §2.2.2.7.7.4
	oidAnyExtKeyUsage   = "2.5.29.37.0"            // RFC 5280 §4.2.1.12
	oidCountry          = "2.5.4.6"
)

func keyUsageBits() map[string]x509.KeyUsage {
	return map[string]x509.KeyUsage{
		"digitalSignature": x509.KeyUsageDigitalSignature, "contentCommitment": x509.KeyUsageContentCommitment,
		"keyEncipherment": x509.KeyUsageKeyEncipherment, "dataEncipherment": x509.KeyUsageDataEncipherment,
		"keyAgreement": x509.KeyUsageKeyAgreement, "keyCertSign": x509.KeyUsageCertSign, "cRLSign": x509.KeyUsageCRLSign,
	}
}

func extKeyUsages() map[string]string {
	return map[string]string{
		"clientAuth": certs.OIDClientAuth, "serverAuth": certs.OIDServerAuth, "emailProtection": certs.OIDEmailProtection,
		"OCSPSigning": certs.OIDOCSPSigning, "timeStamping": certs.OIDTimeStamping, "documentSigning": certs.OIDDocumentSigning,
		"smartcardLogon": certs.OIDSmartcardLogon, "pkinitClient": certs.OIDPKINITClientAuth, "anyExtendedKeyUsage": oidAnyExtKeyUsage,
	}
}

// encodeExtKeyUsage is RFC 5280 §4.2.1.12.
func encodeExtKeyUsage(usages []string) ([]byte, error) {
	var ids []asn1.ObjectIdentifier
	for _, usage := range usages {
		ids = append(ids, certs.OID(extKeyUsages()[usage]))
	}
	return asn1.Marshal(ids)
}

func parsePolicyOID(dotted string) (x509.OID, error) {
	id, err := x509.ParseOID(dotted)
	if err != nil {
		return x509.OID{}, fmt.Errorf("%q is not an object identifier", dotted)
	}
	return id, nil
}

// rdn is one attribute as a relative distinguished name of its own. Values
// that fit are PrintableString, others UTF8String (RFC 5280 §4.1.2.4).
func rdn(id, value string) pkix.RelativeDistinguishedNameSET {
	return pkix.RelativeDistinguishedNameSET{{Type: certs.OID(id), Value: value}}
}

func encodeName(sequence pkix.RDNSequence) ([]byte, error) {
	der, err := asn1.Marshal(sequence)
	if err != nil {
		return nil, fmt.Errorf("encoding the subject: %w", err)
	}
	return der, nil
}

// tagged is a context-specific element.
func tagged(tag int, constructed bool, content []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, IsCompound: constructed, Bytes: content}
}

// otherName is GeneralName [0]: a type-id and a value wrapped in an explicit [0] (RFC 5280 §4.2.1.6).
func otherName(id string, value []byte) (asn1.RawValue, error) {
	typeID, err := asn1.Marshal(certs.OID(id))
	if err != nil {
		return asn1.RawValue{}, err
	}
	wrapped, err := asn1.Marshal(tagged(0, true, value))
	if err != nil {
		return asn1.RawValue{}, err
	}
	return tagged(0, true, append(typeID, wrapped...)), nil
}

// subjectAltName encodes UPN, mail, DNS and IP names in that order; nil when there is none.
func subjectAltName(s Subject) ([]byte, error) {
	var names []asn1.RawValue
	if s.UPN != "" {
		value, err := asn1.MarshalWithParams(s.UPN, "utf8")
		if err != nil {
			return nil, fmt.Errorf("encoding the UPN: %w", err)
		}
		name, err := otherName(certs.OIDMicrosoftUPN, value)
		if err != nil {
			return nil, fmt.Errorf("encoding the UPN: %w", err)
		}
		names = append(names, name)
	}
	for _, mail := range s.Mail {
		names = append(names, tagged(1, false, []byte(mail)))
	}
	for _, dns := range s.DNSNames {
		names = append(names, tagged(2, false, []byte(dns)))
	}
	for _, ip := range s.IPs {
		names = append(names, tagged(7, false, shortIP(ip)))
	}
	if len(names) == 0 {
		return nil, nil
	}
	der, err := asn1.Marshal(names)
	if err != nil {
		return nil, fmt.Errorf("encoding the alternative names: %w", err)
	}
	return der, nil
}

func shortIP(ip net.IP) []byte {
	if four := ip.To4(); four != nil {
		return four
	}
	return ip.To16()
}

// securityIdentifier encodes szOID_NTDS_CA_SECURITY_EXT (MS-WCCE §2.2.2.7.7.4).
func securityIdentifier(sid string) ([]byte, error) {
	value, err := asn1.Marshal([]byte(sid))
	if err != nil {
		return nil, fmt.Errorf("encoding the security identifier: %w", err)
	}
	name, err := otherName(oidSecurityIDString, value)
	if err != nil {
		return nil, fmt.Errorf("encoding the security identifier: %w", err)
	}
	return asn1.Marshal([]asn1.RawValue{name})
}

// encodeKeyUsage is the BIT STRING without trailing zero bits (X.690 §11.2.2).
func encodeKeyUsage(usage x509.KeyUsage) ([]byte, error) {
	var octets [2]byte
	last := 0
	for i := range 9 {
		if usage&(1<<i) != 0 {
			octets[i/8] |= 0x80 >> (i % 8)
			last = i + 1
		}
	}
	return asn1.Marshal(asn1.BitString{Bytes: octets[:(last+7)/8], BitLength: last})
}

// nullDER is the value of id-pkix-ocsp-nocheck (RFC 6960 §4.2.2.2.1).
func nullDER() []byte { return bytes.Clone(asn1.NullBytes) }
