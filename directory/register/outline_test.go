package register_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"cardinal/directory"
	"cardinal/internal/journal"
)

func member(i int) string { return fmt.Sprintf("uid=9%011d,ou=People,o=nhs", i) }

func one(op directory.ModOp, attribute string, values ...string) []directory.Modification {
	return []directory.Modification{{Op: op, Attribute: directory.Attribute{Type: attribute, Values: directory.Values(values...)}}}
}

// group makes cn=g,o=nhs with n members.
func (h *house) group(n int) {
	h.Helper()
	e := &directory.Entry{DN: dn(h, "cn=g,o=nhs")}
	e.PutString("objectClass", "groupOfNames", "extensibleObject")
	e.PutString("description", "d")
	members := make([]string, n)
	for i := range members {
		members[i] = member(i)
	}
	e.PutString("member", members...)
	if _, err := h.up.Add(h.Context(), anyone, e); err != nil {
		h.Fatal(err)
	}
}

func (h *house) modifyGroup(m []directory.Modification) directory.Code {
	_, err := h.up.Modify(h.Context(), anyone, dn(h, "cn=g,o=nhs"), m)
	return code(err)
}

func TestLargeEntriesAreCutIntoChanges(t *testing.T) {
	t.Parallel()
	h := open(t, "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"))
	h.must(issuance, base)
	h.group(3000)
	photo := string(bytes.Repeat([]byte("p"), 200_000))
	if c := h.modifyGroup(one(directory.ModAdd, "jpegPhoto", photo, string(bytes.Repeat([]byte("q"), 5_000)))); c != 0 {
		t.Fatal(c)
	}
	if c := h.modifyGroup(one(directory.ModDelete, "jpegPhoto", photo)); c != 18 {
		t.Errorf("deleting a photo by value: %v", c)
	}
	for _, c := range h.changes() {
		if len(c.Body) > journal.MaxBody {
			t.Errorf("change %d has %d bytes", c.Position, len(c.Body))
		}
	}
	h.follow(nil).compare("o=nhs")
	if got := h.get("cn=g,o=nhs"); len(got.Get("member")) != 3000 || len(got.Get("jpegPhoto")[0]) != 200_000 {
		t.Error("values were lost")
	}
}

func TestOutlinedValuesHaveTheSameCodes(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	engines(t, func(h *house) {
		h.must(issuance, base)
		h.group(1200)
		for _, c := range []struct {
			mods []directory.Modification
			want directory.Code
		}{
			{one(directory.ModAdd, "member", "UID=900000000003, ou=people,o=NHS"), 20},
			{one(directory.ModDelete, "member", member(5000)), 16},
			{one(directory.ModDelete, "member", "UID=900000000003, ou=people,o=NHS"), 0},
			{one(directory.ModDelete, "member", member(3)), 16},
			{one(directory.ModAdd, "member", member(3), member(5000)), 0},
			{slices.Concat(one(directory.ModDelete, "member", member(5000)), one(directory.ModAdd, "member", member(5000))), 0},
			{one(directory.ModAdd, "member", "x"), 21},
			{one(directory.ModDelete, "member"), 65},
			{one(directory.ModReplace, "description", "e"), 0},
		} {
			if got := h.modifyGroup(c.mods); got != c.want {
				h.Errorf("%s %.80q: %v, want %v", c.mods[0].Op, c.mods[0].Attribute.Values, got, c.want)
			}
		}
		if n := len(h.get("cn=g,o=nhs").Get("member")); n != 1201 {
			h.Errorf("%d members", n)
		}
		h.must(anyone, "dn: cn=g,o=nhs\nchangetype: moddn\nnewrdn: cn=h\ndeleteoldrdn: 1\n\n")
		h.must(anyone, "dn: cn=h,o=nhs\nchangetype: moddn\nnewrdn: cn=g\ndeleteoldrdn: 1\n\n")
		h.follow(nil).compare("o=nhs")
		h.must(anyone, "dn: cn=g,o=nhs\nchangetype: delete\n\n")
		h.group(1100)
		h.follow(nil).compare("o=nhs")
	})
}

func TestOutlinedValuesComeAndGo(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	h := open(t, "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"))
	h.must(issuance, base)
	h.group(1100)
	chance := rand.New(rand.NewPCG(3, 4))
	f := h.follow(nil)
	for range 60 {
		from, n := chance.IntN(1300), chance.IntN(120)
		values := make([]string, n)
		for i := range values {
			values[i] = member(from + i)
		}
		op := directory.ModAdd
		if chance.IntN(2) == 0 {
			op = directory.ModDelete
		}
		h.modifyGroup(one(op, "member", values...))
	}
	f = h.follow(f)
	f.compare("o=nhs")
	for i := range 140 {
		values := make([]string, 10)
		for k := range values {
			values[k] = member(i*10 + k)
		}
		for _, v := range values {
			if i%20 == 0 {
				h.modifyGroup(one(directory.ModDelete, "member", v))
			}
		}
		h.modifyGroup(one(directory.ModDelete, "member", values...))
	}
	h.follow(f).compare("o=nhs")
}

func TestOneOfManyMembersLeavesQuickly(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	h := open(t, "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"))
	h.must(issuance, base)
	h.group(20_000)
	took := time.Hour // of the quickest: others want the machine too
	for i := range 20 {
		began := time.Now()
		if c := h.modifyGroup(one(directory.ModDelete, "member", member(i*100))); c != 0 {
			t.Fatal(c)
		}
		took = min(took, time.Since(began))
	}
	t.Logf("one member deleted from a group of 20,000: %v", took)
	if took > 200*time.Millisecond { // 10 ms are asked for; a busy machine needs room
		t.Errorf("deleting one member took %v", took)
	}
}
