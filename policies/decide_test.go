package policies_test

import (
	"bytes"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cardinal/policies"
)

func TestSoftCASSignsExactlyTheApprovedBytes(t *testing.T) {
	t.Parallel()
	set := defaultSet(t)
	root := newRoot(t, set)
	issuing := newIssuing(t, set, root)
	for _, profile := range leafProfiles() {
		approved, err := set.Decide(request(t, profile, issuing))
		if err != nil {
			t.Errorf("%s: %v", profile, err)
			continue
		}
		certificate := sign(t, approved, issuing.key)
		if !bytes.Equal(certificate.RawTBSCertificate, approved.TBS()) {
			t.Errorf("%s: signed bytes are not the approved bytes", profile)
		}
		if approved.TBSHash() != sha256.Sum256(certificate.RawTBSCertificate) {
			t.Errorf("%s: the hash names other bytes", profile)
		}
		if err := certificate.CheckSignatureFrom(issuing.certificate); err != nil {
			t.Errorf("%s: %v", profile, err)
		}
	}
	for _, a := range []authority{root, issuing} {
		if err := a.certificate.CheckSignatureFrom(root.certificate); err != nil {
			t.Error(err)
		}
	}
}

func TestApprovedIsSpentOnceWithinAMinute(t *testing.T) {
	t.Parallel()
	set := defaultSet(t)
	issuing := newIssuing(t, set, newRoot(t, set))
	decide := func() policies.Approved {
		approved, err := set.Decide(request(t, policies.ProfileAuthentication, issuing))
		if err != nil {
			t.Fatal(err)
		}
		return approved
	}
	approved := decide()
	var spent atomic.Int32
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if err := approved.Spend(noon().Add(time.Second)); err == nil {
				spent.Add(1)
			} else if !errors.Is(err, policies.ErrApprovalSpent) {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if spent.Load() != 1 {
		t.Errorf("spent %d times", spent.Load())
	}
	late := decide()
	if err := late.Spend(noon().Add(61 * time.Second)); !errors.Is(err, policies.ErrApprovalStale) {
		t.Errorf("after 61 s: %v", err)
	}
	if err := late.Spend(noon().Add(-time.Second)); !errors.Is(err, policies.ErrApprovalStale) {
		t.Errorf("before the decision: %v", err)
	}
	if err := late.Spend(noon().Add(60 * time.Second)); err != nil {
		t.Errorf("after 60 s: %v", err)
	}
	var zero policies.Approved
	if err := zero.Spend(noon()); !errors.Is(err, policies.ErrNotApproved) {
		t.Errorf("zero value: %v", err)
	}
	if zero.Template() != nil || zero.TBS() != nil || zero.TBSHash() != [32]byte{} || zero.Serial() != "" {
		t.Error("the zero value names something")
	}
}

func TestDecideRefusesByName(t *testing.T) {
	t.Parallel()
	set := defaultSet(t)
	root := newRoot(t, set)
	issuing := newIssuing(t, set, root)
	rsa1024, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		rule, profile string
		change        func(*policies.Request)
	}{
		{"profile", "authentication", func(r *policies.Request) { r.Profile = "anything" }},
		{"issuer", "authentication", func(r *policies.Request) { r.IssuerName = "services" }},
		{"issuer-authority", "authentication", func(r *policies.Request) { r.Issuer = nil }},
		{"issuer-expired", "authentication", func(r *policies.Request) { r.Now = r.Now.AddDate(11, 0, 0) }},
		{"outlives-issuer", "authentication", func(r *policies.Request) { r.Now = r.Now.AddDate(8, 0, 0) }},
		{"outlives-issuer", "signature", func(r *policies.Request) { r.Now = r.Now.AddDate(7, 0, 0).Add(time.Second) }},
		{"key-profile", "responder", func(r *policies.Request) { r.PublicKey = rsa1024.Public() }},
		{"rsa-size", "authentication", func(r *policies.Request) { r.PublicKey = rsa1024.Public() }},
		{"key-kind", "authentication", func(r *policies.Request) { r.PublicKey = newKey(t, elliptic.P521()).Public() }},
		{"key-kind", "authentication", func(r *policies.Request) { r.PublicKey = nil }},
		{"key-of-issuer", "authentication", func(r *policies.Request) { r.PublicKey = issuing.key.Public() }},
		{"serial", "authentication", func(r *policies.Request) { r.Serial = "" }},
		{"serial-random", "authentication", func(r *policies.Request) { r.Serial = "\x01\x02" }},
		{"validity", "authentication", func(r *policies.Request) { r.Validity = 30 * 24 * time.Hour }},
		{"validity", "server", func(r *policies.Request) { r.Validity = 10000 * time.Hour }},
		{"user-id", "authentication", func(r *policies.Request) { r.Subject.UUID = "012345678901" }},
		{"name-empty", "signature", func(r *policies.Request) { r.Subject.Family = " " }},
		{"name-control", "signature", func(r *policies.Request) { r.Subject.Given = "A\u202eB" }},
		{"name-encoding", "signature", func(r *policies.Request) { r.Subject.Given = "A\xff" }},
		{"name-of-person", "client", func(r *policies.Request) { r.Subject.CommonName = "900000000017" }},
		{"name-of-person", "server", func(r *policies.Request) { r.Subject.CommonName = "900000000017_Alex" }},
		{"name-place", "server", func(r *policies.Request) { r.Subject.UPN = "a@example.org" }},
		{"name-place", "signature", func(r *policies.Request) { r.Subject.SID = "S-1-5-21-1" }},
		{"name-missing", "server", func(r *policies.Request) { r.Subject.DNSNames, r.Subject.IPs = nil, nil }},
		{"upn", "authentication", func(r *policies.Request) { r.Subject.UPN = "no domain" }},
		{"mail", "authentication", func(r *policies.Request) { r.Subject.Mail = []string{"A <a@example.org>"} }},
		{"dns", "server", func(r *policies.Request) { r.Subject.DNSNames = []string{"a_b.example.org"} }},
		{"sid", "authentication", func(r *policies.Request) { r.Subject.SID = "S-2-5" }},
		{"public-url", "authentication", func(r *policies.Request) { r.PublicURL = "https://pki.example.org" }},
	}
	for _, c := range cases {
		t.Run(c.rule+" "+c.profile, func(t *testing.T) {
			r := request(t, c.profile, issuing)
			c.change(&r)
			approved, err := set.Decide(r)
			wantRefusal(t, err, c.rule)
			if approved != (policies.Approved{}) {
				t.Error("approved what it refused")
			}
		})
	}
}

func TestLeapDayEndsOnTheTwentyEighth(t *testing.T) {
	t.Parallel()
	start, end := policies.Validity{Years: 3}.Lifetime(time.Date(2028, 2, 29, 12, 5, 0, 999, time.UTC))
	if want := time.Date(2028, 2, 29, 12, 0, 0, 0, time.UTC); !start.Equal(want) {
		t.Errorf("begins %s, want %s", start, want)
	}
	if want := time.Date(2031, 2, 28, 11, 59, 59, 0, time.UTC); !end.Equal(want) {
		t.Errorf("ends %s, want %s", end, want)
	}
}

func TestHashNamesThePolicyInForce(t *testing.T) {
	t.Parallel()
	set := defaultSet(t)
	again := defaultSet(t)
	if set.Hash() != again.Hash() {
		t.Error("the same data has two hashes")
	}
	other, err := set.With(policies.Configuration{Organization: "Example Trust"})
	if err != nil {
		t.Fatal(err)
	}
	if other.Hash() == set.Hash() {
		t.Error("another configuration has the same hash")
	}
	if names := set.Profiles(); !slices.Contains(names, "authentication") || len(names) != 10 {
		t.Errorf("profiles: %v", names)
	}
}
