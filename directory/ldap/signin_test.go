package ldap_test

import (
	"crypto/x509/pkix"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	client "github.com/go-ldap/ldap/v3"

	"cardinal/directory"
	"cardinal/directory/ldap"
)

const oidActiveRoles = "1.3.6.1.4.1.32473.2.3.1"

// signInRules let the reader see everything but let "blind" search nothing
// that tells of dates.
const signInRules = `rules:
  - name: top
    who: [anyone]
    entry: ""
    attributes: [entry, "*", "+"]
    rights: [read, search]
  - name: blind
    who: ["dn: cn=blind,ou=Services,o=nhs"]
    attributes: [roleActive, nhsOrgCloseDate, cardStatus]
    rights: [read, search, compare]
    deny: true
  - name: all
    who: [authenticated]
    attributes: [entry, "*", "+"]
    rights: [read, search, compare]
`

// signInRig is a workforce with a card and a role that has closed.
func signInRig(t *testing.T) (r *rig, clock *atomic.Int64, pair [2][]byte) {
	t.Helper()
	clock = &atomic.Int64{}
	clock.Store(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC).Unix())
	r = newRig(t, func(c *ldap.Config) {
		c.Now = func() time.Time { return time.Unix(clock.Load(), 0) }
		rules, err := c.Tree.Schema().ParseRules([]byte(signInRules))
		must(t, err)
		c.Rules = rules
	})
	login, signature := r.pki.issue(pkix.Name{CommonName: "a"}), r.pki.issue(pkix.Name{CommonName: "b"})
	pair = [2][]byte{login.Certificate[0], signature.Certificate[0]}
	text := strings.Replace(workforce, "mail: alex", "userCertificate;binary:: "+base64Of(login)+"\nuserCertificate;binary:: "+base64Of(signature)+"\nmail: alex", 1)
	const closing = "uniqueIdentifier=900000000058,uniqueIdentifier=900000000025,uid=900000000017,ou=People,o=nhs"
	r.ldif(text + "\ndn: " + closing + "\nobjectClass: nhsOrgPersonRole\nuniqueIdentifier: 900000000058\nnhsJobRole: x\nnhsOrgCloseDate: 20261122\n" +
		"\ndn: cn=blind,ou=Services,o=nhs\nobjectClass: inetOrgPerson\ncn: blind\nsn: blind\nuserPassword: see\n" +
		"\ndn: uniqueIdentifier=C1,uid=900000000017,ou=People,o=nhs\nobjectClass: cardinalCard\nuniqueIdentifier: C1\ncardState: active\n")
	return r, clock, pair
}

func TestSignInIsOneQuestion(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r, clock, pair := signInRig(t)
	ends := time.Date(2026, 12, 21, 9, 30, 0, 0, time.UTC)
	c := r.dial(reader, "reading")
	person := func() map[string]string {
		t.Helper()
		got, err := search(c, alex, "(objectClass=*)", "*", "cardStatus", "certificateNotAfter", "certificateExpiresInDays", "roleActive")
		must(t, err)
		found := map[string]string{}
		for _, e := range got {
			for _, a := range []string{"cardStatus", "certificateNotAfter", "certificateExpiresInDays", "roleActive"} {
				for _, v := range e.GetAttributeValues(a) {
					found[strings.SplitN(e.DN, ",", 2)[0]+" "+a] = v
				}
			}
		}
		found["entries"] = strings.Repeat("i", len(got))
		return found
	}
	expect := func(what string, want map[string]string) {
		t.Helper()
		if got := person(); !maps.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
	}
	stand := func(a, b directory.CertificateState) {
		r.cards.stand(pair[0], directory.Standing{State: a, NotAfter: ends})
		r.cards.stand(pair[1], directory.Standing{State: b, NotAfter: ends.Add(time.Hour)})
	}
	const roles, uid = "uniqueIdentifier=900000000033 roleActive", "uid=900000000017 "
	base := map[string]string{"entries": "iiiii", roles: "TRUE", "uniqueIdentifier=900000000058 roleActive": "TRUE"}
	with := func(status string) map[string]string {
		out := maps.Clone(base)
		if status != "" {
			out[uid+"cardStatus"] = status
		}
		out[uid+"certificateNotAfter"], out[uid+"certificateExpiresInDays"] = "20261221093000Z", "30"
		return out
	}
	none := maps.Clone(base)
	none[uid+"cardStatus"] = "none"
	expect("certificates of others", none)
	for _, x := range []struct {
		a, b directory.CertificateState
		want string
	}{
		{directory.CertificateGood, directory.CertificateGood, "active"}, {directory.CertificateGood, directory.CertificateHeld, "suspended"},
		{directory.CertificateRevoked, directory.CertificateRevoked, "cancelled"}, {directory.CertificateCompromised, directory.CertificateRevoked, "lost"},
		{directory.CertificateGood, directory.CertificateDoubtful, ""}, {directory.CertificateGood, directory.CertificateGood, "active"},
	} {
		stand(x.a, x.b)
		expect(x.want, with(x.want))
	}
	clock.Store(time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC).Unix()) // the role has closed
	next := with("active")
	next[uid+"certificateExpiresInDays"], next["uniqueIdentifier=900000000058 roleActive"] = "29", "FALSE"
	expect("a day later", next)
	clock.Store(ends.Unix() + 1)
	next[uid+"cardStatus"], next[uid+"certificateExpiresInDays"] = "expired", "0"
	expect("expired", next)
	signInFilters(t, r, stand)
}

