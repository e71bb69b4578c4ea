package ldap_test

import (
	"crypto/sha256"
	"crypto/x509/pkix"
	"testing"
	"time"

	"cardinal/directory"
	"cardinal/directory/ldap"
	"cardinal/directory/register"
)

// digested is a CardStatus that finds every certificate good, for the price of
// its digest. The table of OCSP takes the parsing and a look-up more.
type digested struct{ ends time.Time }

func (digested) Known(der []byte) (known, good bool) { return true, len(der) > 0 }

func (d digested) Standing(der []byte) directory.Standing {
	if sha256.Sum256(der) == [32]byte{} {
		return directory.Standing{}
	}
	return directory.Standing{State: directory.CertificateGood, NotAfter: d.ends}
}

// BenchmarkSignIn measures a login in three searches (person by number, roles,
// organisation), in one that asks for what entries hold, and in one that asks
// for the state of the card and leaves inactive roles out besides. Every person
// has two certificates.
func BenchmarkSignIn(b *testing.B) {
	r := newRig(b, func(c *ldap.Config) { c.CardStatus = digested{time.Now().Add(1000 * 24 * time.Hour)} })
	pair := [][]byte{r.pki.issue(pkix.Name{CommonName: "900000000017"}).Certificate[0], r.pki.issue(pkix.Name{CommonName: "900000000017_A_B"}).Certificate[0]}
	suffix, _ := directory.ParseDN("o=nhs")
	next := benchEntries()
	position, err := r.updates.Register.Load(b.Context(), register.LoadJob{Ledger: r.ledger, Suffix: suffix, By: r.issuance,
		Next: register.FromEntries(func() (*directory.Entry, error) {
			e, err := next()
			if err == nil && string(e.First("objectClass")) == "nhsPerson" {
				e.Put("userCertificate;binary", pair...)
			}
			return e, err
		})})
	must(b, err)
	must(b, r.replica.WaitFor(b.Context(), position))
	held := []string{"objectClass", "cn", "sn", "givenName", "personalTitle", "nhsPersonStatus", "o", "nhsIDCode", "uniqueIdentifier",
		"nhsJobRole", "nhsJobRoleCode", "nhsOrgOpenDate", "nhsOrgCloseDate"}
	one := func(attrs []string, controls ...[]byte) func(i int) [][]byte {
		return func(i int) [][]byte {
			return [][]byte{ask{base: "uid=" + benchUID(i) + ",ou=People,o=nhs", scope: 2, filter: "(objectClass=*)", attrs: attrs, controls: controls}.pdu(b, 2)}
		}
	}
	computed := append(append([]string{}, held...), "cardStatus", "certificateNotAfter", "certificateExpiresInDays", "roleActive")
	for name, make := range map[string]func(i int) [][]byte{
		"three": benchRequests(b)["login"], "held": one(held), "one": one(computed, control(oidActiveRoles, false, nil)),
		"status": one(append(append([]string{}, held...), "cardStatus")),
	} {
		b.Run(name, func(b *testing.B) { benchInProcess(b, r, make) })
	}
}
