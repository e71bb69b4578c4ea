package tree_test

import (
	"slices"
	"strings"
	"testing"

	"cardinal/directory"
	"cardinal/directory/tree"
)

// withRoles makes roleActive say what nhsJobRoleCode ends with, and refuse to
// say anything of a role without one.
func withRoles(t *testing.T, w *world) {
	t.Helper()
	code, _ := w.schema.Describe("nhsJobRoleCode")
	err := w.tree.Compute(tree.Computed{Name: "roleActive", Values: func(e *tree.Entry, into [][]byte) ([][]byte, bool) {
		switch v := string(e.First(code)); {
		case v == "":
			return into, true
		case strings.HasSuffix(v, "doubt"):
			return into, false
		case strings.HasSuffix(v, "R8000"):
			return append(into, []byte("TRUE")), true
		}
		return append(into, []byte("FALSE")), true
	}})
	if err != nil {
		t.Fatal(err)
	}
}

func TestComputedAttributesAreFoundWithThreeTruthValues(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.people()
	const above = ",uniqueIdentifier=900000000025,uid=900000000017,ou=People,o=nhs"
	const active, closed, doubtful = "uniqueIdentifier=900000000033" + above, "uniqueIdentifier=900000000034" + above, "uniqueIdentifier=900000000035" + above
	for dn, code := range map[string]string{closed: "R1", doubtful: "doubt"} {
		id := dn[len("uniqueIdentifier="):][:12]
		w.add("dn: " + dn + "\nobjectClass: nhsOrgPersonRole\nuniqueIdentifier: " + id + "\nnhsJobRole: x\nnhsJobRoleCode: " + code + "\n")
	}
	w.wait()
	withRoles(t, w)
	const base = "uid=900000000017,ou=People,o=nhs"
	w.expect(base, tree.ScopeSubtree, "(roleActive=TRUE)", active)
	w.expect(base, tree.ScopeSubtree, "(roleActive=*)", active, closed)
	w.expect("o=nhs", tree.ScopeSubtree, "(&(objectClass=nhsOrgPersonRole)(!(roleActive=TRUE)))", closed)
	w.expect("o=nhs", tree.ScopeSubtree, "(|(roleActive=TRUE)(roleActive=FALSE))", active, closed)
	w.expect(base, tree.ScopeSubtree, "(roleActive;x=TRUE)")
	w.expect(base, tree.ScopeSubtree, "(&(roleActive=TRUE)(hasSubordinates=FALSE))", active)
}

func TestComputedAttributesAreThoseTheSchemaAllows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.people()
	none := func(_ *tree.Entry, into [][]byte) ([][]byte, bool) { return into, true }
	for _, bad := range []string{"cn", "administrativeRole", "noSuchAttribute", "roleActive;x"} {
		if err := w.tree.Compute(tree.Computed{Name: bad, Values: none}); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	withRoles(t, w)
	d, _ := w.schema.Describe("roleActive")
	if !w.tree.IsComputed(d) || !slices.ContainsFunc(w.tree.Computed(), func(c directory.Description) bool { return c.Type == d.Type }) {
		t.Error("roleActive is not computed")
	}
	if sn, _ := w.schema.Describe("sn"); w.tree.IsComputed(sn) {
		t.Error("sn is computed")
	}
	err := w.tree.Get(w.key("uid=900000000017,ou=People,o=nhs"), func(e *tree.Entry) error {
		for _, d := range w.tree.Computed() {
			if values, known := e.Computed(d, nil); !known || len(values) != 1 && d.Type.Name() != "roleActive" && d.Type.Name() != "memberOf" {
				t.Errorf("%s: %q, %v", d.Type.Name(), values, known)
			}
		}
		sn, _ := w.schema.Describe("sn")
		if values, known := e.Computed(sn, nil); len(values) != 0 || !known || string(e.First(sn)) != "Example" {
			t.Errorf("sn: computed %q, first %q", values, e.First(sn))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