// signInFilters asks for the computed attributes in filters and compares.
func signInFilters(t *testing.T, r *rig, stand func(a, b directory.CertificateState)) {
	t.Helper()
	c, blind := r.dial(reader, "reading"), r.dial("cn=blind,ou=Services,o=nhs", "see")
	for _, x := range []struct {
		filter      string
		seen, blind int // how many are found
	}{
		{"(&(uid=900000000017)(cardStatus=EXPIRED))", 1, 0}, {"(cardStatus=active)", 0, 0}, {"(cardStatus=*)", 2, 0},
		{"(!(cardStatus=active))", 7, 0}, {"(certificateExpiresInDays<=0)", 1, 1}, {"(certificateNotAfter>=20261221000000Z)", 1, 1},
		{"(&(objectClass=nhsOrgPersonRole)(roleActive=TRUE))", 1, 0}, {"(&(objectClass=nhsOrgPersonRole)(!(roleActive=TRUE)))", 1, 0},
	} {
		got, err := search(c, "ou=People,o=nhs", x.filter, "1.1")
		if err != nil || len(got) != x.seen {
			t.Errorf("%s: %q, %v; want %d", x.filter, names(got), err, x.seen)
		}
		if got, err := search(blind, "ou=People,o=nhs", x.filter, "1.1"); err != nil || len(got) != x.blind {
			t.Errorf("blind %s: %q, %v; want %d", x.filter, names(got), err, x.blind)
		}
	}
	is, err := c.Compare(alex, "cardStatus", "expired")
	if err != nil || !is {
		t.Errorf("compare: %v, %v", is, err)
	}
	_, err = blind.Compare(alex, "cardStatus", "expired")
	wants(t, "compare by who may not", err, 16)
	stand(directory.CertificateDoubtful, directory.CertificateDoubtful)
	_, err = c.Compare(alex, "cardStatus", "active")
	wants(t, "compare in doubt", err, 16)
	if got, err := search(c, alex, "(|(cardStatus=active)(!(cardStatus=active)))", "1.1"); err != nil || len(got) != 4 {
		t.Errorf("in doubt: %q, %v", names(got), err)
	}
	m := client.NewModifyRequest(alex, nil)
	m.Replace("cardStatus", []string{"active"})
	if err := r.dial(rootDN, rootPassword).Modify(m); err == nil {
		t.Error("cardStatus was modified")
	}
}

func TestInactiveRolesAreLeftOutWhenAskedFor(t *testing.T) {
	t.Parallel()
	need(t, "ldapsearch", "ldap-utils")
	r, clock, _ := signInRig(t)
	clock.Store(time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC).Unix())
	find := func(who, password string, args ...string) (dns []string, code int) {
		t.Helper()
		args = append([]string{"-x", "-H", "ldap://" + r.plain, "-D", who, "-w", password, "-LLL", "-o", "ldif-wrap=no"}, args...)
		out, code := r.program(nil, "ldapsearch", args...)
		for line := range strings.Lines(out) {
			if dn, found := strings.CutPrefix(strings.TrimSpace(line), "dn:"); found {
				dns = append(dns, strings.SplitN(strings.TrimSpace(dn), ",", 2)[0])
			}
		}
		slices.Sort(dns)
		return dns, code
	}
	all := []string{"uid=900000000017", "uniqueIdentifier=900000000025", "uniqueIdentifier=900000000033", "uniqueIdentifier=900000000058", "uniqueIdentifier=C1"}
	for _, x := range []struct {
		who, password string
		args          []string
		want          []string
		code          int
	}{
		{reader, "reading", []string{"-b", alex, "1.1"}, all, 0},
		{reader, "reading", []string{"-b", alex, "-E", "!" + oidActiveRoles, "1.1"}, slices.Delete(slices.Clone(all), 3, 4), 0},
		{rootDN, rootPassword, []string{"-b", alex, "-E", oidActiveRoles, "-E", "pr=2/noprompt", "1.1"}, slices.Delete(slices.Clone(all), 3, 4), 0},
		{"cn=blind,ou=Services,o=nhs", "see", []string{"-b", alex, "-E", "!" + oidActiveRoles, "1.1"}, slices.Delete(slices.Clone(all), 2, 4), 0},
		{reader, "reading", []string{"-b", alex, "-E", "!" + oidActiveRoles + "=:x", "1.1"}, nil, 2},
	} {
		if got, code := find(x.who, x.password, x.args...); !slices.Equal(got, x.want) || code != x.code {
			t.Errorf("%s %q: got %q, code %d; want %q, %d", x.who, x.args, got, code, x.want, x.code)
		}
	}
	if out, _ := r.program(nil, "ldapsearch", "-x", "-H", "ldap://"+r.plain, "-b", "", "-s", "base", "-LLL", "supportedControl"); !strings.Contains(out, oidActiveRoles+"\n") {
		t.Errorf("the root DSE does not offer the control: %s", out)
	}
}
