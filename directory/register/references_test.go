package register_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"cardinal/directory"
	"cardinal/directory/register"
	"cardinal/internal/ledger"
)

// watch gives the house a register with rules on values of several entries.
func (h *house) watch(change func(c *register.Config)) {
	h.Helper()
	c := register.Config{Suffixes: []directory.DN{dn(h, "o=nhs")}, Managed: []directory.DN{dn(h, "ou=People,o=nhs")}, TempDir: h.TempDir()}
	change(&c)
	reg, err := register.New(h.schema, c)
	if err != nil {
		h.Fatal(err)
	}
	h.reg, h.up = reg, register.Updates{Register: reg, Ledger: h.ledger}
}

func (h *house) fill() []string {
	h.Helper()
	filled, err := h.reg.Fill(h.Context(), h.ledger)
	if err != nil {
		h.Fatal(err)
	}
	return filled
}

func members(c *register.Config) {
	c.Integrity = register.Integrity{Attributes: []string{"member", "manager"}, Limit: 20}
}

func mails(filter string) func(c *register.Config) {
	return func(c *register.Config) {
		f, err := directory.ParseFilter(filter)
		if err != nil {
			panic(err)
		}
		base, err := directory.ParseDN("ou=Services,o=nhs")
		if err != nil {
			panic(err)
		}
		c.Unique = []register.Unique{{Attributes: []string{"mail", "uid"}, Base: base, Filter: f}}
	}
}

const services = `dn: o=nhs
objectClass: organization
o: nhs

dn: ou=Services,o=nhs
objectClass: organizationalUnit
ou: Services

dn: ou=Other,o=nhs
objectClass: organizationalUnit
ou: Other

dn: ou=People,o=nhs
objectClass: organizationalUnit
ou: People

`

func clerk(name, more string) string {
	return fmt.Sprintf("dn: cn=%s,ou=Services,o=nhs\nobjectClass: inetOrgPerson\ncn: %[1]s\nsn: x\n%s\n", name, more)
}

func group(name string, of ...string) string {
	out := fmt.Sprintf("dn: cn=%s,ou=Services,o=nhs\nobjectClass: groupOfNames\ncn: %[1]s\n", name)
	for _, m := range of {
		out += "member: " + m + "\n"
	}
	return out + "\n"
}

func (h *house) values(name, attribute string) []string {
	h.Helper()
	var out []string
	for _, v := range h.get(name).Get(attribute) {
		out = append(out, string(v))
	}
	slices.Sort(out)
	return out
}

func (h *house) wantValues(name, attribute string, want ...string) {
	h.Helper()
	if got := h.values(name, attribute); !slices.Equal(got, want) {
		h.Errorf("%s of %s: %q, want %q", attribute, name, got, want)
	}
}

func (h *house) wantCode(what string, err error, code directory.Code) {
	h.Helper()
	var known *directory.Error
	if !errors.As(err, &known) || known.Code != code {
		h.Errorf("%s: %v, want code %d", what, err, code)
	}
}

func TestReferencesFollowTheirEntries(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	engines(t, func(h *house) {
		h.must(issuance, services+clerk("a", "")+clerk("b", "manager: cn=a,ou=Services,o=nhs\n")+clerk("c", ""))
		h.must(issuance, group("g", "cn=A,ou=services,o=nhs", "cn=b,ou=Services,o=nhs")+group("alone", "cn=c,ou=Services,o=nhs"))
		h.watch(members)
		if got := h.fill(); !slices.Equal(got, []string{"manager", "member"}) {
			h.Fatalf("filled %q", got)
		}
		h.must(anyone, "dn: cn=a,ou=Services,o=nhs\nchangetype: modrdn\nnewrdn: cn=z\ndeleteoldrdn: 1\nnewsuperior: ou=Other,o=nhs\n")
		h.wantValues("cn=g,ou=Services,o=nhs", "member", "cn=b,ou=Services,o=nhs", "cn=z,ou=Other,o=nhs")
		h.wantValues("cn=b,ou=Services,o=nhs", "manager", "cn=z,ou=Other,o=nhs")
		h.must(anyone, "dn: ou=Other,o=nhs\nchangetype: modrdn\nnewrdn: ou=New\ndeleteoldrdn: 1\n") // carried along
		h.wantValues("cn=g,ou=Services,o=nhs", "member", "cn=b,ou=Services,o=nhs", "cn=z,ou=New,o=nhs")
		h.must(anyone, "dn: cn=z,ou=New,o=nhs\nchangetype: delete\n")
		h.wantValues("cn=g,ou=Services,o=nhs", "member", "cn=b,ou=Services,o=nhs")
		h.wantValues("cn=b,ou=Services,o=nhs", "manager")
		err := h.do(anyone, "dn: cn=c,ou=Services,o=nhs\nchangetype: delete\n")
		h.wantCode("the last member", err, directory.UnwillingToPerform)
		if h.get("cn=c,ou=Services,o=nhs") == nil {
			h.Error("what was refused was done")
		}
		h.watch(func(c *register.Config) { members(c); c.Integrity.Nothing = dn(h, "cn=nobody,o=nhs") })
		h.must(anyone, "dn: cn=c,ou=Services,o=nhs\nchangetype: delete\n")
		h.wantValues("cn=alone,ou=Services,o=nhs", "member", "cn=nobody,o=nhs")
	})
}

