package workforce_test

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"strings"
	"testing"

	"cardinal/directory"
	"cardinal/tools/internal/workforce"
)

func ldif(t *testing.T, o workforce.Options) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := workforce.WriteLDIF(&b, workforce.All(o)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestTheSameSeedGivesTheSameWorkforce(t *testing.T) {
	t.Parallel()
	o := workforce.Options{People: 200, Organisations: 20, Seed: 7}
	if !bytes.Equal(ldif(t, o), ldif(t, o)) {
		t.Error("two runs differ")
	}
	other := o
	other.Seed = 8
	if sha256.Sum256(ldif(t, o)) == sha256.Sum256(ldif(t, other)) {
		t.Error("two seeds agree")
	}
}

func TestALargerWorkforceHoldsTheSmaller(t *testing.T) {
	t.Parallel()
	small := slices.Collect(workforce.Numbers(workforce.Options{People: 50, Seed: 3}))
	large := slices.Collect(workforce.Numbers(workforce.Options{People: 500, Seed: 3}))
	if !slices.Equal(small, large[:50]) {
		t.Error("people changed with the size")
	}
}

func TestNumbersAreUniqueAndTwelveDigits(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for e := range workforce.All(workforce.Options{People: 5000, Organisations: 100, Seed: 42}) {
		rdn, _, _ := strings.Cut(e.DN, ",")
		kind, id, _ := strings.Cut(rdn, "=")
		if kind != "uid" && (kind != "uniqueIdentifier" || len(id) != 12) {
			continue
		}
		if len(id) != 12 || id[0] == '0' || strings.Trim(id, "0123456789") != "" {
			t.Fatalf("number %q", id)
		}
		if seen[id] {
			t.Fatalf("number %s is there twice", id)
		}
		seen[id] = true
	}
	if len(seen) < 15_000 {
		t.Errorf("%d numbers", len(seen))
	}
}

func TestParentsComeFirstAndEverybodyHasOneToFourRoles(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	roles := map[string]int{}
	people := 0
	for e := range workforce.All(workforce.Options{People: 1000, Organisations: 50, Seed: 1, Suffix: "dc=example"}) {
		_, parent, _ := strings.Cut(e.DN, ",")
		if e.DN != "dc=example" && !seen[parent] {
			t.Fatalf("%s comes before its parent", e.DN)
		}
		seen[e.DN] = true
		if strings.Count(e.DN, "uniqueIdentifier=") == 2 {
			roles[strings.Split(e.DN, ",")[2]]++
		}
		if strings.HasPrefix(e.DN, "uid=") {
			people++
		}
	}
	if len(roles) != people {
		t.Errorf("%d of %d people have roles", len(roles), people)
	}
	for who, n := range roles {
		if n < 1 || n > 4 {
			t.Errorf("%s has %d roles", who, n)
		}
	}
}

// TestEveryEntryFitsTheSchema has the directory's own schema and LDIF reader
// judge what is written.
func TestEveryEntryFitsTheSchema(t *testing.T) {
	t.Parallel()
	schema, err := directory.DefaultSchema()
	if err != nil {
		t.Fatal(err)
	}
	r := directory.NewLDIFReader(bytes.NewReader(ldif(t, workforce.Options{People: 300, Organisations: 30, Seed: 9})))
	n := 0
	for {
		record, err := r.Next()
		if err != nil {
			break
		}
		if err := schema.Check(record.Entry); err != nil {
			t.Fatalf("%s: %v", record.Entry.DN, err)
		}
		n++
	}
	if n < 1000 {
		t.Errorf("%d entries read back", n)
	}
}

// TestMailAddressesAreASCII: IA5String is what the mail attribute takes
// (RFC 4524 §2.16), whatever the names are.
func TestMailAddressesAreASCII(t *testing.T) {
	t.Parallel()
	for e := range workforce.All(workforce.Options{People: 5000, Organisations: 10, Seed: 2}) {
		for _, a := range e.Attributes {
			if a.Type == "mail" && strings.ContainsFunc(a.Values[0], func(r rune) bool { return r > 126 || r <= ' ' || r == '\'' }) {
				t.Fatalf("%s has mail %s", e.DN, a.Values[0])
			}
		}
	}
}
