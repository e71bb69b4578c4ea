package policies

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"
	"time"

	"cardinal/certs"
)

// assertion is a lint of our own. It reads the certificate, not the profile
// data, so that no edited policy folder can get past it. check gives what is
// wrong, empty when nothing is.
type assertion struct {
	name, clause string
	check        func(profile string, c, issuer *x509.Certificate) string
}

// assertions in the order they are applied.
func assertions() []assertion {
	return []assertion{
		{"a_authority_only_root_and_issuing", "RFC 5280 §4.2.1.9", authorityOnlyWhereNamed},
		{"a_ocsp_signing_only_responder", "RFC 6960 §4.2.2.2", ocspSigningOnlyResponder},
		{"a_responder_brief_and_nocheck", "RFC 6960 §4.2.2.2.1", responderBrief},
		{"a_logon_only_authentication", "MS-PKCA §3.1.5.2.1; RFC 4556 §3.2.1", logonOnlyAuthentication},
		{"a_user_id_only_pair", "RFC 5280 §4.1.2.6; the 12-digit name is a person", userIDOnlyPair},
		{"a_pair_key_usage", "RFC 5280 §4.2.1.3", pairKeyUsage},
		{"a_key_usage_critical", "RFC 5280 §4.2.1.3", keyUsageCritical},
		{"a_purpose_stated", "RFC 5280 §4.2.1.12, RFC 3161 §2.3", purposeStated},
		{"a_lifetime", "RFC 5280 §4.1.2.5", lifetimeWithin},
		{"a_key_identifiers", "RFC 5280 §4.2.1.1, §4.2.1.2", keyIdentifiers},
		{"a_status_found", "RFC 5280 §4.2.1.13, §4.2.2.1", statusFound},
		{"a_extensions_known", "RFC 5280 §4.2", extensionsKnown},
	}
}

func isPair(profile string) bool {
	return profile == ProfileAuthentication || profile == ProfileSignature
}

func isAuthority(profile string) bool {
	return profile == ProfileRoot || profile == ProfileIssuing || profile == ProfileCross
}

func authorityOnlyWhereNamed(profile string, c, _ *x509.Certificate) string {
	signs := c.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0
	switch {
	case !isAuthority(profile) && c.IsCA:
		return "a " + profile + " certificate with CA:TRUE"
	case !isAuthority(profile) && signs:
		return "a " + profile + " certificate that signs certificates or lists"
	case isAuthority(profile) && !c.IsCA:
		return "an authority without CA:TRUE"
	case profile == ProfileIssuing && (c.MaxPathLen != 0 || !c.MaxPathLenZero):
		return "an issuing authority without pathLen 0"
	case profile == ProfileCross && c.MaxPathLen != 1:
		return "a cross-certificate without pathLen 1"
	}
	return ""
}

func usages(c *x509.Certificate) []string {
	var all []string
	for _, e := range c.Extensions {
		if e.Id.String() != certs.OIDExtendedKeyUsage {
			continue
		}
		var ids []asn1.ObjectIdentifier
		if _, err := asn1.Unmarshal(e.Value, &ids); err != nil {
			return []string{"not understood"}
		}
		for _, id := range ids {
			all = append(all, id.String())
		}
	}
	return all
}

func ocspSigningOnlyResponder(profile string, c, _ *x509.Certificate) string {
	has := slices.Contains(usages(c), certs.OIDOCSPSigning)
	if has != (profile == ProfileResponder) {
		return fmt.Sprintf("a %s certificate, OCSPSigning: %v", profile, has)
	}
	return ""
}

func responderBrief(profile string, c, _ *x509.Certificate) string {
	_, nocheck := extension(c, certs.OIDOCSPNoCheck)
	switch {
	case nocheck != (profile == ProfileResponder):
		return fmt.Sprintf("a %s certificate, ocsp-nocheck: %v", profile, nocheck)
	case nocheck && c.NotAfter.Sub(c.NotBefore) > 48*time.Hour:
		return "it cannot be revoked and lives over 48 hours"
	}
	return ""
}

func logonOnlyAuthentication(profile string, c, _ *x509.Certificate) string {
	for _, usage := range usages(c) {
		if profile != ProfileAuthentication && (usage == certs.OIDSmartcardLogon || usage == certs.OIDPKINITClientAuth) {
			return "a " + profile + " certificate that signs in by smart card"
		}
	}
	return ""
}

func userIDOnlyPair(profile string, c, _ *x509.Certificate) string {
	cn := c.Subject.CommonName
	_, err := certs.ParseUUID(cn)
	head, _, found := strings.Cut(cn, "_")
	_, headErr := certs.ParseUUID(head)
	switch {
	case profile == ProfileAuthentication && err != nil:
		return fmt.Sprintf("CN %q is not a user id", cn)
	case profile == ProfileSignature && (headErr != nil || !found):
		return fmt.Sprintf("CN %q does not begin with a user id and _", cn)
	case profile == ProfileSignature && !hasNames(c.Subject):
		return "no givenName or surname"
	case !isPair(profile) && looksLikePerson(cn):
		return fmt.Sprintf("CN %q of a %s certificate is a user id", cn, profile)
	}
	return ""
}