func TestReferencesAreBoundedAndKeptUpWhereConfigured(t *testing.T) {
	t.Parallel()
	h := open(t, "sqlite:"+t.TempDir()+"/ledger.db")
	h.watch(func(c *register.Config) {
		members(c)
		c.Integrity.Subtrees = []directory.DN{dn(t, "ou=Services,o=nhs")}
	})
	h.fill()
	h.must(issuance, services+clerk("a", "")+clerk("b", ""))
	for i := range 21 {
		h.must(anyone, group(fmt.Sprint("g", i), "cn=a,ou=Services,o=nhs", "cn=b,ou=Services,o=nhs"))
	}
	h.must(anyone, "dn: cn=far,ou=Other,o=nhs\nobjectClass: groupOfNames\ncn: far\nmember: cn=a,ou=Services,o=nhs\n\n")
	h.wantCode("21 references", h.do(anyone, "dn: cn=a,ou=Services,o=nhs\nchangetype: delete\n"), directory.AdminLimitExceeded)
	h.wantValues("cn=g3,ou=Services,o=nhs", "member", "cn=a,ou=Services,o=nhs", "cn=b,ou=Services,o=nhs")
	h.must(anyone, "dn: cn=g20,ou=Services,o=nhs\nchangetype: delete\n\ndn: cn=a,ou=Services,o=nhs\nchangetype: delete\n")
	h.wantValues("cn=g3,ou=Services,o=nhs", "member", "cn=b,ou=Services,o=nhs")
	h.wantValues("cn=far,ou=Other,o=nhs", "member", "cn=a,ou=Services,o=nhs")
}

func TestReferencesOfLoadsAndLargeGroupsFollow(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	engines(t, func(h *house) {
		var many []string
		for i := range 1500 {
			many = append(many, fmt.Sprintf("cn=m%d,ou=Services,o=nhs", i))
		}
		h.watch(members)
		h.fill()
		if _, err := h.load(services + clerk("m3", "") + clerk("m4", "") + clerk("m5", "") + group("small", "cn=m3,ou=Services,o=nhs", "cn=m4,ou=Services,o=nhs") + group("large", many...)); err != nil {
			h.Fatal(err)
		}
		h.wantCode("before the load is tracked", h.do(anyone, "dn: cn=m3,ou=Services,o=nhs\nchangetype: delete\n"), directory.UnwillingToPerform)
		h.fill()
		h.must(anyone, "dn: cn=m3,ou=Services,o=nhs\nchangetype: delete\n")
		h.wantValues("cn=small,ou=Services,o=nhs", "member", "cn=m4,ou=Services,o=nhs")
		if got := h.values("cn=large,ou=Services,o=nhs", "member"); len(got) != 1499 || slices.Contains(got, "cn=m3,ou=Services,o=nhs") {
			h.Errorf("%d members", len(got))
		}
		h.must(anyone, "dn: cn=m4,ou=Services,o=nhs\nchangetype: modrdn\nnewrdn: cn=n4\ndeleteoldrdn: 1\n") // now the group is outlined
		if got := h.values("cn=large,ou=Services,o=nhs", "member"); len(got) != 1499 || !slices.Contains(got, "cn=n4,ou=Services,o=nhs") {
			h.Errorf("%d members", len(got))
		}
		h.must(anyone, "dn: cn=large,ou=Services,o=nhs\nchangetype: delete\n")
		if left := h.count("directory_reference"); left != 1 {
			h.Errorf("%d references are left of one", left)
		}
	})
}

