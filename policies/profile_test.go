package policies_test

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"cardinal/policies"
)

// edited is the embedded policy folder with one file changed.
func edited(t testing.TB, name, from, to string) fs.FS {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), from) {
		t.Fatalf("%s does not hold %q", name, from)
	}
	return fstest.MapFS{name: {Data: []byte(strings.Replace(string(text), from, to, 1))}}
}

// TestBrokenProfilesAreRefusedByName edits a profile the way a careless or
// corrupt operator would: the folder loads, and nothing can be issued under it.
func TestBrokenProfilesAreRefusedByName(t *testing.T) {
	t.Parallel()
	cases := []struct{ lint, profile, from, to string }{
		{"a_ocsp_signing_only_responder", "client", "[clientAuth]", "[clientAuth, OCSPSigning]"},
		{"issuer-path-length", "server", "{ca: false}", "{ca: true}"},
		{"a_authority_only_root_and_issuing", "operator", "[digitalSignature]", "[digitalSignature, cRLSign]"},
		{"a_logon_only_authentication", "operator", "[clientAuth]", "[clientAuth, smartcardLogon]"},
		{"a_pair_key_usage", "signature", "[contentCommitment]", "[contentCommitment, digitalSignature]"},
		{"a_pair_key_usage", "authentication", "[digitalSignature]", "[digitalSignature, keyAgreement]"},
		{"a_key_usage_critical", "signature", "critical: true", "critical: false"},
		{"a_purpose_stated", "authentication", "[clientAuth, smartcardLogon, pkinitClient]", "[anyExtendedKeyUsage]"},
		{"a_lifetime", "authentication", "{years: 3}", "{years: 4}"},
		{"a_lifetime", "operator", "{days: 30, shorter: true}", "{days: 31}"},
		{"a_responder_brief_and_nocheck", "responder", "{hours: 48, shorter: true}", "{hours: 49}"},
		{"a_responder_brief_and_nocheck", "client", "authorityKeyIdentifier: true\n    cite: RFC 5280 §4.2.1.1\n", "ocspNoCheck: true\n    cite: none\n"},
		{"a_status_found", "authentication", "[ocsp, caIssuers]", "[caIssuers]"},
		{"a_user_id_only_pair", "signature", "names: true", "names: false"},
		{"a_well_formed", "client", "[1.3.6.1.4.1.32473.1.4]", "[1.3.6.1.4.1.32473.1.4, 1.3.6.1.4.1.32473.1.4]"},
		{"e_ecdsa_allowed_ku", "server", "[digitalSignature]", "[dataEncipherment]"},
		{"e_subject_organizational_unit_name_max_length", "client", "unit: Services", "unit: " + strings.Repeat("x", 65)},
	}
	sound := defaultSet(t)
	issuing := newIssuing(t, sound, newRoot(t, sound))
	for _, c := range cases {
		t.Run(c.profile+" "+c.lint, func(t *testing.T) {
			t.Parallel()
			set, err := policies.LoadProfiles(edited(t, c.profile+".yaml", c.from, c.to))
			if err != nil {
				t.Fatal(err)
			}
			if set.Hash() == sound.Hash() {
				t.Error("the edit does not show in the hash")
			}
			_, err = set.Decide(request(t, c.profile, issuing))
			wantRefusal(t, err, c.lint)
		})
	}
}

func TestAuthorityInDisguiseIsRefused(t *testing.T) {
	t.Parallel()
	sound := defaultSet(t)
	root := newRoot(t, sound) // has no path length: only the assertion stands between
	set, err := policies.LoadProfiles(edited(t, "server.yaml", "{ca: false}", "{ca: true}"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = set.Decide(request(t, policies.ProfileServer, root))
	wantRefusal(t, err, "a_authority_only_root_and_issuing")
}

func TestFolderIsReadStrictly(t *testing.T) {
	t.Parallel()
	cases := []struct{ want, file, from, to string }{
		{"no citation", "client.yaml", "cite: RFC 5280 §4.2.1.9", "cite: ''"},
		{"not a rule of a profile", "client.yaml", "keyUsage:", "keyUses:"},
		{"said twice", "client.yaml", "extKeyUsage: [clientAuth]", "keyUsage: {bits: [digitalSignature], critical: true}"},
		{"not known", "client.yaml", "[clientAuth]", "[clientauth]"},
		{"field criticl not found", "client.yaml", "critical: true", "criticl: true"},
		{"calls itself", "client.yaml", "profile: client", "profile: server"},
		{"not an object identifier", "client.yaml", "[1.3.6.1.4.1.32473.1.4]", "[one]"},
		{"zlint has no", "lints.yaml", "leftOut: []", "leftOut: [{lint: e_none, reason: dull}]"},
		{"may not be left out", "lints.yaml", "RFC5280, ", ""},
		{"activity case.read is missing", "matrix.yaml", "activity: case.read", "activity: case.reed"},
		{"must be kept apart", "matrix.yaml", "[case.approve, card.issue]", "[case.approve, card.read]"},
		{"not for security-admin", "matrix.yaml", "allow: [{role: sponsor, notOwn: true}]", "allow: [{role: security-admin, notOwn: true}]"},
		{"never on one's own", "matrix.yaml", "allow: [{role: sponsor, notOwn: true}]", "allow: [{role: sponsor}]"},
		{"no \"stolen\"", "events.yaml", "reason: stolen", "reason: taken"},
		{"not a revocation reason", "events.yaml", "{authentication: superseded", "{authentication: removeFromCRL"},
		{"not on hold", "events.yaml", "{authentication: superseded", "{authentication: certificateHold"},
		{"only certificateHold", "events.yaml", "suspend: {authentication: certificateHold", "suspend: {authentication: superseded"},
		{"want record", "retention.yaml", "years: 2", "years: -2"},
		{"more than one document", "retention.yaml", "records:", "records: []\n---\nrecords:"},
	}
	for _, c := range cases {
		t.Run(c.file+" "+c.want, func(t *testing.T) {
			t.Parallel()
			_, err := policies.LoadProfiles(edited(t, c.file, c.from, c.to))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.file) {
				t.Errorf("got %v, want %s and %q", err, c.file, c.want)
			}
		})
	}
	if _, err := policies.LoadProfiles(fstest.MapFS{"extra.yaml": {}}); err == nil || !strings.Contains(err.Error(), "extra.yaml") {
		t.Errorf("a file nobody reads: %v", err)
	}
	if _, err := policies.LoadProfiles(os.DirFS("testdata/no-such-folder")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}

func TestEveryLineHasItsCitation(t *testing.T) {
	t.Parallel()
	set := defaultSet(t)
	for _, name := range set.Profiles() {
		p := set.Profile(name)
		if len(p.Citations) < 7 {
			t.Errorf("%s has %d lines", name, len(p.Citations))
		}
	}
	for _, out := range set.LeftOut() {
		if out.Reason == "" {
			t.Errorf("%s is left out without a reason", out.Lint)
		}
	}
	if !slices.Contains(set.Profile("signature").KeyUsage.Bits, "contentCommitment") {
		t.Error("the signature profile is not what was read")
	}
	if !strings.Contains(string(policies.Text()), "# Certificate policy") {
		t.Error("no human policy text")
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	t.Parallel()
	set := defaultSet(t)
	for name, c := range map[string]policies.Configuration{
		"country": {Country: "gb"}, "profile": {Policies: map[string]string{"card": "1.2.3"}},
		"policy": {Policies: map[string]string{"client": "1.x"}}, "organization": {Organization: "a\nb"},
	} {
		if _, err := set.With(c); err == nil {
			t.Errorf("%s was not checked", name)
		}
	}
}
