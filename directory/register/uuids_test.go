package register_test

import (
	"path/filepath"
	"strings"
	"testing"

	"cardinal/directory"
	"cardinal/directory/register"
)

const example = "dn: dc=example,dc=org\nobjectClass: domain\ndc: example\n"

func TestNoTwoEntriesGetTheSameUUIDOverSuffixes(t *testing.T) {
	t.Parallel()
	h := open(t, "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"))
	const first, second = "entryUUID: 2f3f5c60-9d3a-4a5e-8a0c-6a4ad2f6d101\n", "entryUUID: 2f3f5c60-9d3a-4a5e-8a0c-6a4ad2f6d102\n"
	elsewhere := func(uuid string) error {
		_, err := h.reg.Load(h.Context(), register.LoadJob{Ledger: h.ledger, Suffix: dn(h, "dc=example,dc=org"), By: issuance,
			Next: register.FromLDIF(strings.NewReader(example + uuid))})
		return err
	}
	added := func(ldif string) error {
		update := directory.Update{Kind: directory.UpdateAdd, Entry: records(h, ldif)[0].Entry, Relax: true}
		_, err := h.up.Apply(h.Context(), []register.Update{{By: issuance, Update: update}})
		return err
	}
	if err := added("dn: o=nhs\nobjectClass: organization\no: nhs\n" + first); err != nil {
		t.Fatal(err)
	}
	if err := elsewhere(first); code(err) != 19 {
		t.Errorf("a load with the UUID of an added entry: %v", err)
	}
	if err := elsewhere(second); err != nil {
		t.Fatal(err)
	}
	if err := added("dn: cn=a,o=nhs\nobjectClass: device\n" + second); code(err) != 53 {
		t.Errorf("an addition with the UUID of a loaded entry: %v", err)
	}
	if err := added("dn: cn=a,o=nhs\nobjectClass: device\n"); err != nil {
		t.Errorf("an addition without one: %v", err)
	}
}

func TestNoTwoLoadsBringTheSameUUID(t *testing.T) {
	t.Parallel()
	h := open(t, "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"))
	const u = "\nentryUUID: 2f3f5c60-9d3a-4a5e-8a0c-6a4ad2f6d101\n\n"
	if _, err := h.load(base + "dn: cn=a,o=nhs\nobjectClass: device" + u); err != nil {
		t.Fatal(err)
	}
	_, err := h.reg.Load(h.Context(), register.LoadJob{Ledger: h.ledger, Suffix: dn(h, "dc=example,dc=org"), By: issuance,
		Next: register.FromLDIF(strings.NewReader(strings.TrimSuffix(example, "\n") + u))})
	if code(err) != 19 {
		t.Errorf("a second suffix with a UUID of the first: %v", err)
	}
}