func (h *house) count(table string) (n int) {
	h.Helper()
	err := h.ledger.Read(h.Context(), func(tx *ledger.Tx) error { return tx.QueryRow(`SELECT COUNT(*) FROM ` + table).Scan(&n) })
	if err != nil {
		h.Fatal(err)
	}
	return n
}

func TestUniqueValuesAreRefusedTwice(t *testing.T) {
	t.Parallel()
	engines(t, func(h *house) {
		h.must(issuance, services+clerk("old", "mail: old@example.org\n"))
		h.watch(mails("(objectClass=inetOrgPerson)"))
		h.wantCode("before anything is known", h.do(anyone, clerk("new", "mail: new@example.org\n")), directory.UnwillingToPerform)
		h.fill()
		h.must(anyone, clerk("a", "mail: a@example.org\nmail: a2@example.org\n")+clerk("b", ""))
		h.wantCode("add", h.do(anyone, clerk("x", "mail: A@EXAMPLE.org\n")), directory.ConstraintViolation)
		h.wantCode("add what an old one has", h.do(anyone, clerk("x", "mail: old@example.org\n")), directory.ConstraintViolation)
		h.wantCode("modify", h.do(anyone, "dn: cn=b,ou=Services,o=nhs\nchangetype: modify\nadd: mail\nmail: a2@example.org\n"), directory.ConstraintViolation)
		h.must(anyone, "dn: cn=a,ou=Services,o=nhs\nchangetype: modify\ndelete: mail\nmail: a2@example.org\n-\nadd: mail\nmail: a3@example.org\n")
		h.must(anyone, "dn: cn=b,ou=Services,o=nhs\nchangetype: modify\nadd: mail\nmail: a2@example.org\n")
		h.must(anyone, "dn: cn=far,ou=Other,o=nhs\nobjectClass: inetOrgPerson\ncn: far\nsn: far\nmail: a@example.org\n")
		h.wantCode("move to where it is one of two", h.do(anyone, "dn: cn=far,ou=Other,o=nhs\nchangetype: modrdn\nnewrdn: cn=far\ndeleteoldrdn: 0\nnewsuperior: ou=Services,o=nhs\n"), directory.ConstraintViolation)
		h.must(anyone, "dn: cn=a,ou=Services,o=nhs\nchangetype: delete\n\ndn: cn=far,ou=Other,o=nhs\nchangetype: modrdn\nnewrdn: cn=far\ndeleteoldrdn: 0\nnewsuperior: ou=Services,o=nhs\n")
		h.must(anyone, "dn: cn=dev,ou=Services,o=nhs\nobjectClass: device\nobjectClass: extensibleObject\ncn: dev\nmail: a@example.org\n") // no rule is about devices
		h.must(anyone, clerk("other attribute", "uid: a@example.org\n"))
	})
}

func TestUniqueHoldsAmongManyWriters(t *testing.T) {
	t.Parallel()
	engines(t, func(h *house) {
		h.watch(mails("(objectClass=*)"))
		h.fill()
		h.must(issuance, services)
		var won, lost atomic.Int64
		var done sync.WaitGroup
		for i := range 16 {
			done.Go(func() {
				e := records(h, clerk(fmt.Sprint("w", i), "mail: one@example.org\n"))[0].Entry
				_, err := h.up.Add(context.Background(), anyone, e)
				switch {
				case err == nil:
					won.Add(1)
				case strings.Contains(err.Error(), "not unique"):
					lost.Add(1)
				default:
					h.Error(err)
				}
			})
		}
		done.Wait()
		if won.Load() != 1 || lost.Load() != 15 {
			h.Errorf("%d writers have won, %d have lost", won.Load(), lost.Load())
		}
	})
}

func TestWhatIsNotTrackedAnyMoreIsForgotten(t *testing.T) {
	t.Parallel()
	h := open(t, "sqlite:"+t.TempDir()+"/ledger.db")
	h.watch(members)
	h.fill()
	h.must(issuance, services+clerk("a", "")+group("g", "cn=a,ou=Services,o=nhs"))
	h.watch(func(*register.Config) {})
	h.fill()
	if n := h.count("directory_reference") + h.count("directory_tracked"); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	for _, bad := range []string{"nonsense", "userPassword", "jpegPhoto", "description"} {
		c := register.Config{Suffixes: []directory.DN{dn(t, "o=nhs")}, Integrity: register.Integrity{Attributes: []string{bad}}}
		if _, err := register.New(h.schema, c); err == nil {
			t.Errorf("references of %s are taken", bad)
		}
	}
}
