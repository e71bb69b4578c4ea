package tree_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"cardinal/directory"
	"cardinal/directory/tree"
	"cardinal/internal/journal"
)

const (
	alex = "uid=900000000017,ou=People,o=nhs"
	org  = "uniqueIdentifier=900000000025," + alex
	role = "uniqueIdentifier=900000000033," + org
	bo   = "uid=900000000025,ou=People,o=nhs"
)

func TestSearchFindsByEveryIndexAndScope(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.people()
	w.check()
	sub, one, base, below := tree.ScopeSubtree, tree.ScopeOneLevel, tree.ScopeBase, tree.ScopeSubordinate
	w.expect("o=nhs", sub, "(uid=900000000017)", alex, org)
	w.expect("ou=people,o=NHS", one, "(uid=900000000017)", alex)
	w.expect("o=nhs", sub, "(uniqueIdentifier=900000000033)", role)
	w.expect(alex, sub, "(objectClass=*)", alex, org, role)
	w.expect(alex, below, "(objectClass=*)", org, role)
	w.expect(alex, one, "(objectClass=*)", org)
	w.expect(alex, base, "(objectClass=nhsPerson)", alex)
	w.expect(alex, base, "(objectClass=nhsOrgPerson)")
	w.expect("o=nhs", sub, "(cn=alex example)", alex)
	w.expect("o=nhs", sub, "(cn=al*)", alex, org)
	w.expect("o=nhs", sub, "(cn=*exa*)", alex)
	w.expect("o=nhs", sub, "(name=al*)", alex, org)
	w.expect("o=nhs", sub, "(sn>=c)") // no ordering rule: Undefined
	w.expect("ou=People,o=nhs", one, "(createTimestamp<=20260102030405Z)", alex, bo)
	w.expect("ou=People,o=nhs", one, "(createTimestamp>=20260102030406Z)")
	w.expect("o=nhs", sub, "(|(mail=ALEX@example.org)(uid=900000000025))", alex, bo)
	w.expect("o=nhs", sub, "(&(nhsIDCode=X99)(objectClass=nhsOrgPersonRole))", role)
	w.expect("o=nhs", sub, "(nhsIDCode=x99)")
	w.expect("o=nhs", sub, "(nhsPersonStatus=1)") // no equality rule: Undefined
	w.expect("o=nhs", sub, "(!(nhsPersonStatus=1))")
	w.expect("o=nhs", sub, "(nhsPersonStatus=*)", alex, bo)
	w.expect("o=nhs", sub, "(mail=*)", alex)
	w.expect("o=nhs", sub, "(&(objectClass=nhsPerson)(!(mail=*)))", bo)
	w.expect("o=nhs", sub, "(ou:dn:=People)", "ou=People,o=nhs", alex, org, role, bo)
	w.expect("o=nhs", sub, "(cn:caseExactMatch:=Alex)", org)
	w.expect("o=nhs", sub, "(entryUUID="+w.uuid(role).String()+")", role)
	w.expect("o=nhs", sub, "(entryDN="+strings.ToUpper(bo)+")", bo)
	w.expect("o=nhs", sub, "(hasSubordinates=FALSE)", role, bo)
	w.expect("o=nhs", sub, "(numSubordinates=2)", "ou=People,o=nhs")
	w.expect("o=nhs", sub, "(&)", "o=nhs", "ou=People,o=nhs", alex, org, role, bo)
	w.expect("o=nhs", sub, "(|)")
}

func TestMissingBaseNamesTheDeepestAncestor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.people()
	for base, matched := range map[string]string{
		"cn=x,uid=900000000017,ou=people,o=nhs": alex,
		"cn=x,cn=y,o=nhs":                       "o=nhs",
		"cn=x,dc=other":                         "",
	} {
		_, err := w.tree.Open(tree.Request{Base: w.key(base), Scope: tree.ScopeSubtree}).Step(0, func(*tree.Entry) bool { return true })
		var missing *tree.NoSuchBase
		if !errors.As(err, &missing) || missing.Matched != matched {
			t.Errorf("%s: got %v, %+v", base, err, missing)
		}
	}
}

