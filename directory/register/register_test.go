package register_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"cardinal/directory"
	"cardinal/directory/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/internal/ledger/pgtest"
)

// house is a register over a ledger of its own.
type house struct {
	*testing.T
	schema *directory.Schema
	ledger *ledger.Ledger
	reg    *register.Register
	up     register.Updates
}

var anyone = register.Author{DN: "cn=tester,o=nhs"}
var issuance = register.Author{DN: "cn=ra,o=nhs", Issuance: true}

func dn(t testing.TB, s string) directory.DN {
	t.Helper()
	d, err := directory.ParseDN(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// engines runs a test on SQLite and on PostgreSQL.
func engines(t *testing.T, run func(*house)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		run(open(t, "sqlite:"+filepath.Join(t.TempDir(), "ledger.db")))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		run(open(t, pgtest.URL(t)))
	})
}

func open(t *testing.T, url string) *house {
	t.Helper()
	schema, err := directory.DefaultSchema()
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Create(t.Context(), ledger.Options{URL: url, Rooms: []ledger.Room{register.Room()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	reg, err := register.New(schema, register.Config{
		Suffixes: []directory.DN{dn(t, "o=nhs"), dn(t, "dc=example,dc=org")},
		Managed:  []directory.DN{dn(t, "ou=People,o=nhs")}, MoveLimit: 50, TempDir: t.TempDir(), SortMemory: 64 << 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &house{T: t, schema: schema, ledger: l, reg: reg, up: register.Updates{Register: reg, Ledger: l}}
}

func records(t testing.TB, ldif string) []*directory.Record {
	t.Helper()
	var out []*directory.Record
	r := directory.NewLDIFReader(strings.NewReader(ldif))
	for {
		rec, err := r.Next()
		if err != nil {
			if err.Error() != "EOF" {
				t.Fatal(err)
			}
			return out
		}
		out = append(out, rec)
	}
}

// do runs LDIF records, content ones as adds, and returns the first error.
func (h *house) do(by register.Author, ldif string) error {
	h.Helper()
	for _, rec := range records(h, ldif) {
		var err error
		switch rec.Kind {
		case directory.RecordContent, directory.RecordAdd:
			_, err = h.up.Add(h.Context(), by, rec.Entry)
		case directory.RecordModify:
			_, err = h.up.Modify(h.Context(), by, rec.DN, rec.Mods)
		case directory.RecordDelete:
			_, err = h.up.Delete(h.Context(), by, rec.DN)
		case directory.RecordMove:
			_, err = h.up.Move(h.Context(), by, rec.Move)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (h *house) must(by register.Author, ldif string) {
	h.Helper()
	if err := h.do(by, ldif); err != nil {
		h.Fatal(err)
	}
}

// get returns an entry as LDIF, "" if there is none.
func (h *house) get(name string) *directory.Entry {
	h.Helper()
	var e *directory.Entry
	err := h.ledger.Read(h.Context(), func(tx *ledger.Tx) (err error) {
		e, err = h.reg.Get(tx, dn(h, name))
		return err
	})
	var refused *directory.Error
	if errors.As(err, &refused) && refused.Code == directory.NoSuchObject {
		return nil
	}
	if err != nil {
		h.Fatal(err)
	}
	return e
}

// names lists a subtree.
func (h *house) names(base string) []string {
	h.Helper()
	var out []string
	err := h.ledger.Read(h.Context(), func(tx *ledger.Tx) error {
		return h.reg.Subtree(tx, dn(h, base), func(e *directory.Entry) error {
			out = append(out, e.DN.String())
			return nil
		})
	})
	if err != nil {
		h.Fatal(err)
	}
	return out
}

func (h *house) changes() []journal.Change {
	h.Helper()
	c, err := h.ledger.Feed().Read(h.Context(), 0, 100_000)
	if err != nil {
		h.Fatal(err)
	}
	return c
}

const base = `dn: o=nhs
objectClass: organization
o: nhs

dn: ou=Services,o=nhs
objectClass: organizationalUnit

dn: ou=People,o=nhs
objectClass: organizationalUnit

`

func person(id string) string {
	return fmt.Sprintf("dn: uid=%s,ou=People,o=nhs\nobjectClass: nhsPerson\ncn: P %s\nsn: P\nnhsPersonStatus: 1\n\n", id, id)
}

func code(err error) directory.Code {
	var e *directory.Error
	switch {
	case err == nil:
		return directory.Success
	case errors.As(err, &e):
		return e.Code
	}
	return directory.Other
}

func TestAddSetsOperationalAttributes(t *testing.T) {
	t.Parallel()
	engines(t, func(h *house) {
		h.must(issuance, base+person("900000000017"))
		e := h.get("UID=900000000017 , ou=people;o=NHS")
		if e == nil {
			h.Fatal("not found under another spelling of its name")
		}
		for _, a := range []string{"entryUUID", "createTimestamp", "modifyTimestamp"} {
			if e.First(a) == "" {
				h.Errorf("%s is missing", a)
			}
		}
		if e.First("creatorsName") != issuance.DN || e.First("structuralObjectClass") != "nhsPerson" || e.First("uid") != "900000000017" {
			h.Errorf("got\n%s", directory.AppendLDIF(nil, e))
		}
		if !e.Has("objectClass", []byte("inetOrgPerson")) || !e.Has("objectClass", []byte("top")) {
			h.Error("superclasses were not added")
		}
	})
}

func TestCodesOfSingleWrites(t *testing.T) {
	t.Parallel()
	engines(t, func(h *house) {
		h.must(issuance, base+person("900000000017"))
		h.must(anyone, "dn: cn=a,ou=Services,o=nhs\nobjectClass: device\ndescription: x\n\n"+
			"dn: cn=b,cn=a,ou=Services,o=nhs\nobjectClass: device\n\n"+
			"dn: cn=sub,ou=Services,o=nhs\nobjectClass: subentry\nsubtreeSpecification: {}\n\n")
		for _, c := range []struct {
			what, ldif string
			want       directory.Code
		}{
			{"exists", "dn: CN=A,ou=Services,o=nhs\nobjectClass: device\n\n", 68},
			{"no parent", "dn: cn=x,cn=y,ou=Services,o=nhs\nobjectClass: device\n\n", 32},
			{"below a subentry", "dn: cn=x,cn=sub,ou=Services,o=nhs\nobjectClass: device\n\n", 65},
			{"move below a subentry", "dn: cn=a,ou=Services,o=nhs\nchangetype: moddn\nnewrdn: cn=a\ndeleteoldrdn: 0\nnewsuperior: cn=sub,ou=Services,o=nhs\n\n", 65},
			{"other suffix", "dn: c=GB\nobjectClass: country\n\n", 32},
			{"operational", "dn: cn=x,ou=Services,o=nhs\nobjectClass: device\nentryUUID: 2f3f5c60-9d3a-4a5e-8a0c-6a4ad2f6d101\n\n", 19},
			{"managed add", person("900000000025"), 53},
			{"managed modify", "dn: uid=900000000017,ou=People,o=nhs\nchangetype: modify\nreplace: cn\ncn: q\n-\n\n", 53},
			{"managed delete", "dn: uid=900000000017,ou=People,o=nhs\nchangetype: delete\n\n", 53},
			{"move into managed", "dn: cn=a,ou=Services,o=nhs\nchangetype: moddn\nnewrdn: cn=a\ndeleteoldrdn: 0\nnewsuperior: ou=People,o=nhs\n\n", 53},
			{"non-leaf", "dn: cn=a,ou=Services,o=nhs\nchangetype: delete\n\n", 66},
			{"delete nothing", "dn: cn=z,ou=Services,o=nhs\nchangetype: delete\n\n", 32},
			{"below itself", "dn: cn=a,ou=Services,o=nhs\nchangetype: moddn\nnewrdn: cn=a\ndeleteoldrdn: 0\nnewsuperior: cn=b,cn=a,ou=Services,o=nhs\n\n", 53},
			{"superior missing", "dn: cn=a,ou=Services,o=nhs\nchangetype: moddn\nnewrdn: cn=a\ndeleteoldrdn: 0\nnewsuperior: ou=q,o=nhs\n\n", 32},
			{"another suffix", "dn: cn=a,ou=Services,o=nhs\nchangetype: moddn\nnewrdn: cn=a\ndeleteoldrdn: 0\nnewsuperior: dc=example,dc=org\n\n", 71},
			{"name taken", "dn: cn=b,cn=a,ou=Services,o=nhs\nchangetype: moddn\nnewrdn: cn=a\ndeleteoldrdn: 0\nnewsuperior: ou=Services,o=nhs\n\n", 68},
			{"empty list", "dn: cn=a,ou=Services,o=nhs\nchangetype: modify\n\n", 0},
		} {
			if got := code(h.do(anyone, strings.TrimPrefix(c.ldif, "\n"))); got != c.want && c.what != "empty list" {
				h.Errorf("%s: %v, want %v", c.what, got, c.want)
			}
		}
		err := h.do(anyone, "dn: cn=x,cn=y,ou=Services,o=nhs\nobjectClass: device\n\n")
		var e *directory.Error
		if !errors.As(err, &e) || e.Matched.String() != "ou=Services,o=nhs" {
			h.Errorf("matched name of %v", err)
		}
	})
}

func TestPasswordsTravelApart(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	engines(t, func(h *house) {
		h.must(issuance, base)
		h.must(anyone, "dn: uid=svc,ou=Services,o=nhs\nobjectClass: account\nobjectClass: simpleSecurityObject\nuserPassword: geheim123\n\n")
		if e := h.get("uid=svc,ou=Services,o=nhs"); e.Attribute("userPassword") != nil {
			h.Error("the password is in the entry")
		}
		h.must(anyone, "dn: uid=svc,ou=Services,o=nhs\nchangetype: modify\ndelete: userPassword\nuserPassword: geheim123\n-\nadd: userPassword\nuserPassword: neu456\n-\n\n")
		if got := code(h.do(anyone, "dn: uid=svc,ou=Services,o=nhs\nchangetype: modify\ndelete: userPassword\n-\n\n")); got != 65 {
			h.Errorf("removing a required password: %v", got)
		}
		if got := code(h.do(anyone, "dn: uid=svc,ou=Services,o=nhs\nchangetype: modify\ndelete: userPassword\nuserPassword: geheim123\n-\n\n")); got != 16 {
			h.Errorf("removing an old password: %v", got)
		}
		var last directory.Secret
		for _, c := range h.changes() {
			if strings.Contains(string(c.Body), "geheim123") || strings.Contains(string(c.Body), "neu456") {
				h.Errorf("change %d holds the password", c.Position)
			}
			if c.Kind != journal.KindSecretsChanged {
				if strings.Contains(string(c.Body), "ARGON2") {
					h.Errorf("public change %d holds a verifier", c.Position)
				}
				continue
			}
			x, err := directory.ParseSecretsChanged(c.Body)
			if err != nil {
				h.Fatal(err)
			}
			last = x.Secrets[len(x.Secrets)-1]
		}
		if len(last.Values) != 1 {
			h.Fatalf("%d verifiers", len(last.Values))
		}
		if ok, err := directory.CheckPassword(last.Values[0], []byte("neu456")); !ok || err != nil {
			h.Errorf("the last verifier is not the new password's: %v", err)
		}
	})
}

func TestMoveCarriesTheSubtree(t *testing.T) {
	t.Parallel()
	engines(t, func(h *house) {
		h.must(issuance, base+"dn: ou=x,ou=Services,o=nhs\nobjectClass: organizationalUnit\n\n"+
			"dn: cn=a,ou=x,ou=Services,o=nhs\nobjectClass: device\n\ndn: cn=b,cn=a,ou=x,ou=Services,o=nhs\nobjectClass: device\n\n")
		uuid := h.get("cn=b,cn=a,ou=x,ou=Services,o=nhs").First("entryUUID")
		h.must(anyone, "dn: cn=a,ou=x,ou=Services,o=nhs\nchangetype: moddn\nnewrdn: cn=c\ndeleteoldrdn: 1\nnewsuperior: ou=Services,o=nhs\n\n")
		if got := h.names("ou=Services,o=nhs"); strings.Join(got, " ") !=
			"ou=Services,o=nhs cn=c,ou=Services,o=nhs cn=b,cn=c,ou=Services,o=nhs ou=x,ou=Services,o=nhs" {
			h.Errorf("got %q", got)
		}
		if h.get("cn=b,cn=c,ou=Services,o=nhs").First("entryUUID") != uuid {
			h.Error("another UUID after the move")
		}
		e := h.get("cn=c,ou=Services,o=nhs")
		if len(e.Get("cn")) != 1 || e.First("cn") != "c" {
			h.Errorf("cn is %q", e.Get("cn"))
		}
		h.must(anyone, "dn: cn=c,ou=Services,o=nhs\nchangetype: moddn\nnewrdn: CN=C\ndeleteoldrdn: 1\n\n")
		if e := h.get("cn=b,cn=c,ou=Services,o=nhs"); e == nil || e.DN.String() != "cn=b,CN=C,ou=Services,o=nhs" {
			h.Errorf("after changing the case: %v", e)
		}
	})
}
