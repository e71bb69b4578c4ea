package policies

import (
	"net"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"cardinal/certs"
)

// rules are applied in this order; the first to refuse ends the decision.
func rules() []func(*decision) *Refusal {
	return []func(*decision) *Refusal{
		issuerMayIssue, issuerIsAuthority, issuerIsValid, keyKindAllowed, keyIsSound, keyIsNotTheIssuers,
		serialIsRandom, validityIsAllowed, doesNotOutliveIssuer, personIsNamed, machineIsNamed,
		onlyNamesWithAPlace, alternativeNames, securityIdentifierForm, addressesResolve,
	}
}

// issuerMayIssue: a profile belongs to certain authorities (profile data, line issuers).
func issuerMayIssue(d *decision) *Refusal {
	if slices.Contains(d.profile.Issuers, certs.IssuerKind(d.IssuerName)) {
		return nil
	}
	return refuse("issuer", d.profile.Citations["issuers"], "%s certificates are not issued by %q", d.profile.Name, d.IssuerName)
}

// issuerIsAuthority: RFC 5280 §6.1.4 (k), (n): who signs is a CA with keyCertSign.
func issuerIsAuthority(d *decision) *Refusal {
	const clause = "RFC 5280 §6.1.4"
	self := d.profile.Name == ProfileRoot
	switch {
	case self && d.Issuer != nil:
		return refuse("issuer-authority", clause, "a root has no other issuer")
	case self:
		return nil
	case d.Issuer == nil:
		return refuse("issuer-authority", clause, "no issuer is given")
	case !d.Issuer.BasicConstraintsValid || !d.Issuer.IsCA || d.Issuer.KeyUsage&keyUsageBits()["keyCertSign"] == 0:
		return refuse("issuer-authority", clause, "the issuer is not an authority")
	case d.profile.BasicConstraints.CA && d.Issuer.MaxPathLen == 0 && d.Issuer.MaxPathLenZero:
		return refuse("issuer-path-length", "RFC 5280 §4.2.1.9", "the issuer may have no authority below it")
	}
	return nil
}

// issuerIsValid: RFC 5280 §6.1.3 (a)(2).
func issuerIsValid(d *decision) *Refusal {
	if d.Issuer == nil || !d.Now.Before(d.Issuer.NotBefore) && !d.Now.After(d.Issuer.NotAfter) {
		return nil
	}
	return refuse("issuer-expired", "RFC 5280 §6.1.3", "the issuer is valid from %s to %s, now is %s",
		stamp(d.Issuer.NotBefore), stamp(d.Issuer.NotAfter), stamp(d.Now))
}

// keyKindAllowed: profile data, line keys.
func keyKindAllowed(d *decision) *Refusal {
	if kind := KeyKind(d.PublicKey); kind != "" && !slices.Contains(d.profile.Keys, kind) {
		return refuse("key-profile", d.profile.Citations["keys"], "%s is not for %s certificates", kind, d.profile.Name)
	}
	return nil
}

// keyIsSound: see CheckKey.
func keyIsSound(d *decision) *Refusal {
	switch err := CheckKey(d.PublicKey, d.set.configuration.Blocked).(type) {
	case nil:
		return nil
	case *Refusal:
		return err
	default:
		return refuse("key", "FIPS 186-5", "%v", err)
	}
}

// keyIsNotTheIssuers: RFC 5280 §3.2: a subject with its issuer's key could issue.
func keyIsNotTheIssuers(d *decision) *Refusal {
	if d.Issuer != nil && KeyDigest(d.PublicKey) == KeyDigest(d.Issuer.PublicKey) {
		return refuse("key-of-issuer", "RFC 5280 §3.2", "the key is the issuer's own")
	}
	return nil
}

// serialIsRandom: RFC 5280 §4.1.2.2. That 96 bits are random is the drawer's
// promise; here a counter is told from a draw by its length.
func serialIsRandom(d *decision) *Refusal {
	const least = 16 // octets: when it was drawn and 96 random bits
	switch {
	case !d.Serial.Valid():
		return refuse("serial", "RFC 5280 §4.1.2.2", "not a positive number of at most 20 octets")
	case len(d.Serial) < least:
		return refuse("serial-random", "RFC 5280 §4.1.2.2; at least 96 random bits", "%s was not drawn at random", d.Serial.Hex())
	}
	return nil
}

