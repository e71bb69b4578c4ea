package certs

import (
	"encoding/asn1"
	"strconv"
	"strings"
)

// Object identifiers in dotted form; OID turns one into what encoding/asn1
// wants. As constants they cannot be changed by anybody.
const (
	OIDClientAuth       = "1.3.6.1.5.5.7.3.2"      // RFC 5280 §4.2.1.12
	OIDServerAuth       = "1.3.6.1.5.5.7.3.1"      // RFC 5280 §4.2.1.12
	OIDEmailProtection  = "1.3.6.1.5.5.7.3.4"      // RFC 5280 §4.2.1.12
	OIDTimeStamping     = "1.3.6.1.5.5.7.3.8"      // RFC 3161 §2.3
	OIDOCSPSigning      = "1.3.6.1.5.5.7.3.9"      // RFC 6960 §4.2.2.2
	OIDDocumentSigning  = "1.3.6.1.5.5.7.3.36"     // RFC 9336
	OIDSmartcardLogon   = "1.3.6.1.4.1.311.20.2.2" // Microsoft smart card logon
	OIDPKINITClientAuth = "1.3.6.1.5.2.3.4"        // RFC 4556 §3.2.2

	OIDSubjectKeyID        = "2.5.29.14"            // RFC 5280 §4.2.1.2
	OIDKeyUsage            = "2.5.29.15"            // RFC 5280 §4.2.1.3
	OIDSubjectAltName      = "2.5.29.17"            // RFC 5280 §4.2.1.6
	OIDBasicConstraints    = "2.5.29.19"            // RFC 5280 §4.2.1.9
	OIDCRLNumber           = "2.5.29.20"            // RFC 5280 §5.2.3
	OIDReasonCode          = "2.5.29.21"            // RFC 5280 §5.3.1
	OIDInvalidityDate      = "2.5.29.24"            // RFC 5280 §5.3.2
	OIDDeltaCRLIndicator   = "2.5.29.27"            // RFC 5280 §5.2.4
	OIDIssuingDistribution = "2.5.29.28"            // RFC 5280 §5.2.5
	OIDCRLDistribution     = "2.5.29.31"            // RFC 5280 §4.2.1.13
	OIDCertificatePolicies = "2.5.29.32"            // RFC 5280 §4.2.1.4
	OIDAuthorityKeyID      = "2.5.29.35"            // RFC 5280 §4.2.1.1
	OIDExtendedKeyUsage    = "2.5.29.37"            // RFC 5280 §4.2.1.12
	OIDFreshestCRL         = "2.5.29.46"            // RFC 5280 §5.2.6
	OIDExpiredCertsOnCRL   = "2.5.29.60"            // X.509 §8.5.2.12
	OIDAuthorityInfoAccess = "1.3.6.1.5.5.7.1.1"    // RFC 5280 §4.2.2.1
	OIDOCSP                = "1.3.6.1.5.5.7.48.1"   // RFC 5280 §4.2.2.1
	OIDCAIssuers           = "1.3.6.1.5.5.7.48.2"   // RFC 5280 §4.2.2.1
	OIDOCSPNoCheck         = "1.3.6.1.5.5.7.48.1.5" // RFC 6960 §4.2.2.2.1

	OIDMicrosoftSID = "1.3.6.1.4.1.311.25.2"   // szOID_NTDS_CA_SECURITY_EXT, MS-WCCE §2.2.2.7.7.4
	OIDMicrosoftUPN = "1.3.6.1.4.1.311.20.2.3" // otherName, user principal name

	OIDCommonName       = "2.5.4.3"
	OIDSurname          = "2.5.4.4"
	OIDSerialNumber     = "2.5.4.5"
	OIDOrganization     = "2.5.4.10"
	OIDOrganizationUnit = "2.5.4.11"
	OIDGivenName        = "2.5.4.42"
)

// OID parses a dotted identifier; nil when the text is none, so that a wrong
// one meets a check instead of an empty SEQUENCE.
func OID(dotted string) asn1.ObjectIdentifier {
	parts := strings.Split(dotted, ".")
	if len(parts) < 2 {
		return nil
	}
	oid := make(asn1.ObjectIdentifier, len(parts))
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 31)
		if err != nil {
			return nil
		}
		oid[i] = int(n)
	}
	return oid
}
