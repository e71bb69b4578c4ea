package register_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"cardinal/directory"
	"cardinal/directory/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// load fills o=nhs from LDIF.
func (h *house) load(ldif string) (journal.Position, error) {
	job := register.LoadJob{Ledger: h.ledger, Suffix: dn(h, "o=nhs"), By: issuance}
	job.Next = register.FromLDIF(strings.NewReader(ldif))
	return h.reg.Load(h.Context(), job)
}

// workforce writes people with roles, in an order that is not that of names.
func workforce(people int) string {
	var b strings.Builder
	b.WriteString("version: 1\n\n" + base)
	ids := rand.New(rand.NewPCG(1, 2)).Perm(people)
	for _, i := range ids {
		id := fmt.Sprintf("9%011d", i)
		b.WriteString(person(id))
		fmt.Fprintf(&b, "dn: uniqueIdentifier=8%011d,uid=%s,ou=People,o=nhs\nobjectClass: nhsOrgPersonRole\nnhsJobRole: x\nnhsIDCode: X99\n\n", i, id)
	}
	return b.String()
}

func TestLoadIsOneChangeAndEveryEntry(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	engines(t, func(h *house) {
		position, err := h.load(workforce(700))
		if err != nil {
			h.Fatal(err)
		}
		changes := h.changes()
		if len(changes) != 1 || changes[0].Position != position || changes[0].Kind != journal.KindSuffixLoaded {
			h.Fatalf("%d changes", len(changes))
		}
		x, err := directory.ParseSuffixLoaded(changes[0].Body)
		if err != nil || x.Entries != 1403 {
			h.Fatalf("%v, %d entries", err, x.Entries)
		}
		names := h.names("o=nhs")
		keys := make([]directory.Key, len(names))
		for i, n := range names {
			keys[i], _ = h.schema.ParseKey(n)
		}
		if len(names) != 1403 || !slices.IsSorted(keys) {
			h.Errorf("%d names, sorted %v", len(names), slices.IsSorted(keys))
		}
		r, err := directory.OpenLoad(func(c journal.Hash) (io.ReadCloser, error) {
			return h.ledger.Feed().Content(h.Context(), c)
		}, x.Content)
		if err != nil {
			h.Fatal(err)
		}
		n := 0
		for {
			entries, err := r.NextBlock()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				h.Fatal(err)
			}
			for _, e := range entries {
				if e.Entry.DN.String() != names[n] || e.Entry.First("createTimestamp") == "" {
					h.Fatalf("entry %d is %s", n, e.Entry.DN)
				}
				n++
			}
		}
		if n != 1403 {
			h.Errorf("%d entries in the blocks", n)
		}
		if got := code(func() error { _, err := h.load(workforce(1)); return err }()); got != 53 {
			h.Errorf("loading again: %v", got)
		}
	})
}

func TestWritesOverALoad(t *testing.T) {
	t.Parallel()
	engines(t, func(h *house) {
		if _, err := h.load(workforce(300)); err != nil {
			h.Fatal(err)
		}
		p := "uid=900000000100,ou=People,o=nhs"
		role := "uniqueIdentifier=800000000100," + p
		if got := code(h.do(issuance, "dn: "+p+"\nchangetype: delete\n\n")); got != 66 {
			h.Errorf("deleting a person with a role: %v", got)
		}
		h.must(issuance, "dn: "+p+"\nchangetype: modify\nreplace: sn\nsn: Changed\n-\n\ndn: "+role+"\nchangetype: delete\n\n")
		if got := h.names(p); len(got) != 1 {
			h.Errorf("below the person: %q", got)
		}
		h.must(issuance, "dn: "+p+"\nchangetype: delete\n\n")
		if h.get(p) != nil || len(h.names("o=nhs")) != 601 {
			h.Error("the person is still there")
		}
		h.must(issuance, person("900000000100"))
		if h.get(p).First("sn") != "P" || len(h.names("o=nhs")) != 602 {
			h.Error("the person did not come back")
		}
	})
}

func TestRegisterIsReadInOtherWays(t *testing.T) {
	t.Parallel()
	h := open(t, "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"))
	if _, err := h.load(workforce(40)); err != nil {
		t.Fatal(err)
	}
	h.must(anyone, "dn: uid=svc,ou=Services,o=nhs\nobjectClass: account\nuserPassword: {SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n\n")
	var children []string
	secrets := 0
	err := h.ledger.Read(t.Context(), func(tx *ledger.Tx) error {
		err := h.reg.Children(tx, dn(t, "ou=People,o=nhs"), func(e *directory.Entry) error {
			children = append(children, e.DN.String())
			return nil
		})
		if err != nil {
			return err
		}
		r, err := h.reg.Loaded(tx, dn(t, "o=nhs"))
		if err != nil || r.Manifest().Entries != 83 {
			t.Errorf("loaded: %v", err)
		}
		if r, err := h.reg.Loaded(tx, dn(t, "dc=example,dc=org")); err != nil || r != nil {
			t.Errorf("not loaded: %v", err)
		}
		return h.reg.Secrets(tx, func(s directory.Secret) error {
			secrets++
			if s.Attribute != "userPassword" || !strings.HasPrefix(string(s.Values[0]), "{SHA}") {
				t.Errorf("%+v", s)
			}
			return nil
		})
	})
	if err != nil || len(children) != 40 || children[7] != "uid=900000000007,ou=People,o=nhs" || secrets != 1 {
		t.Errorf("%v, %d children, %d secrets", err, len(children), secrets)
	}
}