// validityIsAllowed: profile data, line validity.
func validityIsAllowed(d *decision) *Refusal {
	if d.Validity == 0 {
		return nil
	}
	clause := d.profile.Citations["validity"]
	notBefore, notAfter := d.profile.Validity.Lifetime(d.Now)
	switch most := notAfter.Add(time.Second).Sub(notBefore); {
	case !d.profile.Validity.Shorter:
		return refuse("validity", clause, "%s certificates all live equally long", d.profile.Name)
	case d.Validity < 2*backdate:
		return refuse("validity", clause, "%s is too short to be used", d.Validity)
	case d.Validity > most:
		return refuse("validity", clause, "%s is longer than %s", d.Validity, most)
	}
	return nil
}

// doesNotOutliveIssuer: a certificate that would outlive its issuer is refused,
// not shortened (RFC 5280 §6.1.3: the path would break before the card does).
func doesNotOutliveIssuer(d *decision) *Refusal {
	if d.Issuer == nil {
		return nil
	}
	if _, notAfter := d.lifetime(); notAfter.After(d.Issuer.NotAfter) {
		return refuse("outlives-issuer", "RFC 5280 §6.1.3", "would end %s, after its issuer at %s", stamp(notAfter), stamp(d.Issuer.NotAfter))
	}
	return nil
}

// personIsNamed: profile data, line subject.
func personIsNamed(d *decision) *Refusal {
	if !d.profile.isPerson() {
		return nil
	}
	if _, err := certs.ParseUUID(d.Subject.UUID); err != nil {
		return refuse("user-id", d.profile.Citations["subject"], "%q is not 12 digits, the first not 0", d.Subject.UUID)
	}
	if !d.profile.Subject.Names {
		return nil
	}
	// X.520 ub-name is 64 for CN only; 32768 elsewhere (RFC 5280 appendix A.1), 256 is a name.
	if r := checkText("given name", d.Subject.Given, 256); r != nil {
		return r
	}
	return checkText("family name", d.Subject.Family, 256)
}

// machineIsNamed: a subject that is no person has a name that cannot be taken for one.
func machineIsNamed(d *decision) *Refusal {
	if d.profile.isPerson() {
		return nil
	}
	if r := checkText("common name", d.Subject.CommonName, certs.CommonNameMax); r != nil {
		return r
	}
	if looksLikePerson(d.Subject.CommonName) {
		return refuse("name-of-person", d.profile.Citations["subject"], "%q begins with a 12-digit user id", d.Subject.CommonName)
	}
	return nil
}

// onlyNamesWithAPlace: a name the profile would drop is a misunderstanding, not a detail.
func onlyNamesWithAPlace(d *decision) *Refusal {
	s, p := d.Subject, d.profile
	given := map[string]bool{
		"user id": s.UUID != "" && !p.isPerson(), "common name": s.CommonName != "" && p.isPerson(),
		"UPN": s.UPN != "" && !p.allows("upn"), "mail": len(s.Mail) > 0 && !p.allows("mail"),
		"DNS name": len(s.DNSNames) > 0 && !p.allows("dns"), "IP address": len(s.IPs) > 0 && !p.allows("ip"),
		"security identifier": s.SID != "" && p.SecurityIdentifier == "",
	}
	for _, name := range sortedKeys(given) {
		if given[name] {
			return refuse("name-place", "policies/"+p.Name+".yaml", "%s certificates have no %s", p.Name, name)
		}
	}
	if r := checkOptionalText("organization", s.Organization, 64); r != nil {
		return r
	}
	if p.AltName.Require && len(s.DNSNames)+len(s.IPs)+len(s.Mail) == 0 && s.UPN == "" {
		return refuse("name-missing", p.Citations["subjectAltName"], "a %s certificate needs an alternative name", p.Name)
	}
	return nil
}

