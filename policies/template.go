package policies

import (
	"crypto"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"time"

	"cardinal/certs"
)

// backdate covers a relying system whose clock is a little behind.
const backdate = 5 * time.Minute

// Lifetime is the profile's notBefore and notAfter for a decision taken now:
// notBefore five minutes back, in whole seconds (RFC 5280 §4.1.2.5); notAfter
// the last second of the span. Calendar years keep the day; 29 February ends
// on the 28th.
func (v Validity) Lifetime(now time.Time) (notBefore, notAfter time.Time) {
	notBefore = now.UTC().Truncate(time.Second).Add(-backdate)
	end := addYears(notBefore, v.Years).AddDate(0, 0, v.Days).Add(time.Duration(v.Hours) * time.Hour)
	return notBefore, end.Add(-time.Second)
}

func addYears(t time.Time, years int) time.Time {
	end := t.AddDate(years, 0, 0)
	if end.Day() != t.Day() { // 29 February does not exist there
		end = end.AddDate(0, 0, -end.Day())
	}
	return end
}

func (d *decision) lifetime() (notBefore, notAfter time.Time) {
	notBefore, notAfter = d.profile.Validity.Lifetime(d.Now)
	if d.Validity > 0 {
		notAfter = notBefore.Add(d.Validity).Truncate(time.Second).Add(-time.Second)
	}
	return notBefore, notAfter
}

func (d *decision) template() (*x509.Certificate, error) {
	p := d.profile
	notBefore, notAfter := d.lifetime()
	keyID, err := subjectKeyID(p.SubjectKeyID, d.PublicKey)
	if err != nil {
		return nil, err
	}
	subject, err := encodeName(d.subject())
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber:       d.Serial.Big(),
		RawSubject:         subject,
		NotBefore:          notBefore,
		NotAfter:           notAfter,
		PublicKey:          d.PublicKey,
		SignatureAlgorithm: signatureAlgorithm(d.issuerKey()),
		SubjectKeyId:       keyID,
	}
	if p.Citations["basicConstraints"] != "" {
		t.BasicConstraintsValid, t.IsCA, t.MaxPathLen = true, p.BasicConstraints.CA, -1
		if n := p.BasicConstraints.PathLen; n != nil {
			t.MaxPathLen, t.MaxPathLenZero = *n, *n == 0
		}
	}
	for _, usage := range p.ExtKeyUsage {
		if p.Name == ProfileTimestamping {
			continue // it is critical: addEncoded
		}
		t.UnknownExtKeyUsage = append(t.UnknownExtKeyUsage, certs.OID(extKeyUsages()[usage]))
	}
	if err := d.addPolicies(t); err != nil {
		return nil, err
	}
	d.addURLs(t)
	return t, d.addEncoded(t)
}

// subject builds the name: C, O, OU, then the person's names, then CN as the
// most specific part.
func (d *decision) subject() pkix.RDNSequence {
	var name pkix.RDNSequence
	add := func(id, value string) {
		if value != "" {
			name = append(name, rdn(id, value))
		}
	}
	add(oidCountry, d.set.configuration.Country)
	organization := d.Subject.Organization
	if organization == "" {
		organization = d.set.configuration.Organization
	}
	add(certs.OIDOrganization, organization)
	add(certs.OIDOrganizationUnit, d.profile.Subject.Unit)
	if d.profile.Subject.Names {
		add(certs.OIDSurname, d.Subject.Family)
		add(certs.OIDGivenName, d.Subject.Given)
	}
	add(certs.OIDCommonName, d.commonName())
	return name
}

func (d *decision) commonName() string {
	holder := certs.Holder{UUID: certs.UUID(d.Subject.UUID), Given: d.Subject.Given, Family: d.Subject.Family}
	switch d.profile.Subject.CommonName {
	case "uuid":
		return certs.AuthenticationCN(holder)
	case "uuid_given_family":
		return certs.SignatureCN(holder)
	}
	return d.Subject.CommonName
}

func (d *decision) addPolicies(t *x509.Certificate) error {
	policies := d.profile.CertificatePolicies
	if configured := d.set.configuration.Policies[d.profile.Name]; configured != "" {
		policies = []string{configured}
	}
	for _, dotted := range policies {
		id, err := parsePolicyOID(dotted)
		if err != nil {
			return err
		}
		t.Policies = append(t.Policies, id)
	}
	return nil
}

func (d *decision) addURLs(t *x509.Certificate) {
	for _, access := range d.profile.AuthorityInfo {
		switch access {
		case "ocsp":
			t.OCSPServer = []string{d.PublicURL + "/ocsp"}
		case "caIssuers":
			t.IssuingCertificateURL = []string{d.PublicURL + "/ca/" + d.IssuerName + ".cer"}
		}
	}
	if d.profile.CRL != "" {
		t.CRLDistributionPoints = []string{fmt.Sprintf("%s/crl/%s/%d.crl", d.PublicURL, d.IssuerName, d.Shard)}
	}
}

// addEncoded adds the extensions crypto/x509 cannot encode as the profile wants them.
func (d *decision) addEncoded(t *x509.Certificate) error {
	add := func(id string, critical bool, value []byte) {
		t.ExtraExtensions = append(t.ExtraExtensions, pkix.Extension{Id: certs.OID(id), Critical: critical, Value: value})
	}
	var usage x509.KeyUsage
	for _, bit := range d.profile.KeyUsage.Bits {
		usage |= keyUsageBits()[bit]
	}
	if d.profile.KeyUsage.Critical {
		t.KeyUsage = usage
	} else {
		value, err := encodeKeyUsage(usage)
		if err != nil {
			return err
		}
		add(certs.OIDKeyUsage, false, value)
	}
	names, err := subjectAltName(d.Subject)
	if err != nil {
		return err
	}
	if names != nil {
		add(certs.OIDSubjectAltName, false, names)
	}
	if d.Subject.SID != "" {
		value, err := securityIdentifier(d.Subject.SID)
		if err != nil {
			return err
		}
		add(certs.OIDMicrosoftSID, false, value)
	}
	if d.profile.Name == ProfileTimestamping {
		value, err := encodeExtKeyUsage(d.profile.ExtKeyUsage)
		if err != nil {
			return err
		}
		add(certs.OIDExtendedKeyUsage, true, value)
	}
	if d.profile.OCSPNoCheck {
		add(certs.OIDOCSPNoCheck, false, nullDER())
	}
	return nil
}

// subjectKeyID hashes the value of the subjectPublicKey BIT STRING.
func subjectKeyID(method string, pub crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, err
	}
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return nil, err
	}
	if method == "sha1" {
		sum := sha1.Sum(info.Key.Bytes)
		return sum[:], nil
	}
	sum := sha256.Sum256(info.Key.Bytes)
	return sum[:20], nil
}