func TestLoadRefusesUUIDsThatStandTwice(t *testing.T) {
	t.Parallel()
	h := open(t, "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"))
	const u = "\nentryUUID: 2f3f5c60-9d3a-4a5e-8a0c-6a4ad2f6d101\n\n"
	_, err := h.load(base + "dn: cn=a,o=nhs\nobjectClass: device" + u + "dn: cn=b,o=nhs\nobjectClass: device" + u)
	if code(err) != 19 {
		t.Error(err)
	}
}

func TestLoadRefusesWithTheLine(t *testing.T) {
	t.Parallel()
	h := open(t, "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"))
	for _, c := range []struct {
		what, ldif, want string
		code             directory.Code
	}{
		{"unknown attribute", base + "dn: cn=a,o=nhs\nobjectClass: device\nnosuch: 1\n\n", "line 11: cn=a,o=nhs: undefinedAttributeType: nosuch", 17},
		{"missing must", base + "dn: uid=1,ou=People,o=nhs\nobjectClass: nhsPerson\ncn: x\n\n", "line 11", 65},
		{"twice", base + "dn: OU=people,o=nhs\nobjectClass: organizationalUnit\n\n", "stands twice: line 8", 68},
		{"no parent", base + "dn: cn=a,cn=b,o=nhs\nobjectClass: device\n\n", "line 11", 32},
		{"no suffix", "dn: cn=a,o=nhs\nobjectClass: device\n\n", "line 1", 32},
		{"elsewhere", base + "dn: dc=example,dc=org\nobjectClass: domain\n\n", "line 11", 32},
		{"truncated", base + "dn: cn=a,o=nhs\nobjectClass: dev", "line 12 (byte 167)", 80},
	} {
		_, err := h.load(c.ldif)
		if err == nil || !strings.Contains(err.Error(), c.want) || code(err) != c.code {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	if len(h.changes()) != 0 {
		t.Error("a refused load left a change")
	}
	if _, err := h.load(base); err != nil {
		t.Errorf("after refusals: %v", err)
	}
}

func TestLoadKeepsUUIDsAndVerifiers(t *testing.T) {
	t.Parallel()
	h := open(t, "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"))
	const u = "2f3f5c60-9d3a-4a5e-8a0c-6a4ad2f6d101"
	const v = "{SSHA}W6ph5Mm5Pz8GgiULbPgzG37mj9gxMjM0"
	_, err := h.load(base + "dn: uid=s,o=nhs\nobjectClass: account\nobjectClass: simpleSecurityObject\nuserPassword: " + v +
		"\nentryUUID: " + u + "\nentryCSN: 20260101000000.000000Z#000000#000#000000\ncreateTimestamp: 20200101000000Z\n\n")
	if err != nil {
		t.Fatal(err)
	}
	e := h.get("uid=s,o=nhs")
	if e.First("entryUUID") != u || e.First("createTimestamp") != "20200101000000Z" || e.Attribute("userPassword") != nil || e.Attribute("entryCSN") != nil {
		t.Errorf("got\n%s", directory.AppendLDIF(nil, e))
	}
	changes := h.changes()
	x, err := directory.ParseSecretsChanged(changes[len(changes)-1].Body)
	if err != nil || len(x.Secrets) != 1 || x.Secrets[0].UUID.String() != u || !bytes.Equal(x.Secrets[0].Values[0], []byte(v)) {
		t.Errorf("%v %v", x, err)
	}
	h.must(anyone, "dn: uid=s,o=nhs\nchangetype: modify\nreplace: description\ndescription: y\n-\n\n")
}

// BenchmarkLoad loads the entries LOAD_LDIF names, or 50,000 people's.
func BenchmarkLoad(b *testing.B) {
	schema, err := directory.DefaultSchema()
	if err != nil {
		b.Fatal(err)
	}
	text := ""
	if os.Getenv("LOAD_LDIF") == "" {
		text = workforce(50_000)
	}
	for b.Loop() {
		var in io.Reader = strings.NewReader(text)
		if name := os.Getenv("LOAD_LDIF"); name != "" {
			f, err := os.Open(name)
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			in = f
		}
		path := filepath.Join(b.TempDir(), "ledger.db")
		l, err := ledger.Create(b.Context(), ledger.Options{URL: "sqlite:" + path, Rooms: []ledger.Room{register.Room()}})
		if err != nil {
			b.Fatal(err)
		}
		reg, err := register.New(schema, register.Config{Suffixes: []directory.DN{dn(b, "o=nhs")}})
		if err != nil {
			b.Fatal(err)
		}
		job := register.LoadJob{Ledger: l, Suffix: dn(b, "o=nhs"), By: issuance}
		job.Next = register.FromLDIF(in)
		var done uint64
		var stored time.Time
		job.Progress = func(p register.LoadProgress) {
			if done = p.Done; p.Stored && stored.IsZero() {
				stored = time.Now()
			}
		}
		began := time.Now()
		if _, err := reg.Load(b.Context(), job); err != nil {
			b.Fatal(err)
		}
		took := time.Since(began)
		l.Close()
		st, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(done)/took.Seconds(), "entries/s")
		b.ReportMetric(stored.Sub(began).Seconds(), "s-reading")
		b.ReportMetric(float64(st.Size())/float64(done), "B/entry")
		b.ReportMetric(float64(m.Sys)/(1<<20), "MiB-sys")
	}
}
