package ldap_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"cardinal/directory"
	"cardinal/directory/register"
)

// many loads a suffix with so many people besides the reader.
func (r *rig) many(people int) {
	r.t.Helper()
	suffix, err := directory.ParseDN("o=nhs")
	must(r.t, err)
	fixed := directory.NewLDIFReader(strings.NewReader(workforce))
	n := 0
	next := func() (*directory.Entry, error) {
		if record, err := fixed.Next(); err == nil {
			return record.Entry, nil
		}
		if n++; n > people {
			return nil, io.EOF
		}
		uid := fmt.Sprintf("8%011d", n)
		dn, err := directory.ParseDN("uid=" + uid + ",ou=People,o=nhs")
		e := &directory.Entry{DN: dn}
		for _, a := range [][2]string{{"objectClass", "nhsPerson"}, {"uid", uid}, {"cn", "p"}, {"sn", "Secret"}, {"nhsPersonStatus", "1"}, {"description", "secret"}} {
			e.PutString(a[0], a[1])
		}
		return e, err
	}
	position, err := r.updates.Register.Load(r.t.Context(), register.LoadJob{Ledger: r.ledger, Suffix: suffix, Next: register.FromEntries(next), By: r.issuance})
	must(r.t, err)
	must(r.t, r.replica.WaitFor(r.t.Context(), position))
}

func TestCostlySearchesAreRememberedWithoutValues(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := newRig(t, nil)
	r.many(300)
	c := r.dial(reader, "reading")
	ask := func(base, filter string) {
		t.Helper()
		_, err := search(c, base, filter, "1.1")
		must(t, err)
	}
	for range 3 {
		ask("o=nhs", "(description=nosecret)")
	}
	ask("ou=People,o=nhs", "(&(objectClass=nhsPerson)(roomNumber=secret))")
	ask("ou=People,o=nhs", "(description=*secr)")
	ask("o=nhs", "(uid=secret)")                // by the index
	ask("ou=People,o=nhs", "(objectClass=*)")   // all that was looked at is found
	ask(alex, "(description=secret)")           // few to look at
	ask("o=nhs", "(&(uid=8*)(description=x*))") // through the index of uid
	got := r.server.Costly(10)
	var found []string
	for _, x := range got {
		found = append(found, fmt.Sprintf("%s %s %s %d %q", x.Suffix, x.Scope, x.Filter, x.Count, x.Index))
		if x.Tested < 300*x.Count || x.Returned != 0 {
			t.Errorf("%+v", x)
		}
	}
	slices.Sort(found)
	want := []string{
		`o=nhs sub (&(objectClass=?)(roomNumber=?)) 1 ["roomNumber"]`,
		`o=nhs sub (&(uid=?*)(description=?*)) 1 ["description"]`,
		`o=nhs sub (description=*?) 1 []`,
		`o=nhs sub (description=?) 3 ["description"]`,
	}
	if !slices.Equal(found, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(found, "\n"), strings.Join(want, "\n"))
	}
	if got[0].Count != 3 || len(r.server.Costly(1)) != 1 {
		t.Errorf("the costliest comes first: %+v", got)
	}
	for i := range 44 { // more forms than are remembered: each is not not … so
		for _, a := range []string{"description", "roomNumber", "carLicense"} {
			ask("o=nhs", strings.Repeat("(!", 2*i+2)+"("+a+"=x)"+strings.Repeat(")", 2*i+2))
		}
	}
	if got := r.server.Costly(1000); len(got) != 128 || got[0].Count != 3 {
		t.Errorf("%d forms are remembered", len(got))
	}
}