// alternativeNames: RFC 5280 §4.2.1.6.
func alternativeNames(d *decision) *Refusal {
	const clause = "RFC 5280 §4.2.1.6"
	if upn := d.Subject.UPN; upn != "" {
		local, domain, found := strings.Cut(upn, "@")
		if !found || local == "" || !isDNSName(domain) || checkText("UPN", upn, 1024) != nil || strings.ContainsFunc(local, unicode.IsSpace) {
			return refuse("upn", "MS-PKCA §3.1.5.2.1", "%q is not user@domain", upn)
		}
	}
	for _, address := range d.Subject.Mail {
		parsed, err := mail.ParseAddress(address)
		if err != nil || parsed.Address != address || !isASCII(address) {
			return refuse("mail", clause+" and RFC 5321 §4.1.2", "%q is not a mailbox", address)
		}
	}
	for _, name := range d.Subject.DNSNames {
		if !isDNSName(name) {
			return refuse("dns", clause+" and RFC 1034 §3.5", "%q is not a host name", name)
		}
	}
	for _, ip := range d.Subject.IPs {
		if ip.To16() == nil || ip.IsUnspecified() || ip.IsMulticast() {
			return refuse("ip", clause, "%v is not a host's address", ip)
		}
	}
	return nil
}

// securityIdentifierForm: MS-DTYP §2.4.2.1.
func securityIdentifierForm(d *decision) *Refusal {
	if sid := d.Subject.SID; sid != "" && !regexp.MustCompile(`^S-1-[0-9]{1,15}(-[0-9]{1,10}){1,15}$`).MatchString(sid) {
		return refuse("sid", "MS-DTYP §2.4.2.1", "%q is not a security identifier", sid)
	}
	return nil
}

// addressesResolve: RFC 5280 §4.2.1.13 and §4.2.2.1. Plain http, because a
// status address under https would need a status address to be checked.
func addressesResolve(d *decision) *Refusal {
	if len(d.profile.AuthorityInfo) == 0 && d.profile.CRL == "" {
		return nil
	}
	u, err := url.Parse(d.PublicURL)
	if err != nil || u.Scheme != "http" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || !isASCII(d.PublicURL) {
		return refuse("public-url", "RFC 5280 §4.2.1.13", "%q is not a plain http address", d.PublicURL)
	}
	return nil
}

func looksLikePerson(name string) bool {
	return regexp.MustCompile(`^\s*[0-9]{12}([^0-9]|$)`).MatchString(name)
}

func checkOptionalText(what, text string, most int) *Refusal {
	if text == "" {
		return nil
	}
	return checkText(what, text, most)
}

// checkText refuses what a directory string should not hold (RFC 5280
// §4.1.2.4): nothing, too much, broken UTF-8, control and direction-turning
// characters, white space at an end.
func checkText(what, text string, most int) *Refusal {
	const clause = "RFC 5280 §4.1.2.4"
	switch {
	case strings.TrimSpace(text) == "":
		return refuse("name-empty", clause, "the %s is empty", what)
	case !utf8.ValidString(text):
		return refuse("name-encoding", clause, "the %s is not UTF-8", what)
	case utf8.RuneCountInString(text) > most:
		return refuse("name-length", clause, "the %s is over %d characters", what, most)
	case strings.TrimSpace(text) != text:
		return refuse("name-space", clause, "the %s begins or ends with white space", what)
	case strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == utf8.RuneError }):
		return refuse("name-control", clause, "the %s holds a character that is not shown", what)
	}
	return nil
}

// isDNSName takes host names of letters, digits and hyphens, without wildcard
// and final dot (RFC 1034 §3.5, RFC 5280 §4.2.1.6).
func isDNSName(name string) bool {
	if len(name) == 0 || len(name) > 253 || net.ParseIP(name) != nil {
		return false
	}
	label := regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)
	for part := range strings.SplitSeq(name, ".") {
		if !label.MatchString(part) {
			return false
		}
	}
	return true
}

func isCountry(c string) bool {
	return len(c) == 2 && c[0] >= 'A' && c[0] <= 'Z' && c[1] >= 'A' && c[1] <= 'Z'
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