func TestEntryComesBackAsItWasGiven(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.people()
	given := "dn: cn=A\\, B+sn=\\20x,ou=People,o=nhs\nobjectClass: inetOrgPerson\ncn: A, B\nsn: \\20x\nsn:  x\ncn;lang-en: Æ\n" +
		"employeeNumber: 0123\nroomNumber: 17\ndescription: 20260102030405Z\ndescription: 20261302030405Z\nuidNumber: 99999999999999999999\njpegPhoto:: /9j/\n"
	given = strings.Replace(given, "uidNumber: 99999999999999999999\n", "", 1)
	given = strings.Replace(given, "sn=\\20x", "sn=\\20x", 1)
	given = strings.Replace(given, "jpegPhoto:: /9j/\n", "jpegPhoto:: /9j/4AAQ\n", 1)
	want := w.entry(given)
	x := directory.EntryAdded{UUID: w.uuid(want.DN.String()), Entry: want}
	w.commit(journal.KindEntryAdded, x.Append(nil))
	w.check()
	err := w.tree.Get(w.key(want.DN.String()), func(e *tree.Entry) error {
		got, err := e.Decode()
		if err != nil {
			return err
		}
		if string(directory.AppendLDIF(nil, got)) != string(directory.AppendLDIF(nil, want)) {
			t.Errorf("got\n%s\nwant\n%s", directory.AppendLDIF(nil, got), directory.AppendLDIF(nil, want))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestModifyDeleteAndMoveKeepEveryIndex(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.people()
	mod := func(dn string, op directory.ModOp, typ string, values ...string) {
		x := directory.EntryModified{UUID: w.uuid(dn), Mods: []directory.Modification{{Op: op,
			Attribute: directory.Attribute{Type: typ, Values: directory.Values(values...)}}}}
		w.commit(journal.KindEntryModified, x.Append(nil))
	}
	mod(bo, directory.ModAdd, "mail", "bo@example.org", "b@example.org")
	mod(bo, directory.ModReplace, "sn", "Beispielmann")
	mod(bo, directory.ModDelete, "mail", "B@example.org")
	w.check()
	w.expect("o=nhs", tree.ScopeSubtree, "(mail=b@example.org)")
	w.expect("o=nhs", tree.ScopeSubtree, "(sn=beispielmann)", bo)
	w.expect("o=nhs", tree.ScopeSubtree, "(sn=beispiel)")

	up, _ := directory.ParseDN("ou=Archive,o=nhs")
	w.add("dn: ou=Archive,o=nhs\nobjectClass: organizationalUnit\nou: Archive\n")
	rdn := directory.RDN{{Type: "uid", Value: []byte("900000000099")}}
	move := directory.EntryMoved{UUID: w.uuid(alex), NewRDN: rdn, NewSuperior: up, Mods: []directory.Modification{
		{Op: directory.ModReplace, Attribute: directory.Attribute{Type: "uid", Values: directory.Values("900000000099")}}}}
	w.commit(journal.KindEntryMoved, move.Append(nil))
	w.check()
	moved := "uid=900000000099,ou=Archive,o=nhs"
	w.expect("ou=Archive,o=nhs", tree.ScopeSubordinate, "(objectClass=*)", moved,
		"uniqueIdentifier=900000000025,"+moved, "uniqueIdentifier=900000000033,uniqueIdentifier=900000000025,"+moved)
	w.expect("ou=People,o=nhs", tree.ScopeSubtree, "(uid=900000000017)")

	x := directory.EntryDeleted{UUID: w.uuid(bo)}
	w.commit(journal.KindEntryDeleted, x.Append(nil))
	w.check()
	w.expect("ou=People,o=nhs", tree.ScopeSubordinate, "(objectClass=*)")
}

func TestEntriesModifiedChangesAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.people()
	uuids := []directory.UUID{w.uuid(alex), w.uuid(bo)}
	slices.SortFunc(uuids, func(a, b directory.UUID) int { return slices.Compare(a[:], b[:]) })
	x := directory.EntriesModified{UUIDs: uuids, Mods: []directory.Modification{{Op: directory.ModReplace,
		Attribute: directory.Attribute{Type: "title", Values: directory.Values("Dr")}}}}
	w.commit(journal.KindEntriesModified, x.Append(nil))
	w.check()
	w.expect("o=nhs", tree.ScopeSubtree, "(title=dr)", alex, bo)
}

func TestSecretsAreKeptApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.people()
	x := directory.SecretsChanged{Secrets: []directory.Secret{{UUID: w.uuid(bo), Attribute: "userPassword", Values: directory.Values("{SSHA}x", "{SSHA}y")}}}
	w.commit(journal.KindSecretsChanged, x.Append(nil))
	w.wait()
	got, err := w.tree.Secrets(w.uuid(bo), "userPassword")
	if err != nil || len(got) != 2 || string(got[1]) != "{SSHA}y" {
		t.Fatalf("got %q, %v", got, err)
	}
	w.expect("o=nhs", tree.ScopeSubtree, "(userPassword=*)")
	gone := directory.EntryDeleted{UUID: w.uuid(bo)}
	w.commit(journal.KindEntryDeleted, gone.Append(nil))
	w.wait()
	if got, err := w.tree.Secrets(w.uuid(bo), "userPassword"); err != nil || got != nil {
		t.Fatalf("after the entry is gone: %q, %v", got, err)
	}
}

func TestAfterResumesByNumber(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.people()
	f, _ := directory.ParseFilter("(|(objectClass=nhsPerson)(objectClass=nhsOrgPersonRole))")
	var all []string
	after := uint32(0)
	for range 3 {
		scan := w.tree.Open(tree.Request{Base: w.key("o=nhs"), Scope: tree.ScopeSubtree, Filter: f, After: after})
		if _, err := scan.Step(0, func(e *tree.Entry) bool {
			dn, _ := e.AppendDN(nil)
			all = append(all, string(dn))
			return false
		}); err != nil {
			t.Fatal(err)
		}
		after = scan.Last()
	}
	if !slices.Equal(all, []string{alex, role, bo}) {
		t.Errorf("got %q", all)
	}
}

func TestWideSearchPutsItsChoiceOffToTheStepAfter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.people()
	const more = 100
	for i := range more {
		w.add(fmt.Sprintf("dn: ou=Unit %d,o=nhs\nobjectClass: organizationalUnit\nou: Unit %[1]d\ndescription: wide\n", i))
	}
	w.wait()
	for filter, off := range map[string]bool{
		"(description=wide)":                         true, // no index, and more below the base than the budget
		"(ou=unit*)":                                 true, // of an index, but more than the budget
		"(ou=unit 7)":                                false,
		"(&(ou=unit 7)(objectClass=*))":              false,
		"(|(ou=unit 7)(ou=unit 8)(uid=nobody))":      false,
		"(&(objectClass=nhsPerson)(cn=bo beispiel))": false,
	} {
		f, err := directory.ParseFilter(filter)
		if err != nil {
			t.Fatal(err)
		}
		const budget = 10
		scan, found := w.tree.Open(tree.Request{Base: w.key("o=nhs"), Scope: tree.ScopeSubtree, Filter: f}), 0
		take := func(*tree.Entry) bool { found++; return true }
		if _, err := scan.Step(budget, take); err != nil {
			t.Fatal(err)
		}
		if got := scan.Tested() == 0; got != off {
			t.Errorf("%s: the first step tested %d", filter, scan.Tested())
		}
		if !off {
			continue
		}
		for done := false; !done; {
			if done, err = scan.Step(budget, take); err != nil {
				t.Fatal(err)
			}
		}
		if found != more {
			t.Errorf("%s: %d found", filter, found)
		}
	}
}