func hasNames(name pkix.Name) bool {
	var given, family bool
	for _, part := range name.Names {
		given = given || part.Type.String() == certs.OIDGivenName
		family = family || part.Type.String() == certs.OIDSurname
	}
	return given && family
}

func pairKeyUsage(profile string, c, _ *x509.Certificate) string {
	want := map[string]x509.KeyUsage{
		ProfileAuthentication: x509.KeyUsageDigitalSignature, ProfileSignature: x509.KeyUsageContentCommitment,
	}
	if isPair(profile) && c.KeyUsage != want[profile] {
		return "a " + profile + " certificate whose key is for more, or other, than that"
	}
	return ""
}

func keyUsageCritical(_ string, c, _ *x509.Certificate) string {
	if e, found := extension(c, certs.OIDKeyUsage); !found || !e.Critical {
		return "keyUsage is absent or not critical"
	}
	return ""
}

func purposeStated(profile string, c, _ *x509.Certificate) string {
	all := usages(c)
	e, found := extension(c, certs.OIDExtendedKeyUsage)
	switch {
	case !found && !isAuthority(profile):
		return "no extended key usage: good for anything"
	case slices.Contains(all, oidAnyExtKeyUsage), slices.Contains(all, "not understood"):
		return "an extended key usage that means anything"
	case found && e.Critical != (profile == ProfileTimestamping):
		return fmt.Sprintf("extended key usage of a %s certificate, critical: %v", profile, e.Critical)
	case slices.Contains(all, certs.OIDTimeStamping) != (profile == ProfileTimestamping) || profile == ProfileTimestamping && len(all) != 1:
		return fmt.Sprintf("a %s certificate for %v", profile, all)
	}
	return ""
}

// lifetimeWithin holds the most each kind may live; data may say less.
func lifetimeWithin(profile string, c, _ *x509.Certificate) string {
	most := map[string]Validity{
		ProfileRoot: {Years: 20}, ProfileIssuing: {Years: 10}, ProfileCross: {Years: 20}, ProfileAuthentication: {Years: 3}, ProfileSignature: {Years: 3},
		ProfileResponder: {Hours: 48}, ProfileServer: {Years: 3}, ProfileClient: {Years: 3}, ProfileOperator: {Days: 30}, ProfileTimestamping: {Years: 3},
	}
	_, end := most[profile].Lifetime(c.NotBefore.Add(backdate))
	switch {
	case !c.NotAfter.After(c.NotBefore):
		return "it ends before it begins"
	case c.NotAfter.After(end):
		return fmt.Sprintf("it lives to %s, a %s certificate at most to %s", stamp(c.NotAfter), profile, stamp(end))
	}
	return ""
}

func keyIdentifiers(_ string, c, issuer *x509.Certificate) string {
	switch {
	case len(c.SubjectKeyId) == 0:
		return "no subject key identifier"
	case issuer != nil && (len(c.AuthorityKeyId) == 0 || !bytes.Equal(c.AuthorityKeyId, issuer.SubjectKeyId)):
		return "the authority key identifier is not the issuer's"
	}
	return ""
}

func statusFound(profile string, c, _ *x509.Certificate) string {
	if profile == ProfileRoot || profile == ProfileResponder {
		return ""
	}
	switch {
	case len(c.CRLDistributionPoints) != 1 || !strings.HasPrefix(c.CRLDistributionPoints[0], "http://"):
		return "not one http revocation list"
	case len(c.IssuingCertificateURL) != 1 || !strings.HasPrefix(c.IssuingCertificateURL[0], "http://"):
		return "not one http address of the issuer's certificate"
	case !isAuthority(profile) && (len(c.OCSPServer) != 1 || !strings.HasPrefix(c.OCSPServer[0], "http://")):
		return "not one http OCSP address"
	case len(c.Policies) == 0:
		return "no certificate policy"
	}
	return ""
}

// extensionsKnown: only keyUsage and basicConstraints are critical, and nothing
// is there that this room did not mean to put there.
func extensionsKnown(profile string, c, _ *x509.Certificate) string {
	known := map[string]bool{ // true: critical where present
		certs.OIDKeyUsage: true, certs.OIDBasicConstraints: true,
		certs.OIDSubjectKeyID: false, certs.OIDAuthorityKeyID: false, certs.OIDExtendedKeyUsage: profile == ProfileTimestamping,
		certs.OIDSubjectAltName: false, certs.OIDCertificatePolicies: false, certs.OIDAuthorityInfoAccess: false,
		certs.OIDCRLDistribution: false, certs.OIDOCSPNoCheck: false,
		certs.OIDMicrosoftSID: false,
	}
	for _, e := range c.Extensions {
		id := e.Id.String()
		critical, found := known[id]
		switch {
		case !found:
			return "unexpected extension " + id
		case e.Critical != critical:
			return fmt.Sprintf("extension %s, critical: %v", id, e.Critical)
		case id == certs.OIDMicrosoftSID && profile != ProfileAuthentication:
			return "a security identifier in a " + profile + " certificate"
		}
	}
	return ""
}

func extension(c *x509.Certificate, id string) (pkix.Extension, bool) {
	at := slices.IndexFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.String() == id })
	if at < 0 {
		return pkix.Extension{}, false
	}
	return c.Extensions[at], true
}
