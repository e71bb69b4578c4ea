package register_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cardinal/directory"
	"cardinal/directory/register"
	"cardinal/internal/ledger"
)

// standing is a house whose clock stands still, so that what was taken back can
// be done again to the bit, with entries of many shapes: loaded ones and rows.
func standing(t *testing.T, more func(*register.Config)) (*house, []directory.DN) {
	t.Helper()
	schema, err := directory.DefaultSchema()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	l, err := ledger.Create(t.Context(), ledger.Options{URL: "sqlite:" + filepath.Join(t.TempDir(), "ledger.db"), Rooms: []ledger.Room{register.Room()}, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	config := register.Config{Suffixes: []directory.DN{dn(t, "o=nhs")}, Managed: []directory.DN{dn(t, "ou=People,o=nhs")}, TempDir: t.TempDir()}
	if more != nil {
		more(&config)
	}
	reg, err := register.New(schema, config)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{T: t, schema: schema, ledger: l, reg: reg, up: register.Updates{Register: reg, Ledger: l}}
	if _, err := h.load(workforce(20) + shapes("ou=Services,o=nhs")); err != nil {
		t.Fatal(err)
	}
	if _, err := reg.Fill(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	h.must(issuance, strings.ReplaceAll(person("500000000001")+person("500000000002"), "sn: P\n", "sn: P\ndescription: one\ndescription: two\n"))
	h.must(issuance, shapes("ou=People,o=nhs"))
	var names []directory.DN
	for _, n := range h.names("o=nhs") {
		names = append(names, dn(t, n))
	}
	return h, names
}

// shapes are entries that are not like each other.
func shapes(above string) string {
	var b strings.Builder
	add := func(name, lines string) {
		fmt.Fprintf(&b, "dn: %s,%s\nobjectClass: inetOrgPerson\nsn: x\n%s\n\n", name, above, lines)
	}
	add("cn=plain", "cn: plain")
	add("CN=Spelled", "cn: spelled\ncn: other")
	add("cn=first+sn=x", "cn: first")
	add("cn=options", "cn: options\ncn;lang-en: english\ndescription;lang-cy: cymraeg")
	add("description=named by it", "cn: y\ndescription: named by it")
	add("cn=large", "cn: large\njpegPhoto: "+strings.Repeat("x", 5000))
	var many strings.Builder
	for i := range 1100 {
		fmt.Fprintf(&many, "\ndescription: value %d", i)
	}
	add("cn=many", "cn: many"+many.String())
	return b.String()
}

// taken is what a set-valued modification comes to.
func (h *house) taken(write func(tx *ledger.Tx) error) (rows []string, err error) {
	h.Helper()
	back := errors.New("taken back")
	_, gone := h.ledger.Write(h.Context(), func(tx *ledger.Tx) error {
		rows = nil
		if err = write(tx); err != nil {
			return back
		}
		found, err := tx.Query(`SELECT key, uuid, COALESCE(data, $1) FROM directory_entry ORDER BY key`, []byte{})
		if err != nil {
			return err
		}
		for found.Next() {
			var key, uuid, data []byte
			if err := found.Scan(&key, &uuid, &data); err != nil {
				return err
			}
			rows = append(rows, fmt.Sprintf("%q %x %q", key, uuid, data))
		}
		return back
	})
	if !errors.Is(gone, back) {
		h.Fatal(gone)
	}
	return rows, err
}

func TestManyEntriesBecomeWhatEachWouldAlone(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]func(*register.Config){
		"plain":   nil,
		"watched": func(c *register.Config) { c.Unique = []register.Unique{{Attributes: []string{"mail"}}} },
		"tracked": func(c *register.Config) { c.Integrity.Attributes = []string{"manager"} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, present := standing(t, more)
			for _, m := range []string{"nhsPersonStatus=2", "description=changed", "description=", "cn=plain", "cn=other", "mail=a@b.org",
				"manager=cn=plain,ou=People,o=nhs", "displayName=" + strings.Repeat("z", 5000), "DESCRIPTION;lang-cy=wedi", "unknown=x", "modifyTimestamp=20260101000000Z"} {
				h.alike(m, present)
				h.alike(m, present[3:20])
			}
			var some []directory.DN
			for _, uid := range []string{"900000000003", "500000000001", "nobody", "900000000001", "900000000003"} {
				some = append(some, dn(t, "uid="+uid+",ou=People,o=nhs"))
			}
			var absent []int
			_, err := h.taken(func(tx *ledger.Tx) (err error) {
				absent, err = h.reg.ModifyPresent(tx, issuance, some, replaced("description=x"))
				return err
			})
			if err != nil || !slices.Equal(absent, []int{2}) {
				t.Errorf("absent: %v, %v", absent, err)
			}
			_, err = h.taken(func(tx *ledger.Tx) error {
				_, err := h.reg.ModifyPresent(tx, anyone, some, replaced("description=x"))
				return err
			})
			if code(err) != directory.UnwillingToPerform {
				t.Errorf("another author: %v", err)
			}
		})
	}
}

func replaced(text string) []directory.Modification {
	typ, value, _ := strings.Cut(text, "=")
	m := directory.Modification{Op: directory.ModReplace, Attribute: directory.Attribute{Type: typ}}
	if value != "" {
		m.Attribute.Values = directory.Values(value)
	}
	return []directory.Modification{m}
}

// alike compares the way of many with that of one by one, for those names of
// which the latter takes the modification, and for all.
func (h *house) alike(m string, names []directory.DN) {
	h.Helper()
	mods := replaced(m)
	var good []directory.DN
	_, _ = h.taken(func(tx *ledger.Tx) error {
		good = nil
		for _, n := range names {
			if e, err := h.reg.Get(tx, n); err == nil && h.taking(e, mods) {
				good = append(good, n)
			}
		}
		return nil
	})
	for _, some := range [][]directory.DN{good, names} {
		want, wantErr := h.taken(func(tx *ledger.Tx) error { return h.reg.ModifyAll(tx, issuance, some, mods) })
		got, err := h.taken(func(tx *ledger.Tx) error {
			_, err := h.reg.ModifyPresent(tx, issuance, some, mods)
			return err
		})
		if code(err) != code(wantErr) || !slices.Equal(got, want) {
			h.Errorf("%.40s on %d entries: %v instead of %v, rows as they should be: %v", m, len(some), err, wantErr, slices.Equal(got, want))
		}
	}
}

func (h *house) taking(e *directory.Entry, mods []directory.Modification) bool {
	_, err := h.schema.Apply(e, mods)
	return err == nil
}

func TestWhatWasPreparedEarlierIsDatedWhenItIsWritten(t *testing.T) {
	t.Parallel()
	engines(t, func(h *house) {
		if _, err := h.load(workforce(120)); err != nil {
			h.Fatal(err)
		}
		h.must(issuance, person("500000000001"))
		names := []directory.DN{dn(h, "uid=500000000001,ou=People,o=nhs")}
		for i := range 100 {
			names = append(names, dn(h, fmt.Sprintf("uid=9%011d,ou=People,o=nhs", i)))
		}
		var w *register.Prepared
		err := h.ledger.Read(h.Context(), func(tx *ledger.Tx) (err error) {
			w, err = h.reg.Prepare(tx, issuance, names, replaced("nhsPersonStatus=2"))
			return err
		})
		if err != nil {
			h.Fatal(err)
		}
		var now time.Time
		for range 2 { // a transaction may be begun again
			now = time.Time{}
			_, err = h.ledger.Write(h.Context(), func(tx *ledger.Tx) error {
				now = tx.Time()
				_, err := w.Write(tx)
				return err
			})
			if err != nil {
				h.Fatal(err)
			}
		}
		for _, n := range names {
			e := h.get(n.String())
			if e.First("nhsPersonStatus") != "2" || e.First("modifyTimestamp") != string(directory.FormatTime(now)) || e.First("modifiersName") != "cn=ra,o=nhs" {
				h.Fatalf("%v", e)
			}
		}
		h.follow(nil).compare("o=nhs")
	})
}
